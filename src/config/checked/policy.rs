//! How a group chooses, as meant.

use std::time::Duration;

/// How the adaptive policy chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    /// How many are drawn from a large group.
    pub choices: u32,
    /// Mean life of a time that was seen.
    pub memory: Duration,
    /// By how much a time may differ from the usual one and count as usual, in percent.
    pub tolerance_percent: u32,
    /// A failure counts as an answer that took so many times what is usual.
    pub failure_penalty: u32,
    /// Nodes that send to the same backends, this one included.
    pub nodes: u32,
}

impl Default for Adaptive {
    fn default() -> Self {
        Adaptive {
            choices: 7,
            memory: Duration::from_secs(5),
            tolerance_percent: 30,
            failure_penalty: 20,
            nodes: 1,
        }
    }
}

/// A policy that picks beside the one that serves, without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Which one.
    pub policy: super::Policy,
    /// One of so many picks is repeated.
    pub every: u32,
}

impl Shadow {
    /// When the file does not say.
    pub const EVERY_DEFAULT: u32 = 16;
}
