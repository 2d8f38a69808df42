//! What several seeds come to: means with their confidence, as a table or as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::outcome::{Failed, Outcome, Seen};

/// A mean over seeds, and how far the true one may be from it (95 percent, Student's t).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// Half of the confidence interval; 0 for a single seed, which has none.
    pub half: f64,
}

impl Figure {
    /// Of these values, one a seed.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Figure {
        let values: Vec<f64> = values.into_iter().collect();
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        if values.len() < 2 {
            return Figure { mean, half: 0.0 };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (count - 1.0) / count).sqrt();
        Figure {
            mean,
            half: error * student(values.len() - 1),
        }
    }
}

/// The 97.5 percent point of Student's distribution.
fn student(freedom: usize) -> f64 {
    const POINTS: [f64; 10] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    ];
    match freedom {
        0 => 0.0,
        1..=10 => POINTS[freedom - 1],
        // Cornish and Fisher's expansion; good to three digits from here on.
        _ => 1.96 + 2.4 / freedom as f64,
    }
}

/// One that was compared, and its runs, one a seed.
pub struct Row {
    /// What it is called.
    pub name: String,
    /// In the order of the seeds.
    pub outcomes: Vec<Outcome>,
}

impl Row {
    /// A figure over the seeds.
    #[must_use]
    pub fn figure(&self, of: impl Fn(&Outcome) -> f64) -> Figure {
        Figure::of(self.outcomes.iter().map(of))
    }

    /// A time over the seeds, in milliseconds.
    #[must_use]
    pub fn millis(&self, share: f64) -> Figure {
        self.figure(|outcome| outcome.quantile(share) * 1000.0)
    }

    /// The same as a multiple of what another had, seed by seed: both met the same requests.
    #[must_use]
    pub fn against(&self, other: &Row, share: f64) -> Figure {
        let pairs = self.outcomes.iter().zip(&other.outcomes);
        Figure::of(pairs.map(|(own, other)| own.quantile(share) / other.quantile(share)))
    }
}

const HEADS: [&str; 13] = [
    "policy",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "p99.9 ms",
    "max ms",
    "mean ms",
    "p99 vs first",
    "req/s",
    "available",
    "busiest",
    "imbalance",
    "retries",
];

/// All of them, side by side.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADS.map(str::to_owned).to_vec()];
    for row in rows {
        let versus = rows.first().map(|first| row.against(first, 0.99));
        let share = |outcome: &Outcome| outcome.retries as f64 / outcome.requests.max(1) as f64;
        let available = row.figure(Outcome::availability).mean * 100.0;
        lines.push(vec![
            row.name.clone(),
            shown(row.millis(0.5)),
            shown(row.millis(0.9)),
            shown(row.millis(0.99)),
            shown(row.millis(0.999)),
            shown(row.figure(|outcome| outcome.longest() * 1000.0)),
            shown(row.figure(|outcome| outcome.mean() * 1000.0)),
            versus.map_or_else(String::new, |ratio| {
                format!("{:.3} +-{:.3}", ratio.mean, ratio.half)
            }),
            format!("{:.0}", row.figure(Outcome::throughput).mean),
            format!("{available:.4}%"),
            format!("{:.1}%", row.figure(Outcome::utilisation_max).mean * 100.0),
            format!("{:.3}", row.figure(Outcome::imbalance).mean),
            format!("{:.2}%", row.figure(share).mean * 100.0),
        ]);
    }
    aligned(&lines)
}

fn shown(figure: Figure) -> String {
    let digits = match figure.mean {
        mean if mean >= 100.0 => 0,
        mean if mean >= 10.0 => 1,
        _ => 3,
    };
    match figure.half > 0.0 {
        true => format!("{:.digits$} +-{:.digits$}", figure.mean, figure.half),
        false => format!("{:.digits$}", figure.mean),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = match at {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

/// One line of JSON for each run, and one for each that was compared.
#[must_use]
pub fn json_lines(scenario: &str, rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        for outcome in &row.outcomes {
            let mut line = run_of(outcome);
            line.insert("kind".to_owned(), "run".into());
            line.insert("scenario".to_owned(), scenario.into());
            line.insert("policy".to_owned(), row.name.as_str().into());
            let _ = writeln!(text, "{}", Value::Object(line));
        }
        let _ = writeln!(text, "{}", summary_of(scenario, row, rows.first()));
    }
    text
}

const QUANTILES: [(&str, f64); 5] = [
    ("p50_ms", 0.5),
    ("p90_ms", 0.9),
    ("p95_ms", 0.95),
    ("p99_ms", 0.99),
    ("p999_ms", 0.999),
];

fn run_of(outcome: &Outcome) -> Map<String, Value> {
    let failed = |kind: Failed| (kind.name(), outcome.failed[kind as usize]);
    let failed: Map<String, Value> = [
        Failed::Closed,
        Failed::Error,
        Failed::Nobody,
        Failed::NodeLost,
        Failed::Refused,
        Failed::TimedOut,
    ]
    .map(failed)
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count.into()))
    .collect();
    let mut line = Map::new();
    let mut add = |key: &str, value: Value| line.insert(key.to_owned(), value);
    add("seed", outcome.seed.into());
    add("requests", outcome.requests.into());
    add("answered", outcome.answered.into());
    add("failed", failed.into());
    add("retries", outcome.retries.into());
    add("attempts", outcome.attempts.into());
    add("availability", outcome.availability().into());
    add("throughput", outcome.throughput().into());
    add("mean_ms", (outcome.mean() * 1000.0).into());
    for (key, share) in QUANTILES {
        add(key, (outcome.quantile(share) * 1000.0).into());
    }
    add("max_ms", (outcome.longest() * 1000.0).into());
    add("imbalance", outcome.imbalance().into());
    add("utilisation", outcome.utilisation.clone().into());
    add("picks", outcome.picks.clone().into());
    line
}

fn summary_of(scenario: &str, row: &Row, first: Option<&Row>) -> Value {
    let both = |figure: Figure| json!({"mean": figure.mean, "half": figure.half});
    let mut line = json!({
        "kind": "policy",
        "scenario": scenario,
        "policy": row.name,
        "seeds": row.outcomes.len(),
        "mean_ms": both(row.figure(|outcome| outcome.mean() * 1000.0)),
        "availability": both(row.figure(Outcome::availability)),
    });
    for (key, share) in QUANTILES {
        line[key] = both(row.millis(share));
    }
    if let Some(first) = first {
        line["p99_vs_first"] = both(row.against(first, 0.99));
        line["p999_vs_first"] = both(row.against(first, 0.999));
    }
    line
}

/// The first line of a table of single requests.
pub const CSV_HEAD: &str = "policy,seed,request,arrived_s,view,backend,retries,took_ms,result\n";

/// One line of it.
#[must_use]
pub fn csv_line(policy: &str, seed: u64, seen: &Seen) -> String {
    let backend = seen.backend.map_or_else(String::new, |at| format!("b{at}"));
    let result = seen.failed.map_or("ok", Failed::name);
    format!(
        "{policy},{seed},{},{:.6},{},{backend},{},{:.3},{result}\n",
        seen.number,
        seen.arrived,
        seen.view,
        seen.retries,
        seen.took * 1000.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_as_sure_as_its_values_agree() {
        let figure = Figure::of([1.0, 2.0, 3.0]);
        assert_eq!(figure.mean, 2.0);
        assert!((figure.half - 4.303 / 3.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!(Figure::of([5.0, 5.0]).half, 0.0);
        assert_eq!(Figure::of([5.0]).half, 0.0);
        assert!((student(30) - 2.042).abs() < 0.01);
    }
}
