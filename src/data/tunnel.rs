//! An exchange that became a tunnel (101): from here on both connections are a plain relay, which
//! keeps the exchange to its end, because that is counted and logged.

use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::conn::{NEVER, Role};
use crate::data::relay::{RelayDown, RelayUp};
use crate::data::ticks::few_ticks;
use crate::data::worker::Worker;
use crate::routing::breaker::Rights;
use crate::runtime::driver::Driver;

impl<D: Driver> Worker<D> {
    /// Both connections become a plain relay; `early` is what the backend sent behind its head.
    pub(super) fn open_tunnel(&mut self, key: Key, client: Key, early: &[u8]) {
        let head = std::mem::take(&mut self.scratch);
        self.count_to_client(client, head.len() as u64);
        self.enqueue_bytes(client, &head);
        self.scratch = head;
        let Some(state) = self.client(client) else {
            return;
        };
        let (slot, address) = (state.listener, state.address.take());
        let ahead = state.stash.take();
        let Some(mut exchange) = state.exchange.take() else {
            return;
        };
        let Some(group) = exchange.group else { return };
        exchange.upstream = None;
        let relay = RelayDown {
            listener: slot,
            table: Pinned::clone(&exchange.table),
            group: Some(group),
            former: None,
            peek: None,
            backend: exchange.backend,
            tried: None,
            retries: exchange.retries,
            trial: false,
            rights: Rights::default(),
            client: address,
            started_micros: exchange.started_micros,
            connect_micros: None,
            idle: exchange
                .group()
                .map_or(0, |group| few_ticks(group.timeouts.tunnel)),
            bytes_received: 0,
            bytes_sent: 0,
            exchange: Some(exchange),
        };
        let idle = relay.idle();
        if let Some(conn) = self.conns.at_mut(client) {
            conn.role = Role::RelayDown(Box::new(relay));
        }
        if let Some(conn) = self.conns.at_mut(key) {
            if let Role::Upstream(upstream) = &mut conn.role {
                let slot = upstream.slot;
                // The exchange goes on with the relay and keeps the permit of the request.
                let [of_backend, of_group] = std::mem::take(&mut upstream.permits);
                conn.role = Role::RelayUp(RelayUp {
                    slot,
                    _permits: [of_backend, None, of_group],
                });
            }
            conn.deadline = NEVER;
        }
        self.relay_moved(key, client, early.len() as u64);
        self.relay_moved(client, key, ahead.len() as u64);
        self.enqueue_bytes(client, early);
        self.enqueue_bytes(key, &ahead);
        self.set_deadline(client, self.now.tick + idle);
        self.release(client);
        self.release(key);
        for ended in [client, key] {
            if self.conns.at(ended).is_some_and(|conn| conn.ended) {
                self.relay_end(ended);
            }
        }
    }
}
