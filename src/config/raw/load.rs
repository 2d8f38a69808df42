//! How the load of a group's backends is learnt, as written: by probes, and from their metrics.

use super::super::problem::{At, Problems};
use super::super::reader::{Section, Written};
use super::{Integer, Text};

pub(in super::super) struct LoadProbe {
    pub(in super::super) at: At,
    pub(in super::super) path: Text,
    pub(in super::super) port: Integer,
    pub(in super::super) rate: Option<Written<f64>>,
    pub(in super::super) rate_max: Integer,
    pub(in super::super) timeout: Text,
}

pub(in super::super) struct Scrape {
    pub(in super::super) path: Text,
    pub(in super::super) port: Integer,
    pub(in super::super) interval: Text,
    pub(in super::super) timeout: Text,
    pub(in super::super) active: Text,
    pub(in super::super) capacity: Text,
    pub(in super::super) cpu: Text,
    pub(in super::super) memory: Text,
    pub(in super::super) latency: Text,
}

/// Both of a group, as far as they are there.
pub(in super::super) struct Load {
    pub(in super::super) probe: Option<LoadProbe>,
    pub(in super::super) scrape: Option<Scrape>,
}

pub(super) fn read_load(section: &mut Section<'_, '_>, problems: &mut Problems<'_>) -> Load {
    Load {
        probe: section
            .section("probe", problems)
            .map(|section| read_probe(section, problems)),
        scrape: section
            .section("scrape", problems)
            .map(|section| read_scrape(section, problems)),
    }
}

fn read_probe(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> LoadProbe {
    let probe = LoadProbe {
        at: section.at.clone(),
        path: section.text("path", "\"/load\"", problems),
        port: section.integer("port", "9100", problems),
        rate: section.number("rate", "3", problems),
        rate_max: section.integer("rate_max", "2000", problems),
        timeout: section.duration("timeout", problems),
    };
    section.finish(problems);
    probe
}

fn read_scrape(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Scrape {
    let scrape = Scrape {
        path: section.text("path", "\"/metrics\"", problems),
        port: section.integer("port", "9100", problems),
        interval: section.duration("interval", problems),
        timeout: section.duration("timeout", problems),
        active: section.text("active", "\"http_requests_in_flight\"", problems),
        capacity: section.text("capacity", "\"http_requests_max\"", problems),
        cpu: section.text("cpu", "\"process_cpu_seconds_total\"", problems),
        memory: section.text("memory", "\"process_resident_memory_bytes\"", problems),
        latency: section.text("latency", "\"http_request_duration_seconds\"", problems),
    };
    section.finish(problems);
    scrape
}
