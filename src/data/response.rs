//! From a backend's bytes to a response on its way to the client.
//!
//! The head is checked and written anew; interim responses pass through; a 101 turns both
//! connections into a relay, and only if the request asked for it. The body is streamed: as it
//! is where its framing can stay, decoded and encoded again where it cannot.

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::hex;
use crate::base::slab::Key;
use crate::data::bulk::is_bulk;
use crate::data::client::Input;
use crate::data::conn::Role;
use crate::data::exchange::{Answered, Exchange, response_limits};
use crate::data::marks::{self, Marks};
use crate::data::stash::Stash;
use crate::data::ticks::ticks;
use crate::data::upstream::UpstreamState;
use crate::data::worker::Worker;
use crate::http::{
    self, Body, FIELDS_MAX, FieldStorage, HeadLimits, Parsed, ResponseEdits, ResponseHead, Version,
    parse_response,
};
use crate::routing::feedback::Answer;
use crate::routing::standing::Outcome;
use crate::runtime::buffers::Segment;
use crate::runtime::driver::Driver;

/// Interim responses pass only to clients that understand them (RFC 9110 section 15.2).
const INTERIM_VERSION: Version = Version::Http11;

/// Interim responses of one exchange; a backend that sends more is not going to answer.
const INTERIMS_MAX: u8 = 32;

/// What reading a response head came to; `usize` is what it took of the input.
enum Read {
    /// The request goes to another backend; this connection is closed.
    Again,
    /// Malformed, or something we did not ask for.
    Bad(&'static str),
    /// The final head stands in `scratch`.
    Final(usize),
    /// An interim head was passed on or dropped.
    Interim(usize),
    /// More bytes are needed.
    Partial,
    /// The connection is a tunnel from here on; the head stands in `scratch`.
    Switched(usize),
}

impl<D: Driver> Worker<D> {
    /// Bytes from a backend.
    pub(super) fn upstream_bytes(&mut self, key: Key, segment: Segment) {
        let count = segment.len() as u64;
        let Some(conn) = self.conns.at_mut(key) else {
            return self.driver.buffers().give(segment);
        };
        conn.run_bytes += count;
        let client = conn.peer;
        let Role::Upstream(upstream) = &mut conn.role else {
            return self.driver.buffers().give(segment);
        };
        if let Some(stats) = self
            .backend_stats
            .get(upstream.slot.index())
            .and_then(Option::as_ref)
        {
            stats.of(self.core).bytes_received.add(count);
        }
        let client = match (upstream.state, client) {
            (UpstreamState::Busy, Some(client)) => client,
            (UpstreamState::Idle, _) => {
                // Nobody asked: what comes now could be taken for the next request's response.
                self.driver.buffers().give(segment);
                return self.close_idle(key);
            }
            _ => return self.driver.buffers().give(segment),
        };
        let mut stash = upstream.stash.take();
        let seen = self.exchange(client);
        let seen = seen.map(|exchange| (exchange.answered, exchange.rival.is_some()));
        if let Some((_, true)) = seen {
            self.face(key, client);
        }
        match seen.map(|(answered, _)| answered) {
            Some(Answered::NotYet) if stash.is_empty() => {
                self.response_head(key, client, Input::Received(segment));
            }
            Some(Answered::NotYet) => {
                stash.extend_from_slice(segment.bytes());
                self.driver.buffers().give(segment);
                self.response_head(key, client, Input::Gathered(stash));
            }
            Some(Answered::Partly) => self.response_body(key, client, segment),
            _ => self.driver.buffers().give(segment),
        }
    }

    fn response_head(&mut self, key: Key, client: Key, input: Input) {
        let mut used = 0;
        loop {
            match self.read_response(client, &input.bytes()[used..]) {
                Read::Again => return self.drop_input(input),
                Read::Interim(length) => used += length,
                Read::Partial => {
                    let rest = input.bytes()[used..].to_vec();
                    self.drop_input(input);
                    if let Some(Role::Upstream(up)) = self.conns.at_mut(key).map(|c| &mut c.role) {
                        up.stash = Stash::of(rest);
                    }
                    return;
                }
                Read::Final(length) => {
                    return self.forward_response(key, client, input, used + length);
                }
                Read::Switched(length) => {
                    let rest = input.bytes()[used + length..].to_vec();
                    self.drop_input(input);
                    return self.open_tunnel(key, client, &rest);
                }
                Read::Bad(reason) => {
                    tracing::debug!(reason, "bad response");
                    self.drop_input(input);
                    return self.bad_response(client);
                }
            }
        }
    }

    /// The backend of `client` says what cannot be understood.
    fn bad_response(&mut self, client: Key) {
        let core = self.core;
        let other = |exchange: &&mut Exchange| exchange.rival.is_some();
        if let Some(exchange) = self.exchange(client).filter(other) {
            if let Some(backend) = exchange.backend() {
                backend.stats.of(core).faults[Fault::UpstreamBadResponse as usize].inc();
            }
            self.leave_copy(client, Some(Outcome::GatewayFailed));
            return;
        }
        self.observe(client, Outcome::GatewayFailed);
        self.answer_fault(client, Fault::UpstreamBadResponse);
    }

