//! Bulk transfer by splice(2): bytes move from socket to socket without passing through us.
//!
//! A direction that has proved to be bulk (many bytes without a pause) leaves the ring's
//! receive-and-send for a pipe: pages are moved, not copied. splice(2) is called directly,
//! because the ring's own SPLICE always starts a kernel worker thread, and readiness comes from
//! one-shot polls in the ring. The transfer starts when the source's receive has ended and the
//! destination's queue is empty, so order is kept; what it may move is bounded by `left`.

use std::os::fd::OwnedFd;

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
pub(super) const BULK_LEFT_MIN: u64 = 128 * 1024;

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

    /// Takes back the pipe of a transfer; one that still holds bytes of a connection is closed.
    pub(super) fn give(&mut self, bulk: Bulk) {
        if bulk.held == 0 && self.0.len() < PIPES_KEPT {
            self.0.push(bulk.pipe);
        }
    }

    /// Closes all: called when a worker has been idle for a while.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// How a call of `pump` ended.
enum Pumped {
    /// Waiting for readiness.
    Waiting,
    /// All that was to be moved has been moved.
    Done,
    /// The source ended before that; all it sent has been moved.
    SourceEnded,
    /// The source failed.
    SourceFailed(Errno),
    /// The destination failed.
    TargetFailed(Errno),
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
        let Some(target) = self.conns.at(source).and_then(|conn| conn.peer) else {
            return;
        };
        let (moved, end) = self.pump_rounds(source, target);
        if moved > 0 {
            self.bulk_moved(source, target, moved);
        }
        match end {
            Pumped::Waiting => {}
            Pumped::Done => self.end_bulk(source),
            Pumped::SourceEnded => {
                if let Some(conn) = self.conns.at_mut(source) {
                    conn.ended = true;
                }
                self.end_bulk(source);
                self.received_end(source);
            }
            Pumped::SourceFailed(error) => self.receive_failed(source, error),
            Pumped::TargetFailed(error) => self.send_failed(target, error),
        }
    }

    fn pump_rounds(&mut self, source: Key, target: Key) -> (u64, Pumped) {
        let mut moved = 0;
        for _ in 0..ROUNDS_MAX {
            let (Some(from), Some(to)) = (self.conns.at(source), self.conns.at(target)) else {
                return (moved, Pumped::Waiting);
            };
            let (from_fd, to_fd) = (from.fd(), to.fd());
            let Some(bulk) = from.bulk.as_ref().filter(|bulk| bulk.running) else {
                return (moved, Pumped::Waiting);
            };
            let (mut held, mut left, mut ended) = (bulk.held, bulk.left, bulk.ended);
            let mut blocked_in = false;
            if held == 0 && left > 0 && !ended {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(PIPE_BYTES);
                match net::splice_in(from_fd, &bulk.pipe.write, count) {
                    Ok(0) => ended = true,
                    Ok(count) => {
                        held += count;
                        moved += count as u64;
                        left = if left == u64::MAX {
                            left
                        } else {
                            left - count as u64
                        };
                    }
                    Err(Errno::AGAIN) => blocked_in = true,
                    Err(error) => return (moved, Pumped::SourceFailed(error)),
                }
            }
            let mut blocked_out = false;
            if held > 0 {
                match net::splice_out(&bulk.pipe.read, to_fd, held, left > 0 && !ended) {
                    Ok(count) => held -= count,
                    Err(Errno::AGAIN) => blocked_out = true,
                    Err(error) => return (moved, Pumped::TargetFailed(error)),
                }
            }
            if let Some(bulk) = self
                .conns
                .at_mut(source)
                .and_then(|conn| conn.bulk.as_mut())
            {
                (bulk.held, bulk.left, bulk.ended) = (held, left, ended);
            }
            if held == 0 && (left == 0 || ended) {
                return (
                    moved,
                    if left == 0 {
                        Pumped::Done
                    } else {
                        Pumped::SourceEnded
                    },
                );
            }
            if blocked_out {
                self.wait_ready(target, Readiness::Writable);
                return (moved, Pumped::Waiting);
            }
            if blocked_in {
                self.wait_ready(source, Readiness::Readable);
                return (moved, Pumped::Waiting);
            }
        }
        // Give the others a turn: the wait is over at once if there is more to move.
        let held = self
            .conns
            .at(source)
            .and_then(|c| c.bulk.as_ref())
            .is_some_and(|b| b.held > 0);
        if held {
            self.wait_ready(target, Readiness::Writable);
        } else {
            self.wait_ready(source, Readiness::Readable);
        }
        (moved, Pumped::Waiting)
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
