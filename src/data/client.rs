//! The client's side of HTTP/1.1: heads, bodies, pipelining, keep-alive and the way to the end.
//!
//! One exchange at a time. What a client sends ahead (pipelining) waits in `stash`, bounded by
//! holding its connection back. The next request is looked at only when the response before it
//! has been sent, so responses cannot change places.

use std::net::SocketAddr;
use std::num::NonZeroU64;

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::id::ListenerSlot;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::bulk::is_bulk;
use crate::data::conn::Role;
use crate::data::exchange::{Answered, Exchange};
use crate::data::place::{By, Gather, Placed};
use crate::data::stash::Stash;
use crate::data::ticks::ticks;
use crate::data::worker::Worker;
use crate::http::{FieldStorage, HeadLimits, Parsed, RequestHead, parse_request};
use crate::routing::table::{HttpOptions, Listener};
use crate::runtime::buffers::Segment;
use crate::runtime::driver::Driver;
use crate::runtime::net;

/// Bytes a client may send ahead before it is held back.
const STASH_MAX: usize = 64 * 1024;

/// How long we go on reading after our last word, in milliseconds, so that it is not lost by a
/// reset (RFC 9112 section 9.6).
const LINGER_MILLIS: u64 = 2_000;

/// Where a client's connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// An exchange is under way.
    Exchange,
    /// Between requests, or a head is incomplete.
    Head,
    /// We have said our last word and only wait for the client to close.
    Lingering,
}

/// An HTTP client's connection.
pub(super) struct Client {
    pub(super) listener: ListenerSlot,
    pub(super) phase: Phase,
    pub(super) requests: u32,
    /// It came when the node was overloaded: its first request is answered with 503.
    pub(super) refused: bool,
    /// Address, once asked for.
    pub(super) address: Option<Box<SocketAddr>>,
    /// When the head in `stash` began to come in; none if it came at once.
    began_micros: Option<NonZeroU64>,
    /// Bytes received and not understood yet.
    pub(super) stash: Stash,
    /// What is known of the request in `stash`, when its body decides where it goes.
    pub(super) gather: Option<Box<Gather>>,
    pub(super) exchange: Option<Box<Exchange>>,
}

impl Client {
    pub(super) fn new(listener: ListenerSlot) -> Client {
        Client {
            listener,
            phase: Phase::Head,
            requests: 0,
            refused: false,
            address: None,
            began_micros: None,
            stash: Stash::default(),
            gather: None,
            exchange: None,
        }
    }
}

/// Bytes to read a head from: as the kernel gave them, or gathered from several receives.
pub(super) enum Input {
    Gathered(Vec<u8>),
    Received(Segment),
}

impl Input {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Input::Gathered(bytes) => bytes,
            Input::Received(segment) => segment.bytes(),
        }
    }
}

/// What reading a head came to.
enum Read {
    /// The request is on its way; its head took so many bytes and stands in `scratch`.
    Begun(usize),
    /// An answer of our own is on its way. So many bytes were used; what follows them is a
    /// request sent ahead, if the connection stays open.
    Answered(usize),
    /// More bytes are needed.
    Partial,
}

impl<D: Driver> Worker<D> {
    /// Bytes from a client.
    pub(super) fn client_bytes(&mut self, key: Key, segment: Segment) {
        let Some(client) = self.client(key) else {
            return self.driver.buffers().give(segment);
        };
        match client.phase {
            Phase::Exchange => self.client_body(key, segment),
            Phase::Head if client.stash.is_empty() => {
                self.client_head(key, Input::Received(segment));
            }
            Phase::Head => {
                let mut bytes = client.stash.take();
                bytes.extend_from_slice(segment.bytes());
                self.driver.buffers().give(segment);
                self.client_head(key, Input::Gathered(bytes));
            }
            Phase::Lingering => self.driver.buffers().give(segment),
        }
    }

    /// Reads a request head from `input` and starts its exchange.
    pub(super) fn client_head(&mut self, key: Key, input: Input) {
        if self.is_gathering(key, input.bytes()) {
            return self.keep_partial(key, input);
        }
        match self.read_head(key, input.bytes()) {
            Read::Begun(head_len) => self.forward_request(key, input, head_len),
            Read::Answered(used) => {
                self.stash_rest(key, &input.bytes()[used..]);
                self.drop_input(input);
            }
            Read::Partial => self.keep_partial(key, input),
        }
    }

