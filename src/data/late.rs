//! The deadline of a client's connection has passed: who is late, and what that means.

use crate::base::fault::Fault;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::client::Phase;
use crate::data::ticks::ticks;
use crate::data::worker::Worker;
use crate::runtime::driver::Driver;

impl<D: Driver> Worker<D> {
    /// The deadline of a client's connection has passed.
    pub(super) fn client_due(&mut self, key: Key) {
        if self.is_exchanging_slowly(key) {
            let wait = self
                .listener_timeouts(key)
                .map_or(0, |timeouts| ticks(timeouts.body));
            return self.extend_deadline(key, self.now.tick + wait);
        }
        let Some(client) = self.client(key) else {
            return;
        };
        match (client.phase, client.exchange.as_ref()) {
            (Phase::Exchange, Some(exchange)) => {
                let has_request = exchange.has_request();
                if exchange.waiting.is_some() {
                    return self.answer_fault(key, Fault::GroupFull);
                }
                match self.who_is_late(key, has_request) {
                    Fault::UpstreamTimeout => self.backend_late(key),
                    fault => self.answer_fault(key, fault),
                }
            }
            (Phase::Head, _) if !client.stash.is_empty() => {
                let slot = client.listener;
                let received = client.stash.len() as u64;
                client.gather = None;
                let times = self.head_times(key);
                if let Some(state) = self.listener(slot) {
                    let table = Pinned::clone(&state.table);
                    let mut exchange = self.spares.begin(table, slot, times);
                    exchange.bytes_received = received;
                    self.set_exchange(key, exchange);
                }
                self.answer_fault(key, Fault::ClientTimeout);
            }
            _ => self.close_client(key, None),
        }
    }

    /// Whether an exchange is under way and one of its ends still takes bytes.
    fn is_exchanging_slowly(&mut self, key: Key) -> bool {
        let Some(exchange) = self.exchange(key) else {
            return false;
        };
        let upstream = exchange.upstream;
        let client_takes = self.takes_bytes(key);
        upstream.is_some_and(|upstream| self.takes_bytes(upstream)) || client_takes
    }

    /// Whose silence an exchange suffers from.
    fn who_is_late(&self, key: Key, has_request: bool) -> Fault {
        let Some(conn) = self.conns.at(key) else {
            return Fault::ClientTimeout;
        };
        let upstream_busy = conn
            .peer
            .and_then(|peer| self.conns.at(peer))
            .is_some_and(|peer| !peer.is_flushed());
        let client_busy = conn.ops.sending || conn.ops.polling_out;
        if client_busy || (!has_request && !upstream_busy) {
            Fault::ClientTimeout
        } else {
            Fault::UpstreamTimeout
        }
    }
}
