//! What exchanges show of the backends they went to: noted for all cores, and told to the control
//! thread when a backend is suspended by it or a trial is over.
//!
//! A failed connect, an answer that broke off before it began, one that did not come in time and a
//! status of 500 and above speak against a backend; any other answer speaks for it. A pooled
//! connection that died while it was idle says nothing: backends may close those. Nor does what
//! happens after the head of a response, which was counted by its status.

use crate::base::fault::Fault;
use crate::base::id::BackendIndex;
use crate::base::slab::Key;
use crate::data::conn::Role;
use crate::data::exchange::Exchange;
use crate::data::relay::RelayDown;
use crate::data::worker::{Now, Worker};
use crate::link::Report;
use crate::routing::breaker::Overflow;
use crate::routing::standing::{Cause, GroupTrial, Outcome};
use crate::routing::table::{Backend, Group};
use crate::runtime::driver::Driver;

/// The fault of a request that the breaker of its group refuses.
pub(super) fn fault_of(overflow: Overflow) -> Fault {
    match overflow {
        Overflow::Errors => Fault::BreakerOpen,
        Overflow::Connections | Overflow::Pending | Overflow::Requests | Overflow::Retries => {
            Fault::BreakerOverflow
        }
    }
}

/// Whether an exchange that ended by this fault shows that its group is still ill.
pub(super) fn speaks_against_group(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::ConnectFailed
            | Fault::ConnectTimeout
            | Fault::UpstreamAborted
            | Fault::UpstreamBadResponse
            | Fault::UpstreamTimeout
    )
}

fn suspended(group: &Group, backend: &Backend, cause: Cause) -> Report {
    Report::Suspended {
        group: group.slot,
        backend: backend.slot,
        cause,
    }
}

/// Notes an outcome; what the control thread is to be told. Who goes as a trial goes to one that
/// is suspended, so it is one or the other.
fn note(
    group: &Group,
    index: BackendIndex,
    (outcome, now): (Outcome, Now),
    trial: &mut bool,
) -> Option<Report> {
    if !is_well(outcome) {
        group.failed(index, now.unix_micros());
    }
    let cause = group.observe(index, outcome);
    let backend = group.backends.get(index.index())?;
    if std::mem::take(trial) {
        return Some(Report::Tried {
            group: group.slot,
            backend: backend.slot,
            passed: is_well(outcome),
        });
    }
    cause.map(|cause| suspended(group, backend, cause))
}

fn is_well(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Answered | Outcome::Connected | Outcome::Whole
    )
}

impl Exchange {
    /// Notes what it shows of its backend; what the control thread is to be told.
    pub(super) fn observe(&mut self, outcome: Outcome, now: Now) -> Option<Report> {
        let index = self.backend?;
        let group = self.table.group(self.group?);
        note(group, index, (outcome, now), &mut self.trial)
    }

    /// What became of it, if the breaker of its group let it through as a trial; what the control
    /// thread is to be told.
    pub(super) fn end_trial(&mut self, passed: bool) -> Option<Report> {
        let trial = self.rights.trial.take()?;
        tried(self.group()?, trial, passed)
    }
}

fn tried(group: &Group, trial: GroupTrial, passed: bool) -> Option<Report> {
    trial.spend();
    Some(Report::GroupTried {
        group: group.slot,
        passed,
    })
}

impl RelayDown {
    /// Whether it came about, if the breaker of its group let it through as a trial.
    fn end_trial(&mut self, outcome: Outcome) -> Option<Report> {
        let trial = self.rights.trial.take()?;
        let group = self.table.group(self.group?);
        tried(group, trial, outcome == Outcome::Connected)
    }

    /// Notes what it shows of its backend; what the control thread is to be told.
    fn observe(&mut self, outcome: Outcome, now: Now) -> Option<Report> {
        let (group, index) = (self.table.group(self.group?), self.backend?);
        note(group, index, (outcome, now), &mut self.trial)
    }
}

impl<D: Driver> Worker<D> {
    /// Notes what the exchange or relay of client `key` shows of its backend.
    pub(super) fn observe(&mut self, key: Key, outcome: Outcome) {
        let now = self.now;
        let report = match self.conns.at_mut(key).map(|conn| &mut conn.role) {
            Some(Role::Client(client)) => {
                let exchange = client.exchange.as_deref_mut();
                exchange.and_then(|exchange| exchange.observe(outcome, now))
            }
            Some(Role::RelayDown(relay)) => {
                let ended = relay.end_trial(outcome);
                let report = relay.observe(outcome, now);
                self.tell(ended);
                report
            }
            _ => None,
        };
        self.tell(report);
    }

    /// Notes what a backend showed that the exchange has not come to, or has left.
    pub(super) fn observe_at(
        &mut self,
        group: &Group,
        index: BackendIndex,
        outcome: Outcome,
        mut trial: bool,
    ) {
        let report = note(group, index, (outcome, self.now), &mut trial);
        self.tell(report);
    }

    /// The connection `upstream` of a backend came about.
    pub(super) fn observe_connected(&mut self, upstream: Key) {
        let Some(client) = self.conns.at(upstream).and_then(|conn| conn.peer) else {
            return;
        };
        self.face(upstream, client);
        match self.conns.at_mut(client).map(|conn| &mut conn.role) {
            Some(Role::Client(state)) => {
                // Whether it answers is seen later; only that ends a trial.
                if let Some(exchange) = state.exchange.as_deref()
                    && let (Some(group), Some(index)) = (exchange.group(), exchange.backend)
                {
                    let _ = group.observe(index, Outcome::Connected);
                }
            }
            Some(Role::RelayDown(_)) => self.observe(client, Outcome::Connected),
            _ => {}
        }
    }

    /// Tells the control thread.
    pub(super) fn tell(&mut self, report: Option<Report>) {
        let Some(report) = report else { return };
        if let Report::Suspended { backend, cause, .. } = report {
            tracing::warn!(slot = backend.0, cause = cause.name(), "backend suspended");
            let stats = self.backend_stats.get(backend.index());
            if let Some(stats) = stats.and_then(Option::as_ref) {
                stats.of(self.core).suspensions.inc();
            }
        }
        self.link.report(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_speaks_for_or_against() {
        let against: Vec<u16> = (100..1000)
            .filter(|status| Outcome::of_status(*status) != Outcome::Answered)
            .collect();
        assert_eq!(against, (500..1000).collect::<Vec<u16>>());
        let gateway = [502, 503, 504].map(Outcome::of_status);
        assert_eq!(gateway, [Outcome::GatewayFailed; 3]);
        assert_eq!(
            [500, 501, 505].map(Outcome::of_status),
            [Outcome::ServerFailed; 3]
        );
    }
}
