//! The other end: answers every request with the same bytes, or sends back what comes, and counts.
//!
//! It looks at nothing of a request but its end (the empty line), so it is for requests without a
//! body. What a client sends before it reads is answered as it reads; one that never does has at
//! most [`OWED_MAX`] answers or [`QUEUE_MAX`] pieces waiting, and is then closed.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use crate::base::slab::{Key, Slab};
use crate::runtime::buffers::Segment;
use crate::runtime::driver::{Driver, Event, Receive};

const OWED_MAX: u32 = 4096;
const QUEUE_MAX: usize = 64;

/// Longest sleep in the kernel.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// The end of a request.
const END: &[u8] = b"\r\n\r\n";

/// What all threads counted, and whether they are to end.
#[derive(Default)]
pub(super) struct Served {
    /// Connections.
    pub(super) accepted: AtomicU64,
    /// Connections open now.
    pub(super) open: AtomicU64,
    /// Requests.
    pub(super) requests: AtomicU64,
    /// Bytes.
    pub(super) received: AtomicU64,
    /// The threads are to end.
    pub(super) ends: AtomicBool,
}

/// A connection.
struct Guest {
    fd: OwnedFd,
    /// Bytes of [`END`] seen in a row.
    matched: usize,
    /// Answers that are owed.
    owed: u32,
    /// Bytes of the first of them that were sent.
    answered: usize,
    queue: VecDeque<Segment>,
    receiving: bool,
    sending: bool,
    closing: bool,
}

/// One thread of it.
pub(super) struct Server<D> {
    driver: D,
    guests: Slab<Guest>,
    /// `None` sends back what comes.
    answer: Option<Arc<[u8]>>,
    listener: Arc<OwnedFd>,
    served: Arc<Served>,
}

impl<D: Driver> Server<D> {
    pub(super) fn new(
        driver: D,
        listener: Arc<OwnedFd>,
        answer: Option<Arc<[u8]>>,
        served: Arc<Served>,
    ) -> Server<D> {
        Server {
            driver,
            guests: Slab::default(),
            answer,
            listener,
            served,
        }
    }

