//! What a backend exports of itself, read from a page in the text format of Prometheus (0.0.4).
//!
//! Only samples of a few names are looked for, so a page is gone through once, line by line, and
//! nothing is kept of the rest. Samples of one name with several label sets (one for each route,
//! say) are summed. Rejected: `prometheus-parse`, whose expression for labels ends at the first
//! brace, also inside a value, as route templates have it (`path="/users/{id}"`), and
//! `openmetrics-parser`, which refuses a whole page for one line.
//!
//! Counters become rates between two readings: [`Readings`] keeps the last one.

use std::time::Duration;

use super::Moment;

/// Names that are looked for; nothing where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'n> {
    /// A gauge of requests under way.
    pub active: Option<&'n str>,
    /// A gauge of how many there can be.
    pub capacity: Option<&'n str>,
    /// A counter of seconds of processors, or a gauge from 0 to 1.
    pub cpu: Option<&'n str>,
    /// A gauge of bytes, or from 0 to 1.
    pub memory: Option<&'n str>,
    /// A histogram or a summary of seconds.
    pub latency: Option<&'n str>,
}

/// What one page had.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Page {
    /// Requests under way.
    pub active: Option<f64>,
    /// How many there can be.
    pub capacity: Option<f64>,
    /// As exported.
    pub cpu: Option<f64>,
    /// As exported.
    pub memory: Option<f64>,
    /// Seconds of all answers, and how many there were.
    pub latency: Option<(f64, f64)>,
}

/// Reads a page; lines that are no samples are passed over.
#[must_use]
pub fn read(text: &str, names: &Names<'_>) -> Page {
    let mut page = Page::default();
    let (mut seconds, mut answers) = (None, None);
    for (name, value) in text.lines().filter_map(sample) {
        let is = |wanted: Option<&str>| wanted == Some(name);
        let part = |end: &str| names.latency.is_some() && names.latency == name.strip_suffix(end);
        let place = match name {
            _ if is(names.active) => &mut page.active,
            _ if is(names.capacity) => &mut page.capacity,
            _ if is(names.cpu) => &mut page.cpu,
            _ if is(names.memory) => &mut page.memory,
            _ if part("_sum") => &mut seconds,
            _ if part("_count") => &mut answers,
            _ => continue,
        };
        *place = Some(place.unwrap_or(0.0) + value);
    }
    page.latency = seconds.zip(answers);
    page
}

/// The name and the value of a line that is a sample.
fn sample(line: &str) -> Option<(&str, f64)> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(|letter: char| letter == '{' || letter.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let rest = match rest.strip_prefix('{') {
        Some(labels) => after_labels(labels)?,
        None => rest,
    };
    // A time may stand behind the value.
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty() && value.is_finite()).then_some((name, value))
}

/// What is behind the labels: a brace inside a value does not end them.
fn after_labels(labels: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in labels.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return labels.get(at + 1..),
            _ => {}
        }
    }
    None
}

/// What a page comes to, beside the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Requests under way.
    pub active: Option<f64>,
    /// How many there can be.
    pub capacity: Option<f64>,
    /// Processors in use: a share if it was exported as one, else how many.
    pub cpu: Option<f64>,
    /// Memory in use: bytes, or a share.
    pub memory: Option<f64>,
    /// Milliseconds of an answer since the last reading, in the mean.
    pub latency_ms: Option<f64>,
}

/// The last page of a backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readings(Option<(Page, Moment)>);

impl Readings {
    /// Takes a page in. A counter that fell begins anew with the next page, because its process
    /// did.
    pub fn take(&mut self, page: Page, cpu_is_counter: bool, now: Moment) -> Figures {
        let before = self.0.replace((page, now));
        let passed = before.map_or(Duration::ZERO, |(_, then)| now.saturating_sub(then));
        let before = before.map(|(page, _)| page).unwrap_or_default();
        let more = |now: Option<f64>, before: Option<f64>| {
            now.zip(before)
                .map(|(now, before)| now - before)
                .filter(|more| *more >= 0.0)
        };
        let cpu = match cpu_is_counter {
            false => page.cpu,
            true => more(page.cpu, before.cpu)
                .filter(|_| !passed.is_zero())
                .map(|seconds| seconds / passed.as_secs_f64()),
        };
        let seconds = more(
            page.latency.map(|one| one.0),
            before.latency.map(|one| one.0),
        );
        let answers = more(
            page.latency.map(|one| one.1),
            before.latency.map(|one| one.1),
        );
        let latency = seconds.zip(answers).filter(|(_, answers)| *answers > 0.0);
        Figures {
            active: page.active,
            capacity: page.capacity,
            cpu,
            memory: page.memory,
            latency_ms: latency.map(|(seconds, answers)| seconds / answers * 1000.0),
        }
    }
}

/// Whether a metric of processors counts seconds, by the convention that counters end so.
#[must_use]
pub fn is_counter(name: &str) -> bool {
    name.ends_with("_total")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: Names<'static> = Names {
        active: Some("in_flight"),
        capacity: Some("workers"),
        cpu: Some("process_cpu_seconds_total"),
        memory: Some("process_resident_memory_bytes"),
        latency: Some("took_seconds"),
    };

    const PAGE: &str = r#"# HELP in_flight Requests.
# TYPE in_flight gauge
in_flight{path="/users/{id}",verb="a\"}"} 3
in_flight{path="/"} 4 1700000000000
workers 16
process_cpu_seconds_total 12.5
process_resident_memory_bytes 1.5e+08
took_seconds_bucket{le="+Inf"} 10
took_seconds_sum{path="/"} 2.5
took_seconds_count{path="/"} 10
broken{a="b
nan NaN
"#;

    #[test]
    fn samples_of_the_names_are_found_and_summed() {
        let page = read(PAGE, &NAMES);
        let expected = Page {
            active: Some(7.0),
            capacity: Some(16.0),
            cpu: Some(12.5),
            memory: Some(1.5e8),
            latency: Some((2.5, 10.0)),
        };
        assert_eq!(page, expected);
        assert_eq!(read(PAGE, &Names::default()), Page::default());
    }

    #[test]
    fn counters_become_rates_between_two_pages() {
        let mut readings = Readings::default();
        let first = read(PAGE, &NAMES);
        let before = readings.take(first, true, Moment::from_secs(10));
        assert_eq!(
            (before.active, before.cpu, before.latency_ms),
            (Some(7.0), None, None)
        );
        let second = Page {
            cpu: Some(13.5),
            latency: Some((3.5, 14.0)),
            ..first
        };
        let after = readings.take(second, true, Moment::from_secs(12));
        assert_eq!((after.cpu, after.latency_ms), (Some(0.5), Some(250.0)));
        // It was started anew: what fell says nothing, and is what the next page is measured by.
        let fresh = Page {
            cpu: Some(0.1),
            latency: Some((0.0, 0.0)),
            ..first
        };
        let restarted = readings.take(fresh, true, Moment::from_secs(14));
        assert_eq!((restarted.cpu, restarted.latency_ms), (None, None));
        let share = Page {
            cpu: Some(0.75),
            ..first
        };
        assert_eq!(
            readings.take(share, false, Moment::from_secs(16)).cpu,
            Some(0.75)
        );
    }

    proptest! {
        #[test]
        fn hostile_pages_do_no_harm(text: String) {
            let page = read(&text, &NAMES);
            prop_assert!(page.active.is_none_or(f64::is_finite));
        }

        #[test]
        fn hostile_labels_do_no_harm(labels in "[{}\"\\\\ =a1.]{0,40}") {
            let _ = read(&format!("in_flight{{{labels}}} 1"), &NAMES);
        }
    }
}
