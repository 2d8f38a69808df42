#![allow(unsafe_code)]
//! The driver that weir is built for: one io_uring per worker.
//!
//! Everything asked during a turn is submitted by the one `io_uring_enter` that also waits for
//! the next completions. Receives are multishot from a small ring of provided buffers that is
//! refilled at the end of each turn with the blocks used last. Sends ask for MSG_WAITALL, so a
//! send completes once. Close and cancel report nothing on success.
//!
//! `user_data` is an operation (8 bits), a generation (24) and an index (32): see `base::slab`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::types::{Fd, Napi, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::io::Errno;

use crate::base::slab::Key;
use crate::runtime::buffer_ring::BufferRing;
use crate::runtime::buffers::{BufPool, Segment};
use crate::runtime::driver::{Driver, Event, Readiness, Receive};
use crate::runtime::kick::Kick;
use crate::runtime::receive_limit;
use crate::runtime::sends::Sends;

/// Entries of the submission queue; when it is full the batch so far is submitted early. The kernel
/// and the worker walk through both queues from end to end, so their sizes are cache that a busy
/// worker wears out: 1024 and 16384 cost 0.5 % more CPU per request.
const SUBMISSIONS: u32 = 256;

/// Entries of the completion queue. The kernel keeps what does not fit, at a price.
const COMPLETIONS: u32 = 4096;

const OP_ACCEPT: u8 = 1;
const OP_KICK: u8 = 2;
const OP_RECEIVE: u8 = 3;
const OP_SEND: u8 = 4;
const OP_POLL_IN: u8 = 5;
const OP_POLL_OUT: u8 = 6;
const OP_SILENT: u8 = 7;

struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

/// io_uring as a [`Driver`].
pub struct RingDriver {
    ring: IoUring,
    received: BufferRing,
    pool: BufPool,
    /// The segment of each connection's send under way, by index.
    sends: Sends,
    batch: Vec<Completion>,
    batch_next: usize,
    kick: Kick,
    /// Bytes after which a multishot receive ends, where the kernel can do that.
    receive_limit: Option<u32>,
}

impl RingDriver {
    /// A ring for the calling thread, listening for kicks.
    ///
    /// # Errors
    /// When the kernel refuses the ring or the registration of its buffers.
    pub fn new(kick: Kick) -> io::Result<RingDriver> {
        let mut ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_no_sqarray()
            .setup_cqsize(COMPLETIONS)
            .dontfork()
            .build(SUBMISSIONS)?;
        let mut pool = BufPool::default();
        let mut received = BufferRing::register(&ring.submitter(), &mut pool)?;
        let receive_limit = receive_limit::find(&mut ring, &mut received, &mut pool)?;
        let mut driver = RingDriver {
            ring,
            received,
            pool,
            sends: Sends::default(),
            batch: Vec::new(),
            batch_next: 0,
            kick,
            receive_limit,
        };
        driver.listen_for_kicks();
        Ok(driver)
    }

    fn listen_for_kicks(&mut self) {
        let fd = Fd(self.kick.as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32)
            .multi(true)
            .build();
        self.push(entry, user_data(OP_KICK, 0, 0));
    }

    fn push(&mut self, entry: squeue::Entry, user_data: u64) {
        let entry = entry.user_data(user_data);
        loop {
            // SAFETY: every entry made in this file refers to descriptors (numbers, harmless if
            // stale) or to memory that stays valid until the completion: sends point into a
            // segment stored in `sends`, receives into blocks owned by `received`, and neither is
            // freed while an operation could be under way (see `Drop`).
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            // The queue is full: submit what is there. Errors that are not transient show
            // again in `wait`, which returns them.
            let _ = self.ring.submit();
        }
    }

    fn cancel(&mut self, target: u64) {
        let entry = opcode::AsyncCancel::new(target)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        self.push(entry, user_data(OP_SILENT, 0, 0));
    }

