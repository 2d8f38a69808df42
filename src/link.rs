//! Where the two planes meet: the messages between the control thread and one worker.
//!
//! Both directions are single-producer single-consumer rings without locks (`rtrb`). A sender
//! that wants to be noticed at once kicks the other side's eventfd; see `runtime::kick`.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::base::epoch::Epoch;
use crate::base::id::ListenerSlot;
use crate::base::limits::{FROM_WORKER_MAX, TO_WORKER_MAX};
use crate::routing::table::Table;
use crate::runtime::kick::Kick;

/// What the control thread tells a worker.
pub enum ToWorker {
    /// Serve new requests by this table; accept on these sockets, and stop accepting on
    /// listeners the table no longer has.
    Adopt {
        /// The new table; ignored unless its epoch is newer.
        table: Arc<Table>,
        /// Listening sockets of this core for listeners that are new in this table.
        sockets: Vec<ListenSocket>,
    },
    /// Accept nothing new, finish what runs within this time, then stop.
    Drain(Duration),
    /// Stop at once.
    Stop,
}

/// A bound and listening socket (SO_REUSEPORT) for one core.
pub struct ListenSocket {
    /// Whose it is.
    pub listener: ListenerSlot,
    /// Where it is bound, port resolved.
    pub address: SocketAddr,
    /// The socket.
    pub fd: OwnedFd,
}

/// What a worker tells the control thread.
pub enum FromWorker {
    /// New requests are served by this epoch from now on.
    Adopted(Epoch),
    /// No request uses this table any more; the receiver frees it.
    Retired(Arc<Table>),
    /// Every connection ended, or the drain deadline passed; the worker's thread ends.
    /// Connections cut at the deadline.
    Stopped {
        /// Connections that were cut.
        cut: usize,
    },
}

/// The control thread's end.
pub struct ControlEnd {
    /// Messages to the worker.
    pub to_worker: Producer<ToWorker>,
    /// Messages from the worker.
    pub from_worker: Consumer<FromWorker>,
    /// Wakes the worker.
    pub kick_worker: Kick,
}

/// The worker's end.
pub struct WorkerEnd {
    /// Messages from the control thread.
    pub from_control: Consumer<ToWorker>,
    /// Messages to the control thread.
    pub to_control: Producer<FromWorker>,
    /// What the worker listens on for kicks.
    pub kicked: Kick,
    /// Wakes the control thread (one kick shared by all workers).
    pub kick_control: Kick,
}

/// A fresh pair of ends. `kick_control` is shared by all workers.
///
/// # Errors
/// When no eventfd can be made.
pub fn link(kick_control: &Kick) -> std::io::Result<(ControlEnd, WorkerEnd)> {
    let (to_worker, from_control) = RingBuffer::new(TO_WORKER_MAX);
    let (to_control, from_worker) = RingBuffer::new(FROM_WORKER_MAX);
    let kick = Kick::new()?;
    Ok((
        ControlEnd {
            to_worker,
            from_worker,
            kick_worker: kick.clone(),
        },
        WorkerEnd {
            from_control,
            to_control,
            kicked: kick,
            kick_control: kick_control.clone(),
        },
    ))
}
