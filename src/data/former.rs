//! Second choices while a shard rule hands keys over: where a request goes that the new owner of
//! its key cannot take.
//!
//! The new owner comes first, with its retries and its queue; the former one is asked where the new
//! one has nobody to send to, or where every try of it ended before a byte of the request was
//! taken. Once per request, so nothing goes to and fro.

use std::time::Duration;

use crate::base::fault::Fault;
use crate::base::id::{CoreId, GroupIndex, ShardIndex};
use crate::base::slab::Key;
use crate::data::conn::{OutQueue, Role};
use crate::data::exchange::Exchange;
use crate::data::place::{Affinity, By};
use crate::data::relay::RelayDown;
use crate::data::worker::Worker;
use crate::http::RequestHead;
use crate::routing::breaker::Rights;
use crate::routing::policy::Tried;
use crate::runtime::driver::Driver;

/// The former owner of a request's key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Former {
    pub(super) group: GroupIndex,
    pub(super) shard: ShardIndex,
    pub(super) affinity: Affinity,
}

impl<D: Driver> Worker<D> {
    /// The time by which windows are open.
    pub(super) fn since_1970(&self) -> Duration {
        Duration::from_micros(self.now.unix_micros())
    }

    /// Notes who had the key of a request before, if that was somebody else.
    pub(super) fn note_former(
        &self,
        key: Key,
        exchange: &mut Exchange,
        head: &RequestHead<'_, '_>,
        by: By,
    ) {
        if let (Some(group), Some(shard)) = (by.former, by.shard) {
            let affinity = self.affinity(key, exchange.table.group(group), head);
            exchange.table.shard(shard).count_moved(self.core);
            exchange.former = Some(Box::new(Former {
                group,
                shard,
                affinity,
            }));
        }
    }

    /// Gives the exchange of `client`, which has no backend, to the former owner of its key; false
    /// where there is none, or it can take it neither.
    pub(super) fn attach_to_former(&mut self, client: Key) -> bool {
        let core = self.core;
        let Some(exchange) = self.exchange(client) else {
            return false;
        };
        let Some(former) = exchange.former.take() else {
            return false;
        };
        let table = exchange.table.clone();
        exchange.group = Some(former.group);
        exchange.affinity = former.affinity;
        exchange.backend = None;
        exchange.rights = Rights::default();
        exchange.tried = Tried::default();
        exchange.retries = 0;
        table.shard(former.shard).count_former(core);
        self.pay_for_retries(table.group(former.group));
        self.attach_upstream(client, None).is_ok()
    }
}

impl<D: Driver> Worker<D> {
    /// Notes who had the key of a relay before, if that was somebody else.
    pub(super) fn note_relay_former(
        &mut self,
        down: Key,
        former: Option<GroupIndex>,
        shard: ShardIndex,
    ) {
        let core = self.core;
        if let (Some(group), Some(Role::RelayDown(relay))) =
            (former, self.conns.at_mut(down).map(|conn| &mut conn.role))
        {
            relay.table.shard(shard).count_moved(core);
            relay.former = Some(Box::new((group, shard)));
        }
    }

    /// A relay that finds nobody turns to the former owner of its key, or ends if there is none.
    pub(super) fn relay_unplaced(&mut self, down: Key, out: OutQueue, finish: bool, fault: Fault) {
        let core = self.core;
        let turns = match self.conns.at_mut(down).map(|conn| &mut conn.role) {
            Some(Role::RelayDown(relay)) => relay.turn_to_former(core),
            _ => false,
        };
        if turns {
            return self.connect_relay(down, out, finish, None);
        }
        self.give_queue(out);
        self.reset_relay(down, fault);
    }
}

impl RelayDown {
    /// Turns to the former owner of its key; false where there is none.
    fn turn_to_former(&mut self, core: CoreId) -> bool {
        let Some((group, shard)) = self.former.take().map(|former| *former) else {
            return false;
        };
        self.table.shard(shard).count_former(core);
        self.group = Some(group);
        self.rights = Rights::default();
        self.tried = None;
        self.retries = 0;
        true
    }
}
