//! Answers of our own, the end of exchanges that went wrong, and the accounts of all of them.

use std::time::Duration;

use crate::base::fault::Fault;
use crate::base::hex;
use crate::base::id::ListenerSlot;
use crate::base::slab::Key;
use crate::data::conn::Role;
use crate::data::exchange::{Answered, Exchange};
use crate::data::health::speaks_against_group;
use crate::data::marks::{self, Marks};
use crate::data::ticks::ticks;
use crate::data::worker::Worker;
use crate::http::{self, Answer, Method};
use crate::routing::retry_after::retry_after;
use crate::routing::standing::Return;
use crate::routing::table::ListenerTimeouts;
use crate::runtime::driver::Driver;
use crate::runtime::net;

impl Exchange {
    /// Seconds after which its client should ask again; what is full has room at any moment.
    fn retry_after(&self, fault: Option<Fault>, unix_millis: u64, chance: u64) -> u32 {
        let awaited = match fault {
            Some(Fault::BreakerOpen) => Some(Return::Breaker),
            Some(Fault::NoBackend) => Some(Return::Backend),
            _ => None,
        };
        let (Some(awaited), Some(group)) = (awaited, self.group()) else {
            return 1;
        };
        retry_after(group.standing.returns(awaited), unix_millis, chance >> 32)
    }
}

impl<D: Driver> Worker<D> {
    /// Answers the exchange of client `key` with what `fault` means, or, when the response has
    /// already begun, ends it so that nobody takes it for complete.
    pub(super) fn answer_fault(&mut self, key: Key, fault: Fault) {
        let begun = self
            .exchange(key)
            .is_some_and(|e| e.answered != Answered::NotYet);
        if begun {
            return self.abort_exchange(key, fault);
        }
        let close = matches!(fault, Fault::ClientTimeout | Fault::ClientBadRequest);
        self.answer(key, fault.status(), fault.name(), Some(fault), close);
    }

