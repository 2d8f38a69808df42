//! How the load of a group's backends is learnt, as meant.

use std::sync::Arc;
use std::time::Duration;

/// Backends are asked what they have under way, beside the requests they get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadProbe {
    /// The path of the question.
    pub path: Arc<str>,
    /// Which port; that of the backend when `None`.
    pub port: Option<u16>,
    /// Probes for each hundred requests of this node.
    pub rate_percent: u32,
    /// Probes in a second at most, of all backends of the group together.
    pub rate_max: u32,
    /// An answer that takes longer is none.
    pub timeout: Duration,
}

/// Metrics of backends are read, in the text format of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Where they are.
    pub path: Arc<str>,
    /// Which port; that of the backend when `None`.
    pub port: Option<u16>,
    /// Between two readings of one backend.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// The metric of requests under way, a gauge.
    pub active: Option<Arc<str>>,
    /// The metric of how many there can be, a gauge.
    pub capacity: Option<Arc<str>>,
    /// The metric of processor time: seconds used (a counter), or a share from 0 to 1 (a gauge).
    pub cpu: Option<Arc<str>>,
    /// The metric of memory: bytes, or a share from 0 to 1.
    pub memory: Option<Arc<str>>,
    /// The metric of the time to an answer: a histogram or a summary in seconds.
    pub latency: Option<Arc<str>>,
}
