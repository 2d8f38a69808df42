//! Hedging: a request that has waited for long is sent to a second backend as well, and the first
//! answer counts.
//!
//! Only what is safe to be sent twice is: an idempotent request that is wholly in our hands, of
//! which no byte of an answer has come, and that neither is a trial nor belongs to the backend its
//! client sticks to. There is one second copy at most, it is paid for as a retry, and goes to a
//! backend that is well. An exchange *faces* one of its copies, which is what everything else sees
//! of it; what happens to the other one turns it around first. So whoever begins to answer is
//! faced, and the other copy is given up with its connection: nothing of it can reach a client. A
//! copy that fails while there is another is only left; an answer of 5xx is a failure there.
//!
//! Nothing is thought of a backend that lost. Only the policies of a group are told how long the
//! first one has had by then: it takes that long at least, and who hides that from them sends the
//! slow one as much as before, and pays for a second copy each time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::base::fault::Fault;
use crate::base::id::BackendIndex;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::conn::{Conn, Role};
use crate::data::exchange::{Answered, Exchange};
use crate::data::ticks::ticks;
use crate::data::worker::Worker;
use crate::routing::feedback::Answer;
use crate::routing::limit::Permit;
use crate::routing::policy::{Ask, Tried, pick};
use crate::routing::standing::{BreakerState, Outcome};
use crate::routing::table::Group;
use crate::runtime::driver::Driver;

/// Second copies one core has planned at one time; what comes more is not hedged.
const PLANNED_MAX: usize = 64 * 1024;

/// The copy of a request its exchange does not face.
pub(super) struct Rival {
    backend: BackendIndex,
    upstream: Key,
    permit: Option<Permit>,
    crowd: u8,
    handed_micros: u64,
    connect_micros: Option<u64>,
    /// It is the second one.
    second: bool,
}

/// Second copies by when they are due, in microseconds; of exchanges that have been answered
/// since, too.
#[derive(Default)]
pub(super) struct Hedges(BinaryHeap<Reverse<(u64, u32, u32)>>);

impl Hedges {
    fn plan(&mut self, due: u64, client: Key) {
        self.0.push(Reverse((due, client.index, client.generation)));
    }

    fn first(&self) -> Option<(u64, Key)> {
        let Reverse((due, index, generation)) = *self.0.peek()?;
        Some((due, Key { index, generation }))
    }
}

impl Exchange {
    /// Whether it may have a second copy, as far as that is known when the first one is sent.
    fn may_be_hedged(&self) -> bool {
        let plain = !self.wants_upgrade && !self.wants_continue;
        let tried_out = self.trial || self.rights.trial.is_some();
        let sticks = self.affinity.preferred == self.backend;
        self.method.is_idempotent() && plain && !tried_out && !sticks
    }

    /// The connection `upstream` of one of its copies has come about.
    pub(super) fn connected(&mut self, upstream: Key, now_micros: u64) {
        let (copy, handed) = match self.rival.as_deref_mut() {
            Some(rival) if rival.upstream == upstream => {
                (&mut rival.connect_micros, rival.handed_micros)
            }
            _ => (&mut self.connect_micros, self.handed_micros),
        };
        *copy = Some(now_micros.saturating_sub(handed));
    }

    /// Turns to the copy at `upstream`; false if that is faced already.
    fn turn_to(&mut self, upstream: Key) -> bool {
        let Some(rival) = self.rival.as_deref_mut() else {
            return false;
        };
        let (Some(here), Some(backend), true) =
            (self.upstream, self.backend, rival.upstream == upstream)
        else {
            return false;
        };
        self.upstream = Some(std::mem::replace(&mut rival.upstream, here));
        self.backend = Some(std::mem::replace(&mut rival.backend, backend));
        std::mem::swap(&mut self.permit, &mut rival.permit);
        std::mem::swap(&mut self.crowd, &mut rival.crowd);
        std::mem::swap(&mut self.handed_micros, &mut rival.handed_micros);
        std::mem::swap(&mut self.connect_micros, &mut rival.connect_micros);
        std::mem::swap(&mut self.second, &mut rival.second);
        true
    }
}

impl<D: Driver> Worker<D> {
    /// Plans a second copy of the exchange of client `key`, which has just been handed over.
    pub(super) fn plan_hedge(&mut self, key: Key, group: &Group) {
        let Some(delay) = group.retry.hedge_after else {
            return;
        };
        let delay = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let due = self.now.micros.saturating_add(delay);
        if self.hedges.0.len() >= PLANNED_MAX {
            return;
        }
        if let Some(exchange) = self.exchange(key)
            && exchange.may_be_hedged()
        {
            exchange.hedge_due = due;
            self.hedges.plan(due, key);
        }
    }

