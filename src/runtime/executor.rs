//! The thread of a worker: one pinned glommio executor that hosts the worker's own loop.
//!
//! glommio owns the thread and its pinning; the data plane is one long-lived task that blocks in
//! its *own* ring and never yields. glommio's preempt timer is out of reach for that reason: when
//! it has fired by the time glommio looks for something to run, as happens to a thread that waited
//! for its CPU, glommio runs nothing, takes that for having nothing to run, and sleeps in a ring
//! without a timeout, for ever. On a CPU shared by fifty processes one worker of six was lost so
//! within a minute.
//!
//! Why not glommio's sockets: ../shared/DESIGN.md sections 1 and 2. What is known of glommio 0.9
//! and therefore done here: no I/O memory, a shallow ring, one executor per thread for the life of
//! the process, and pinning by `core_affinity` where `Placement::Fixed` cannot read the topology.

use std::io;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};

/// The executor has no task but the worker, so it is never to be stopped for another.
const PREEMPT: Duration = Duration::from_secs(100 * 24 * 3600);

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

/// The whole life of a worker, without a pause.
async fn turns<T: Turn>(make: impl FnOnce() -> Option<T>) {
    let Some(mut worker) = make() else { return };
    while worker.turn() {}
}

fn topology_readable() -> bool {
    Path::new("/sys/devices/system/cpu/online").exists()
        && Path::new("/sys/devices/system/cpu/cpu0/topology/core_id").exists()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    struct Slow(u32);

    impl Turn for Slow {
        fn turn(&mut self) -> bool {
            self.0 -= 1;
            std::thread::sleep(Duration::from_millis(20));
            self.0 > 0
        }
    }

    #[test]
    fn a_worker_is_never_given_back_to_an_executor_that_may_forget_it() {
        let mut life = pin!(turns(|| Some(Slow(20))));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(life.as_mut().poll(&mut context), Poll::Ready(()));
    }

    #[test]
    fn a_worker_runs_to_its_end_on_its_thread() {
        for cpu in [None, Some(0)] {
            let thread = spawn("test", cpu, || Some(Slow(10))).expect("a thread");
            thread.join().expect("it ends well");
        }
    }
}
