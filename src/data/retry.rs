//! Trying again: when a request that failed at one backend is sent to another.
//!
//! Nothing is sent twice unless that is safe: the kernel took no byte of it; or the request is
//! idempotent, wholly in our hands as it was sent, and no byte of an answer has come (RFC 9110
//! section 9.2.2), and its group wants such failures tried again. Every try goes to a backend this
//! exchange has not had, as far as the group's number of retries and its budget allow; when there
//! is none, the client gets what the first one said, or why it said nothing.
//!
//! One case is no retry in that sense: a pooled connection that turns out to be dead says nothing
//! about its backend, so the request goes to the same one over a fresh connection, unpaid.

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::id::{BackendIndex, CoreId, GroupIndex};
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::conn::{OutQueue, Role};
use crate::data::exchange::{Answered, Exchange};
use crate::data::upstream::{Again, Upstream, UpstreamState};
use crate::data::worker::Worker;
use crate::routing::standing::Outcome;
use crate::routing::table::Group;
use crate::runtime::buffers::Segment;
use crate::runtime::driver::Driver;
use crate::runtime::net;

impl Exchange {
    /// Nothing of an answer has come, and the whole request is at hand.
    pub(super) fn could_go_again(&self) -> bool {
        self.answered == Answered::NotYet && self.interims == 0 && self.replay.is_some()
    }
}

/// How a connection that failed was left.
struct Remains {
    reused: bool,
    untouched: bool,
    established: bool,
    /// Bytes of an answer had come.
    answering: bool,
}

impl Remains {
    /// Where the request of `exchange` may go now.
    fn again(&self, exchange: &Exchange, group: Option<&Group>) -> Option<Again> {
        if exchange.answered != Answered::NotYet || self.answering || exchange.interims > 0 {
            return None;
        }
        let replayable = exchange.replay.is_some();
        match exchange.backend {
            Some(index) if self.reused && (self.untouched || replayable) => {
                Some(Again::Fresh(index))
            }
            // Also where a connection came about: a reset may be here before the first byte went.
            _ if self.untouched => Some(Again::Elsewhere),
            _ if replayable && group?.retry.reset => Some(Again::Elsewhere),
            _ => None,
        }
    }
}

impl Remains {
    /// What it shows of the backend.
    fn outcome(&self, exchange: &Exchange, again: Option<Again>) -> Option<Outcome> {
        match again {
            Some(Again::Fresh(_)) => None,
            _ if exchange.answered == Answered::Partly => Some(Outcome::BrokeOff),
            _ if exchange.answered == Answered::Wholly => None,
            _ if !self.established => Some(Outcome::ConnectFailed),
            // It may have been closed while it was idle.
            _ if self.reused && !self.answering => None,
            _ => Some(Outcome::GatewayFailed),
        }
    }

    /// Counts it at the backend; where its exchange does not go on the answer counts the fault.
    fn count(&self, exchange: &Exchange, goes_on: bool, (core, fault): (CoreId, Fault)) {
        let Some(backend) = exchange.backend() else {
            return;
        };
        let stats = backend.stats.of(core);
        if !self.established {
            stats.connect_failures.inc();
        } else if goes_on {
            stats.faults[fault as usize].inc();
        }
    }
}

impl<D: Driver> Worker<D> {
    /// A request of `group` pays for a part of a retry.
    pub(super) fn pay_for_retries(&mut self, group: &Group) {
        let second = self.now.second();
        self.budgets[group.slot.index()].enter(second);
    }

    /// Takes a retry of `group` from the budget of this core; false if there is none.
    pub(super) fn affords_retry(&mut self, group: &Group) -> bool {
        let second = self.now.second();
        self.budgets[group.slot.index()].take(second, group.retry.allowance)
    }

    /// Keeps the first segment of a request, sent wholly, if that is all of it and the request
    /// may have to be sent again.
    pub(super) fn keep_for_replay(&mut self, key: Key, segment: Segment) {
        let conn = self.conns.at(key);
        let found = conn.and_then(|conn| {
            let Role::Upstream(upstream) = &conn.role else {
                return None;
            };
            let alone = upstream.state == UpstreamState::Busy && conn.is_flushed();
            Some((conn.peer.filter(|_| alone)?, upstream.reused))
        });
        if let Some((client, reused)) = found
            && let Some(exchange) = self.exchange(client)
        {
            let wanted = reused || exchange.group().is_some_and(wants_requests_kept);
            let whole = exchange.has_request() && exchange.answered == Answered::NotYet;
            let kept = exchange.replay.is_some();
            if wanted && whole && !kept && exchange.method.is_idempotent() {
                exchange.replay = Some(segment);
                return;
            }
        }
        self.driver.buffers().give(segment);
    }

