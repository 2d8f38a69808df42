//! What every role does with a socket: queue, send, hold back, close, keep time.
//!
//! Backpressure is one rule: when more than [`HELD_MAX`] bytes wait for one side, the other side
//! is not read until the queue is empty again. A multishot receive may overshoot by
//! `RECEIVE_BYTES_MAX` (before Linux 6.17: by what the kernel had ready); a connection that was
//! held back once is therefore received from one buffer at a time from then on, so the overshoot
//! happens once and what waits stays within `HELD_MAX + BUFFER_BYTES`.

use std::time::Duration;

use rustix::io::Errno;

use crate::base::limits::BUFFER_BYTES;
use crate::base::slab::Key;
use crate::data::conn::{Conn, NEVER, Ops, Role};
use crate::data::ticks::{noticed_at, ticks, until};
use crate::data::worker::Worker;
use crate::runtime::buffers::Segment;
use crate::runtime::driver::{Driver, Readiness, Receive};
use crate::runtime::net;

/// Bytes that may wait for one side before the other is held back.
pub(super) const HELD_MAX: usize = 4 * BUFFER_BYTES;

impl<D: Driver> Worker<D> {
    /// Queues a segment and starts sending it if nothing is being sent.
    pub(super) fn enqueue(&mut self, key: Key, segment: Segment) {
        match self.conns.at_mut(key) {
            Some(conn) if !conn.dying && !conn.finished && !segment.is_empty() => {
                if !conn.ops.sending && conn.out.is_empty() && conn.failed.is_none() {
                    conn.ops.sending = true;
                    self.driver.send(key, conn.raw_fd(), segment);
                } else {
                    conn.out.push(segment);
                }
            }
            _ => self.driver.buffers().give(segment),
        }
    }

