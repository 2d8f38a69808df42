//! From a request head to bytes on their way to a backend.
//!
//! What leaves is written anew from what was understood (`http::write_request`); the head goes
//! right before the body bytes that came with it, in the block they were received into, so an
//! ordinary request is one receive and one send without a copy of its body.

use std::net::SocketAddr;

use crate::base::fault::Fault;
use crate::base::hex;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::client::Input;
use crate::data::exchange::{Answered, Exchange, request_limits};
use crate::data::place::{By, Placed};
use crate::data::ticks::ticks;
use crate::data::trace::Trace;
use crate::data::worker::Worker;
use crate::http::{self, Body, Forwarding, Output, RequestEdits, RequestHead, TraceEdit};
use crate::routing::table::{ForwardedHeaders, Group, Listener, Table};
use crate::runtime::buffers::Segment;
use crate::runtime::driver::Driver;
use crate::runtime::net;
use crate::telemetry::access_log::draft::Draft;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::room::{IP_BYTES_MAX, Room, put_ip};
use crate::telemetry::overload::Shed;

impl<D: Driver> Worker<D> {
    /// Starts the exchange of a complete head: writes it for the backend to `scratch` and finds a
    /// connection where the request was placed. False when we have answered ourselves.
    pub(super) fn begin_exchange(
        &mut self,
        key: Key,
        table: &Pinned,
        listener: &Listener,
        head: &RequestHead<'_, '_>,
        (placed, by): (Placed, By),
    ) -> bool {
        let times = self.head_times(key);
        let mut exchange = self
            .spares
            .begin(Pinned::clone(table), listener.slot, times);
        let limits = request_limits(listener.http.body_bytes_max);
        exchange.method = head.method();
        exchange.version = head.version();
        exchange.request = Body::new(head.framing(), output_of(head), limits);
        exchange.wants_upgrade = head.upgrade().is_some();
        exchange.wants_continue = head.expects_continue();
        exchange.bytes_received = head.head_len() as u64;
        exchange.close = !head.keeps_alive() || self.is_last_request(key);
        exchange.route = by.route;
        if let Placed::Group(group) = placed {
            exchange.group = Some(group);
            exchange.affinity = self.affinity(key, table.group(group), head);
            self.note_former(key, &mut exchange, head, by);
        }
        if listener.http.request_id || self.log.is_some() {
            exchange.number = self.next_request_number();
        }
        let trace = self.traces.as_mut().map(|traces| traces.of(head));
        exchange.traced = trace.is_some_and(|trace| trace.context.is_sampled());
        if self.may_tell(exchange.traced) {
            let trace = trace.filter(|_| exchange.traced);
            // The kernel may have forgotten it when the request ends.
            self.client_address(key);
            note_texts(&mut exchange.draft, head, (table, listener, by), trace);
        }
        if exchange.close && head.keeps_alive() && self.ends_keep_alive() {
            self.count_shed(Shed::KeepAlive);
        }
        let is_oversized = exchange.request.is_oversized();
        self.write_request_head(key, listener, head, (exchange.number, trace));
        self.set_exchange(key, exchange);
        if self.is_refused(key, is_oversized) {
            return false;
        }
        let fault = match placed {
            Placed::Broken(refusal) => {
                let fault = Some(Fault::ClientBadRequest);
                self.answer(key, refusal.status, refusal.reason, fault, true);
                return false;
            }
            Placed::Group(group) => {
                self.pay_for_retries(table.group(group));
                match self.attach_or_wait(key) {
                    Err(fault) if !self.attach_to_former(key) => fault,
                    Ok(()) | Err(_) => return true,
                }
            }
            Placed::Nowhere => Fault::NoRoute,
            Placed::Refused(shard, reject) => {
                self.answer_reject(key, table.shard(shard), reject);
                return false;
            }
        };
        self.answer_fault(key, fault);
        false
    }

