//! One socket of the epoll driver: what is asked of it, and what is known of its readiness.
//!
//! Readiness is remembered between edges. A flag that is set means "worth a try", never a
//! promise; a flag that is not set means that an edge will come. As nginx does, a receive that
//! leaves room in the buffer and a send that leaves bytes behind count as "nothing more for now",
//! which saves the call that would only return `AGAIN`. That is sound with edges: whatever comes
//! after the call makes a new one. It is not sound once the other end has hung up or urgent data
//! cuts receives short, so from then on only `AGAIN` counts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::epoll::EventFlags;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::base::limits::BUFFER_BYTES;
use crate::runtime::buffers::{BufPool, HEAD_ROOM, Segment};
use crate::runtime::driver::{Readiness, Receive};

/// A send that has not been completed yet.
struct Sending {
    segment: Segment,
    sent: usize,
}

/// A registered socket.
pub(super) struct Socket {
    /// Our own descriptor of it.
    fd: OwnedFd,
    /// The descriptor the operations name.
    pub(super) number: RawFd,
    pub(super) generation: u32,
    pub(super) share: Share,
    /// Its descriptor was closed; it goes when nothing is under way on it.
    pub(super) closing: bool,
    receiving: Option<Receive>,
    sending: Option<Sending>,
    polling_in: bool,
    polling_out: bool,
    readable: bool,
    writable: bool,
    /// Only `AGAIN` proves that nothing is left to receive.
    short_proves_nothing: bool,
}

impl Socket {
    /// The epoll set reports at once what a socket is ready for when it is added, so receiving
    /// waits for that; a send is tried without asking.
    pub(super) fn new(fd: OwnedFd, number: RawFd, generation: u32) -> Socket {
        Socket {
            fd,
            number,
            generation,
            share: Share::default(),
            closing: false,
            receiving: None,
            sending: None,
            polling_in: false,
            polling_out: false,
            readable: false,
            writable: true,
            short_proves_nothing: false,
        }
    }

    /// Remembers what an edge reported.
    pub(super) fn note(&mut self, flags: EventFlags) {
        let broken = EventFlags::ERR | EventFlags::HUP;
        let lasting = broken | EventFlags::RDHUP | EventFlags::PRI;
        self.readable |= flags.intersects(lasting | EventFlags::IN);
        self.writable |= flags.intersects(broken | EventFlags::OUT);
        self.short_proves_nothing |= flags.intersects(lasting);
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        let polling = self.polling_in || self.polling_out;
        self.receiving.is_none() && self.sending.is_none() && !polling
    }

    pub(super) fn start_receiving(&mut self, how: Receive) {
        debug_assert!(self.receiving.is_none(), "one receive per key");
        self.receiving = Some(how);
    }

    /// Ends the receive; whether there was one.
    pub(super) fn stop_receiving(&mut self) -> bool {
        self.receiving.take().is_some()
    }

    /// Whether a receive is under way and worth a try.
    pub(super) fn can_receive(&self) -> bool {
        self.receiving.is_some() && self.readable
    }

    /// Receives once; `None` when nothing is there. The flag says whether the receive goes on.
    pub(super) fn receive(
        &mut self,
        pool: &mut BufPool,
    ) -> Option<(Result<Option<Segment>, Errno>, bool)> {
        let how = self.receiving?;
        let mut buf = pool.take();
        let room = &mut buf.block_mut()[HEAD_ROOM..];
        match retry_on_intr(|| recv(&self.fd, &mut *room, RecvFlags::DONTWAIT)) {
            Ok((count, _)) if count > 0 => {
                self.readable = count == BUFFER_BYTES || self.short_proves_nothing;
                let more = how == Receive::Continuous;
                if !more {
                    self.receiving = None;
                }
                Some((Ok(Some(Segment::received(buf, count))), more))
            }
            Err(Errno::AGAIN) => {
                pool.give_buf(buf);
                self.readable = false;
                None
            }
            ended => {
                pool.give_buf(buf);
                self.receiving = None;
                Some((ended.map(|_| None), false))
            }
        }
    }

    pub(super) fn start_sending(&mut self, segment: Segment) {
        debug_assert!(self.sending.is_none(), "one send per key");
        self.sending = Some(Sending { segment, sent: 0 });
    }

    /// Sends what the kernel takes; the outcome once all is sent, or an error ends it.
    pub(super) fn go_on_sending(&mut self) -> Option<(Segment, Result<usize, Errno>)> {
        let sending = self.sending.as_mut()?;
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut failure = None;
        while self.writable && failure.is_none() && sending.sent < sending.segment.len() {
            let rest = &sending.segment.bytes()[sending.sent..];
            match retry_on_intr(|| send(&self.fd, rest, flags)) {
                Ok(count) => {
                    self.writable = count == rest.len();
                    sending.sent += count;
                }
                Err(Errno::AGAIN) => self.writable = false,
                Err(error) => failure = Some(error),
            }
        }
        if failure.is_none() && sending.sent < sending.segment.len() {
            return None;
        }
        self.end_send(failure)
    }

    /// Ends the send. What was sent before an error counts, as with the ring: the error shows
    /// again when the rest is sent.
    pub(super) fn end_send(
        &mut self,
        failure: Option<Errno>,
    ) -> Option<(Segment, Result<usize, Errno>)> {
        let Sending { segment, sent } = self.sending.take()?;
        match failure {
            Some(error) if sent == 0 => Some((segment, Err(error))),
            _ => Some((segment, Ok(sent))),
        }
    }

    pub(super) fn start_polling(&mut self, readiness: Readiness) {
        *self.polling(readiness) = true;
    }

    /// Ends a wait for readiness; whether there was one.
    pub(super) fn stop_polling(&mut self, readiness: Readiness) -> bool {
        std::mem::take(self.polling(readiness))
    }

    fn polling(&mut self, readiness: Readiness) -> &mut bool {
        match readiness {
            Readiness::Readable => &mut self.polling_in,
            Readiness::Writable => &mut self.polling_out,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How much of the present turn a descriptor has had, and whether it waits in line for more.
#[derive(Default)]
pub(super) struct Share {
    pub(super) queued: bool,
    turn: u64,
    used: u32,
}

impl Share {
    /// Takes one of `most` operations of `turn`; false when they are used up.
    pub(super) fn take(&mut self, turn: u64, most: u32) -> bool {
        if self.turn != turn {
            (self.turn, self.used) = (turn, 0);
        }
        self.used += 1;
        self.used <= most
    }
}