    fn read_head(&mut self, key: Key, bytes: &[u8]) -> Read {
        let Some((slot, table)) = self.table_for(key) else {
            return Read::Answered(bytes.len());
        };
        let Some(listener) = table.listener(slot) else {
            return Read::Answered(bytes.len());
        };
        let mut storage = FieldStorage::new();
        match parse_request(bytes, &head_limits(&listener.http), &mut storage) {
            Parsed::Partial => Read::Partial,
            Parsed::Refused(refusal) => {
                let times = self.head_times(key);
                let mut exchange = self.spares.begin(Pinned::clone(&table), slot, times);
                exchange.bytes_received = bytes.len() as u64;
                self.set_exchange(key, exchange);
                let fault = Fault::ClientBadRequest;
                self.answer(key, refusal.status, refusal.reason, Some(fault), true);
                Read::Answered(bytes.len())
            }
            Parsed::Complete(head) => self.begin(key, &table, listener, head, bytes),
        }
    }

    /// Starts the exchange of a complete head, once it is known where it goes.
    fn begin(
        &mut self,
        key: Key,
        table: &Pinned,
        listener: &Listener,
        head: RequestHead<'_, '_>,
        bytes: &[u8],
    ) -> Read {
        let head_len = head.head_len();
        let gather = self.client(key).and_then(|client| client.gather.take());
        let continued = gather.as_ref().is_some_and(|gather| gather.continued);
        let refused = self.client(key).is_some_and(|client| client.refused);
        let placed = match gather.and_then(|gather| gather.decided()) {
            Some(placed) => Some(placed),
            None if refused => Some((Placed::Nowhere, By::default())),
            None => self.place(key, table, listener, &head, bytes),
        };
        let Some(placed) = placed else {
            return Read::Partial;
        };
        let head = if continued {
            head.without_expectation()
        } else {
            head
        };
        if self.begin_exchange(key, table, listener, &head, placed) {
            Read::Begun(head_len)
        } else {
            Read::Answered(head_len)
        }
    }

    fn keep_partial(&mut self, key: Key, input: Input) {
        let bytes = match input {
            Input::Gathered(bytes) => bytes,
            Input::Received(segment) => {
                let bytes = segment.bytes().to_vec();
                self.driver.buffers().give(segment);
                let head = self
                    .listener_timeouts(key)
                    .map_or(0, |timeouts| ticks(timeouts.head));
                self.set_deadline(key, self.now.tick + head);
                bytes
            }
        };
        let now = self.now.micros;
        let Some(client) = self.client(key) else {
            return;
        };
        client.stash = Stash::of(bytes);
        client.began_micros = client.began_micros.or(NonZeroU64::new(now));
        if client.gather.is_some() {
            self.await_body(key);
        }
    }

    /// When the head of client `key` began to come in, and now, when it is no longer waited for.
    pub(super) fn head_times(&mut self, key: Key) -> (u64, u64) {
        let now = self.now.micros;
        let began = self
            .client(key)
            .and_then(|client| client.began_micros.take());
        (began.map_or(now, NonZeroU64::get), now)
    }

    /// Makes `exchange` the one under way on `key`.
    pub(super) fn set_exchange(&mut self, key: Key, exchange: Box<Exchange>) {
        if let Some(client) = self.client(key) {
            client.phase = Phase::Exchange;
            client.exchange = Some(exchange);
        }
    }

    /// What stands in `input` behind what was used belongs to a later request.
    pub(super) fn stash_rest(&mut self, key: Key, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        let Some(client) = self.client(key) else {
            return;
        };
        client.stash.append(rest);
        if client.stash.len() > STASH_MAX {
            self.hold(key);
        }
    }

    pub(super) fn drop_input(&mut self, input: Input) {
        if let Input::Received(segment) = input {
            self.driver.buffers().give(segment);
        }
    }

    /// Further bytes while an exchange is under way: body, or requests sent ahead.
    fn client_body(&mut self, key: Key, segment: Segment) {
        let Some((exchange, run_bytes)) = self.exchange_and_run(key, segment.len()) else {
            return self.driver.buffers().give(segment);
        };
        if exchange.has_request() {
            self.stash_rest(key, segment.bytes());
            return self.driver.buffers().give(segment);
        }
        let verbatim = exchange.request.is_verbatim();
        let left = exchange.request.remaining().unwrap_or(0);
        self.request_body(key, segment);
        if verbatim && is_bulk(run_bytes, left) && !self.is_waiting(key) {
            self.start_bulk(key);
        }
    }