    /// Answers what is not even looked at, if it is not.
    fn is_refused(&mut self, key: Key, is_oversized: bool) -> bool {
        if self.client(key).is_some_and(|client| client.refused) {
            self.count_shed(Shed::Answered);
            let fault = Fault::Overload;
            self.answer(key, fault.status(), fault.name(), Some(fault), true);
            return true;
        }
        if is_oversized {
            let fault = Some(Fault::ClientBadRequest);
            self.answer(key, 413, "request body too large", fault, true);
        }
        is_oversized
    }

    fn write_request_head(
        &mut self,
        key: Key,
        listener: &Listener,
        head: &RequestHead<'_, '_>,
        (number, trace): (u64, Option<Trace>),
    ) {
        let mut address = [0_u8; IP_BYTES_MAX];
        let forwarding = forwarding_of(listener.http.forwarded);
        let client = match forwarding {
            Forwarding::None => "",
            Forwarding::Forwarded | Forwarding::XForwarded => {
                self.client_address_text(key, &mut address)
            }
        };
        let id = hex::digits(number);
        let traceparent = trace.map(|trace| TraceEdit {
            parent: trace.context.text(),
            keeps_state: trace.is_continued,
        });
        let edits = RequestEdits {
            forwarding,
            trust_forwarded: listener.http.trust_forwarded,
            client,
            proto: "http",
            via: listener.http.via.as_deref(),
            request_id: listener.http.request_id.then_some(&id[..]),
            trace: traceparent.as_ref(),
        };
        self.scratch.clear();
        http::write_request(&mut self.scratch, head, &edits);
    }