    /// Sends the request of a failed connection again where that is safe, or answers.
    pub(super) fn settle_failed_upstream(&mut self, key: Key, error: Errno) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        let Role::Upstream(upstream) = &conn.role else {
            return;
        };
        let remains = Remains {
            reused: upstream.reused,
            untouched: upstream.untouched,
            established: conn.established,
            answering: !upstream.stash.is_empty(),
        };
        let client = conn.peer.take();
        let mut out = std::mem::take(&mut conn.out);
        self.close_upstream(key);
        let Some(client) = client else {
            return self.give_queue(out);
        };
        self.face(key, client);
        let (core, now) = (self.core, self.now);
        let Some(exchange) = self.exchange(client) else {
            return self.give_queue(out);
        };
        exchange.upstream = None;
        let again = remains.again(exchange, exchange.group());
        let fault = fault_of(error, remains.established);
        let outcome = remains.outcome(exchange, again);
        if exchange.rival.is_some() {
            remains.count(exchange, true, (core, fault));
            self.give_queue(out);
            self.leave_copy(client, outcome);
            return;
        }
        let replay = exchange.replay.take();
        let report = outcome.and_then(|outcome| exchange.observe(outcome, now));
        // Who tries the same backend again keeps its place there.
        let kept = match again {
            Some(Again::Fresh(_)) => (exchange.permit.take(), std::mem::take(&mut exchange.trial)),
            _ => (None, false),
        };
        exchange.leave_backend(core);
        (exchange.permit, exchange.trial) = kept;
        remains.count(exchange, again == Some(Again::Elsewhere), (core, fault));
        if let (Some(_), Some(backend)) = (again, exchange.backend()) {
            backend.stats.of(core).retries.inc();
        }
        self.tell(report);
        if let Some(segment) = replay {
            out.push_front(segment);
        }
        let found = again.map(|again| self.attach_upstream(client, Some(again)));
        let attached = found == Some(Ok(())) || found.is_some() && self.attach_to_former(client);
        if !attached {
            return self.end_or_wait(client, out, (again, found), fault);
        }
        let upstream = self.exchange(client).and_then(|exchange| exchange.upstream);
        while let Some(segment) = out.pop() {
            match upstream {
                Some(upstream) => self.enqueue(upstream, segment),
                None => self.driver.buffers().give(segment),
            }
        }
        self.request_progress(client);
    }

    /// Lets an exchange wait that found all others full, or answers it.
    fn end_or_wait(
        &mut self,
        client: Key,
        mut out: OutQueue,
        (again, found): (Option<Again>, Option<Result<(), Fault>>),
        fault: Fault,
    ) {
        let full = again == Some(Again::Elsewhere) && found == Some(Err(Fault::GroupFull));
        if !full || !self.wait_to_go_again(client) {
            self.give_queue(out);
            return self.answer_fault(client, fault);
        }
        while let Some(segment) = out.pop() {
            self.park_segment(client, segment);
        }
    }

    /// Tries the exchange of `client` elsewhere because of the status its backend answered with;
    /// false if that answer has to do.
    pub(super) fn retry_status(&mut self, client: Key, status: u16) -> bool {
        let now = self.now.micros;
        let core = self.core;
        let Some(exchange) = self.exchange(client) else {
            return false;
        };
        let hedged = exchange.rival.is_some() && status >= 500;
        let wanted = |group: &Group| hedged || group.retry.statuses.contains(status);
        if !exchange.group().is_some_and(wanted) || !exchange.could_go_again() {
            return false;
        }
        let latency = now.saturating_sub(exchange.handed_micros);
        if exchange.rival.is_some() {
            if let Some(backend) = exchange.backend() {
                let stats = backend.stats.of(core);
                stats.requests.inc(status);
                stats.latency.record_micros(latency);
            }
            return self.leave_copy(client, Some(Outcome::of_status(status)));
        }
        let Some(left) = self.go_elsewhere(client, Outcome::of_status(status)) else {
            return false;
        };
        let (table, group, index) = left;
        let stats = table.group(group).backends[index.index()].stats.of(core);
        stats.requests.inc(status);
        stats.latency.record_micros(latency);
        true
    }

    /// The backend of the exchange of `client` has not answered in time.
    pub(super) fn backend_late(&mut self, client: Key) {
        if self.leave_late_copy(client) || self.retry_late(client) {
            return;
        }
        let unanswered = |exchange: &mut Exchange| {
            exchange.upstream.is_some() && exchange.answered == Answered::NotYet
        };
        if self.exchange(client).is_some_and(unanswered) {
            self.observe(client, Outcome::GatewayFailed);
        }
        self.answer_fault(client, Fault::UpstreamTimeout);
    }

    /// Tries the exchange of `client` elsewhere because its backend did not answer within the
    /// time of one try; false if there is nothing to be done.
    fn retry_late(&mut self, client: Key) -> bool {
        if self.leave_unconnected(client) {
            return true;
        }
        let core = self.core;
        let Some(exchange) = self.exchange(client) else {
            return false;
        };
        let wanted = |group: &Group| group.retry.reset && group.retry.per_try.is_some();
        if !exchange.group().is_some_and(wanted) || !exchange.could_go_again() {
            return false;
        }
        let answering = |upstream: &Upstream| !upstream.stash.is_empty();
        let upstream = exchange.upstream.and_then(|key| self.conns.at(key));
        match upstream.map(|conn| &conn.role) {
            Some(Role::Upstream(upstream)) if !answering(upstream) => {}
            _ => return false,
        }
        let Some((table, group, index)) = self.go_elsewhere(client, Outcome::GatewayFailed) else {
            return false;
        };
        let stats = table.group(group).backends[index.index()].stats.of(core);
        stats.faults[Fault::UpstreamTimeout as usize].inc();
        true
    }

    /// Gives up the connection of the exchange of `client` if it has not come about within the time
    /// of one try, as if the time to connect were over: nothing was sent, so it goes elsewhere
    /// whatever the request is. False if there is no such time or the connection stands.
    fn leave_unconnected(&mut self, client: Key) -> bool {
        let timed = |exchange: &&mut Exchange| {
            let group = exchange.group();
            group.is_some_and(|group| group.retry.per_try.is_some())
        };
        let upstream = self.exchange(client).filter(timed);
        let upstream = upstream.and_then(|exchange| exchange.upstream);
        let unconnected = upstream.filter(|key| {
            let conn = self.conns.at(*key);
            conn.is_some_and(|conn| !conn.established && !net::is_connected(conn.fd()))
        });
        unconnected.is_some_and(|key| {
            self.upstream_failed(key, Errno::TIMEDOUT);
            true
        })
    }

    /// Hands the exchange of `client`, which could go again, to another backend, and ends the
    /// connection to the one it was at, which showed this outcome. That one is answered; `None`,
    /// and nothing has changed, when there is no other. If all others are full it waits for one.
    fn go_elsewhere(&mut self, client: Key, outcome: Outcome) -> Option<Left> {
        let core = self.core;
        let exchange = self.exchange(client)?;
        let table = Pinned::clone(&exchange.table);
        let (group, index) = (exchange.group?, exchange.backend?);
        let (permit, upstream) = (exchange.permit.take(), exchange.upstream.take());
        let trial = std::mem::take(&mut exchange.trial);
        let found = self.attach_upstream(client, Some(Again::Elsewhere));
        let waits = found == Err(Fault::GroupFull) && self.wait_to_go_again(client);
        let exchange = self.exchange(client)?;
        if found.is_err() && !waits {
            exchange.permit = permit;
            exchange.upstream = upstream;
            exchange.trial = trial;
            return None;
        }
        let (fresh, replay) = (exchange.upstream, exchange.replay.take());
        let left = table.group(group);
        left.leave(index, core);
        left.backends[index.index()].stats.of(core).retries.inc();
        drop(permit);
        self.observe_at(left, index, outcome, trial);
        if let Some(upstream) = upstream {
            if let Some(conn) = self.conns.at_mut(upstream) {
                conn.peer = None;
            }
            self.close_upstream(upstream);
        }
        match (fresh, replay) {
            (Some(fresh), Some(segment)) => self.enqueue(fresh, segment),
            (None, Some(segment)) if waits => self.park_segment(client, segment),
            (_, segment) => segment
                .into_iter()
                .for_each(|segment| self.driver.buffers().give(segment)),
        }
        if !waits {
            self.request_progress(client);
        }
        Some((table, group, index))
    }
}

/// The backend an exchange has left, and the table that has it.
type Left = (Pinned, GroupIndex, BackendIndex);

fn wants_requests_kept(group: &Group) -> bool {
    group.retry.hedge_after.is_some() || group.retries_max > 0 && group.retry.keeps_requests()
}

/// The fault of a connection that failed with `error`.
fn fault_of(error: Errno, established: bool) -> Fault {
    match error {
        Errno::TIMEDOUT if !established => Fault::ConnectTimeout,
        _ if !established => Fault::ConnectFailed,
        _ => Fault::UpstreamAborted,
    }
}
