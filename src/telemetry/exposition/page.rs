//! The grammar of the Prometheus text format 0.0.4 and of OpenMetrics 1.0: families, labels,
//! numbers. They differ in how a family of counters is called, in the requests that stand for
//! buckets, and in the end of the page.

use crate::base::hex;
use crate::telemetry::batches::{BATCH_BOUNDS, BatchCounts};
use crate::telemetry::exemplars::{Exemplar, OfListener};
use crate::telemetry::histogram::LatencyHistogram;

/// Bounds of a histogram of latencies, at most.
const BOUNDS_MAX: usize = 32;

/// How a page is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// What every scraper understands.
    #[default]
    Text,
    /// What a scraper asks for by `Accept: application/openmetrics-text`.
    OpenMetrics,
}

/// Bytes of a part of a page, about: little enough to stay in a cache, and to be sent by one call
/// that keeps nobody off the CPU.
pub const PART_BYTES: usize = 64 * 1024;

/// Where the parts of a page go; the last one is marked.
pub type Parts = Box<dyn FnMut(String, bool)>;

/// A page of metrics being written, a part at a time.
pub(super) struct Page {
    text: String,
    name: &'static str,
    dialect: Dialect,
    parts: Parts,
}

/// Kinds of families.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Page {
    pub(super) fn new(dialect: Dialect, parts: Parts) -> Self {
        Page {
            text: room(),
            name: "",
            dialect,
            parts,
        }
    }

    /// Ends the page.
    pub(super) fn finish(mut self) {
        if self.dialect == Dialect::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        (self.parts)(self.text, true);
    }

    /// Begins a family; samples that follow belong to it.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.name = name;
        let name = match (self.dialect, kind) {
            (Dialect::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        for part in [
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            kind,
            "\n",
        ] {
            self.text.push_str(part);
        }
    }

    /// One sample; `labels` as [`labels`] makes them.
    pub(super) fn sample(&mut self, labels: &str, value: u64) {
        self.series("", labels, "", "");
        self.number(value);
    }

    /// One sample with a further label; its value needs no escaping.
    pub(super) fn sample_by(&mut self, labels: &str, label: &str, value_of: &str, value: u64) {
        self.series("", labels, label, value_of);
        self.number(value);
    }

    /// One sample that is a time.
    pub(super) fn seconds(&mut self, labels: &str, micros: u64) {
        self.series("", labels, "", "");
        push_seconds(&mut self.text, micros);
        self.text.push('\n');
    }

    /// One sample in thousandths.
    pub(super) fn thousandths(&mut self, labels: &str, value: u64) {
        self.seconds(labels, value.saturating_mul(1000));
    }

    /// One sample whose labels come in parts, any of which may be empty, with a status.
    pub(super) fn sample_of(&mut self, labels: &[&str], code: u16, value: u64) {
        self.text.push_str(self.name);
        self.text.push('{');
        for part in labels.iter().filter(|part| !part.is_empty()) {
            self.text.push_str(part);
            self.text.push(',');
        }
        self.text.push_str("code=\"");
        self.text.push_str(itoa::Buffer::new().format(code));
        self.text.push_str("\"} ");
        self.number(value);
    }

    /// The samples of one histogram: all cores together, cumulative over `bounds` (microseconds,
    /// each a lower bound of a bucket, so no bucket is split). What stands for a bucket is told
    /// where the dialect has a place for it.
    pub(super) fn histogram<'a>(
        &mut self,
        labels: &str,
        bounds: &[u64],
        cores: impl Iterator<Item = &'a LatencyHistogram>,
        exemplars: Option<&OfListener>,
    ) {
        debug_assert!(bounds.len() < BOUNDS_MAX);
        let exemplars = exemplars.filter(|_| self.dialect == Dialect::OpenMetrics);
        let mut counts = [0_u64; BOUNDS_MAX];
        let mut sum = 0_u64;
        for histogram in cores {
            sum = sum.wrapping_add(histogram.sum_micros());
            histogram.visit(|low, _, count| counts[bounds.partition_point(|b| *b <= low)] += count);
        }
        let mut total = 0;
        let mut le = String::with_capacity(16);
        for (place, count) in counts[..=bounds.len()].iter().enumerate() {
            total += count;
            le.clear();
            match bounds.get(place) {
                Some(bound) => push_seconds(&mut le, *bound),
                None => le.push_str("+Inf"),
            }
            self.series("_bucket", labels, "le", &le);
            self.text.push_str(itoa::Buffer::new().format(total));
            if let Some(exemplar) = exemplars.and_then(|all| all[place]) {
                self.exemplar(&exemplar);
            }
            self.text.push('\n');
        }
        self.series("_sum", labels, "", "");
        push_seconds(&mut self.text, sum);
        self.text.push('\n');
        self.series("_count", labels, "", "");
        self.number(total);
    }

    /// ` # {labels} value time`, as OpenMetrics has it.
    fn exemplar(&mut self, exemplar: &Exemplar) {
        self.text.push_str(" # {request_id=\"");
        let id = hex::digits(exemplar.request_number);
        self.text.extend(id.map(char::from));
        self.text.push_str("\"} ");
        push_seconds(&mut self.text, exemplar.duration_micros);
        self.text.push(' ');
        push_seconds(&mut self.text, exemplar.ended_unix_micros);
    }

    /// The samples of one histogram of completions; `sum` is how many there were in all turns.
    pub(super) fn batches(&mut self, labels: &str, turns: &BatchCounts, sum: u64) {
        let mut total = 0;
        let bounds = BATCH_BOUNDS.iter().map(Some).chain([None]);
        for (bound, count) in bounds.zip(turns.iter()) {
            total += count;
            let mut number = itoa::Buffer::new();
            let le = bound.map_or("+Inf", |bound| number.format(*bound));
            self.series("_bucket", labels, "le", le);
            self.number(total);
        }
        self.series("_sum", labels, "", "");
        self.number(sum);
        self.series("_count", labels, "", "");
        self.number(total);
    }

    fn series(&mut self, suffix: &str, labels: &str, label: &str, value: &str) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        if !labels.is_empty() || !label.is_empty() {
            self.text.push('{');
            self.text.push_str(labels);
            if !label.is_empty() {
                let comma = if labels.is_empty() { "" } else { "," };
                for part in [comma, label, "=\"", value, "\""] {
                    self.text.push_str(part);
                }
            }
            self.text.push('}');
        }
        self.text.push(' ');
    }

    /// Every family has lines that end here.
    fn number(&mut self, value: u64) {
        self.text.push_str(itoa::Buffer::new().format(value));
        self.text.push('\n');
        if self.text.len() >= PART_BYTES {
            (self.parts)(std::mem::replace(&mut self.text, room()), false);
        }
    }
}

/// Room for a part and the lines that end it.
fn room() -> String {
    String::with_capacity(PART_BYTES + PART_BYTES / 16)
}

/// Labels as they stand between the braces, values escaped.
pub(super) fn labels(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out
}

/// Seconds with six decimals, exactly.
fn push_seconds(out: &mut String, micros: u64) {
    let mut buffer = itoa::Buffer::new();
    out.push_str(buffer.format(micros / 1_000_000));
    out.push('.');
    let decimals = buffer.format(1_000_000 + micros % 1_000_000);
    out.push_str(&decimals[1..]);
}
