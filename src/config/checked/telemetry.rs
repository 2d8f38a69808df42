//! What is written of decisions, and how traces are followed.

use std::path::PathBuf;
use std::sync::Arc;

/// Where decisions are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionLog {
    /// The file; the one before it has `.1` behind its name.
    pub path: PathBuf,
    /// Bytes of it, at most.
    pub bytes_max: u64,
}

/// How traces of requests are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// The collector that takes spans.
    pub otlp: Collector,
    /// One of so many traces that begin here is recorded.
    pub sample: u32,
    /// What the node is called there.
    pub service: Arc<str>,
}

/// Who takes spans, by OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Host and port.
    pub authority: Arc<str>,
    /// Path.
    pub path: Arc<str>,
}