    /// How long the worker may sleep, `most` at most: until the next second copy is due.
    pub(super) fn sleep_before_hedges(&mut self, most: Duration) -> Duration {
        while let Some((due, key)) = self.hedges.first() {
            if self.is_planned(key, due) {
                let left = Duration::from_micros(due.saturating_sub(self.now.micros));
                return most.min(left);
            }
            self.hedges.0.pop();
        }
        most
    }

    /// Sends the second copies that are due.
    pub(super) fn send_hedges(&mut self) {
        while let Some((due, key)) = self.hedges.first()
            && due <= self.now.micros
        {
            self.hedges.0.pop();
            if self.is_planned(key, due) {
                self.hedge(key);
            }
        }
    }

    fn is_planned(&mut self, key: Key, due: u64) -> bool {
        let planned = |exchange: &mut Exchange| {
            exchange.hedge_due == due && exchange.answered == Answered::NotYet
        };
        self.exchange(key).is_some_and(planned)
    }

    /// Sends a second copy for the exchange of `client`, if it still could go again, another
    /// backend is there, and the group affords it.
    fn hedge(&mut self, client: Key) {
        let core = self.core;
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        exchange.hedge_due = 0;
        let table = Pinned::clone(&exchange.table);
        let (could, group) = (exchange.could_go_again(), exchange.group);
        let Some(group) = group.map(|index| table.group(index)) else {
            return;
        };
        let tries = group.standing.breaker() != BreakerState::Closed;
        if !could || tries || self.is_answering(client) {
            return;
        }
        let Some((upstream, backend, permit)) = self.find_beside(client, group) else {
            return;
        };
        group.enter(backend, core);
        group.backends[backend.index()].stats.of(core).hedges.inc();
        self.engage(upstream, client);
        let now = self.now.micros;
        let is_connected = |conn: &Conn| conn.established;
        let is_connected = self.conns.at(upstream).is_some_and(is_connected);
        let crowd = group.crowd_at(backend, self.now.unix_micros());
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        exchange.tried.insert(backend);
        exchange.rival = Some(Box::new(Rival {
            backend,
            upstream,
            permit,
            crowd,
            handed_micros: now,
            connect_micros: is_connected.then_some(0),
            second: true,
        }));
        if let Some(request) = exchange.replay.take() {
            self.enqueue_bytes(upstream, request.bytes());
            if let Some(exchange) = self.exchange(client) {
                exchange.replay = Some(request);
            }
        }
    }

    /// Whether a part of an answer has come for the exchange of `client`.
    fn is_answering(&mut self, client: Key) -> bool {
        let upstream = self.exchange(client).and_then(|exchange| exchange.upstream);
        match upstream
            .and_then(|key| self.conns.at(key))
            .map(|conn| (&conn.role, conn.failed))
        {
            Some((Role::Upstream(upstream), None)) => !upstream.stash.is_empty(),
            _ => true,
        }
    }

    /// A connection to another backend that is well, and the right to a request there.
    fn find_beside(
        &mut self,
        client: Key,
        group: &Group,
    ) -> Option<(Key, BackendIndex, Option<Permit>)> {
        let exchange = self.exchange(client)?;
        let (mut passed, place) = (exchange.tried, exchange.affinity.place);
        let mut paid = false;
        // Ends: each pick passes one more over, and there is room for a few only.
        loop {
            let index = self.pick_beside(group, place, &passed)?;
            passed.insert(index);
            let backend = &group.backends[index.index()];
            if backend.standing.word().is_suspended() && !group.standing.is_panicking() {
                continue;
            }
            let stats = backend.stats.of(self.core);
            if !paid {
                let rights = &mut self.exchange(client)?.rights;
                paid = rights.may_retry(&group.breaker) && self.affords_retry(group);
                if !paid {
                    stats.retries_refused.inc();
                    return None;
                }
            }
            let mut permit = None;
            let Ok((pooled, permits)) = self.take_permits((group, backend), true, &mut permit)
            else {
                continue;
            };
            if let Some(upstream) = pooled {
                stats.reuses.inc();
                return Some((upstream, index, permit));
            }
            match self.connect_upstream(group, backend, permits) {
                Ok(upstream) => return Some((upstream, index, permit)),
                Err(error) => {
                    tracing::debug!(%error, backend = %backend.id, "connect failed");
                    stats.connect_failures.inc();
                    self.observe_at(group, index, Outcome::ConnectFailed, false);
                    return None;
                }
            }
        }
    }