    fn read_response(&mut self, client: Key, bytes: &[u8]) -> Read {
        let Some(exchange) = self.exchange(client) else {
            return Read::Bad("no exchange");
        };
        let limits = HeadLimits {
            head_bytes: exchange.group().map_or(0, |group| group.head_bytes_max),
            fields: FIELDS_MAX,
            target_bytes: 0,
        };
        let mut storage = FieldStorage::new();
        let head = match parse_response(bytes, &limits, &mut storage) {
            Parsed::Complete(head) => head,
            Parsed::Partial => return Read::Partial,
            Parsed::Refused(refusal) => return Read::Bad(refusal.reason),
        };
        let length = head.head_len();
        if head.status() == 101 {
            if !exchange.wants_upgrade || head.upgrade().is_none() {
                return Read::Bad("101 not asked for");
            }
            exchange.status = 101;
            let ended = exchange.end_trial(true);
            self.tell(ended);
            self.observe(client, Outcome::Answered);
            self.write_response_head(client, &head, true);
            return Read::Switched(length);
        }
        if head.is_interim() {
            exchange.interims += 1;
            if exchange.interims > INTERIMS_MAX {
                return Read::Bad("too many interim responses");
            }
            let wanted = head.status() != 100 || exchange.wants_continue;
            if exchange.version == INTERIM_VERSION && wanted {
                self.win(client);
                self.write_response_head(client, &head, false);
                let scratch = std::mem::take(&mut self.scratch);
                self.count_to_client(client, scratch.len() as u64);
                self.enqueue_bytes(client, &scratch);
                self.scratch = scratch;
            }
            return Read::Interim(length);
        }
        if self.retry_status(client, head.status()) {
            return Read::Again;
        }
        self.win(client);
        self.begin_response(client, &head);
        Read::Final(length)
    }

    fn begin_response(&mut self, client: Key, head: &ResponseHead<'_, '_>) {
        let (turn, now) = (self.now, self.now.micros);
        let closing = self.is_last_request(client);
        let core = self.core;
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        let delivery = head.delivery(exchange.method, exchange.version);
        let framing = head.framing(exchange.method);
        exchange.response = Body::new(framing, delivery.output, response_limits());
        exchange.answered = Answered::Partly;
        exchange.answered_micros = now;
        exchange.status = head.status();
        exchange.until_close = delivery.until_close;
        // A response that overtakes its request leaves the rest of the request unread.
        exchange.close |= closing || delivery.until_close || !exchange.has_request();
        let latency = now.saturating_sub(exchange.handed_micros);
        if let Some(stats) = exchange.backend().map(|backend| backend.stats.of(core)) {
            stats.requests.inc(head.status());
            stats.latency.record_micros(latency);
        }
        if let (Some(group), Some(index)) = (exchange.group(), exchange.backend) {
            let answer = Answer {
                micros: latency,
                crowd: exchange.crowd,
                status: head.status(),
            };
            group.answered(index, core, answer, turn.unix_micros());
        }
        let ended = exchange.end_trial(head.status() < 500);
        let report = exchange.observe(Outcome::of_status(head.status()), turn);
        let upstream = exchange.upstream;
        let replay = exchange.replay.take();
        self.tell(ended);
        self.tell(report);
        replay
            .into_iter()
            .for_each(|segment| self.driver.buffers().give(segment));
        let reusable = head.keeps_alive() && framing != http::Framing::UntilClose;
        if let Some(conn) = upstream.and_then(|upstream| self.conns.at_mut(upstream))
            && let Role::Upstream(upstream) = &mut conn.role
        {
            upstream.keeps_alive = reusable;
        }
        self.write_response_head(client, head, false);
    }

    /// Writes the head for the client to `scratch`.
    fn write_response_head(&mut self, client: Key, head: &ResponseHead<'_, '_>, upgrade: bool) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let date = self.date();
        if let Some(exchange) = self.exchange(client) {
            let delivery = head.delivery(exchange.method, exchange.version);
            let http = exchange.listener().map(|listener| &listener.http);
            let id = hex::digits(exchange.number);
            let mut marks = match head.is_interim() {
                true => Marks::of(exchange),
                false => Marks::of(exchange).with_cookie(exchange),
            };
            let mut room = marks::room();
            let edits = ResponseEdits {
                method: exchange.method,
                client: exchange.version,
                close: exchange.close,
                output: delivery.output,
                via: http.and_then(|http| http.via.as_deref()),
                request_id: http.filter(|http| http.request_id).map(|_| &id[..]),
                own: marks.fields(&mut room),
                date: Some(&date[..]),
                upgrade,
            };
            http::write_response(&mut scratch, head, &edits);
        }
        self.scratch = scratch;
    }

