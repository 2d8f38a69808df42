//! Which backend a relay goes to: the policy picks until one can be connected to.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::id::{BackendIndex, CoreId};
use crate::data::relay::RelayDown;
use crate::data::worker::Now;
use crate::routing::limit::Permit;
use crate::routing::policy::{Ask, NoPick, PickState, Tried, may_stay, pick};
use crate::routing::retry::Budget;
use crate::routing::sticky::Sticky;
use crate::routing::table::{Backend, Group};
use crate::runtime::net;

/// A connection under way to a backend.
pub(super) struct Found<'g> {
    pub(super) fd: OwnedFd,
    pub(super) backend: &'g Backend,
    pub(super) permits: [Option<Permit>; 3],
}

/// What a search uses of its worker.
pub(super) struct Means<'w> {
    pub(super) picks: &'w mut PickState,
    pub(super) budget: &'w mut Budget,
    /// Who refused at once, and whether that was a trial.
    pub(super) refused: Vec<(BackendIndex, bool)>,
    pub(super) core: CoreId,
    pub(super) now: Now,
}

impl RelayDown {
    /// Picks backends until one can be connected to, and notes that the relay is there.
    pub(super) fn search<'g>(
        &mut self,
        group: &'g Group,
        means: &mut Means<'_>,
        mut failure: Option<Errno>,
    ) -> Result<Found<'g>, Fault> {
        // Who was full when it came to it is passed over for now, and not tried.
        let mut passed = self.tried;
        let mut full = false;
        loop {
            if failure.is_some() && u32::from(self.retries) >= group.retries_max {
                return Err(fault_of(failure, NoPick::Nobody));
            }
            let index = match self.pick(group, &passed, means) {
                Ok(index) => index,
                Err(NoPick::Nobody) if !full => return Err(fault_of(failure, NoPick::Nobody)),
                Err(_) => return Err(fault_of(failure, NoPick::Full)),
            };
            let backend = &group.backends[index.index()];
            passed.insert(index);
            let rights = (
                backend.take_connection(),
                backend.take_request(),
                group.breaker.take_connection(),
            );
            let permits = match rights {
                (Ok(connection), Ok(request), Ok(of_group)) => [connection, request, of_group],
                _ => {
                    full = true;
                    continue;
                }
            };
            let Some(trial) = group.may_enter(backend) else {
                continue;
            };
            let stats = backend.stats.of(means.core);
            if failure.is_some() {
                if !(self.rights.may_retry(&group.breaker) && means.affords_retry(group)) {
                    if trial {
                        backend.standing.give_back_trial();
                    }
                    stats.retries_refused.inc();
                    return Err(fault_of(failure, NoPick::Nobody));
                }
                self.retries += 1;
            }
            self.tried.insert(index);
            match net::connect(&backend.address) {
                Ok(fd) => {
                    self.backend = Some(index);
                    self.trial = trial;
                    group.enter(index, means.core);
                    return Ok(Found {
                        fd,
                        backend,
                        permits,
                    });
                }
                Err(error) => {
                    stats.connect_failures.inc();
                    stats.retries.inc();
                    means.refused.push((index, trial));
                    failure = Some(error);
                }
            }
        }
    }

    /// The backend the client sticks to, or the one the policy chooses.
    fn pick(
        &self,
        group: &Group,
        passed: &Tried,
        means: &mut Means<'_>,
    ) -> Result<BackendIndex, NoPick> {
        let client = self.client.filter(|_| group.policy.kind().needs_key());
        let ask = Ask {
            key: client.map(|client| group.place_of_client(client.ip())),
            ..Ask::new(passed, means.now.unix_micros())
        };
        let sticks = |sticky: &Sticky| sticky.preferred_by_address(self.client?.ip());
        match group.sticky.as_ref().and_then(sticks) {
            Some(index) if may_stay(group, index, &ask) => Ok(index),
            _ => {
                let before = *means.picks;
                let found = pick(group, means.picks, &ask);
                if !self.tried.is_empty() {
                    means.picks.return_turn(before);
                }
                found
            }
        }
    }
}

impl Means<'_> {
    fn affords_retry(&mut self, group: &Group) -> bool {
        self.budget.take(self.now.second(), group.retry.allowance)
    }
}

/// Why a relay ends that found no backend.
fn fault_of(failure: Option<Errno>, why: NoPick) -> Fault {
    match (failure, why) {
        (Some(Errno::TIMEDOUT), _) => Fault::ConnectTimeout,
        (Some(_), _) => Fault::ConnectFailed,
        (None, NoPick::Full) => Fault::GroupFull,
        (None, NoPick::Nobody) => Fault::NoBackend,
    }
}
