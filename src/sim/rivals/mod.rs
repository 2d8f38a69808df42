//! Models of other balancers, to compare with. None of it is code of theirs, and none is used by
//! weir: each is the rule their documentation and sources state, as ALGORITHMS tells it.
//!
//! They see what they would see in the product: the requests of their own view. Two see more, and
//! say so: `join_shortest_queue` what every backend really has, which nobody can, and those with
//! probes what a backend says of itself.

mod probing;

pub(super) use probing::Reports;

use self::probing::{Pool, Score};
use super::chance::Chance;
use super::scenario::RivalKind;
use crate::base::id::BackendIndex;
use crate::routing::policy::Tried;
use crate::routing::table::Group;

/// What a model may look at for one pick.
pub(super) struct Sight<'s> {
    pub(super) group: &'s Group,
    pub(super) tried: &'s Tried,
    /// What every backend really has.
    pub(super) present: &'s [u32],
    /// What every backend says when it is probed.
    pub(super) reports: &'s Reports,
    /// In seconds.
    pub(super) now: f64,
}

impl Sight<'_> {
    fn len(&self) -> usize {
        self.group.backends.len()
    }

    fn is_open(&self, index: usize) -> bool {
        let backend = &self.group.backends[index];
        let word = backend.standing.word();
        (word.is_up() || self.group.standing.is_panicking())
            && !self.tried.contains(BackendIndex(index as u32))
            && !backend.is_full(&|_| false)
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.group.backends[index].load.in_flight()
    }

    fn weight(&self, index: usize) -> f64 {
        f64::from(self.group.backends[index].weight)
    }

    fn any(&self, chance: &mut Chance) -> Option<usize> {
        let start = chance.below(self.len());
        (start..self.len())
            .chain(0..start)
            .find(|index| self.is_open(*index))
    }
}

/// A model and its state.
pub(super) struct Rival {
    rule: Rule,
    /// Whose turn is next.
    cursor: usize,
}

enum Rule {
    EnvoyLeastRequest,
    HaproxyLeastconn(Vec<u64>),
    JoinShortest,
    NginxLeastConn(Smooth),
    PingoraRoundRobin,
    Probing(Pool, Score),
    WeightedByUtilisation(Smooth),
}

/// Smooth weighted round robin.
struct Smooth {
    weights: Vec<f64>,
    current: Vec<f64>,
}

impl Smooth {
    fn new(weights: Vec<f64>) -> Smooth {
        Smooth {
            current: vec![0.0; weights.len()],
            weights,
        }
    }

    fn pick(&mut self, among: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut total) = (None, 0.0);
        for index in 0..self.weights.len() {
            if !among(index) {
                continue;
            }
            total += self.weights[index];
            self.current[index] += self.weights[index];
            if best.is_none_or(|best: usize| self.current[index] > self.current[best]) {
                best = Some(index);
            }
        }
        let best = best?;
        self.current[best] -= total;
        Some(best)
    }
}

impl Rival {
    pub(super) fn new(kind: RivalKind, group: &Group, number: usize) -> Rival {
        let weights = || {
            let weights = group.backends.iter();
            weights.map(|backend| f64::from(backend.weight)).collect()
        };
        let rule = match kind {
            RivalKind::C3 => Rule::Probing(Pool::default(), Score::C3),
            RivalKind::EnvoyLeastRequest => Rule::EnvoyLeastRequest,
            RivalKind::HaproxyLeastconn => Rule::HaproxyLeastconn(vec![0; group.backends.len()]),
            RivalKind::JoinShortest => Rule::JoinShortest,
            RivalKind::NginxLeastConn => Rule::NginxLeastConn(Smooth::new(weights())),
            RivalKind::PingoraRoundRobin => Rule::PingoraRoundRobin,
            RivalKind::Prequal { q_rif } => Rule::Probing(Pool::default(), Score::HotCold(q_rif)),
            RivalKind::WeightedByUtilisation => Rule::WeightedByUtilisation(Smooth::new(weights())),
        };
        Rival {
            rule,
            cursor: number.wrapping_mul(7919) % group.backends.len().max(1),
        }
    }

    /// Whether a model of this kind probes.
    pub(super) fn probes(kind: RivalKind) -> bool {
        matches!(kind, RivalKind::C3 | RivalKind::Prequal { .. })
    }

    /// The backend for one request.
    pub(super) fn pick(&mut self, sight: &Sight<'_>, chance: &mut Chance) -> Option<u32> {
        let cursor = self.cursor;
        let found = match &mut self.rule {
            Rule::EnvoyLeastRequest => two_with_repetition(sight, chance),
            Rule::HaproxyLeastconn(turns) => leastconn(sight, turns),
            Rule::JoinShortest => {
                let all = (cursor..sight.len()).chain(0..cursor);
                let open = all.filter(|index| sight.is_open(*index));
                open.min_by_key(|index| sight.present[*index])
            }
            Rule::NginxLeastConn(smooth) => least_conn(sight, smooth),
            Rule::PingoraRoundRobin => (cursor..sight.len())
                .chain(0..cursor)
                .find(|index| sight.is_open(*index)),
            Rule::Probing(pool, score) => pool.pick(*score, sight, chance),
            Rule::WeightedByUtilisation(smooth) => smooth.pick(|index| sight.is_open(index)),
        }?;
        self.cursor = (found + 1) % sight.len();
        Some(found as u32)
    }

    /// Other weights hold from now on, for the one that goes by them.
    /// How much of a weight is new is its `share`.
    pub(super) fn weigh(&mut self, weights: &[f64], share: f64) {
        if let Rule::WeightedByUtilisation(smooth) = &mut self.rule {
            for (held, fresh) in smooth.weights.iter_mut().zip(weights) {
                *held += (fresh - *held) * share;
            }
        }
    }
}

fn two_with_repetition(sight: &Sight<'_>, chance: &mut Chance) -> Option<usize> {
    let first = sight.any(chance)?;
    let second = sight.any(chance)?;
    match sight.in_flight(second) < sight.in_flight(first) {
        true => Some(second),
        false => Some(first),
    }
}

/// The key is 0 for an idle server; among equals the one that was chosen longest ago.
fn leastconn(sight: &Sight<'_>, turns: &mut [u64]) -> Option<usize> {
    let key = |index: usize| match sight.in_flight(index) {
        0 => 0.0,
        some => f64::from(some + 1) / sight.weight(index),
    };
    let open = (0..sight.len()).filter(|index| sight.is_open(*index));
    let found = open.min_by(|left, right| {
        let by_key = key(*left).total_cmp(&key(*right));
        by_key.then(turns[*left].cmp(&turns[*right]))
    })?;
    turns[found] = turns.iter().max().map_or(0, |last| last + 1);
    Some(found)
}

fn least_conn(sight: &Sight<'_>, smooth: &mut Smooth) -> Option<usize> {
    let key = |index: usize| f64::from(sight.in_flight(index)) / sight.weight(index);
    let open = (0..sight.len()).filter(|index| sight.is_open(*index));
    let least = open.map(key).min_by(f64::total_cmp)?;
    smooth.pick(|index| sight.is_open(index) && key(index) <= least)
}
