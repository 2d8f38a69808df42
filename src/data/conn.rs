//! One socket of the data plane and what is under way on it.
//!
//! Both sides of the proxy are the same kind of thing: a descriptor, a queue of segments to
//! send, the operations the kernel has not completed yet, and a role that says what its bytes
//! mean. An idle connection holds no buffer. A connection leaves the slab only after the last
//! completion of its operations (`is_quiet`).

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::base::slab::Key;
use crate::data::bulk::Bulk;
use crate::data::client::Client;
use crate::data::relay::{RelayDown, RelayUp};
use crate::data::upstream::Upstream;
use crate::runtime::buffers::Segment;

/// Never: the tick of a connection without a deadline.
pub(super) const NEVER: u64 = u64::MAX;

/// What the bytes of a connection mean.
pub(super) enum Role {
    /// HTTP/1.1 from a client.
    Client(Client),
    /// The client's side of a plain byte relay (TCP listener, or an upgraded connection).
    RelayDown(Box<RelayDown>),
    /// The backend's side of a plain byte relay.
    RelayUp(RelayUp),
    /// HTTP/1.1 to a backend, in use or pooled.
    Upstream(Upstream),
}

/// One socket.
pub(super) struct Conn {
    fd: OwnedFd,
    /// The connection on the other side of the proxy, while there is one.
    pub(super) peer: Option<Key>,
    /// What waits to be sent.
    pub(super) out: OutQueue,
    /// When to act if nothing happens, in ticks.
    pub(super) deadline: u64,
    /// The tick of the wheel entry that counts; others are ignored.
    pub(super) fires: u64,
    /// What the other end had not acknowledged when the deadline was last looked at.
    pub(super) unacknowledged: u32,
    /// Bytes received in a row without a pause: tells bulk from talk.
    pub(super) run_bytes: u64,
    /// A bulk transfer from this socket to its peer's.
    pub(super) bulk: Option<Box<Bulk>>,
    /// Operations the kernel still has.
    pub(super) ops: Ops,
    /// Whether more bytes are wanted.
    pub(super) wanted: bool,
    /// Receive one completion at a time: set once this connection had to be held back.
    pub(super) one_by_one: bool,
    /// The other end will send nothing more.
    pub(super) ended: bool,
    /// We told the other end that we send nothing more.
    pub(super) finished: bool,
    /// Finish sending as soon as the queue is empty.
    pub(super) finish_when_sent: bool,
    /// The other end has answered or taken bytes: the handshake is certainly done.
    pub(super) established: bool,
    /// Failed; waits for its last completion, then what it served goes elsewhere or is answered.
    pub(super) failed: Option<Errno>,
    /// Closed; waits for its last completion.
    pub(super) dying: bool,
    /// What the bytes mean.
    pub(super) role: Role,
}

/// Operations under way on one socket.
#[derive(Default)]
pub(super) struct Ops {
    pub(super) receiving: bool,
    pub(super) sending: bool,
    pub(super) polling_in: bool,
    pub(super) polling_out: bool,
}

impl Conn {
    pub(super) fn new(fd: OwnedFd, role: Role) -> Conn {
        Conn {
            fd,
            peer: None,
            out: OutQueue::default(),
            deadline: NEVER,
            fires: NEVER,
            unacknowledged: u32::MAX,
            run_bytes: 0,
            bulk: None,
            ops: Ops::default(),
            wanted: true,
            one_by_one: false,
            ended: false,
            finished: false,
            finish_when_sent: false,
            established: false,
            failed: None,
            dying: false,
            role,
        }
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Nothing queued and nothing being sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.out.is_empty() && !self.ops.sending
    }

    /// The kernel holds no operation of this socket.
    pub(super) fn is_quiet(&self) -> bool {
        let Ops {
            receiving,
            sending,
            polling_in,
            polling_out,
        } = self.ops;
        !(receiving || sending || polling_in || polling_out)
    }
}

/// Segments waiting to be sent, with their total. Most connections never have any, and own no
/// memory for it; who had some keeps the room.
#[derive(Default)]
pub(super) struct OutQueue(Option<Box<Waiting>>);

#[derive(Default)]
struct Waiting {
    segments: VecDeque<Segment>,
    bytes: usize,
}

impl OutQueue {
    pub(super) fn push(&mut self, segment: Segment) {
        let waiting = self.0.get_or_insert_default();
        waiting.bytes += segment.len();
        waiting.segments.push_back(segment);
    }

    pub(super) fn push_front(&mut self, segment: Segment) {
        let waiting = self.0.get_or_insert_default();
        waiting.bytes += segment.len();
        waiting.segments.push_front(segment);
    }

    pub(super) fn pop(&mut self) -> Option<Segment> {
        let waiting = self.0.as_mut()?;
        let segment = waiting.segments.pop_front()?;
        waiting.bytes -= segment.len();
        Some(segment)
    }

    /// Appends to the last segment as much as fits; returns how much.
    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        let Some(waiting) = &mut self.0 else {
            return 0;
        };
        let last = waiting.segments.back_mut();
        let count = last.map_or(0, |last| last.append(bytes));
        waiting.bytes += count;
        count
    }

    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        let segments = self.0.as_ref().map(|waiting| &waiting.segments);
        segments.is_none_or(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of user memory of an idle connection: an entry of the slab with its generation, for
    /// TCP one for each side and what both share. README and tuning/ promise about as much.
    #[test]
    fn an_idle_connection_is_small() {
        let entry = size_of::<Conn>() + 8;
        let relay = 2 * entry + size_of::<RelayDown>();
        eprintln!("{entry} bytes for HTTP, {relay} for TCP");
        assert!(entry <= 152, "{entry}");
        assert!(relay <= 472, "{relay}");
    }
}