    /// Queues a copy of `bytes`, filling up the last queued segment first.
    pub(super) fn enqueue_bytes(&mut self, key: Key, bytes: &[u8]) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        let mut rest = &bytes[conn.out.append(bytes)..];
        while !rest.is_empty() {
            let mut segment = self.driver.buffers().empty();
            rest = &rest[segment.append(rest)..];
            self.enqueue(key, segment);
        }
    }

    /// Sends the next queued segment.
    pub(super) fn send_next(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        if conn.ops.sending || conn.dying || conn.failed.is_some() {
            return;
        }
        if let Some(segment) = conn.out.pop() {
            conn.ops.sending = true;
            self.driver.send(key, conn.raw_fd(), segment);
        }
    }

    /// Receives if bytes are wanted and no receive is under way.
    pub(super) fn receive_more(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        if !conn.wanted || conn.ops.receiving || conn.ended || conn.dying {
            return;
        }
        conn.ops.receiving = true;
        let how = if conn.one_by_one {
            Receive::Once
        } else {
            Receive::Continuous
        };
        self.driver.receive(key, conn.raw_fd(), how);
    }

    /// Receives nothing more for now.
    pub(super) fn hold(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        if !conn.wanted {
            return;
        }
        conn.wanted = false;
        if conn.ops.receiving {
            self.driver.cancel_receive(key);
        }
        conn.one_by_one = true;
    }

    /// Receives again after [`Worker::hold`].
    pub(super) fn release(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        if !conn.wanted {
            conn.wanted = true;
            self.receive_more(key);
        }
    }

    /// Whether so much waits for `key` that its source must be held back.
    pub(super) fn is_congested(&self, key: Key) -> bool {
        self.conns
            .at(key)
            .is_some_and(|conn| conn.out.bytes() > HELD_MAX)
    }

    /// Moves the deadline of a connection to `tick`, because something happened on it.
    pub(super) fn set_deadline(&mut self, key: Key, tick: u64) {
        if let Some(conn) = self.conns.at_mut(key) {
            conn.unacknowledged = u32::MAX;
        }
        self.extend_deadline(key, tick);
    }

    /// Moves the deadline of a connection to `tick` although nothing was heard on it.
    pub(super) fn extend_deadline(&mut self, key: Key, tick: u64) {
        let now = self.now.tick;
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        let tick = noticed_at(tick, now);
        conn.deadline = tick;
        if tick < conn.fires {
            conn.fires = self.wheel.insert(tick, key);
        }
    }

    /// A wheel entry fired: whether the connection's deadline has really passed.
    pub(super) fn is_due(&mut self, tick: u64, key: Key) -> bool {
        let now = self.now.tick;
        let Some(conn) = self.conns.at_mut(key) else {
            return false;
        };
        if conn.fires != tick || conn.dying {
            return false;
        }
        conn.fires = NEVER;
        if conn.deadline == NEVER {
            return false;
        }
        if conn.deadline > now {
            conn.fires = self.wheel.insert(conn.deadline, key);
            return false;
        }
        conn.deadline = NEVER;
        true
    }

    /// How long to sleep, at most `most`, if no deadline is to be noticed late.
    pub(super) fn sleep_before_deadlines(&self, most: Duration) -> Duration {
        let next = self.wheel.next_within(ticks(most));
        next.map_or(most, |tick| most.min(until(tick, self.now.micros)))
    }

    /// Ends everything under way on a backend's connection that failed. What it served is
    /// settled with its last completion, because only then is known what the kernel took.
    pub(super) fn fail(&mut self, key: Key, error: Errno) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        conn.failed.get_or_insert(error);
        conn.wanted = false;
        self.cancel_all(key);
        self.settle(key);
    }

    /// Goes on with what a failed connection served, once the kernel holds nothing of it.
    pub(super) fn settle(&mut self, key: Key) {
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        let (Some(error), true, false) = (conn.failed, conn.is_quiet(), conn.dying) else {
            return;
        };
        match conn.role {
            Role::RelayUp(_) => self.settle_failed_relay(key, error),
            Role::Upstream(_) => self.settle_failed_upstream(key, error),
            Role::Client(_) | Role::RelayDown(_) => {}
        }
    }

    fn cancel_all(&mut self, key: Key) {
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        let Ops {
            mut receiving,
            sending,
            mut polling_in,
            polling_out,
        } = conn.ops;
        // The kernel keeps what waits in 256 lists: the more connections a ring has, the longer it
        // looks for one of them. An end of input finds it without a search.
        if conn.dying && (receiving || polling_in) && net::finish_receiving(conn.fd()) {
            (receiving, polling_in) = (false, false);
        }
        if receiving {
            self.driver.cancel_receive(key);
        }
        if sending {
            self.driver.cancel_send(key);
        }
        if polling_in {
            self.driver.cancel_poll(key, Readiness::Readable);
        }
        if polling_out {
            self.driver.cancel_poll(key, Readiness::Writable);
        }
    }

    /// Whether the other end has taken bytes since this was last asked. A send completes only as
    /// a whole, and the kernel's buffer is large: a slow reader may be busy for long without a
    /// completion, and must not be taken for a dead one.
    pub(super) fn takes_bytes(&mut self, key: Key) -> bool {
        let Some(conn) = self.conns.at_mut(key) else {
            return false;
        };
        let now = net::unacknowledged(conn.fd()).unwrap_or(0);
        let before = std::mem::replace(&mut conn.unacknowledged, now);
        now > 0 && now < before
    }

    /// Closes a connection: its operations are cancelled, its buffers come back with their
    /// completions. What its role counts must have been settled before.
    pub(super) fn close(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        if conn.dying {
            return;
        }
        conn.dying = true;
        while let Some(segment) = conn.out.pop() {
            self.driver.buffers().give(segment);
        }
        conn.bulk = None;
        self.cancel_all(key);
        self.bury(key);
    }

    /// Bytes for a connection that is being closed. Who goes on sending must not keep it alive.
    pub(super) fn received_too_late(&mut self, key: Key, segment: Segment) {
        self.driver.buffers().give(segment);
        if self.conns.at(key).is_some_and(|conn| conn.ops.receiving) {
            self.driver.cancel_receive(key);
        }
    }

    /// Frees a closed connection once the kernel holds nothing of it.
    pub(super) fn bury(&mut self, key: Key) {
        if !self
            .conns
            .at(key)
            .is_some_and(|conn| conn.dying && conn.is_quiet())
        {
            return;
        }
        if let Some(conn) = self.conns.remove(key) {
            self.driver.close(conn.into_fd());
        }
    }

    /// Adds a connection.
    pub(super) fn add(&mut self, conn: Conn) -> Key {
        self.conns.insert_with(|_| conn)
    }
}
