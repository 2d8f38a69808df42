//! Prequal as its paper has it, and C3 with the same probes.
//!
//! Every request sends three probes to backends drawn evenly without repetition; what they say is
//! known to the requests after it. Sixteen reports are kept, none for longer than a second; each
//! request takes one out, in turn the oldest and the worst, and a report is used so often as the
//! paper computes. The latency a backend reports is that of its last requests that met about as
//! many others as there are now. The paper takes a median of them and leaves the details open. Our
//! first reading, the median of the nine nearest, makes backends that are overloaded look fast:
//! of the many requests that came lately only the short ones are over. A mean that moves slowly, of
//! all that met as many by powers of two, does not.

use std::collections::VecDeque;

use super::Sight;
use crate::routing::latency::{CROWDS, crowd};
use crate::sim::chance::Chance;

const PROBES: usize = 3;
const REMOVED: f64 = 1.0;
const POOL: usize = 16;
const AGE_MAX: f64 = 1.0;
const USES_MAX: f64 = 16.0;
/// Numbers of requests in flight that were seen lately; their quantile tells hot from cold.
const RECENT: usize = 64;
/// Samples a backend keeps.
const SAMPLES: usize = 64;
/// By how much one sample moves the mean of those like it, once there are some.
const SAMPLE_SHARE: f64 = 0.1;

/// How one of a pool is chosen.
#[derive(Clone, Copy)]
pub(super) enum Score {
    C3,
    HotCold(f64),
}

/// What backends say when they are probed.
#[derive(Default)]
pub(in crate::sim) struct Reports {
    samples: Vec<VecDeque<(u32, f64)>>,
}

impl Reports {
    pub(in crate::sim) fn new(backends: usize) -> Reports {
        Reports {
            samples: vec![VecDeque::new(); backends],
        }
    }

    /// A request that met so many others there has ended.
    pub(in crate::sim) fn note(&mut self, backend: usize, met: u32, took: f64) {
        let Some(samples) = self.samples.get_mut(backend) else {
            return;
        };
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back((met, took));
    }

    /// What one more request would take: as those did that came into a crowd like it, or else into
    /// the nearest crowd there was. Fewer than there were then are faster, twice at most.
    pub(in crate::sim) fn latency(&self, backend: usize, in_flight: u32) -> f64 {
        let mut means = [(0.0, 0_u32); CROWDS];
        for (met, took) in &self.samples[backend] {
            let (mean, count) = &mut means[crowd(met + 1)];
            *count += 1;
            *mean += (took - *mean) * SAMPLE_SHARE.max(1.0 / f64::from(*count));
        }
        let wanted = crowd(in_flight + 1);
        let seen = (0..CROWDS).filter(|crowd| means[*crowd].1 > 0);
        let nearest = seen.min_by_key(|crowd| crowd.abs_diff(wanted));
        nearest.map_or(0.0, |nearest| {
            let (mean, _) = means[nearest];
            let fewer = f64::from(in_flight + 1) / f64::from(1_u32 << nearest);
            if nearest > wanted {
                mean * fewer.max(0.5)
            } else {
                mean
            }
        })
    }
}

#[derive(Clone, Copy)]
struct Report {
    backend: usize,
    in_flight: u32,
    latency: f64,
    at: f64,
    uses: u32,
}

/// The reports of one view.
#[derive(Default)]
pub(super) struct Pool {
    /// The oldest first.
    reports: VecDeque<Report>,
    recent: VecDeque<u32>,
    oldest_is_next: bool,
}

impl Pool {
    pub(super) fn pick(
        &mut self,
        score: Score,
        sight: &Sight<'_>,
        chance: &mut Chance,
    ) -> Option<usize> {
        self.reports
            .retain(|report| sight.now - report.at <= AGE_MAX && sight.is_open(report.backend));
        let found = match self.reports.len() {
            0 | 1 => sight.any(chance),
            _ => self.best(score, sight),
        };
        if let Some(found) = found
            && let Some(at) = self.reports.iter().position(|one| one.backend == found)
        {
            self.reports[at].in_flight += 1;
            self.reports[at].uses -= 1;
            if self.reports[at].uses == 0 {
                self.reports.remove(at);
            }
        }
        self.remove_one(score);
        self.probe(sight, chance);
        found
    }

    fn best(&self, score: Score, sight: &Sight<'_>) -> Option<usize> {
        let reports = self.reports.iter();
        let best = match score {
            Score::C3 => reports.min_by(|left, right| {
                let cost = |report: &Report| {
                    let own = sight.in_flight(report.backend);
                    let queue = 1.0 + f64::from(own) + f64::from(report.in_flight);
                    queue.powi(3) * report.latency
                };
                cost(left).total_cmp(&cost(right))
            }),
            Score::HotCold(share) => {
                let limit = self.limit(share);
                let cold = reports.clone().filter(|report| report.in_flight <= limit);
                let fastest = cold.min_by(|left, right| left.latency.total_cmp(&right.latency));
                fastest.or_else(|| reports.min_by_key(|report| report.in_flight))
            }
        };
        best.map(|report| report.backend)
    }

    fn limit(&self, share: f64) -> u32 {
        let mut recent: Vec<u32> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        let at = (share * recent.len() as f64) as usize;
        recent
            .get(at.min(recent.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    }

    fn remove_one(&mut self, score: Score) {
        self.oldest_is_next = !self.oldest_is_next;
        if self.oldest_is_next || self.reports.is_empty() {
            self.reports.pop_front();
            return;
        }
        let limit = match score {
            Score::C3 => u32::MAX,
            Score::HotCold(share) => self.limit(share),
        };
        let badness = |report: &Report| match report.in_flight > limit {
            true => (1, f64::from(report.in_flight)),
            false => (0, report.latency),
        };
        let worst = (0..self.reports.len()).max_by(|left, right| {
            let (left, right) = (
                badness(&self.reports[*left]),
                badness(&self.reports[*right]),
            );
            left.0.cmp(&right.0).then(left.1.total_cmp(&right.1))
        });
        if let Some(worst) = worst {
            self.reports.remove(worst);
        }
    }

    fn probe(&mut self, sight: &Sight<'_>, chance: &mut Chance) {
        let all = sight.len();
        let share = 1.0 - POOL as f64 / all as f64;
        let spare = share * PROBES as f64 - REMOVED;
        let uses = if spare > 0.0 { 2.0 / spare } else { USES_MAX };
        let uses = uses.clamp(1.0, USES_MAX);
        let mut asked = [usize::MAX; PROBES];
        for at in 0..PROBES.min(all) {
            let mut backend = chance.below(all);
            while asked[..at].contains(&backend) {
                backend = chance.below(all);
            }
            asked[at] = backend;
            let in_flight = sight.present[backend];
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(in_flight);
            self.reports.retain(|report| report.backend != backend);
            if self.reports.len() == POOL {
                self.reports.pop_front();
            }
            let more = chance.share() < uses.fract();
            self.reports.push_back(Report {
                backend,
                in_flight,
                latency: sight.reports.latency(backend, in_flight),
                at: sight.now,
                uses: uses as u32 + u32::from(more),
            });
        }
    }
}
