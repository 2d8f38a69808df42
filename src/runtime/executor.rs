//! The thread of a worker: one pinned glommio executor that hosts the worker's own loop.
//!
//! glommio owns the thread, its pinning and its timers; the data plane is one long-lived task
//! that blocks in its *own* ring and yields to glommio when the preempt timer asks for it. Why
//! not glommio's sockets: ../shared/DESIGN.md sections 1 and 2. What is known of glommio 0.9 and
//! therefore done here: no I/O memory, a shallow ring, one executor per thread for the life of
//! the process, and pinning by `core_affinity` where `Placement::Fixed` cannot read the topology.

use std::io;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement, executor};

/// How long a worker may run before its executor's other tasks get a turn.
const PREEMPT: Duration = Duration::from_millis(50);

/// glommio's own ring serves timers only.
const RING_DEPTH: usize = 32;

/// Starts a thread, pins it to `cpu` and runs `make()` on it, then its `turn` again and again
/// until that returns false.
///
/// # Errors
/// When the thread cannot be started.
pub fn spawn<T: Turn>(
    name: &str,
    cpu: Option<usize>,
    make: impl FnOnce() -> Option<T> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || host(cpu, make))
}

/// A loop that blocks in the kernel by itself.
pub trait Turn {
    /// One wait and the work it brought; false ends the loop.
    fn turn(&mut self) -> bool;
}

fn host<T: Turn>(cpu: Option<usize>, make: impl FnOnce() -> Option<T>) {
    let placement = match cpu {
        Some(cpu) if topology_readable() => Placement::Fixed(cpu),
        Some(cpu) => {
            core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
            Placement::Unbound
        }
        None => Placement::Unbound,
    };
    let made = LocalExecutorBuilder::new(placement)
        .io_memory(0)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT)
        .make();
    match made {
        Ok(executor) => executor.run(turns(make)),
        Err(error) => tracing::error!(%error, "glommio executor not made"),
    }
}

async fn turns<T: Turn>(make: impl FnOnce() -> Option<T>) {
    // The preempt timer is armed only after a first pass through glommio's reactor.
    glommio::yield_if_needed().await;
    executor().yield_task_queue_now().await;
    let Some(mut worker) = make() else { return };
    while worker.turn() {
        if executor().need_preempt() {
            executor().yield_task_queue_now().await;
        }
    }
}

fn topology_readable() -> bool {
    Path::new("/sys/devices/system/cpu/online").exists()
        && Path::new("/sys/devices/system/cpu/cpu0/topology/core_id").exists()
}
