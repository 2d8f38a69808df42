//! The seam between the data plane and the kernel: operations go in, completions come out.
//!
//! The data plane is written once against this trait. The ring implements it with io_uring; a
//! plain epoll implementation exists only so that both can be measured in one binary. Operations
//! take what they need by value (buffers above all) and their completion gives it back, so
//! memory the kernel works on is never reachable from anywhere else.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

use rustix::io::Errno;

use crate::base::slab::Key;
use crate::runtime::buffers::{BufPool, Segment};

/// How a socket is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// One completion per arrival until cancelled, closed or out of buffers, or until
    /// `RECEIVE_BYTES_MAX` came, where the kernel can bound it.
    Continuous,
    /// One completion.
    Once,
}

/// Which readiness to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Data or the end of it.
    Readable,
    /// Room to send.
    Writable,
}

/// What happened.
pub enum Event {
    /// A connection came in.
    Accepted {
        /// The number given to [`Driver::accept`].
        listener: u32,
        /// The connection.
        fd: OwnedFd,
    },
    /// Accepting stopped, on request or by an error; it may be started again.
    AcceptEnded {
        /// The number given to [`Driver::accept`].
        listener: u32,
        /// Why.
        error: Errno,
    },
    /// Somebody kicked this worker.
    Kicked,
    /// Bytes, the end (an empty segment), or an error (`Errno::NOBUFS`: no buffer was free).
    Received {
        /// Whose.
        key: Key,
        /// What.
        result: Result<Option<Segment>, Errno>,
        /// Whether the operation goes on.
        more: bool,
    },
    /// A send ended, wholly or in part.
    Sent {
        /// Whose.
        key: Key,
        /// The segment given to [`Driver::send`], unchanged.
        segment: Segment,
        /// Bytes sent from its beginning.
        result: Result<usize, Errno>,
    },
    /// A wait for readiness ended.
    Ready {
        /// Whose.
        key: Key,
        /// Which wait.
        readiness: Readiness,
    },
}

/// Operations of one worker on its sockets.
///
/// A key stands for one descriptor until that is closed. Descriptors are non-blocking, and one
/// that was named here is closed by [`Driver::close`] only: a driver may hold a duplicate.
/// A cancel that finds nothing under way says nothing; there is then no completion to wait for.
pub trait Driver {
    /// Accepts on `fd` until [`Driver::cancel_accept`]; completions carry `listener`.
    fn accept(&mut self, listener: u32, fd: RawFd);

    /// Stops accepting; [`Event::AcceptEnded`] follows.
    fn cancel_accept(&mut self, listener: u32);

    /// Receives from `fd`. At most one receive per key.
    fn receive(&mut self, key: Key, fd: RawFd, how: Receive);

    /// Stops the receive of `key`; its last completion (`more == false`) follows.
    fn cancel_receive(&mut self, key: Key);

    /// Sends the whole segment. At most one send per key. An error or a cancel after a part was
    /// sent completes as `Ok` with that part's length.
    fn send(&mut self, key: Key, fd: RawFd, segment: Segment);

    /// Stops the send of `key`; its completion follows.
    fn cancel_send(&mut self, key: Key);

    /// Waits once for readiness. At most one wait per key and direction.
    fn poll(&mut self, key: Key, fd: RawFd, readiness: Readiness);

    /// Stops a wait; its completion, the same as of one that was fulfilled, follows.
    fn cancel_poll(&mut self, key: Key, readiness: Readiness);

    /// Closes a descriptor, after everything asked before. What is still under way on it goes on.
    fn close(&mut self, fd: OwnedFd);

    /// Hands everything asked so far to the kernel and waits for a completion, at most `timeout`.
    ///
    /// # Errors
    /// Only when the ring itself is broken.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;

    /// Has [`Driver::wait`] poll the queues of the network cards its sockets belong to for so long
    /// before it sleeps (NAPI busy polling), rounded down to microseconds.
    ///
    /// # Errors
    /// The kernel, or this driver, cannot.
    fn poll_cards(&mut self, span: Duration) -> io::Result<()>;

    /// The next completion of this turn.
    fn next(&mut self) -> Option<Event>;

    /// The buffers.
    fn buffers(&mut self) -> &mut BufPool;
}
