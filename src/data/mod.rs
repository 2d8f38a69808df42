//! The data plane: what one worker core does with connections.
//!
//! A connection comes in by `accept`, becomes a [`client`] (HTTP) or a [`relay`] (TCP), whose
//! requests become [`exchange`]s served over [`upstream`] connections; [`ops`] holds what every
//! socket does alike, [`worker`] the loop.

mod accept;
mod adopt;
mod answer;
mod bulk;
mod client;
mod conn;
mod connect;
mod exchange;
mod former;
mod health;
mod hedge;
mod late;
mod lifecycle;
mod log;
mod marks;
mod ops;
mod overload;
mod peek;
mod place;
mod queue;
mod relay;
mod request;
mod reserve;
mod response;
mod retry;
mod search;
mod spare;
mod stash;
mod survey;
mod ticks;
mod trace;
mod transfer;
mod tunnel;
mod upstream;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::id::CoreId;
use crate::link::survey::Respondent;
use crate::link::worker_side::WorkerEnd;
use crate::runtime::driver::Driver;
use crate::runtime::epoll::EpollDriver;
use crate::runtime::executor;
use crate::runtime::kick::Kick;
use crate::runtime::ring::RingDriver;
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
    /// Who asks for its connections.
    pub survey: Respondent,
    /// Where access log records go, when an access log is configured.
    pub access_log: Option<AccessLogSender>,
    /// One of so many traces that begin here is recorded; none if there are no traces.
    pub traces: Option<u32>,
    /// How it talks to the kernel.
    pub io: IoKind,
    /// How long it polls network cards before it sleeps, if it does.
    pub busy_poll: Option<Duration>,
    /// Its own counters.
    pub stats: Arc<CoreStats>,
    /// Seed of everything random in it.
    pub seed: u64,
}

/// Starts a worker; its thread ends after `ToWorker::Stop` or a finished drain.
///
/// # Errors
/// When the thread cannot be made. A driver that cannot be made is logged by the thread, which
/// then ends; the control thread sees its link abandoned.
pub fn spawn(setup: WorkerSetup) -> io::Result<JoinHandle<()>> {
    match setup.io {
        IoKind::Epoll => spawn_over(setup, EpollDriver::new),
        IoKind::Ring => spawn_over(setup, RingDriver::new),
    }
}

fn spawn_over<D: Driver + 'static>(
    setup: WorkerSetup,
    make: fn(Kick) -> io::Result<D>,
) -> io::Result<JoinHandle<()>> {
    let name = format!("weir-{}", setup.core.0);
    let cpu = setup.cpu;
    executor::spawn(&name, cpu, move || {
        let (core, io) = (setup.core.0, setup.io);
        match make(setup.link.kicked.clone()) {
            Ok(mut driver) => {
                if let Some(span) = setup.busy_poll
                    && let Err(error) = driver.poll_cards(span)
                {
                    // Slower, not wrong: it sleeps at once as it does by default.
                    tracing::warn!(%error, core, "no busy polling: it needs Linux 6.9");
                }
                Some(worker::Worker::new(setup, driver))
            }
            Err(error) => {
                tracing::error!(%error, core, ?io, "driver not made");
                None
            }
        }
    })
}
