//! What the cores have counted of one backend, read for its health.

use crate::telemetry::stats::{BackendStats, PerCore};

/// What decides whether a check can wait: cheap to read every tick for ten thousand.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Traffic {
    pub(super) received: u64,
    pub(super) connect_failures: u64,
}

impl Traffic {
    pub(super) fn of(stats: &PerCore<BackendStats>) -> Traffic {
        Traffic {
            received: stats.iter().map(|core| core.bytes_received.read()).sum(),
            connect_failures: stats.iter().map(|core| core.connect_failures.read()).sum(),
        }
    }
}
