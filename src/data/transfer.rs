//! The bulk path's view of what it moves: how much is left, what to count, who goes on after.

use rustix::io::Errno;

use crate::base::slab::Key;
use crate::data::conn::Role;
use crate::data::ticks::ticks;
use crate::data::upstream::UpstreamState;
use crate::data::worker::Worker;
use crate::runtime::driver::Driver;

impl<D: Driver> Worker<D> {
    /// Bytes a bulk transfer from `source` may still move; `u64::MAX` until its end.
    pub(super) fn bulk_left(&mut self, source: Key) -> u64 {
        let Some(conn) = self.conns.at(source) else {
            return 0;
        };
        match (&conn.role, conn.peer) {
            (Role::RelayDown(_) | Role::RelayUp(_), _) => u64::MAX,
            (Role::Client(client), _) => client
                .exchange
                .as_ref()
                .and_then(|exchange| exchange.request.remaining())
                .unwrap_or(0),
            (Role::Upstream(_), Some(client)) => self.exchange(client).map_or(0, |exchange| {
                exchange.response.remaining().unwrap_or(u64::MAX)
            }),
            (Role::Upstream(_), None) => 0,
        }
    }

    /// Accounts for bytes a bulk transfer took from `source`.
    pub(super) fn bulk_moved(&mut self, source: Key, target: Key, count: u64) {
        let core = self.core;
        let taken = usize::try_from(count).unwrap_or(usize::MAX);
        match self.conns.at(source).map(|conn| &conn.role) {
            Some(Role::Client(_)) => {
                let Some(exchange) = self.exchange(source) else {
                    return;
                };
                exchange.request.take_verbatim(taken);
                exchange.bytes_received += count;
                if let Some(stats) = exchange.backend().map(|backend| backend.stats.of(core)) {
                    stats.bytes_sent.add(count);
                }
                let wait = exchange.listener().map_or(0, |l| ticks(l.timeouts.body));
                self.set_deadline(source, self.now.tick + wait);
            }
            Some(Role::Upstream(upstream)) => {
                let slot = upstream.slot.index();
                if let Some(stats) = self.backend_stats.get(slot).and_then(Option::as_ref) {
                    stats.of(core).bytes_received.add(count);
                }
                self.count_to_client(target, count);
                let Some(exchange) = self.exchange(target) else {
                    return;
                };
                exchange.response.take_verbatim(taken);
                let wait = exchange
                    .group()
                    .map_or(0, |group| ticks(group.timeouts.response));
                self.set_deadline(target, self.now.tick + wait);
            }
            Some(Role::RelayDown(_) | Role::RelayUp(_)) => self.relay_moved(source, target, count),
            None => {}
        }
    }

    /// A bulk transfer of a body is over.
    pub(super) fn bulk_body_done(&mut self, source: Key) {
        let Some(conn) = self.conns.at(source) else {
            return;
        };
        match (&conn.role, conn.peer) {
            (Role::Upstream(_), Some(client)) => self.response_progress(source, client, true),
            (Role::Client(_), _) => self.request_progress(source),
            _ => {}
        }
    }

    /// Everything queued for a backend has been sent: its client may go on.
    pub(super) fn upstream_flushed(&mut self, key: Key) {
        let Some(client) = self.conns.at(key).and_then(|conn| conn.peer) else {
            return;
        };
        if self
            .conns
            .at(client)
            .is_some_and(|conn| conn.bulk.is_some())
        {
            return self.begin_bulk_when_ready(client);
        }
        self.release(client);
    }

    /// Sending to a backend failed. If it had taken part of the request its response may be on
    /// the way all the same (413, say), so only the sending ends; else the connection failed.
    pub(super) fn upstream_send_failed(&mut self, key: Key, error: Errno) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        let Role::Upstream(upstream) = &conn.role else {
            return;
        };
        if upstream.untouched || upstream.state != UpstreamState::Busy || conn.ended {
            return self.upstream_failed(key, error);
        }
        let out = std::mem::take(&mut conn.out);
        // Nothing more is sent; the receive goes on.
        conn.finished = true;
        let client = conn.peer;
        self.give_queue(out);
        let Some(client) = client else { return };
        if let Some(exchange) = self.exchange(client) {
            exchange.discard = true;
        }
        self.cancel_bulk(client);
        self.release(client);
    }
}
