//! What an exchange or a relay that ended is told to the log.

use crate::base::decision::Reason;
use crate::base::fault::Fault;
use crate::base::slab::Key;
use crate::data::conn::Role;
use crate::data::exchange::Exchange;
use crate::data::worker::Worker;
use crate::http::Version;
use crate::routing::matcher::Destination;
use crate::runtime::driver::Driver;
use crate::runtime::net;
use crate::telemetry::access_log::draft::Draft;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::{AccessRecord, Choice, Reached, Readers, Stickiness};

impl Exchange {
    /// How far it came.
    fn reached(&self) -> Reached {
        match (self.fault, self.backend()) {
            (None, _) => Reached::End,
            (Some(_), None) if self.queue_micros > 0 => Reached::Queue,
            (Some(_), None) => Reached::Head,
            (Some(_), Some(_)) if self.connect_micros.is_none() => Reached::Connect,
            (Some(_), Some(_)) if self.answered_micros == 0 => Reached::Answer,
            (Some(_), Some(_)) => Reached::Body,
        }
    }

    fn choice(&self) -> Choice {
        let group = self.group();
        Choice {
            key: self.affinity.place,
            reason: if self.second {
                Reason::Hedge
            } else {
                self.reason
            },
            policy: group.map_or(u8::MAX, |group| group.policy.kind().number()),
            candidates: group.map_or(0, |group| group.backends.len() as u32),
            tried: self.tried.len() as u8,
        }
    }

    fn stickiness(&self) -> Stickiness {
        let sticky = self.group().and_then(|group| group.sticky.as_ref());
        let by_cookie = |backend| sticky.is_some_and(|by| by.set_cookie(backend).is_some());
        let named = self.affinity.preferred;
        Stickiness {
            looked: self.backend.is_some_and(by_cookie),
            named: named.is_some(),
            moved: named != self.backend,
        }
    }
}

impl<D: Driver> Worker<D> {
    /// Whether anything may be told of a request whose trace is recorded or not.
    #[inline]
    pub(super) fn may_tell(&self, traced: bool) -> bool {
        self.log.as_ref().is_some_and(|log| log.may_tell(traced))
    }

    pub(super) fn log_exchange(
        &mut self,
        key: Key,
        exchange: &Exchange,
        duration: u64,
        draft: &mut Draft,
    ) {
        let address = self.client_address(key);
        let address = address.or_else(|| net::peer_address(self.conns.at(key)?.fd()));
        let upstream_micros = exchange
            .answered_micros
            .saturating_sub(exchange.handed_micros);
        let Some(client) = address else { return };
        let record = AccessRecord {
            ended_unix_micros: self.now.unix_micros(),
            listener: exchange.listener,
            client,
            backend: exchange.backend().map(|backend| backend.slot),
            status: exchange.status,
            http10: exchange.version == Version::Http10,
            retries: exchange.retries,
            bytes_received: exchange.bytes_received,
            bytes_sent: exchange.bytes_sent,
            body_bytes_sent: exchange.response.bytes(),
            duration_micros: duration,
            upstream_micros,
            head_micros: exchange.head_micros,
            queue_micros: exchange.queue_micros,
            connect_micros: exchange.connect_micros,
            handed_micros: exchange
                .handed_micros
                .saturating_sub(exchange.started_micros),
            reached: exchange.reached(),
            choice: exchange.choice(),
            readers: Readers {
                spans: exchange.traced,
                ..Readers::default()
            },
            stickiness: exchange.stickiness(),
            epoch: exchange.table.epoch.0,
            fault: exchange.fault,
            request_number: exchange.number,
        };
        self.push_log(&record, draft);
    }

    /// Logs a finished relay: the upgraded request, or a TCP connection (status 0).
    pub(super) fn log_relay(&mut self, down: Key, fault: Option<Fault>) {
        let (now, logs) = (self.now, self.log.is_some());
        let Some(Role::RelayDown(relay)) = self.conns.at_mut(down).map(|conn| &mut conn.role)
        else {
            return;
        };
        let duration = now.micros.saturating_sub(relay.started_micros);
        if let Some(mut exchange) = relay.exchange.take() {
            exchange.fault = fault;
            exchange.bytes_sent += relay.bytes_sent;
            return self.settle_exchange(down, exchange);
        }
        let Some(client) = relay.client.as_deref().copied() else {
            return;
        };
        let reached = match (fault, relay.backend(), relay.connect_micros) {
            (None, ..) => Reached::End,
            (Some(_), None, _) => Reached::Head,
            (Some(_), Some(_), None) => Reached::Connect,
            (Some(_), Some(_), Some(_)) => Reached::Body,
        };
        let record = AccessRecord {
            ended_unix_micros: now.unix_micros(),
            listener: relay.listener,
            client,
            backend: relay.backend().map(|backend| backend.slot),
            status: 0,
            http10: false,
            retries: relay.retries,
            bytes_received: relay.bytes_received,
            bytes_sent: relay.bytes_sent,
            body_bytes_sent: relay.bytes_sent,
            duration_micros: duration,
            upstream_micros: 0,
            head_micros: 0,
            queue_micros: 0,
            connect_micros: relay.connect_micros,
            handed_micros: 0,
            reached,
            choice: Choice::default(),
            readers: Readers::default(),
            stickiness: Stickiness::default(),
            epoch: relay.table.epoch.0,
            fault,
            request_number: 0,
        };
        let mut draft = Draft::default();
        let listener = relay.table.listener(relay.listener);
        if let Some(Destination::Shard(shard)) = listener.and_then(|found| found.routes.default)
            && logs
        {
            let shard = relay.table.shard(shard).name.as_bytes();
            draft.write(&Texts {
                shard,
                ..Texts::default()
            });
        }
        self.push_log(&record, &mut draft);
    }

    fn push_log(&mut self, record: &AccessRecord, draft: &mut Draft) {
        let Some(log) = self.log.as_mut() else { return };
        if !log.push(record, draft) {
            self.stats.log_dropped.inc();
        }
    }
}