    /// Queues an answer of our own; `detail` is the reason given in its body.
    pub(super) fn answer(
        &mut self,
        key: Key,
        status: u16,
        detail: &str,
        fault: Option<Fault>,
        close: bool,
    ) {
        if self
            .exchange(key)
            .is_some_and(|e| e.answered != Answered::NotYet)
        {
            return self.abort_exchange(key, fault.unwrap_or(Fault::ClientBadRequest));
        }
        self.detach_upstream(key, fault);
        let date = self.date();
        let closing = self.is_last_request(key);
        let now = self.now;
        let unix = now.unix_micros() / 1000;
        // Differs from client to client, also within one turn.
        let chance = (now.micros ^ u64::from(key.index)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        if let Some(exchange) = self.exchange(key) {
            exchange.answered = Answered::Wholly;
            exchange.leave_queue(now.micros);
            exchange.status = status;
            exchange.fault = fault;
            exchange.close |= close || closing || !exchange.has_request();
            let wants_id = exchange.listener().is_some_and(|l| l.http.request_id);
            let id = hex::digits(exchange.number);
            let mut marks = Marks::of(exchange);
            let mut room = marks::room();
            let answer = Answer {
                status,
                detail,
                close: exchange.close,
                head_only: exchange.method == Method::Head,
                retry_after: (status == 503).then(|| exchange.retry_after(fault, unix, chance)),
                request_id: (wants_id && exchange.number != 0).then_some(&id[..]),
                own: marks.fields(&mut room),
                version: exchange.version,
            };
            http::write_answer(&mut scratch, &answer, &date);
        }
        self.count_to_client(key, scratch.len() as u64);
        self.enqueue_bytes(key, &scratch);
        self.scratch = scratch;
        let wait = self
            .listener_timeouts(key)
            .map_or(0, |timeouts| ticks(timeouts.body));
        self.set_deadline(key, self.now.tick + wait);
    }

    /// Takes the exchange of client `key` off its backend, whose connection is not clean any more.
    fn detach_upstream(&mut self, key: Key, fault: Option<Fault>) {
        self.give_up_rival(key);
        let core = self.core;
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        let replay = exchange.replay.take();
        let upstream = exchange.upstream.take();
        if upstream.is_some() {
            exchange.leave_backend(core);
        }
        if let (Some(fault), Some(backend)) = (fault, exchange.backend()) {
            backend.stats.of(core).faults[fault as usize].inc();
        }
        replay
            .into_iter()
            .for_each(|segment| self.driver.buffers().give(segment));
        if let Some(conn) = self.conns.at_mut(key) {
            conn.peer = None;
        }
        if let Some(upstream) = upstream {
            if let Some(conn) = self.conns.at_mut(upstream) {
                conn.peer = None;
            }
            self.close_upstream(upstream);
        }
    }

    /// Ends an exchange without a (complete) response.
    pub(super) fn abort_exchange(&mut self, key: Key, fault: Fault) {
        self.detach_upstream(key, Some(fault));
        let now = self.now.micros;
        let Some(client) = self.client(key) else {
            return;
        };
        let Some(mut exchange) = client.exchange.take() else {
            return;
        };
        exchange.fault = Some(fault);
        exchange.leave_queue(now);
        if exchange.status == 0 {
            exchange.status = fault.status();
        }
        let hides_truncation = exchange.until_close;
        self.settle_exchange(key, exchange);
        if hides_truncation && let Some(conn) = self.conns.at(key) {
            net::reset_on_close(conn.fd());
        }
        self.close_client(key, None);
    }

    /// Counts and logs a finished exchange.
    pub(super) fn settle_exchange(&mut self, key: Key, mut exchange: Box<Exchange>) {
        let core = self.core;
        let duration = self.now.micros.saturating_sub(exchange.started_micros);
        if exchange.fault.is_some_and(speaks_against_group) {
            let ended = exchange.end_trial(false);
            self.tell(ended);
        }
        if let Some(listener) = exchange.listener() {
            let stats = listener.stats.of(core);
            stats.requests.inc(exchange.status);
            stats.latency.record_micros(duration);
            stats.bytes_received.add(exchange.bytes_received);
            let account = listener.account(exchange.route);
            match exchange.backend() {
                Some(backend) => {
                    let answered = &backend.stats.of(core).answered;
                    answered.inc(account.serial, exchange.status);
                }
                None => account.unplaced.of(core).inc(exchange.status),
            }
            if let Some(fault) = exchange.fault {
                stats.faults[fault as usize].inc();
            }
        }
        let connect = exchange.connect_micros.unwrap_or(0);
        let phases = &self.stats.phases;
        phases.record(exchange.head_micros, exchange.queue_micros, connect);
        if self.may_tell(exchange.traced) {
            let mut draft = std::mem::take(&mut exchange.draft);
            self.log_exchange(key, &exchange, duration, &mut draft);
            exchange.draft = draft;
        }
        self.spares.keep(exchange);
    }

    /// Counts bytes queued for a client.
    pub(super) fn count_to_client(&mut self, key: Key, count: u64) {
        let core = self.core;
        let Some(exchange) = self.exchange(key) else {
            return;
        };
        exchange.bytes_sent += count;
        if let Some(listener) = exchange.listener() {
            listener.stats.of(core).bytes_sent.add(count);
        }
    }

    /// Settles the accounts of a client's connection that is about to be closed.
    pub(super) fn leave_listener(&mut self, key: Key, fault: Option<Fault>) {
        let core = self.core;
        let slot = match self.conns.at(key).map(|conn| (&conn.role, conn.dying)) {
            Some((Role::Client(client), false)) => client.listener,
            Some((Role::RelayDown(relay), false)) => relay.listener,
            _ => return,
        };
        let Some(state) = self.listener_mut(slot) else {
            return;
        };
        state.open -= 1;
        if let Some(listener) = state.table.listener(slot) {
            let stats = listener.stats.of(core);
            stats.connections_open.down();
            if let Some(fault) = fault {
                stats.faults[fault as usize].inc();
            }
        }
        self.accept_again(slot);
    }

    /// Times of the listener a client came in by.
    pub(super) fn listener_timeouts(&self, key: Key) -> Option<ListenerTimeouts> {
        let slot = self.listener_of(key)?;
        Some(self.listener(slot)?.table.listener(slot)?.timeouts)
    }

    fn listener_of(&self, key: Key) -> Option<ListenerSlot> {
        match &self.conns.at(key)?.role {
            Role::Client(client) => Some(client.listener),
            Role::RelayDown(relay) => Some(relay.listener),
            _ => None,
        }
    }

    /// Whether the client's connection `key` is to end after its next answer at the latest.
    pub(super) fn is_leaving(&self, key: Key) -> bool {
        self.draining.is_some() || self.ends_keep_alive() || self.leaves_when_idle(key)
    }

    /// Whether the client's connection `key` is to end as soon as nothing is asked on it: the
    /// worker drains, its listener was removed, or the client will send nothing more. While a drain
    /// is young, who was not told that it ends is let ask once more.
    pub(super) fn leaves_when_idle(&self, key: Key) -> bool {
        let Some(conn) = self.conns.at(key) else {
            return true;
        };
        let removed = self
            .listener_of(key)
            .and_then(|slot| self.listener(slot))
            .is_none_or(|listener| listener.removed);
        let draining = self.draining.as_ref();
        draining.is_some_and(|draining| draining.idle_closed) || conn.ended || removed
    }

    /// Whether the present request is the last on the client's connection `key`.
    pub(super) fn is_last_request(&self, key: Key) -> bool {
        let Some(Role::Client(client)) = self.conns.at(key).map(|conn| &conn.role) else {
            return true;
        };
        let limit = self
            .listener(client.listener)
            .and_then(|state| state.table.listener(client.listener))
            .map_or(u32::MAX, |listener| listener.http.requests_max);
        client.requests.saturating_add(1) >= limit || self.is_leaving(key)
    }

    /// The value of `Date`, made once a second.
    pub(super) fn date(&mut self) -> [u8; 29] {
        let second = self.now.unix_micros() / 1_000_000;
        if self.date_second != second {
            self.date_second = second;
            let time = std::time::UNIX_EPOCH + Duration::from_secs(second);
            let text = httpdate::fmt_http_date(time);
            if let Ok(text) = text.as_bytes().try_into() {
                self.date_text = text;
            }
        }
        self.date_text
    }
}
