//! The decision log, and the collector of traces.

use std::sync::Arc;

use super::super::checked::{Collector, DecisionLog, Tracing};
use super::super::problem::Problems;
use super::super::raw;
use super::super::reader::Written;
use super::values::{missing, number, out_of_range, path, size_or_none};

/// Decisions of some ten million requests.
const BYTES_DEFAULT: u64 = 1 << 30;
const BYTES_MIN: u64 = 1 << 20;

pub(super) fn decision_log(
    raw: &raw::DecisionLog,
    problems: &mut Problems<'_>,
) -> Option<DecisionLog> {
    let bytes_max = size_or_none(&raw.bytes_max, problems).unwrap_or(BYTES_DEFAULT);
    if let (Some(written), true) = (&raw.bytes_max, bytes_max < BYTES_MIN) {
        out_of_range(&written.at, bytes_max, "1MiB", "any size", problems);
    }
    let Some(written) = &raw.path else {
        missing(&raw.at, "path", "\"/var/log/weir-decisions\"", problems);
        return None;
    };
    let fix = "write path = \"/var/log/weir-decisions\"";
    Some(DecisionLog {
        path: path(written, fix, problems)?,
        bytes_max,
    })
}

pub(super) fn tracing(raw: &raw::Tracing, problems: &mut Problems<'_>) -> Option<Tracing> {
    let service = raw
        .service
        .as_ref()
        .map_or("weir", |written| &written.value);
    let Some(written) = &raw.otlp else {
        missing(
            &raw.at,
            "otlp",
            "\"http://127.0.0.1:4318/v1/traces\"",
            problems,
        );
        return None;
    };
    let Some(otlp) = collector(written) else {
        problems.error(
            &written.at,
            format!("{:?} is not the address of a collector", written.value),
            "write otlp = \"http://127.0.0.1:4318/v1/traces\"",
        );
        return None;
    };
    Some(Tracing {
        otlp,
        sample: number(&raw.sample, 100, 1..=1_000_000_000, problems),
        service: Arc::from(service),
    })
}

/// `http://host:port/path`.
fn collector(written: &Written<String>) -> Option<Collector> {
    let rest = written.value.strip_prefix("http://")?;
    let at = rest.find('/')?;
    let (authority, path) = rest.split_at(at);
    let (host, port) = authority.rsplit_once(':')?;
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let sound = visible(host) && visible(path) && !host.contains('@');
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    (sound && port.is_some()).then(|| Collector {
        authority: authority.into(),
        path: path.into(),
    })
}
