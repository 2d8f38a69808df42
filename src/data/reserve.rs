//! What must be had before a request is handed over: a backend the policy picks, and the rights
//! to a request and a connection there, where these are limited.

use crate::base::id::BackendIndex;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::upstream::{Again, Search};
use crate::data::worker::Worker;
use crate::routing::limit::{Full, Permit};
use crate::routing::policy::{Ask, NoPick, Tried, may_stay, pick};
use crate::routing::table::{Backend, Group};
use crate::runtime::driver::Driver;

impl<D: Driver> Worker<D> {
    /// The backend the client sticks to, or the one the policy chooses.
    ///
    /// # Errors
    /// When there is none, and whether limits are why.
    pub(super) fn pick_upstream(
        &mut self,
        group: &Group,
        search: &Search,
        passed: &Tried,
    ) -> Result<BackendIndex, NoPick> {
        let again = search.again;
        if let Some(Again::Fresh(index)) = again {
            return Ok(index);
        }
        let pools = &self.pools;
        let ask = Ask {
            key: search.affinity.place,
            // A connection that is looked for again does not come from a pool.
            has_idle: &|slot| again.is_none() && !pools[slot.index()].is_empty(),
            ..Ask::new(passed, self.now.unix_micros())
        };
        match search.affinity.preferred {
            Some(index) if may_stay(group, index, &ask) => Ok(index),
            _ => {
                let state = &mut self.picks[group.slot.index()];
                let before = *state;
                let found = pick(group, state, &ask);
                if let (Some(shadow), Ok(served), None) = (&group.shadow, found, again) {
                    let beside = &mut self.shadows[group.slot.index()];
                    if beside.is_due(shadow) {
                        let chosen = beside.pick(group, shadow, &ask);
                        group.compare(self.core, served, chosen, ask.now_micros);
                    }
                }
                if again.is_some() {
                    state.return_turn(before);
                }
                found
            }
        }
    }

    /// Takes the right to a request at a backend of a group and, from the pool if it may be
    /// `pooled`, a connection, or the rights to open one.
    pub(super) fn take_permits(
        &mut self,
        (group, backend): (&Group, &Backend),
        pooled: bool,
        request: &mut Option<Permit>,
    ) -> Result<(Option<Key>, [Option<Permit>; 2]), Full> {
        let right = match request.take() {
            None => backend.take_request()?,
            kept => kept,
        };
        let found = match pooled
            .then(|| self.pools[backend.slot.index()].pop())
            .flatten()
        {
            Some(upstream) => (Some(upstream), [None, None]),
            None => {
                let of_backend = backend.take_connection()?;
                (None, [of_backend, group.breaker.take_connection()?])
            }
        };
        *request = right;
        Ok(found)
    }

    /// Closes idle connections where a limit keeps another core from opening one.
    pub(super) fn give_back_connections(&mut self) {
        let Some(table) = self.link.current().map(Pinned::clone) else {
            return;
        };
        for group in table
            .groups
            .iter()
            .filter(|group| group.breaker.is_starved())
        {
            for backend in &group.backends {
                self.give_back_to(backend);
            }
        }
        let limited = std::mem::take(&mut self.limited);
        let backends = limited
            .iter()
            .map(|(group, backend)| &table.group(*group).backends[backend.index()]);
        for backend in backends.filter(|backend| backend.is_starved()) {
            self.give_back_to(backend);
        }
        self.limited = limited;
    }

    /// Closes what is idle to a backend.
    fn give_back_to(&mut self, backend: &Backend) {
        for key in std::mem::take(&mut self.pools[backend.slot.index()]) {
            self.close_upstream(key);
        }
    }
}
