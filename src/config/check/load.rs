//! How the load of a group's backends is learnt: by probes, and from their metrics.

use std::sync::Arc;
use std::time::Duration;

use super::super::checked::{LoadProbe, Policy, Scrape, Shadow};
use super::super::problem::Problems;
use super::super::raw::{self, Text};
use super::MILLISECOND;
use super::probe::{path_of, port};
use super::values::{duration, number, out_of_range};

/// Probes for one request.
const RATE: f64 = 3.0;
const RATE_LEAST: f64 = 0.01;
const RATE_MOST: f64 = 10.0;

/// More in a second are an attack, and more than the control thread is there for.
const RATE_MAX: u32 = 20_000;
const RATE_MAX_DEFAULT: u32 = 2000;

const SCRAPE_LEAST: Duration = Duration::from_millis(100);

/// Probes, which only the adaptive policy goes by.
pub(super) fn check_probe(
    raw: &raw::Group,
    policy: Policy,
    shadow: Option<Shadow>,
    problems: &mut Problems<'_>,
) -> Option<LoadProbe> {
    let written = raw.load.probe.as_ref()?;
    let is_adaptive = |policy: Policy| matches!(policy, Policy::Adaptive(_));
    if !is_adaptive(policy) && !shadow.is_some_and(|shadow| is_adaptive(shadow.policy)) {
        let fix = "remove it, or write policy = \"adaptive\"";
        problems.error(&written.at, "has a meaning for adaptive only", fix);
    }
    let rate = match &written.rate {
        Some(rate) if !(RATE_LEAST..=RATE_MOST).contains(&rate.value) => {
            out_of_range(&rate.at, rate.value, RATE_LEAST, RATE_MOST, problems);
            RATE
        }
        Some(rate) => rate.value,
        None => RATE,
    };
    Some(LoadProbe {
        path: Arc::from(path_of(&written.path, "/load", problems)),
        port: port(&written.port, problems),
        rate_percent: (rate * 100.0).round() as u32,
        rate_max: number(&written.rate_max, RATE_MAX_DEFAULT, 1..=RATE_MAX, problems),
        timeout: duration(
            &written.timeout,
            Duration::from_millis(100),
            MILLISECOND,
            problems,
        ),
    })
}

/// Metrics that are read.
pub(super) fn check_scrape(raw: &raw::Group, problems: &mut Problems<'_>) -> Option<Scrape> {
    let written = raw.load.scrape.as_ref()?;
    let interval = duration(
        &written.interval,
        Duration::from_secs(5),
        SCRAPE_LEAST,
        problems,
    );
    let mut metric = |text: &Text, default: &str| metric_of(text, default, problems);
    let (active, capacity) = (metric(&written.active, ""), metric(&written.capacity, ""));
    let cpu = metric(&written.cpu, "process_cpu_seconds_total");
    let memory = metric(&written.memory, "process_resident_memory_bytes");
    let latency = metric(&written.latency, "");
    Some(Scrape {
        path: Arc::from(path_of(&written.path, "/metrics", problems)),
        port: port(&written.port, problems),
        interval,
        timeout: duration(&written.timeout, interval, MILLISECOND, problems),
        active,
        capacity,
        cpu,
        memory,
        latency,
    })
}

/// The name of a metric, where there is one.
fn metric_of(written: &Text, default: &str, problems: &mut Problems<'_>) -> Option<Arc<str>> {
    let Some(written) = written else {
        return (!default.is_empty()).then(|| Arc::from(default));
    };
    let name = &*written.value;
    let mut letters = name.bytes();
    let first = letters.next();
    let is_name = first.is_some_and(|byte| byte.is_ascii_alphabetic() || b"_:".contains(&byte))
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte));
    if name != "none" && !is_name {
        let what = format!("{name:?} is no name of a metric");
        let fix = "write a name without labels, such as \"http_requests_in_flight\", or \"none\"";
        problems.error(&written.at, what, fix);
    }
    (name != "none").then(|| Arc::from(name))
}
