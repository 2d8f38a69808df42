//! What is counted of the datagrams between nodes.

use crate::telemetry::counter::Counter;
use crate::telemetry::health::Words;

/// What a node counts of its talk with others.
#[derive(Debug)]
pub struct ClusterStats {
    /// Datagrams sent.
    pub sent: Counter,
    /// Their bytes.
    pub sent_bytes: Counter,
    /// Datagrams the kernel did not take.
    pub unsent: Counter,
    /// Datagrams that were taken in.
    pub received: Counter,
    /// Their bytes.
    pub received_bytes: Counter,
    /// Datagrams refused, by reason.
    pub rejected: Words<5>,
}

impl Default for ClusterStats {
    fn default() -> Self {
        ClusterStats {
            sent: Counter::default(),
            sent_bytes: Counter::default(),
            unsent: Counter::default(),
            received: Counter::default(),
            received_bytes: Counter::default(),
            rejected: Words::new(["crowded", "foreign", "malformed", "replayed", "stale"]),
        }
    }
}