    fn collect(&mut self) {
        self.batch.clear();
        self.batch_next = 0;
        let batch = &mut self.batch;
        batch.extend(self.ring.completion().map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    fn event(&mut self, completion: &Completion) -> Option<Event> {
        let key = Key {
            index: completion.user_data as u32,
            generation: (completion.user_data >> 32) as u32 & 0x00ff_ffff,
        };
        let more = cqueue::more(completion.flags);
        match (completion.user_data >> 56) as u8 {
            OP_ACCEPT if completion.result >= 0 => {
                if !more {
                    // The kernel ends a multishot accept when its queue overflows; the end is
                    // told by a further event so that the caller starts it again.
                    self.batch.push(Completion {
                        user_data: completion.user_data,
                        result: -libc::EAGAIN,
                        flags: 0,
                    });
                }
                // SAFETY: a successful accept gives a fresh descriptor that nobody else owns.
                let fd = unsafe { OwnedFd::from_raw_fd(completion.result) };
                Some(Event::Accepted {
                    listener: key.index,
                    fd,
                })
            }
            OP_ACCEPT => Some(Event::AcceptEnded {
                listener: key.index,
                error: Errno::from_raw_os_error(-completion.result),
            }),
            OP_KICK => {
                self.kick.clear();
                if !more {
                    self.listen_for_kicks();
                }
                Some(Event::Kicked)
            }
            OP_RECEIVE => Some(self.received_event(key, completion, more)),
            OP_SEND => {
                let segment = self.sends.take(key.index)?;
                Some(Event::Sent {
                    key,
                    segment,
                    result: outcome(completion.result),
                })
            }
            OP_POLL_IN => Some(Event::Ready {
                key,
                readiness: Readiness::Readable,
            }),
            OP_POLL_OUT => Some(Event::Ready {
                key,
                readiness: Readiness::Writable,
            }),
            _ => None,
        }
    }

    fn received_event(&mut self, key: Key, completion: &Completion, more: bool) -> Event {
        let segment = cqueue::buffer_select(completion.flags)
            .map(|id| {
                self.pool.count_received();
                self.received.take(id)
            })
            .map(|buf| Segment::received(buf, completion.result.max(0) as usize));
        let result = match outcome(completion.result) {
            Ok(0) => {
                segment
                    .into_iter()
                    .for_each(|unused| self.pool.give(unused));
                Ok(None)
            }
            Ok(_) => Ok(segment),
            Err(error) => {
                if error == Errno::NOBUFS {
                    self.received.note_starved();
                }
                Err(error)
            }
        };
        Event::Received { key, result, more }
    }
}

impl Driver for RingDriver {
    fn accept(&mut self, listener: u32, fd: RawFd) {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let entry = opcode::AcceptMulti::new(Fd(fd)).flags(flags).build();
        self.push(entry, user_data(OP_ACCEPT, 0, listener));
    }

    fn cancel_accept(&mut self, listener: u32) {
        self.cancel(user_data(OP_ACCEPT, 0, listener));
    }

    fn receive(&mut self, key: Key, fd: RawFd, how: Receive) {
        let entry = match how {
            Receive::Continuous => {
                let entry = opcode::RecvMulti::new(Fd(fd), BufferRing::GROUP).build();
                match self.receive_limit {
                    Some(bytes) => receive_limit::limited(entry, bytes),
                    None => entry,
                }
            }
            Receive::Once => opcode::Recv::new(Fd(fd), std::ptr::null_mut(), 0)
                .buf_group(BufferRing::GROUP)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT),
        };
        self.push(entry, of_key(OP_RECEIVE, key));
    }

    fn cancel_receive(&mut self, key: Key) {
        self.cancel(of_key(OP_RECEIVE, key));
    }

    fn send(&mut self, key: Key, fd: RawFd, segment: Segment) {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let entry = opcode::Send::new(Fd(fd), segment.start_address(), segment.len() as u32)
            .flags(flags)
            .build();
        self.sends.put(key.index, segment);
        self.push(entry, of_key(OP_SEND, key));
    }

    fn cancel_send(&mut self, key: Key) {
        self.cancel(of_key(OP_SEND, key));
    }

    fn poll(&mut self, key: Key, fd: RawFd, readiness: Readiness) {
        let (mask, operation) = match readiness {
            Readiness::Readable => (libc::POLLIN | libc::POLLRDHUP, OP_POLL_IN),
            Readiness::Writable => (libc::POLLOUT, OP_POLL_OUT),
        };
        let entry = opcode::PollAdd::new(Fd(fd), mask as u32).build();
        self.push(entry, of_key(operation, key));
    }

    fn cancel_poll(&mut self, key: Key, readiness: Readiness) {
        let operation = match readiness {
            Readiness::Readable => OP_POLL_IN,
            Readiness::Writable => OP_POLL_OUT,
        };
        self.cancel(of_key(operation, key));
    }

    fn close(&mut self, fd: OwnedFd) {
        let entry = opcode::Close::new(Fd(fd.into_raw_fd()))
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        self.push(entry, user_data(OP_SILENT, 0, 0));
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.received.refill(&mut self.pool);
        let timespec = Timespec::from(timeout);
        let args = SubmitArgs::new().timespec(&timespec);
        match self.ring.submitter().submit_with_args(1, &args) {
            Ok(_) => {}
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
        self.collect();
        Ok(())
    }

    fn poll_cards(&mut self, span: Duration) -> io::Result<()> {
        let micros = u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
        // Interrupts stay possible: whoever wants none sets napi_defer_hard_irqs as well.
        let mut napi = Napi::new().set_busy_poll_timeout(micros);
        self.ring.submitter().register_napi(&mut napi)
    }

    fn next(&mut self) -> Option<Event> {
        while self.batch_next < self.batch.len() {
            let Completion {
                user_data,
                result,
                flags,
            } = self.batch[self.batch_next];
            self.batch_next += 1;
            let event = self.event(&Completion {
                user_data,
                result,
                flags,
            });
            if event.is_some() {
                return event;
            }
        }
        None
    }

    fn buffers(&mut self) -> &mut BufPool {
        &mut self.pool
    }
}

impl Drop for RingDriver {
    /// The kernel ends the operations of a closed ring in the background, so memory that one of
    /// them may still use is leaked. A worker's driver lives as long as the process serves.
    fn drop(&mut self) {
        std::mem::forget(std::mem::take(&mut self.sends));
        self.received.leak();
    }
}

/// The wait ended by time, by a signal, or because completions must be taken first.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
    )
}

