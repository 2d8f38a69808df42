//! Requests that wait because every backend they may go to is at a hard limit.
//!
//! A place in the queue of a group is taken on an account all cores share, so its bound holds for
//! the node; who waits where is each core's own business. Every turn the first of each queue asks
//! again, so what is freed on this core is used at once, and what another core freed within
//! [`LOOK_EVERY`]. Nobody who comes later on this core overtakes. Between cores there is no order:
//! a core whose own requests end is the first to know.
//!
//! A request that failed at one backend and may be sent again waits here, too, when those it has
//! not had are full: who fails at once always has room, and would otherwise be the end of all that
//! comes while the others are busy.
//!
//! What is to be sent is kept as it will be sent. A client that has not sent all of its request is
//! not read from meanwhile, so a waiting request is worth what one receive brings at most.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::fault::Fault;
use crate::base::id::GroupSlot;
use crate::base::slab::Key;
use crate::data::client::Input;
use crate::data::exchange::Exchange;
use crate::data::ticks::ticks;
use crate::data::upstream::Again;
use crate::data::worker::Worker;
use crate::routing::breaker::{Overflow, Rights};
use crate::routing::limit::Place;
use crate::runtime::buffers::Segment;
use crate::runtime::driver::Driver;

/// Longest sleep of a core on which somebody waits: room that another core makes is not told.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A request that waits.
pub(super) struct Waiting {
    /// Leaves the queue when it is dropped.
    _place: Place,
    /// What its backend will be sent.
    bytes: Vec<u8>,
    /// It has failed somewhere.
    again: Option<Again>,
    /// Since when it waits.
    pub(super) since_micros: u64,
}

/// Who waits on this core, by group.
#[derive(Default)]
pub(super) struct Queues(BTreeMap<GroupSlot, VecDeque<Key>>);

impl Queues {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<D: Driver> Worker<D> {
    /// Finds a connection for the exchange of client `key`, or a place to wait for one.
    ///
    /// # Errors
    /// The fault to answer with when there is neither.
    pub(super) fn attach_or_wait(&mut self, key: Key) -> Result<(), Fault> {
        let group = self
            .exchange(key)
            .and_then(|exchange| Some(exchange.group()?.slot));
        let others_wait = group.is_some_and(|group| self.queues.0.contains_key(&group));
        let attached = match others_wait {
            true => Err(Fault::GroupFull),
            false => self.attach_upstream(key, None),
        };
        match attached {
            Err(Fault::GroupFull) => self.begin_waiting(key),
            done => done,
        }
    }

    fn begin_waiting(&mut self, key: Key) -> Result<(), Fault> {
        let since_micros = self.now.micros;
        let Some(exchange) = self.exchange(key) else {
            return Err(Fault::GroupFull);
        };
        let Some(group) = exchange.group() else {
            return Err(Fault::NoRoute);
        };
        let (slot, timeout) = (group.slot, group.queue.timeout);
        let place = group.queue.enter().map_err(|_| {
            group.breaker.overflows.inc(Overflow::Pending);
            Fault::GroupFull
        })?;
        exchange.waiting = Some(Box::new(Waiting {
            _place: place,
            bytes: Vec::new(),
            again: None,
            since_micros,
        }));
        self.queues.0.entry(slot).or_default().push_back(key);
        self.set_deadline(key, self.now.tick + ticks(timeout));
        Ok(())
    }

    /// Lets the exchange of client `key`, which is done with a backend that failed, wait for
    /// another one; false if there is no place, or more of the request is to come. What is to be
    /// sent is kept by [`Worker::park_segment`].
    pub(super) fn wait_to_go_again(&mut self, key: Key) -> bool {
        let whole = |exchange: &mut Exchange| exchange.has_request();
        if !self.exchange(key).is_some_and(whole) || self.begin_waiting(key).is_err() {
            return false;
        }
        if let Some(conn) = self.conns.at_mut(key) {
            conn.peer = None;
        }
        if let Some(exchange) = self.exchange(key) {
            exchange.backend = None;
            exchange.rights = Rights::default();
        }
        if let Some(waiting) = self.waiting(key) {
            waiting.again = Some(Again::Elsewhere);
        }
        true
    }

    /// Keeps a part of a request that waits.
    pub(super) fn park_segment(&mut self, key: Key, segment: Segment) {
        if let Some(waiting) = self.waiting(key) {
            waiting.bytes.extend_from_slice(segment.bytes());
        }
        self.driver.buffers().give(segment);
    }

    /// Whether the exchange of client `key` waits.
    pub(super) fn is_waiting(&mut self, key: Key) -> bool {
        self.exchange(key)
            .is_some_and(|exchange| exchange.waiting.is_some())
    }

    /// Keeps the head in `scratch` and the body bytes behind it in `input` until there is room.
    pub(super) fn park_request(&mut self, key: Key, input: Input, head_len: usize) {
        let head = std::mem::take(&mut self.scratch);
        if let Some(waiting) = self.waiting(key) {
            waiting.bytes.extend_from_slice(&head);
        }
        self.scratch = head;
        self.park_body(key, &input.bytes()[head_len..]);
        self.drop_input(input);
    }

    /// Keeps body bytes that had been received before the client was held back.
    pub(super) fn park_body(&mut self, key: Key, input: &[u8]) {
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        let Some(mut waiting) = exchange.waiting.take() else {
            return;
        };
        let read = exchange.request.transcode(input, &mut waiting.bytes);
        exchange.waiting = Some(waiting);
        match read {
            Ok(taken) => {
                exchange.bytes_received += taken as u64;
                let complete = exchange.has_request();
                self.stash_rest(key, &input[taken..]);
                if !complete {
                    self.hold(key);
                }
            }
            Err(refusal) => {
                let fault = Some(Fault::ClientBadRequest);
                self.answer(key, refusal.status, refusal.reason, fault, true);
            }
        }
    }

    fn waiting(&mut self, key: Key) -> Option<&mut Waiting> {
        self.exchange(key)?.waiting.as_deref_mut()
    }

    /// Lets those who wait ask again, the first of each group first.
    pub(super) fn serve_waiting(&mut self) {
        let mut queues = std::mem::take(&mut self.queues.0);
        queues.retain(|_, queue| {
            while let Some(key) = queue.front().copied() {
                if self.is_waiting(key) && !self.serve(key) {
                    return true;
                }
                queue.pop_front();
            }
            false
        });
        // Serving may have ended exchanges whose clients' next requests wait already.
        for (group, mut later) in std::mem::replace(&mut self.queues.0, queues) {
            self.queues.0.entry(group).or_default().append(&mut later);
        }
    }

    /// Sends what waits if there is room for it now; false if it must go on waiting.
    fn serve(&mut self, key: Key) -> bool {
        let again = self.waiting(key).and_then(|waiting| waiting.again);
        match self.attach_upstream(key, again) {
            Err(Fault::GroupFull) => return false,
            Err(fault) => self.answer_fault(key, fault),
            Ok(()) => {
                let now = self.now.micros;
                let Some(exchange) = self.exchange(key) else {
                    return true;
                };
                let waited = exchange.leave_queue(now);
                if let (Some(waited), Some(upstream)) = (waited, exchange.upstream) {
                    self.enqueue_bytes(upstream, &waited.bytes);
                }
                self.request_progress(key);
                self.release(key);
            }
        }
        true
    }
}