    fn exchange_and_run(&mut self, key: Key, count: usize) -> Option<(&mut Exchange, u64)> {
        let conn = self.conns.at_mut(key)?;
        conn.run_bytes += count as u64;
        let run = conn.run_bytes;
        let Role::Client(client) = &mut conn.role else {
            return None;
        };
        Some((client.exchange.as_deref_mut()?, run))
    }

    /// The client will send nothing more.
    pub(super) fn client_end(&mut self, key: Key) {
        let Some(client) = self.client(key) else {
            return;
        };
        match (client.phase, client.exchange.as_mut()) {
            (Phase::Exchange, Some(exchange)) if exchange.has_request() => {
                // A client may close its sending half and still wait for the response.
                exchange.close = true;
            }
            (Phase::Exchange, Some(_)) => self.abort_exchange(key, Fault::ClientAborted),
            (_, _) => {
                let fault = client.gather.is_some().then_some(Fault::ClientAborted);
                self.close_client(key, fault);
            }
        }
    }

    /// Receiving from or sending to the client failed.
    pub(super) fn client_failed(&mut self, key: Key, error: Errno) {
        tracing::trace!(%error, "client failed");
        match self.client(key).map(|client| client.phase) {
            Some(Phase::Exchange) => self.abort_exchange(key, Fault::ClientAborted),
            _ => self.close_client(key, None),
        }
    }

    /// Everything queued for the client has been sent.
    pub(super) fn client_flushed(&mut self, key: Key) {
        let Some(client) = self.client(key) else {
            return;
        };
        let Some(exchange) = client.exchange.as_ref() else {
            return;
        };
        if exchange.answered == Answered::Wholly {
            return self.finish_exchange(key);
        }
        let Some(upstream) = exchange.upstream else {
            return;
        };
        if self
            .conns
            .at(upstream)
            .is_some_and(|conn| conn.bulk.is_some())
        {
            self.begin_bulk_when_ready(upstream);
        } else {
            self.release(upstream);
        }
    }

    /// The response has been sent: account for the exchange, then the next one or the end.
    fn finish_exchange(&mut self, key: Key) {
        self.cancel_bulk(key);
        let Some(client) = self.client(key) else {
            return;
        };
        let Some(exchange) = client.exchange.take() else {
            return;
        };
        client.phase = Phase::Head;
        client.requests = client.requests.saturating_add(1);
        let unread = !client.stash.is_empty() || !exchange.has_request();
        let until_close = exchange.until_close;
        let close = exchange.close;
        self.settle_exchange(key, exchange);
        let ended = self.conns.at(key).is_some_and(|conn| conn.ended);
        match close {
            true if unread && !ended && !until_close => self.linger(key),
            true => self.close_client(key, None),
            false => self.next_request(key),
        }
    }

    fn next_request(&mut self, key: Key) {
        let idle = self
            .listener_timeouts(key)
            .map_or(0, |timeouts| ticks(timeouts.idle));
        self.set_deadline(key, self.now.tick + idle);
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        conn.run_bytes = 0;
        conn.peer = None;
        let Role::Client(client) = &mut conn.role else {
            return;
        };
        let stash = client.stash.take();
        if !stash.is_empty() {
            self.client_head(key, Input::Gathered(stash));
        } else if self.leaves_when_idle(key) {
            return self.close_client(key, None);
        }
        self.release(key);
    }

    /// Stops sending and reads on for a moment, so that what was sent arrives.
    pub(super) fn linger(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        net::finish_sending(conn.fd());
        conn.finished = true;
        if let Role::Client(client) = &mut conn.role {
            client.phase = Phase::Lingering;
            client.stash = Stash::default();
            client.gather = None;
        }
        self.set_deadline(
            key,
            self.now.tick + ticks(std::time::Duration::from_millis(LINGER_MILLIS)),
        );
        self.release(key);
    }

    /// Closes a client's connection that has no exchange.
    pub(super) fn close_client(&mut self, key: Key, fault: Option<Fault>) {
        self.leave_listener(key, fault);
        self.close(key);
    }

    /// The client in `key`.
    pub(super) fn client(&mut self, key: Key) -> Option<&mut Client> {
        match &mut self.conns.at_mut(key)?.role {
            Role::Client(client) => Some(client),
            _ => None,
        }
    }

    /// The exchange under way on the client's connection `key`.
    pub(super) fn exchange(&mut self, key: Key) -> Option<&mut Exchange> {
        self.client(key)?.exchange.as_deref_mut()
    }
}

fn head_limits(http: &HttpOptions) -> HeadLimits {
    HeadLimits {
        head_bytes: http.head_bytes_max,
        fields: http.fields_max,
        target_bytes: http.target_bytes_max,
    }
}