    fn pick_beside(
        &mut self,
        group: &Group,
        place: Option<u64>,
        passed: &Tried,
    ) -> Option<BackendIndex> {
        let pools = &self.pools;
        let ask = Ask {
            key: place,
            has_idle: &|slot| !pools[slot.index()].is_empty(),
            ..Ask::new(passed, self.now.unix_micros())
        };
        let state = &mut self.picks[group.slot.index()];
        let before = *state;
        let found = pick(group, state, &ask);
        state.return_turn(before);
        found.ok()
    }

    /// Makes the exchange of `client` face its copy at `upstream`, where something happens.
    pub(super) fn face(&mut self, upstream: Key, client: Key) {
        let turned = |exchange: &mut Exchange| exchange.turn_to(upstream);
        if self.exchange(client).is_some_and(turned)
            && let Some(conn) = self.conns.at_mut(client)
        {
            conn.peer = Some(upstream);
        }
    }

    /// The copy that the exchange of `client` faces begins to answer: the other is given up.
    pub(super) fn win(&mut self, client: Key) {
        let (core, now, unix) = (self.core, self.now.micros, self.now.unix_micros());
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        let won = std::mem::take(&mut exchange.second);
        if won && let Some(backend) = exchange.backend() {
            backend.stats.of(core).hedges_won.inc();
        }
        if let (Some(rival), Some(group)) = (exchange.rival.as_deref(), exchange.group())
            && won
        {
            let lasted = Answer {
                micros: now.saturating_sub(rival.handed_micros),
                crowd: rival.crowd,
                status: 200,
            };
            group.answered(rival.backend, core, lasted, unix);
        }
        self.give_up_rival(client);
    }

    /// Ends the copy that the exchange of `client` does not face, if there is one.
    pub(super) fn give_up_rival(&mut self, client: Key) {
        let core = self.core;
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        let Some(rival) = exchange.rival.take() else {
            return;
        };
        if let Some(group) = exchange.group() {
            group.leave(rival.backend, core);
        }
        self.part(rival.upstream);
    }

    /// Whether the copy that the exchange of `client` faces may just be left, because there is
    /// another; then it is, by this outcome, and the exchange faces the other.
    pub(super) fn leave_copy(&mut self, client: Key, outcome: Option<Outcome>) -> bool {
        let (core, now) = (self.core, self.now);
        let Some(exchange) = self.exchange(client) else {
            return false;
        };
        let Some(rival) = exchange.rival.take() else {
            return false;
        };
        let report = outcome.and_then(|outcome| exchange.observe(outcome, now));
        exchange.leave_backend(core);
        let left = exchange.upstream.replace(rival.upstream);
        exchange.backend = Some(rival.backend);
        exchange.permit = rival.permit;
        exchange.crowd = rival.crowd;
        exchange.handed_micros = rival.handed_micros;
        exchange.connect_micros = rival.connect_micros;
        exchange.second = rival.second;
        let wait = exchange.group().map(Group::answer_timeout);
        let had = Duration::from_micros(now.micros.saturating_sub(rival.handed_micros));
        self.tell(report);
        if let Some(conn) = self.conns.at_mut(client) {
            conn.peer = Some(rival.upstream);
        }
        left.into_iter().for_each(|upstream| self.part(upstream));
        let left = wait.unwrap_or_default().saturating_sub(had);
        self.set_deadline(client, now.tick + ticks(left));
        true
    }

    /// The first copy of the exchange of `client` has had its time; false if it is the only one.
    pub(super) fn leave_late_copy(&mut self, client: Key) -> bool {
        let core = self.core;
        let first = |exchange: &mut Exchange| {
            let rival = exchange.rival.as_deref()?;
            (!rival.second).then_some(rival.upstream)
        };
        if let Some(upstream) = self.exchange(client).and_then(first) {
            self.face(upstream, client);
        }
        let Some(exchange) = self.exchange(client) else {
            return false;
        };
        if exchange.rival.is_none() {
            return false;
        }
        if let Some(backend) = exchange.backend() {
            backend.stats.of(core).faults[Fault::UpstreamTimeout as usize].inc();
        }
        self.leave_copy(client, Some(Outcome::GatewayFailed))
    }

    /// Closes a backend's connection that serves nobody any more.
    fn part(&mut self, upstream: Key) {
        if let Some(conn) = self.conns.at_mut(upstream) {
            conn.peer = None;
        }
        self.close_upstream(upstream);
    }
}
