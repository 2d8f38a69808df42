//! The policies there are.

/// How `adaptive` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    /// How many are drawn from a group that is not looked at whole, 2 to 16.
    pub choices: u8,
    /// Mean life of a time that was seen, in milliseconds, at least 1.
    pub life_millis: u32,
    /// By how much a time may differ from the usual one and count as usual, in percent.
    pub tolerance_percent: u16,
    /// A failure counts as an answer that took so many times what is usual, at least 1.
    pub failure_penalty: u16,
    /// Nodes that send to the same backends, this one included, at least 1.
    pub nodes: u16,
}

impl Default for Adaptive {
    fn default() -> Self {
        Adaptive {
            choices: 7,
            life_millis: 5_000,
            tolerance_percent: 30,
            failure_penalty: 20,
            nodes: 1,
        }
    }
}

/// How a group chooses among its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// The least product of requests under way and of the time one takes there now.
    Adaptive(Adaptive),
    /// The fewest requests in flight, all cores of the node together, weights aside.
    LeastConnections,
    /// The least loaded of some that are drawn by weight.
    LeastRequest {
        /// How many are drawn, at least 2.
        choices: u8,
    },
    /// Placed by a key, with the most even shares.
    Maglev {
        /// What each may have of its share of the load, in percent.
        bounded_load: Option<u32>,
    },
    /// Of two drawn by weight the one that promises the shorter wait.
    PeakEwma,
    /// Drawn by weight.
    Random,
    /// Placed by a key; no key moves between backends that stay.
    Rendezvous {
        /// What each may have of its share of the load, in percent.
        bounded_load: Option<u32>,
    },
    /// Placed by a key on a ring of points, as ketama does.
    RingHash {
        /// What each may have of its share of the load, in percent.
        bounded_load: Option<u32>,
    },
    /// One after the other, weights aside.
    RoundRobin,
    /// The fewest requests in flight for its weight.
    WeightedLeastConnections,
    /// In turn, as often as the weight says, smoothly.
    WeightedRoundRobin,
}

impl PolicyKind {
    /// Whether it places by a key.
    #[must_use]
    pub fn needs_key(self) -> bool {
        matches!(
            self,
            PolicyKind::Maglev { .. } | PolicyKind::Rendezvous { .. } | PolicyKind::RingHash { .. }
        )
    }

    /// Its number in logs: its place among [`POLICIES`](crate::base::decision::POLICIES).
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            PolicyKind::Adaptive(_) => 0,
            PolicyKind::LeastConnections => 1,
            PolicyKind::LeastRequest { .. } => 2,
            PolicyKind::Maglev { .. } => 3,
            PolicyKind::PeakEwma => 4,
            PolicyKind::Random => 5,
            PolicyKind::Rendezvous { .. } => 6,
            PolicyKind::RingHash { .. } => 7,
            PolicyKind::RoundRobin => 8,
            PolicyKind::WeightedLeastConnections => 9,
            PolicyKind::WeightedRoundRobin => 10,
        }
    }

    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PolicyKind::Adaptive(_) => "adaptive",
            PolicyKind::LeastConnections => "least_connections",
            PolicyKind::LeastRequest { .. } => "least_request",
            PolicyKind::Maglev { .. } => "maglev",
            PolicyKind::PeakEwma => "peak_ewma",
            PolicyKind::Random => "random",
            PolicyKind::Rendezvous { .. } => "rendezvous",
            PolicyKind::RingHash { .. } => "ring_hash",
            PolicyKind::RoundRobin => "round_robin",
            PolicyKind::WeightedLeastConnections => "weighted_least_connections",
            PolicyKind::WeightedRoundRobin => "weighted_round_robin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::decision::POLICIES;

    #[test]
    fn numbers_are_places_of_words() {
        let bounded_load = None;
        for kind in [
            PolicyKind::Adaptive(Adaptive::default()),
            PolicyKind::LeastConnections,
            PolicyKind::LeastRequest { choices: 2 },
            PolicyKind::Maglev { bounded_load },
            PolicyKind::PeakEwma,
            PolicyKind::Random,
            PolicyKind::Rendezvous { bounded_load },
            PolicyKind::RingHash { bounded_load },
            PolicyKind::RoundRobin,
            PolicyKind::WeightedLeastConnections,
            PolicyKind::WeightedRoundRobin,
        ] {
            assert_eq!(POLICIES[usize::from(kind.number())], kind.name());
        }
    }
}
