//! What became of the requests of a load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::load::Record;

/// All requests of a load, or of a part of its time.
pub struct Tally {
    records: Vec<Record>,
}

impl Tally {
    /// Of all of them, in the order they were due.
    pub fn of(mut records: Vec<Record>) -> Tally {
        records.sort_by_key(|record| record.due);
        Tally { records }
    }

    /// Those that were due from one moment to another.
    pub fn between(&self, from: Duration, to: Duration) -> Tally {
        let within = self
            .records
            .iter()
            .filter(|record| from <= record.due && record.due < to);
        Tally {
            records: within.copied().collect(),
        }
    }

    /// Those that were over by then.
    pub fn over_by(mut self, moment: Duration) -> Tally {
        self.records.retain(|record| record.done < moment);
        self
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.records.len()
    }

    /// Those that got anything but 200.
    pub fn lost(&self) -> Vec<Record> {
        let lost = self.records.iter().filter(|record| record.status != 200);
        lost.copied().collect()
    }

    /// The share that got 200.
    pub fn availability(&self) -> f64 {
        1.0 - self.lost().len() as f64 / self.count().max(1) as f64
    }

    /// Those answered with 200 by this backend.
    pub fn by(&self, number: u16) -> usize {
        let good = self.records.iter().filter(|record| record.status == 200);
        good.filter(|record| record.by == Some(number)).count()
    }

    /// When the last was due that was lost.
    pub fn last_lost(&self) -> Option<Duration> {
        self.lost().iter().map(|record| record.due).max()
    }

    /// The time that so many of a thousand took no longer than.
    pub fn permille(&self, permille: usize) -> Duration {
        let mut times: Vec<_> = self
            .records
            .iter()
            .map(|record| record.done - record.due)
            .collect();
        times.sort_unstable();
        let at = times.len() * permille / 1000;
        times
            .get(at.min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut statuses = BTreeMap::new();
        for record in &self.records {
            *statuses.entry(record.status).or_insert(0) += 1;
        }
        let [half, most, worst] = [500, 990, 1000].map(|permille| self.permille(permille));
        write!(
            out,
            "{} requests, {:.4} % available, {statuses:?}, p50 {half:.1?} p99 {most:.1?} \
             longest {worst:.1?}",
            self.count(),
            self.availability() * 100.0,
        )
    }
}
