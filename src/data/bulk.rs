//! Bulk transfer by splice(2): bytes move from socket to socket without passing through us.
//!
//! A direction that has proved to be bulk (many bytes without a pause) leaves the ring's
//! receive-and-send for a pipe: pages are moved, not copied. splice(2) is called directly,
//! because the ring's own SPLICE always starts a kernel worker thread, and readiness comes from
//! one-shot polls in the ring. The transfer starts when the source's receive has ended and the
//! destination's queue is empty, so order is kept; what it may move is bounded by `left`.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::base::slab::Key;
use crate::data::conn::{Conn, Role};
use crate::data::worker::Worker;
use crate::runtime::driver::{Driver, Readiness};
use crate::runtime::net;

/// Bytes of the pipe between two sockets: what one round moves.
const PIPE_BYTES: usize = 256 * 1024;

/// Rounds before other connections get their turn.
const ROUNDS_MAX: u32 = 8;

/// Pipes kept for later transfers.
const PIPES_KEPT: usize = 16;

/// Bytes in a row after which a direction counts as bulk.
pub(super) const BULK_AFTER: u64 = 128 * 1024;

/// Least bytes still to come for which the change is worth its cost.
const BULK_LEFT_MIN: u64 = 128 * 1024;

/// A length from which a body is bulk without having to prove it.
const BULK_AT_ONCE: u64 = 512 * 1024;

/// Whether a body of which `run` bytes came in a row and `left` are still to come (`u64::MAX` if
/// nobody knows) is worth the change.
pub(super) fn is_bulk(run: u64, left: u64) -> bool {
    let declared_large = left >= BULK_AT_ONCE && left != u64::MAX;
    left >= BULK_LEFT_MIN && (run >= BULK_AFTER || declared_large)
}

/// A transfer from one socket to its peer.
pub(super) struct Bulk {
    pipe: Pipe,
    /// Bytes in the pipe.
    held: usize,
    /// Bytes still to take from the source; `u64::MAX` until its end.
    left: u64,
    /// The source has ended.
    ended: bool,
    /// The receive is over and the queue is empty: splicing has begun.
    running: bool,
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// Pipes of finished transfers.
#[derive(Default)]
pub(super) struct Pipes(Vec<Pipe>);

impl Pipes {
    fn take(&mut self) -> Option<Pipe> {
        self.0.pop().or_else(|| {
            let (read, write) = net::pipe(PIPE_BYTES).ok()?;
            Some(Pipe { read, write })
        })
    }

    /// Takes back the pipe of a transfer that ended with everything passed on. The pipe of any
    /// other is closed: bytes left in it would reach the next connection.
    fn give(&mut self, bulk: Bulk) {
        if bulk.held == 0 && bulk.running && self.0.len() < PIPES_KEPT {
            self.0.push(bulk.pipe);
        }
    }

    /// Closes all: called when a worker has been idle for a while.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// How one round ended.
enum Round {
    /// All that was to be moved has been moved.
    Done,
    /// Moved something; there may be more.
    Moved,
    /// The source ended before that; all it sent has been moved.
    SourceEnded,
    /// The source failed.
    SourceFailed(Errno),
    /// The destination failed.
    TargetFailed(Errno),
    /// Nothing to move until then.
    Waits(Readiness),
}

impl Bulk {
    /// Fills the pipe if it is empty and empties it as far as the destination takes it. Adds
    /// what was taken from the source to `moved`.
    fn round(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, moved: &mut u64) -> Round {
        if self.held == 0 && self.left > 0 && !self.ended {
            let count = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(PIPE_BYTES);
            match net::splice_in(from, &self.pipe.write, count) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.held = count;
                    *moved += count as u64;
                    if self.left != u64::MAX {
                        self.left -= count as u64;
                    }
                }
                Err(Errno::AGAIN) => return Round::Waits(Readiness::Readable),
                Err(error) => return Round::SourceFailed(error),
            }
        }
        if self.held > 0 {
            let more = self.left > 0 && !self.ended;
            match net::splice_out(&self.pipe.read, to, self.held, more) {
                Ok(count) => self.held -= count,
                Err(Errno::AGAIN) => return Round::Waits(Readiness::Writable),
                Err(error) => return Round::TargetFailed(error),
            }
        }
        match (self.held, self.left) {
            (0, 0) => Round::Done,
            (0, _) if self.ended => Round::SourceEnded,
            _ => Round::Moved,
        }
    }
}

impl<D: Driver> Worker<D> {
    /// Changes the direction from `source` to its peer to bulk. Without a pipe (out of
    /// descriptors) it stays as it is.
    pub(super) fn start_bulk(&mut self, source: Key) {
        let Some(conn) = self.conns.at_mut(source) else {
            return;
        };
        if conn.bulk.is_some() || conn.ended || conn.dying {
            return;
        }
        let Some(pipe) = self.pipes.take() else {
            return;
        };
        conn.bulk = Some(Box::new(Bulk {
            pipe,
            held: 0,
            left: 0,
            ended: false,
            running: false,
        }));
        conn.wanted = false;
        if conn.ops.receiving {
            self.driver.cancel_receive(source);
        }
        self.begin_bulk_when_ready(source);
    }

