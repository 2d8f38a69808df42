//! What was measured, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The percentiles that are told.
const PERCENTILES: [f64; 9] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999, 100.0];

/// Longest latency that is told apart, in nanoseconds: an hour.
const NANOS_MAX: u64 = 3_600_000_000_000;

/// Latencies in nanoseconds, within a thousandth.
pub(super) type Latencies = Histogram<u64>;

/// No latencies yet.
#[must_use]
pub(super) fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, NANOS_MAX, 3).expect("bounds and digits are in range")
}

/// What one thread counted, or all of them.
#[derive(Clone)]
pub(super) struct Counts {
    /// Connections established at the beginning.
    pub(super) established: u64,
    /// Connections that could not be, by why.
    pub(super) connect_errors: BTreeMap<String, u64>,
    /// How long connecting took.
    pub(super) connect: Latencies,
    /// Nanoseconds until all were there.
    pub(super) setup_nanos: u64,
    /// Connections made again after that.
    pub(super) reconnects: u64,
    /// Requests sent.
    pub(super) sent: u64,
    /// Requests answered.
    pub(super) answered: u64,
    /// Those of them that count.
    pub(super) counted: u64,
    /// Requests whose time came and that were not sent before the end.
    pub(super) unsent: u64,
    /// Requests still under way at the end.
    pub(super) unfinished: u64,
    /// Answers by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Requests that failed, by why.
    pub(super) errors: BTreeMap<String, u64>,
    /// Bytes sent and received.
    pub(super) bytes: (u64, u64),
    /// From when a request was due to its answer, of those that count.
    pub(super) latency: Latencies,
    /// From when it was sent.
    pub(super) service: Latencies,
    /// Connections the other side closed while nothing was asked on them.
    pub(super) closed_idle: u64,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            established: 0,
            connect_errors: BTreeMap::new(),
            connect: latencies(),
            setup_nanos: 0,
            reconnects: 0,
            sent: 0,
            answered: 0,
            counted: 0,
            unsent: 0,
            unfinished: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            bytes: (0, 0),
            latency: latencies(),
            service: latencies(),
            closed_idle: 0,
        }
    }
}

impl Counts {
    /// Adds what another thread counted.
    pub(super) fn add(&mut self, other: &Counts) {
        let sum = |into: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>| {
            for (why, count) in from {
                *into.entry(why.clone()).or_default() += count;
            }
        };
        self.established += other.established;
        sum(&mut self.connect_errors, &other.connect_errors);
        sum(&mut self.errors, &other.errors);
        self.setup_nanos = self.setup_nanos.max(other.setup_nanos);
        self.reconnects += other.reconnects;
        self.sent += other.sent;
        self.answered += other.answered;
        self.counted += other.counted;
        self.unsent += other.unsent;
        self.unfinished += other.unfinished;
        self.closed_idle += other.closed_idle;
        self.bytes.0 += other.bytes.0;
        self.bytes.1 += other.bytes.1;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (into, from) in [
            (&mut self.connect, &other.connect),
            (&mut self.latency, &other.latency),
            (&mut self.service, &other.service),
        ] {
            into.add(from).expect("all have the same bounds");
        }
    }
}

/// Everything about one run.
pub(super) struct Report {
    /// `http` or `tcp`.
    pub(super) kind: &'static str,
    /// Connections that were wanted.
    pub(super) connections: usize,
    /// Threads.
    pub(super) threads: usize,
    /// Requests a second that were wanted, if so.
    pub(super) rate: Option<f64>,
    /// Seconds that count.
    pub(super) seconds: f64,
    /// What was counted.
    pub(super) counts: Counts,
}

impl Report {
    /// Requests answered a second, of those that count.
    #[must_use]
    pub(super) fn answered_per_second(&self) -> f64 {
        match self.seconds > 0.0 {
            true => self.counts.counted as f64 / self.seconds,
            false => 0.0,
        }
    }

    fn established_per_second(&self) -> f64 {
        let seconds = self.counts.setup_nanos as f64 / 1e9;
        match seconds > 0.0 {
            true => self.counts.established as f64 / seconds,
            false => 0.0,
        }
    }

    /// As JSON; times are microseconds.
    #[must_use]
    pub(super) fn json(&self) -> Value {
        let counts = &self.counts;
        let statuses = counts.statuses.iter();
        let statuses: BTreeMap<_, _> = statuses
            .map(|(status, count)| (status.to_string(), count))
            .collect();
        json!({
            "kind": self.kind,
            "threads": self.threads,
            "rate_wanted": self.rate,
            "seconds": self.seconds,
            "connections": {
                "wanted": self.connections,
                "established": counts.established,
                "errors": counts.connect_errors,
                "setup_seconds": counts.setup_nanos as f64 / 1e9,
                "setup_per_second": self.established_per_second(),
                "setup_us": percentiles(&counts.connect),
                "closed_idle": counts.closed_idle,
                "reconnects": counts.reconnects,
            },
            "requests": {
                "sent": counts.sent,
                "answered": counts.answered,
                "answered_per_second": self.answered_per_second(),
                "unsent": counts.unsent,
                "unfinished": counts.unfinished,
                "statuses": statuses,
                "errors": counts.errors,
            },
            "bytes": {"sent": counts.bytes.0, "received": counts.bytes.1},
            "latency_us": percentiles(&counts.latency),
            "service_us": percentiles(&counts.service),
            "latency_buckets_us": buckets(&counts.latency),
        })
    }