    /// Sends the head in `scratch` with the body bytes that stand behind `used` in `input`.
    fn forward_response(&mut self, key: Key, client: Key, input: Input, used: usize) {
        match input {
            Input::Received(mut segment) if self.response_is_verbatim(client) => {
                segment.advance(used);
                let clean = self.take_response_body(client, &mut segment);
                self.count_to_client(client, (segment.len() + self.scratch.len()) as u64);
                self.enqueue_behind_scratch(client, segment);
                self.response_progress(key, client, clean);
            }
            Input::Received(segment) => {
                self.transcode_response(key, client, &segment.bytes()[used..]);
                self.driver.buffers().give(segment);
            }
            Input::Gathered(bytes) => self.transcode_response(key, client, &bytes[used..]),
        }
    }

    fn response_body(&mut self, key: Key, client: Key, mut segment: Segment) {
        if !self.response_is_verbatim(client) {
            self.scratch.clear();
            self.transcode_response(key, client, segment.bytes());
            return self.driver.buffers().give(segment);
        }
        let clean = self.take_response_body(client, &mut segment);
        self.count_to_client(client, segment.len() as u64);
        self.enqueue(client, segment);
        self.response_progress(key, client, clean);
    }

    fn response_is_verbatim(&mut self, client: Key) -> bool {
        self.exchange(client)
            .is_some_and(|exchange| exchange.response.is_verbatim())
    }

    /// Cuts `segment` to what belongs to the body; false if anything stood behind it.
    fn take_response_body(&mut self, client: Key, segment: &mut Segment) -> bool {
        let Some(exchange) = self.exchange(client) else {
            return false;
        };
        let taken = exchange.response.take_verbatim(segment.len());
        let clean = taken == segment.len();
        segment.truncate(taken);
        clean
    }

    /// Appends the body bytes in `input` to `scratch` as the client is to see them; sends that.
    fn transcode_response(&mut self, key: Key, client: Key, input: &[u8]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        let result = exchange.response.transcode(input, &mut scratch);
        self.count_to_client(client, scratch.len() as u64);
        self.enqueue_bytes(client, &scratch);
        self.scratch = scratch;
        match result {
            Ok(taken) => self.response_progress(key, client, taken == input.len()),
            Err(refusal) => {
                tracing::debug!(reason = refusal.reason, "bad response body");
                self.observe(client, Outcome::BrokeOff);
                self.abort_exchange(client, Fault::UpstreamBadResponse);
            }
        }
    }

    /// After bytes of a response: is it over, who is waited for, must the backend be held.
    /// `clean`: nothing stood behind what belongs to the response.
    pub(super) fn response_progress(&mut self, key: Key, client: Key, clean: bool) {
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        if exchange.response.is_done() {
            return self.response_done(client, clean);
        }
        let wait = exchange
            .group()
            .map_or(0, |group| ticks(group.timeouts.response));
        let verbatim = exchange.response.is_verbatim();
        let left = exchange.response.remaining().unwrap_or(u64::MAX);
        self.set_deadline(client, self.now.tick + wait);
        let run = self.conns.at(key).map_or(0, |conn| conn.run_bytes);
        if verbatim && is_bulk(run, left) {
            self.start_bulk(key);
        } else if self.is_congested(client) {
            self.hold(key);
        }
    }

    /// The whole response has been queued for the client.
    fn response_done(&mut self, client: Key, clean: bool) {
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        exchange.answered = Answered::Wholly;
        if let (Some(group), Some(index)) = (exchange.group(), exchange.backend) {
            // Shows nothing that has to be told.
            let _ = group.observe(index, Outcome::Whole);
        }
        let reusable = clean && exchange.has_request();
        let wait = exchange
            .listener()
            .map_or(0, |listener| ticks(listener.timeouts.body));
        self.return_upstream(client, reusable);
        self.set_deadline(client, self.now.tick + wait);
        if self.conns.at(client).is_some_and(|conn| conn.is_flushed()) {
            self.client_flushed(client);
        }
    }

    /// The backend will send nothing more.
    pub(super) fn upstream_end(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        let client = conn.peer;
        let Role::Upstream(upstream) = &conn.role else {
            return;
        };
        let client = match (upstream.state, client) {
            (UpstreamState::Busy, Some(client)) => client,
            (UpstreamState::Idle, _) => return self.close_idle(key),
            _ => return,
        };
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        match exchange.answered {
            Answered::NotYet => self.upstream_failed(key, Errno::PIPE),
            Answered::Partly => {
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                let finished = self
                    .exchange(client)
                    .is_some_and(|e| e.response.finish_at_eof(&mut scratch).is_ok());
                self.count_to_client(client, scratch.len() as u64);
                self.enqueue_bytes(client, &scratch);
                self.scratch = scratch;
                if finished {
                    self.response_done(client, false);
                } else {
                    self.observe(client, Outcome::BrokeOff);
                    self.abort_exchange(client, Fault::UpstreamAborted);
                }
            }
            Answered::Wholly => self.close_upstream(key),
        }
    }
}
