//! What the control thread counts of the health of backends.
//!
//! Names are given where they are counted; here is what there is, so that every line is on the
//! page from the start and its first increase shows in a rate.

use crate::telemetry::counter::Counter;

/// Counters by a word of a fixed list.
#[derive(Debug)]
pub struct Words<const N: usize> {
    words: [&'static str; N],
    counts: [Counter; N],
}

impl<const N: usize> Words<N> {
    pub(super) fn new(words: [&'static str; N]) -> Self {
        Words {
            words,
            counts: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// Counts one of `word`, which is of the list. Only the control thread may call it.
    pub fn inc(&self, word: &str) {
        let at = self.words.iter().position(|known| *known == word);
        debug_assert!(at.is_some(), "{word} is of the list");
        if let Some(at) = at {
            self.counts[at].inc();
        }
    }

    /// Every word and how often it was counted.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(Counter::read);
        self.words.iter().copied().zip(counts)
    }
}

/// What is counted.
#[derive(Debug)]
pub struct HealthStats {
    /// Questions to agents by what came of them.
    pub agents: Words<3>,
    /// Active checks by result.
    pub checks: Words<2>,
    /// Probes of load by what came of them.
    pub load_probes: Words<3>,
    /// Readings of the metrics of backends by what came of them.
    pub scrapes: Words<2>,
    /// Times breakers of groups came to a state.
    pub breakers: Words<3>,
    /// Ejections by cause.
    pub ejections: Words<9>,
    /// Heartbeats believed, whole or without their figures.
    pub heartbeats: Words<2>,
    /// Heartbeats refused, by reason.
    pub rejected: Words<9>,
    /// Transitions of backends, by whose word made them.
    pub transitions: Words<6>,
}

impl Default for HealthStats {
    fn default() -> Self {
        HealthStats {
            agents: Words::new(["answered", "not_understood", "unreachable"]),
            checks: Words::new(["failed", "passed"]),
            scrapes: Words::new(["read", "unreachable"]),
            load_probes: Words::new(["answered", "not_understood", "unreachable"]),
            breakers: Words::new(["closed", "half_open", "open"]),
            ejections: Words::new([
                "consecutive_5xx",
                "consecutive_broken_answers",
                "consecutive_connect_failures",
                "consecutive_gateway_failure",
                "error_rate",
                "failure_percentage",
                "latency",
                "success_rate",
                "trial",
            ]),
            heartbeats: Words::new(["believed", "discounted"]),
            rejected: Words::new([
                "contradictory",
                "future",
                "impossible",
                "malformed",
                "out_of_order",
                "replayed",
                "stale",
                "unauthorized",
                "unknown",
            ]),
            transitions: Words::new([
                "agent",
                "check",
                "ejection",
                "heartbeat",
                "operator",
                "verdict",
            ]),
        }
    }
}

impl HealthStats {
    /// Counts a heartbeat that was believed.
    pub fn heard(&self, discounted: bool) {
        let word = if discounted { "discounted" } else { "believed" };
        self.heartbeats.inc(word);
    }
}