    /// As a table.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let counts = &self.counts;
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(
            out,
            "connections  {} of {} in {:.2} s ({:.0}/s), {} closed while idle, {} made again",
            counts.established,
            self.connections,
            counts.setup_nanos as f64 / 1e9,
            self.established_per_second(),
            counts.closed_idle,
            counts.reconnects,
        );
        let _ = writeln!(
            out,
            "requests     {} sent, {} answered ({:.0}/s), {} unfinished, {} not sent in time",
            counts.sent,
            counts.answered,
            self.answered_per_second(),
            counts.unfinished,
            counts.unsent,
        );
        let _ = writeln!(
            out,
            "bytes        {} sent, {} received",
            counts.bytes.0, counts.bytes.1
        );
        for (status, count) in counts.statuses.iter().filter(|(status, _)| **status != 0) {
            let _ = writeln!(out, "status {status}   {count}");
        }
        for (why, count) in counts.connect_errors.iter().chain(&counts.errors) {
            let _ = writeln!(out, "failed       {count}: {why}");
        }
        let _ = writeln!(
            out,
            "\n{:>9}  {:>12}  {:>12}",
            "percent", "latency us", "service us"
        );
        for percent in PERCENTILES {
            let micros = |of: &Latencies| of.value_at_percentile(percent) as f64 / 1e3;
            let _ = writeln!(
                out,
                "{percent:>9}  {:>12.1}  {:>12.1}",
                micros(&counts.latency),
                micros(&counts.service)
            );
        }
        out
    }
}

/// `[latency, count]` of each bucket that is not empty, so that results of several can be merged.
fn buckets(of: &Latencies) -> Vec<(f64, u64)> {
    let recorded = of.iter_recorded();
    let each = recorded.map(|bucket| {
        let micros = bucket.value_iterated_to() as f64 / 1e3;
        (micros, bucket.count_since_last_iteration())
    });
    each.collect()
}

fn percentiles(of: &Latencies) -> Value {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let each = PERCENTILES.map(|percent| {
        let name = match percent {
            100.0 => "max".to_owned(),
            percent => format!("p{percent}"),
        };
        (name, micros(of.value_at_percentile(percent)).into())
    });
    let mut all: serde_json::Map<String, Value> = each.into_iter().collect();
    all.insert("mean".to_owned(), (of.mean() / 1e3).into());
    all.insert("count".to_owned(), of.len().into());
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(latencies_micros: &[u64], setup_nanos: u64) -> Counts {
        let mut counts = Counts {
            established: 10,
            setup_nanos,
            answered: latencies_micros.len() as u64,
            counted: latencies_micros.len() as u64,
            ..Counts::default()
        };
        for micros in latencies_micros {
            counts.latency.record(micros * 1000).unwrap();
        }
        counts.statuses.insert(200, 3);
        counts.errors.insert("reset".to_owned(), 1);
        counts
    }

    #[test]
    fn threads_add_up() {
        let mut all = counted(&[100, 200], 1_000_000_000);
        all.add(&counted(&[300, 400], 2_000_000_000));
        let report = Report {
            kind: "http",
            connections: 20,
            threads: 2,
            rate: None,
            seconds: 2.0,
            counts: all,
        };
        let json = report.json();
        assert_eq!(json["connections"]["established"], 20);
        assert_eq!(json["connections"]["setup_per_second"], 10.0);
        assert_eq!(json["requests"]["answered_per_second"], 2.0);
        assert_eq!(json["requests"]["statuses"]["200"], 6);
        assert_eq!(json["requests"]["errors"]["reset"], 2);
        let max = json["latency_us"]["max"].as_f64().unwrap();
        assert!((399.0..402.0).contains(&max), "{max}");
        let buckets = json["latency_buckets_us"].as_array().unwrap();
        assert_eq!(buckets.len(), 4, "{buckets:?}");
        let text = report.text();
        assert!(text.contains("20 of 20 in 2.00 s (10/s)"), "{text}");
        assert!(text.contains("failed       2: reset"), "{text}");
    }

    #[test]
    fn nothing_measured_is_told_without_a_division_by_nothing() {
        let report = Report {
            kind: "tcp",
            connections: 1,
            threads: 1,
            rate: Some(5.0),
            seconds: 0.0,
            counts: Counts::default(),
        };
        assert_eq!(report.json()["requests"]["answered_per_second"], 0.0);
        assert!(report.text().contains("99.9"));
    }
}