    /// The client's address as text in `bytes`.
    fn client_address_text<'a>(&mut self, key: Key, bytes: &'a mut [u8; IP_BYTES_MAX]) -> &'a str {
        let Some(address) = self.client_address(key) else {
            return "";
        };
        let mut room = Room::new(bytes);
        put_ip(&mut room, address.ip().to_canonical());
        let length = room.length();
        std::str::from_utf8(&bytes[..length]).unwrap_or("")
    }

    /// The client's address; learned from the kernel once per connection.
    pub(super) fn client_address(&mut self, key: Key) -> Option<SocketAddr> {
        if let Some(known) = self.client(key)?.address.as_deref() {
            return Some(*known);
        }
        let address = net::peer_address(self.conns.at(key)?.fd())?;
        self.client(key)?.address = Some(Box::new(address));
        Some(address)
    }

    /// Sends the head in `scratch` with the body bytes that stand behind the head in `input`.
    pub(super) fn forward_request(&mut self, key: Key, input: Input, head_len: usize) {
        if self.is_waiting(key) {
            return self.park_request(key, input, head_len);
        }
        match input {
            Input::Received(mut segment) if self.request_is_verbatim(key) => {
                segment.advance(head_len);
                self.take_request_body(key, &mut segment);
                if let Some(upstream) = self.exchange(key).and_then(|e| e.upstream) {
                    self.enqueue_behind_scratch(upstream, segment);
                }
            }
            Input::Received(segment) => {
                self.transcode_request(key, &segment.bytes()[head_len..]);
                self.driver.buffers().give(segment);
            }
            Input::Gathered(bytes) => self.transcode_request(key, &bytes[head_len..]),
        }
        self.request_progress(key);
    }

    /// Body bytes of the request under way.
    pub(super) fn request_body(&mut self, key: Key, mut segment: Segment) {
        if self.is_waiting(key) {
            self.park_body(key, segment.bytes());
            return self.driver.buffers().give(segment);
        }
        if self.request_is_verbatim(key) {
            self.take_request_body(key, &mut segment);
            match self.exchange(key) {
                Some(Exchange {
                    upstream: Some(upstream),
                    discard: false,
                    ..
                }) => {
                    let upstream = *upstream;
                    self.enqueue(upstream, segment);
                }
                _ => self.driver.buffers().give(segment),
            }
        } else {
            self.scratch.clear();
            self.transcode_request(key, segment.bytes());
            self.driver.buffers().give(segment);
        }
        self.request_progress(key);
    }

    fn request_is_verbatim(&mut self, key: Key) -> bool {
        self.exchange(key)
            .is_some_and(|exchange| exchange.request.is_verbatim())
    }

    /// Cuts `segment` to what belongs to the body; the rest is kept for the next request.
    fn take_request_body(&mut self, key: Key, segment: &mut Segment) {
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        let taken = exchange.request.take_verbatim(segment.len());
        exchange.bytes_received += taken as u64;
        if taken < segment.len() {
            self.stash_rest(key, &segment.bytes()[taken..]);
            segment.truncate(taken);
        }
    }

    /// Appends the body bytes in `input` to `scratch`, as the backend is to see them, and sends
    /// that; what stands behind the body is kept for the next request.
    fn transcode_request(&mut self, key: Key, input: &[u8]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        let target = exchange.upstream.filter(|_| !exchange.discard);
        match exchange.request.transcode(input, &mut scratch) {
            Ok(taken) => {
                exchange.bytes_received += taken as u64;
                if let Some(upstream) = target {
                    self.enqueue_bytes(upstream, &scratch);
                }
                self.stash_rest(key, &input[taken..]);
            }
            Err(refusal) => {
                let fault = Some(Fault::ClientBadRequest);
                self.answer(key, refusal.status, refusal.reason, fault, true);
            }
        }
        self.scratch = scratch;
    }

    /// After bytes of a request: who is waited for now, and whether the client must be held.
    pub(super) fn request_progress(&mut self, key: Key) {
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        if exchange.answered == Answered::Wholly {
            return;
        }
        let upstream = exchange.upstream;
        let has_request = exchange.has_request();
        let wait = if has_request {
            exchange.group().map(Group::answer_timeout)
        } else {
            exchange.listener().map(|listener| listener.timeouts.body)
        };
        self.set_deadline(key, self.now.tick + wait.map_or(0, ticks));
        if has_request {
            self.cancel_bulk(key);
        }
        if upstream.is_some_and(|upstream| self.is_congested(upstream)) {
            self.hold(key);
        }
    }

    /// Queues `segment` with what stands in `scratch` before it.
    pub(super) fn enqueue_behind_scratch(&mut self, target: Key, mut segment: Segment) {
        if !segment.prepend(&self.scratch) {
            let head = std::mem::take(&mut self.scratch);
            self.enqueue_bytes(target, &head);
            self.scratch = head;
        }
        self.enqueue(target, segment);
    }
}

fn output_of(head: &RequestHead<'_, '_>) -> Output {
    match head.framing() {
        http::Framing::Chunked => Output::Chunked,
        _ => Output::Raw,
    }
}

fn forwarding_of(headers: ForwardedHeaders) -> Forwarding {
    match headers {
        ForwardedHeaders::Forwarded => Forwarding::Forwarded,
        ForwardedHeaders::None => Forwarding::None,
        ForwardedHeaders::XForwarded => Forwarding::XForwarded,
    }
}

fn note_texts(
    draft: &mut Draft,
    head: &RequestHead<'_, '_>,
    (table, listener, by): (&Table, &Listener, By),
    trace: Option<Trace>,
) {
    let text = |name| head.field(name).unwrap_or(b"");
    let trace = trace.map(|trace| trace.context.to_raw());
    let route = by
        .route
        .and_then(|position| listener.route_names.get(position));
    draft.write(&Texts {
        method: head.method_text(),
        target: head.target(),
        host: head.host(),
        user_agent: text("user-agent"),
        referer: text("referer"),
        route: route.map_or(b"", |name| name.as_bytes()),
        shard: by
            .shard
            .map_or(b"", |shard| table.shard(shard).name.as_bytes()),
        trace: trace.as_ref().map_or(b"", |raw| &raw[..]),
    });
}
