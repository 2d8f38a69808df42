//! What the kernel tells a thread of the generator about its connections.

use std::os::fd::AsRawFd;

use rustix::io::Errno;

use crate::base::slab::Key;
use crate::bench::answers::Came;
use crate::bench::load::{Loader, State};
use crate::runtime::buffers::Segment;
use crate::runtime::driver::{Driver, Event, Readiness, Receive};

impl<D: Driver> Loader<D> {
    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Ready { key, .. } => self.ready(key),
            Event::Received { key, result, more } => self.received(key, result, more),
            Event::Sent {
                key,
                segment,
                result,
            } => self.sent(key, segment, result),
            Event::Accepted { fd, .. } => self.driver.close(fd),
            Event::AcceptEnded { .. } | Event::Kicked => {}
        }
    }

    /// The position of a place, if it still is what `key` stands for.
    fn at(&self, key: Key) -> Option<u32> {
        let place = self.places.get(key.index as usize)?;
        (place.generation == key.generation).then_some(key.index)
    }

    fn ready(&mut self, key: Key) {
        let Some(index) = self.at(key) else {
            return;
        };
        let place = &mut self.places[index as usize];
        place.polling = false;
        match place.state {
            State::Connecting => self.connected(index),
            _ => self.bury(index),
        }
    }

    fn sent(&mut self, key: Key, segment: Segment, result: Result<usize, Errno>) {
        let length = segment.len();
        self.driver.buffers().give(segment);
        let Some(index) = self.at(key) else {
            return;
        };
        let place = &mut self.places[index as usize];
        place.sending = false;
        if place.state == State::Closing {
            return self.bury(index);
        }
        match result {
            Ok(count) if count == length => self.counts.bytes.0 += count as u64,
            Ok(_) => self.failed(index, "a request was sent in part"),
            Err(error) => self.failed(index, &format!("send: {error}")),
        }
    }

    fn received(&mut self, key: Key, result: Result<Option<Segment>, Errno>, more: bool) {
        let Some(index) = self.at(key) else {
            if let Ok(Some(segment)) = result {
                self.driver.buffers().give(segment);
            }
            return;
        };
        let place = &mut self.places[index as usize];
        place.receiving = more;
        match result {
            Ok(Some(segment)) => {
                self.counts.bytes.1 += segment.len() as u64;
                if matches!(place.state, State::Busy | State::Idle) {
                    let came = match place.state {
                        State::Busy => place.answer.feed(segment.bytes(), self.orders.expected),
                        _ => Came::Bad,
                    };
                    self.came(index, came);
                }
                self.driver.buffers().give(segment);
            }
            Ok(None) => self.ended(index),
            Err(Errno::NOBUFS | Errno::CANCELED) => {}
            Err(error) if self.places[index as usize].state == State::Busy => {
                self.failed(index, &format!("receive: {error}"));
            }
            Err(_) => self.ended(index),
        }
        if !more {
            self.receive_again(index);
        }
    }

    fn receive_again(&mut self, index: u32) {
        let key = self.key(index);
        let place = &mut self.places[index as usize];
        match (&place.fd, place.state) {
            (Some(fd), State::Busy | State::Idle) => {
                place.receiving = true;
                self.driver
                    .receive(key, fd.as_raw_fd(), Receive::Continuous);
            }
            _ => self.bury(index),
        }
    }

    fn came(&mut self, index: u32, came: Came) {
        match came {
            Came::Part => {}
            Came::Bad => self.failed(index, "not the answer that was expected"),
            Came::Done(status, stays) => {
                let place = &mut self.places[index as usize];
                let due = place.due.take().unwrap_or(place.began);
                let began = place.began;
                place.state = State::Idle;
                *self.counts.statuses.entry(status).or_default() += 1;
                self.count_answer(due, began);
                if self.orders.close || !stays {
                    self.shut(index, true);
                } else {
                    self.hand_out(index);
                }
            }
        }
    }

    /// The other side has closed.
    fn ended(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        match place.state {
            State::Busy => match place.answer.end() {
                Came::Done(status, _) => self.came(index, Came::Done(status, false)),
                _ => self.failed(index, "closed before the answer"),
            },
            State::Idle => {
                self.counts.closed_idle += 1;
                // It may stand among the free ones: it is opened again for the next request.
                self.shut(index, false);
            }
            State::Closed | State::Closing | State::Connecting => {}
        }
    }

    /// The request of a place failed; its connection goes with it.
    fn failed(&mut self, index: u32, why: &str) {
        let was_busy = self.places[index as usize].state == State::Busy;
        if was_busy {
            *self.counts.errors.entry(why.to_owned()).or_default() += 1;
        }
        self.places[index as usize].due = None;
        self.shut(index, was_busy);
    }

    /// Gives up what has taken too long.
    pub(super) fn give_up_waiting(&mut self) {
        let latest = self.now.saturating_sub(self.orders.timeout);
        for index in 0..self.places.len() as u32 {
            let place = &self.places[index as usize];
            if place.began > latest {
                continue;
            }
            match place.state {
                State::Busy => self.failed(index, "no answer in time"),
                State::Connecting => {
                    self.connecting -= 1;
                    self.shut(index, false);
                    self.not_connected(index, Errno::TIMEDOUT);
                }
                _ => {}
            }
        }
    }

    /// Ends everything of a place; it `returns` to those that can be asked on once it is closed.
    pub(super) fn shut(&mut self, index: u32, returns: bool) {
        let key = self.key(index);
        let place = &mut self.places[index as usize];
        place.returns |= returns;
        if place.fd.is_none() || place.state == State::Closing {
            return;
        }
        place.state = State::Closing;
        if place.receiving {
            self.driver.cancel_receive(key);
        }
        if place.sending {
            self.driver.cancel_send(key);
        }
        if place.polling {
            self.driver.cancel_poll(key, Readiness::Writable);
        }
        self.bury(index);
    }

    /// Closes the descriptor of a place once the kernel holds nothing of it.
    fn bury(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        if place.state != State::Closing || !place.is_quiet() {
            return;
        }
        place.state = State::Closed;
        place.answer = Default::default();
        if let Some(fd) = place.fd.take() {
            self.driver.close(fd);
        }
        if std::mem::take(&mut self.places[index as usize].returns) {
            self.hand_out(index);
        }
    }
}