    /// Serves until it is to end.
    ///
    /// # Errors
    /// When the ring is broken.
    pub(super) fn run(&mut self) -> std::io::Result<()> {
        self.driver.accept(0, self.listener.as_raw_fd());
        while !self.served.ends.load(Ordering::Relaxed) {
            self.driver.wait(SLEEP_MAX)?;
            while let Some(event) = self.driver.next() {
                self.handle(event);
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Accepted { fd, .. } => self.accepted(fd),
            Event::AcceptEnded { error, .. } => {
                if !matches!(error, Errno::AGAIN | Errno::CANCELED) {
                    // Out of descriptors: those that leave make room.
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.driver.accept(0, self.listener.as_raw_fd());
            }
            Event::Received { key, result, more } => self.received(key, result, more),
            Event::Sent {
                key,
                segment,
                result,
            } => self.sent(key, segment, result.is_ok()),
            Event::Kicked | Event::Ready { .. } => {}
        }
    }

    fn accepted(&mut self, fd: OwnedFd) {
        self.served.accepted.fetch_add(1, Ordering::Relaxed);
        self.served.open.fetch_add(1, Ordering::Relaxed);
        let raw = fd.as_raw_fd();
        let key = self.guests.insert_with(|_| Guest {
            fd,
            matched: 0,
            owed: 0,
            answered: 0,
            queue: VecDeque::new(),
            receiving: true,
            sending: false,
            closing: false,
        });
        self.driver.receive(key, raw, Receive::Continuous);
    }

    fn received(&mut self, key: Key, result: Result<Option<Segment>, Errno>, more: bool) {
        let Some(guest) = self.guests.at_mut(key) else {
            return;
        };
        guest.receiving = more;
        match result {
            Ok(Some(segment)) => self.take(key, segment),
            Ok(None) => self.shut(key),
            Err(Errno::NOBUFS | Errno::CANCELED) => {}
            Err(_) => self.shut(key),
        }
        if more {
            return;
        }
        if let Some(guest) = self.guests.at_mut(key).filter(|guest| !guest.closing) {
            guest.receiving = true;
            let raw = guest.fd.as_raw_fd();
            self.driver.receive(key, raw, Receive::Continuous);
        } else {
            self.bury(key);
        }
    }

    fn take(&mut self, key: Key, segment: Segment) {
        let count = segment.len() as u64;
        self.served.received.fetch_add(count, Ordering::Relaxed);
        let Some(guest) = self.guests.at_mut(key).filter(|guest| !guest.closing) else {
            return self.driver.buffers().give(segment);
        };
        if self.answer.is_some() {
            let ends = ends_in(segment.bytes(), &mut guest.matched);
            guest.owed += ends;
            self.served
                .requests
                .fetch_add(u64::from(ends), Ordering::Relaxed);
            self.driver.buffers().give(segment);
        } else {
            self.served.requests.fetch_add(1, Ordering::Relaxed);
            guest.queue.push_back(segment);
        }
        if guest.owed > OWED_MAX || guest.queue.len() > QUEUE_MAX {
            return self.shut(key);
        }
        self.send_next(key);
    }

    /// Sends what is owed, as much as fits into one piece.
    fn send_next(&mut self, key: Key) {
        let Some(guest) = self.guests.at_mut(key) else {
            return;
        };
        if guest.sending || guest.closing {
            return;
        }
        let segment = match &self.answer {
            None => match guest.queue.pop_front() {
                Some(segment) => segment,
                None => return,
            },
            Some(_) if guest.owed == 0 => return,
            Some(answer) => {
                let mut segment = self.driver.buffers().empty();
                while guest.owed > 0 && segment.room() > 0 {
                    guest.answered += segment.append(&answer[guest.answered..]);
                    if guest.answered == answer.len() {
                        guest.answered = 0;
                        guest.owed -= 1;
                    }
                }
                segment
            }
        };
        guest.sending = true;
        let raw = guest.fd.as_raw_fd();
        self.driver.send(key, raw, segment);
    }

    fn sent(&mut self, key: Key, segment: Segment, well: bool) {
        self.driver.buffers().give(segment);
        let Some(guest) = self.guests.at_mut(key) else {
            return;
        };
        guest.sending = false;
        if guest.closing {
            return self.bury(key);
        }
        if well {
            self.send_next(key);
        } else {
            self.shut(key);
        }
    }

    fn shut(&mut self, key: Key) {
        let Some(guest) = self.guests.at_mut(key).filter(|guest| !guest.closing) else {
            return;
        };
        guest.closing = true;
        while let Some(segment) = guest.queue.pop_front() {
            self.driver.buffers().give(segment);
        }
        if guest.receiving {
            self.driver.cancel_receive(key);
        }
        if guest.sending {
            self.driver.cancel_send(key);
        }
        self.bury(key);
    }

    fn bury(&mut self, key: Key) {
        let is_over = |guest: &Guest| guest.closing && !guest.receiving && !guest.sending;
        if !self.guests.at(key).is_some_and(is_over) {
            return;
        }
        if let Some(guest) = self.guests.remove(key) {
            self.served.open.fetch_sub(1, Ordering::Relaxed);
            self.driver.close(guest.fd);
        }
    }
}

/// The answer to every request, with so many bytes of body.
pub(super) fn answer(body: usize) -> Arc<[u8]> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n");
    let mut bytes = head.into_bytes();
    bytes.resize(bytes.len() + body, b'x');
    bytes.into()
}

/// How many requests end in these bytes; `matched` bytes of an end came before them.
fn ends_in(bytes: &[u8], matched: &mut usize) -> u32 {
    let mut count = 0;
    for byte in bytes {
        *matched = match (END[*matched] == *byte, *byte) {
            (true, _) => *matched + 1,
            (false, b'\r') => 1,
            (false, _) => 0,
        };
        if *matched == END.len() {
            count += 1;
            *matched = 0;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_across_pieces() {
        let text = b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n\r\r\n\r\n";
        for piece in 1..text.len() {
            let mut matched = 0;
            let ends = text.chunks(piece).map(|bytes| ends_in(bytes, &mut matched));
            assert_eq!(ends.sum::<u32>(), 2, "pieces of {piece}");
        }
    }

    #[test]
    fn an_answer_has_the_body_that_was_asked_for() {
        let text = String::from_utf8(answer(3).to_vec()).unwrap();
        assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxxx");
    }
}
