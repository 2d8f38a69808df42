//! Where the two planes meet: the messages between the control thread and one worker, and the
//! protocol they follow.
//!
//! A table is published ([`control_side`]), adopted, acknowledged and, when nobody works with it
//! any more, given back ([`worker_side`]) to be freed on the control thread. Both directions are
//! single-producer single-consumer rings without locks (`rtrb`); a sender kicks the other side's
//! eventfd. Both sides are written over [`parts`], so that `model` runs this very code through
//! every interleaving of the threads.

pub mod control_side;
pub mod parts;
pub mod survey;
pub mod worker_side;

#[cfg(test)]
mod model;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rtrb::RingBuffer;

use crate::base::epoch::Epoch;
use crate::base::id::{BackendSlot, GroupSlot, ListenerSlot};
use crate::base::limits::{FROM_WORKER_MAX, TO_WORKER_MAX};
use crate::link::control_side::ControlEnd;
use crate::link::worker_side::{LastKick, WorkerEnd};
use crate::routing::standing::Cause;
use crate::routing::table::Table;
use crate::runtime::kick::Kick;

/// What the control thread tells a worker.
pub enum ToWorker<T = Arc<Table>> {
    /// Serve new requests by this table; accept on these sockets, and stop accepting on
    /// listeners the table no longer has.
    Adopt {
        /// The new table; refused unless its epoch is newer.
        table: T,
        /// Listening sockets of this core for listeners that are new in this table.
        sockets: Vec<ListenSocket>,
    },
    /// Accept nothing new, finish what runs, then stop.
    Drain(Drain),
    /// Stop at once.
    Stop,
}

/// How long a worker that drains goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// What runs must be finished by then.
    pub within: Duration,
    /// Clients that are idle are let ask once more for so long: a request that is on its way is
    /// answered, and told that the connection ends.
    pub idle_grace: Duration,
}

/// A bound and listening socket (SO_REUSEPORT) for one core. A core may have several of one
/// listener, if it was handed over by a process with more cores.
pub struct ListenSocket {
    /// Whose it is.
    pub listener: ListenerSlot,
    /// Where it is bound, port resolved.
    pub address: SocketAddr,
    /// The socket. The core owns it; the control thread keeps a weak reference, to hand a
    /// duplicate to another process.
    pub fd: Arc<OwnedFd>,
}

/// What a worker tells the control thread.
pub enum FromWorker<T = Arc<Table>> {
    /// New requests are served by this epoch from now on.
    Adopted(Epoch),
    /// What it saw of a backend.
    Reported(Report),
    /// No request uses this table any more; the receiver frees it.
    Retired(T),
    /// Every connection ended, or the drain deadline passed; the worker's thread ends.
    /// Connections cut at the deadline.
    Stopped {
        /// Connections that were cut.
        cut: usize,
    },
}

/// What a worker saw of a backend that the control thread should hear of at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A trial of a group whose breaker is half-open is over.
    GroupTried {
        /// The group.
        group: GroupSlot,
        /// It ended well.
        passed: bool,
    },
    /// It failed too often in a row, and this worker has suspended it.
    Suspended {
        /// The group.
        group: GroupSlot,
        /// The backend.
        backend: BackendSlot,
        /// What there was too much of.
        cause: Cause,
    },
    /// A trial is over.
    Tried {
        /// The group.
        group: GroupSlot,
        /// The backend, which is suspended.
        backend: BackendSlot,
        /// It answered well.
        passed: bool,
    },
}

/// Tables a worker may owe an answer to, over a ring of `capacity` towards it: an order to drain
/// and one to stop always find room behind them.
#[must_use]
pub const fn tables_unanswered_max(capacity: usize) -> usize {
    capacity - 2
}

// Beside the answers and the last word there is room for tables that go back.
const _: () = assert!(FROM_WORKER_MAX > tables_unanswered_max(TO_WORKER_MAX) + 1);

/// A fresh pair of ends. `kick_control` is shared by all workers.
///
/// # Errors
/// When no eventfd can be made.
pub fn link(kick_control: &Kick) -> std::io::Result<(ControlEnd, WorkerEnd)> {
    let (to_worker, from_control) = RingBuffer::new(TO_WORKER_MAX);
    let (to_control, from_worker) = RingBuffer::new(FROM_WORKER_MAX);
    let kick = Kick::new()?;
    let control = ControlEnd {
        to_worker,
        from_worker,
        kick_worker: kick.clone(),
    };
    let worker = WorkerEnd {
        from_control,
        to_control,
        kicked: kick,
        kick_control: LastKick(kick_control.clone()),
    };
    Ok((control, worker))
}
