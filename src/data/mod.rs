//! The data plane: what one worker core does with connections.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::base::id::CoreId;
use crate::link::WorkerEnd;
use crate::telemetry::access_log::AccessLogSender;
use crate::telemetry::stats::CoreStats;

/// How a worker talks to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKind {
    /// Readiness and one syscall per operation: only to measure what the ring is worth.
    Epoll,
    /// io_uring, the real thing.
    Ring,
}

/// All a worker needs to start.
pub struct WorkerSetup {
    /// Its number.
    pub core: CoreId,
    /// CPU to pin it to; `None` leaves it to the kernel's scheduler.
    pub cpu: Option<usize>,
    /// Its end of the link.
    pub link: WorkerEnd,
    /// Where access log records go, when an access log is configured.
    pub access_log: Option<AccessLogSender>,
    /// How it talks to the kernel.
    pub io: IoKind,
    /// Its own counters.
    pub stats: Arc<CoreStats>,
    /// Seed of everything random in it.
    pub seed: u64,
}

/// Starts a worker; its thread ends after `ToWorker::Stop` or a finished drain.
///
/// # Errors
/// When the thread, its executor or its ring cannot be made.
pub fn spawn(setup: WorkerSetup) -> io::Result<JoinHandle<()>> {
    let _ = setup;
    Err(io::ErrorKind::Unsupported.into())
}