fn outcome(result: i32) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result))
}

fn user_data(operation: u8, generation: u32, index: u32) -> u64 {
    u64::from(operation) << 56 | u64::from(generation) << 32 | u64::from(index)
}

fn of_key(operation: u8, key: Key) -> u64 {
    user_data(operation, key.generation, key.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::{BUFFER_BYTES, RECEIVE_BYTES_MAX};
    use std::io::Write;

    #[test]
    fn cards_are_polled_where_the_kernel_can() {
        let mut driver = RingDriver::new(Kick::new().expect("an eventfd")).expect("a ring");
        let (micros, polled) = (20, driver.poll_cards(Duration::from_micros(20)));
        match polled {
            Ok(()) => {
                // The kernel tells what was set before.
                let mut again = Napi::new().set_busy_poll_timeout(micros);
                driver
                    .ring
                    .submitter()
                    .register_napi(&mut again)
                    .expect("as before");
                assert_eq!(again.busy_poll_timeout(), micros);
            }
            Err(error) => {
                let known = [libc::EINVAL, libc::EOPNOTSUPP];
                assert!(
                    error.raw_os_error().is_some_and(|it| known.contains(&it)),
                    "{error}"
                );
            }
        }
        driver.wait(Duration::from_millis(1)).expect("a turn");
    }

    #[test]
    fn a_continuous_receive_brings_a_bounded_number_of_bytes() {
        let mut driver = RingDriver::new(Kick::new().expect("an eventfd")).expect("a ring");
        let (mut near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let writer = std::thread::spawn(move || {
            let _ = near.write_all(&vec![0; 16 * RECEIVE_BYTES_MAX]);
        });
        let key = Key {
            index: 0,
            generation: 1,
        };
        driver.receive(key, far.as_raw_fd(), Receive::Continuous);
        let mut count = 0;
        for _ in 0..1000 {
            driver.wait(Duration::from_millis(100)).expect("a turn");
            while let Some(event) = driver.next() {
                let Event::Received { result, more, .. } = event else {
                    continue;
                };
                if let Ok(Some(segment)) = result {
                    count += segment.len();
                    driver.pool.give(segment);
                }
                if !more {
                    drop(far);
                    writer.join().expect("the writer");
                    let bound = RECEIVE_BYTES_MAX + BUFFER_BYTES;
                    assert!(count <= bound || driver.receive_limit.is_none(), "{count}");
                    return;
                }
            }
        }
        panic!("the receive never ended");
    }
}
