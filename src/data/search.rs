//! Which backend a relay goes to: the policy picks until one can be connected to.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::id::{BackendIndex, CoreId};
use crate::data::connect::{connect, note_lack};
use crate::data::overload::is_own_lack;
use crate::data::relay::RelayDown;
use crate::data::worker::Now;
use crate::routing::limit::Permit;
use crate::routing::policy::{Ask, NoPick, PickState, Tried, may_stay, pick};
use crate::routing::retry::Budget;
use crate::routing::sticky::Sticky;
use crate::routing::table::{Backend, Group};

/// A connection under way to a backend.
pub(super) struct Found<'g> {
    pub(super) fd: OwnedFd,
    pub(super) backend: &'g Backend,
    pub(super) permits: [Option<Permit>; 3],
}

/// What a search uses of its worker.
pub(super) struct Means<'w> {
    pub(super) picks: &'w mut PickState,
    /// Whose turn it is of the group's own addresses.
    pub(super) source_turn: &'w mut u32,
    pub(super) budget: &'w mut Budget,
    /// Who refused at once, and whether that was a trial.
    pub(super) refused: Vec<(BackendIndex, bool)>,
    /// What this node lacked, if that is why nobody was connected to.
    pub(super) lack: Option<Errno>,
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
        let mut tried = self.tried.as_deref().copied().unwrap_or_default();
        let mut passed = tried;
        let mut full = false;
        loop {
            if failure.is_some() && u32::from(self.retries) >= group.retries_max {
                return Err(fault_of(failure, NoPick::Nobody));
            }
            let index = match self.pick(group, &passed, means) {
                Ok(index) => index,
                Err(_) if means.lack.is_some() => return Err(Fault::Overload),
                Err(NoPick::Nobody) if !full => return Err(fault_of(failure, NoPick::Nobody)),
                Err(_) => return Err(fault_of(failure, NoPick::Full)),
            };
            let backend = &group.backends[index.index()];
            passed.insert(index);
            let Some(permits) = permits_at(group, backend) else {
                full = true;
                continue;
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
            tried.insert(index);
            match connect(backend, &group.sources, means.source_turn) {
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
                Err(error) if is_own_lack(error) => {
                    if trial {
                        backend.standing.give_back_trial();
                    }
                    means.lack = Some(error);
                    note_lack(backend, means.core, error)?;
                }
                Err(error) => {
                    stats.connect_failures.inc();
                    stats.retries.inc();
                    means.refused.push((index, trial));
                    failure = Some(error);
                    self.tried = Some(Box::new(tried));
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
        let client = self.client.as_deref();
        let client = client.filter(|_| group.policy.kind().needs_key());
        let ask = Ask {
            key: client.map(|client| group.place_of_client(client.ip())),
            ..Ask::new(passed, means.now.unix_micros())
        };
        let sticks = |sticky: &Sticky| sticky.preferred_by_address(self.client.as_deref()?.ip());
        match group.sticky.as_ref().and_then(sticks) {
            Some(index) if may_stay(group, index, &ask) => Ok(index),
            _ => {
                let before = *means.picks;
                let found = pick(group, means.picks, &ask);
                if self.tried.is_some() {
                    means.picks.return_turn(before);
                }
                found
            }
        }
    }
}

/// All that a connection at a backend needs of its limits and of those of its group.
fn permits_at(group: &Group, backend: &Backend) -> Option<[Option<Permit>; 3]> {
    let connection = backend.take_connection().ok()?;
    let request = backend.take_request().ok()?;
    let of_group = group.breaker.take_connection().ok()?;
    Some([connection, request, of_group])
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