    /// Gives up a transfer that has not begun or has lost its purpose: what it was for came by
    /// the other path, or its target takes nothing more.
    pub(super) fn cancel_bulk(&mut self, source: Key) {
        let Some(conn) = self.conns.at_mut(source) else {
            return;
        };
        if conn.bulk.take().is_some() {
            conn.wanted = true;
            self.receive_more(source);
        }
    }

    /// Starts splicing once nothing is on its way by the other path.
    pub(super) fn begin_bulk_when_ready(&mut self, source: Key) {
        let Some(conn) = self.conns.at(source) else {
            return;
        };
        if conn.ops.receiving || conn.dying || conn.bulk.as_ref().is_none_or(|bulk| bulk.running) {
            return;
        }
        let target = conn.peer;
        if !target
            .and_then(|key| self.conns.at(key))
            .is_some_and(|conn| conn.is_flushed())
        {
            return;
        }
        let left = if conn.ended {
            0
        } else {
            self.bulk_left(source)
        };
        let Some(bulk) = self
            .conns
            .at_mut(source)
            .and_then(|conn| conn.bulk.as_mut())
        else {
            return;
        };
        bulk.left = left;
        bulk.running = true;
        self.pump(source);
    }

    /// Moves what is there, then waits for more or hands back to the ring.
    pub(super) fn pump(&mut self, source: Key) {
        let Some(conn) = self.conns.at(source) else {
            return;
        };
        let running = conn.bulk.as_ref().is_some_and(|bulk| bulk.running);
        let (Some(target), true, None) = (conn.peer, running, conn.failed) else {
            return;
        };
        let mut moved = 0;
        let end = self.pump_rounds(source, target, &mut moved);
        if moved > 0 {
            self.bulk_moved(source, target, moved);
        }
        match end {
            Round::Moved | Round::Waits(Readiness::Readable) => {
                self.wait_ready(source, Readiness::Readable);
            }
            Round::Waits(Readiness::Writable) => self.wait_ready(target, Readiness::Writable),
            Round::Done => self.end_bulk(source),
            Round::SourceEnded => {
                if let Some(conn) = self.conns.at_mut(source) {
                    conn.ended = true;
                }
                self.end_bulk(source);
                self.received_end(source);
            }
            Round::SourceFailed(error) => self.receive_failed(source, error),
            Round::TargetFailed(error) => self.send_failed(target, error),
        }
    }

    /// Rounds until one cannot go on, or until the others should have their turn.
    fn pump_rounds(&mut self, source: Key, target: Key, moved: &mut u64) -> Round {
        let taken = self.conns.at_mut(source).and_then(|conn| conn.bulk.take());
        let Some(mut bulk) = taken else {
            return Round::Waits(Readiness::Readable);
        };
        let mut end = Round::Moved;
        if let (Some(from), Some(to)) = (self.conns.at(source), self.conns.at(target)) {
            for _ in 0..ROUNDS_MAX {
                end = bulk.round(from.fd(), to.fd(), moved);
                if !matches!(end, Round::Moved) {
                    break;
                }
            }
        }
        if matches!(end, Round::Moved) && bulk.held > 0 {
            end = Round::Waits(Readiness::Writable);
        }
        if let Some(conn) = self.conns.at_mut(source) {
            conn.bulk = Some(bulk);
        }
        end
    }

    fn wait_ready(&mut self, key: Key, readiness: Readiness) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        let waiting = match readiness {
            Readiness::Readable => &mut conn.ops.polling_in,
            Readiness::Writable => &mut conn.ops.polling_out,
        };
        if !std::mem::replace(waiting, true) {
            self.driver.poll(key, conn.raw_fd(), readiness);
        }
    }

    /// A wait of [`Worker::wait_ready`] ended.
    pub(super) fn ready(&mut self, key: Key, readiness: Readiness) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        match readiness {
            Readiness::Readable => conn.ops.polling_in = false,
            Readiness::Writable => conn.ops.polling_out = false,
        }
        if conn.dying {
            return self.bury(key);
        }
        if conn.failed.is_some() {
            return self.settle(key);
        }
        let source = match readiness {
            Readiness::Readable => Some(key),
            Readiness::Writable => conn.peer,
        };
        if let Some(source) = source {
            self.pump(source);
        }
    }

    fn end_bulk(&mut self, source: Key) {
        let Some(conn) = self.conns.at_mut(source) else {
            return;
        };
        if let Some(bulk) = conn.bulk.take() {
            self.pipes.give(*bulk);
        }
        conn.run_bytes = 0;
        let is_relay = matches!(conn.role, Role::RelayDown(_) | Role::RelayUp(_));
        conn.wanted = true;
        let target = conn.peer;
        if !is_relay {
            self.bulk_body_done(source);
        } else if let Some(target) = target
            && self.conns.at(target).is_some_and(Conn::is_flushed)
        {
            // The end of the source may have been seen before the transfer began.
            self.relay_flushed(target);
        }
        self.receive_more(source);
    }
}
