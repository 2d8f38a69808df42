//! The backend's side of HTTP/1.1: pools, connecting, and which backend a request goes to.
//!
//! Each core keeps its own idle connections per backend and hands out the one used last. A
//! connection goes into the pool only when the framing of everything on it is provably done. When
//! a request is sent again is the matter of [`super::retry`].

use rustix::io::Errno;

use crate::base::decision::Reason;
use crate::base::fault::Fault;
use crate::base::id::{BackendIndex, BackendSlot};
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::conn::{Conn, NEVER, Role};
use crate::data::connect::{connect, note_lack};
use crate::data::health::fault_of;
use crate::data::overload::is_own_lack;
use crate::data::place::Affinity;
use crate::data::stash::Stash;
use crate::data::ticks::ticks;
use crate::data::worker::Worker;
use crate::routing::breaker::Rights;
use crate::routing::limit::Permit;
use crate::routing::policy::{NoPick, Tried};
use crate::routing::standing::Outcome;
use crate::routing::table::{Backend, Group};
use crate::runtime::driver::Driver;
use crate::runtime::net;

/// Connections to backends, idle ones last used on top.
pub(super) type Pool = Vec<Key>;

/// Where a connection to a backend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpstreamState {
    /// Serves the client in `Conn::peer`.
    Busy,
    /// In the pool.
    Idle,
}

/// A connection to a backend.
pub(super) struct Upstream {
    pub(super) state: UpstreamState,
    pub(super) slot: BackendSlot,
    /// Served a request before this one.
    pub(super) reused: bool,
    /// The kernel has taken nothing of the present request yet.
    pub(super) untouched: bool,
    /// The backend will keep it open after this response.
    pub(super) keeps_alive: bool,
    /// Begin of a response head that came in pieces.
    pub(super) stash: Stash,
    /// The rights to the connection, where backend or group limit these.
    pub(super) permits: [Option<Permit>; 2],
}

/// Why a connection is looked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The backend could not be reached: another one.
    Elsewhere,
    /// A pooled connection had died: the same backend, freshly.
    Fresh(BackendIndex),
}

/// A search for a connection.
pub(super) struct Search {
    tried: Tried,
    retries: u8,
    pub(super) again: Option<Again>,
    /// The right to a request, kept from before if the same backend is tried again.
    permit: Option<Permit>,
    /// What the request holds of its group.
    rights: Rights,
    /// It goes as a trial.
    trial: bool,
    /// Where in the group the request belongs.
    pub(super) affinity: Affinity,
}

impl Search {
    /// What chose the backend that was found.
    fn reason(&self, group: &Group, found: Option<BackendIndex>) -> Reason {
        match self.again {
            _ if found.is_none() => Reason::Nobody,
            _ if self.trial => Reason::Trial,
            _ if self.affinity.preferred == found => Reason::Sticky,
            Some(Again::Elsewhere) => Reason::Retry,
            _ if group.needs_key() => Reason::Key,
            _ => Reason::Policy,
        }
    }

    /// Notes that `backend` is tried.
    fn note_try(&mut self, backend: BackendIndex) {
        self.tried.insert(backend);
        let again = u8::from(self.again.is_some());
        self.retries = self.retries.saturating_add(again);
    }

    /// Does without the trial it has taken at `backend`.
    fn drop_trial(&mut self, backend: &Backend) {
        if std::mem::take(&mut self.trial) {
            backend.standing.give_back_trial();
        }
    }

    /// Does without all it has taken at `backend`.
    fn give_back(&mut self, backend: &Backend) {
        self.drop_trial(backend);
        self.permit = None;
    }
}

impl<D: Driver> Worker<D> {
    /// Finds a connection for the exchange of client `key`: from the pool of the backend the
    /// policy picks, or a new one.
    ///
    /// # Errors
    /// The fault to answer with when there is none.
    pub(super) fn attach_upstream(&mut self, key: Key, again: Option<Again>) -> Result<(), Fault> {
        let Some(exchange) = self.exchange(key) else {
            return Err(Fault::NoBackend);
        };
        let table = Pinned::clone(&exchange.table);
        let Some(group) = exchange.group.map(|index| table.group(index)) else {
            return Err(Fault::NoRoute);
        };
        if again.is_none() || exchange.waiting.is_some() {
            let rights = group.breaker.admit(&group.standing);
            exchange.rights = rights.map_err(fault_of)?;
        }
        let mut search = Search {
            tried: exchange.tried,
            retries: exchange.retries,
            again,
            permit: exchange.permit.take(),
            rights: std::mem::take(&mut exchange.rights),
            trial: std::mem::take(&mut exchange.trial),
            affinity: exchange.affinity,
        };
        let found = self.search_upstream(group, &mut search);
        let chosen = found.as_ref().ok().map(|(_, index)| *index);
        let reason = search.reason(group, chosen);
        let now = self.now.micros;
        if let Some(exchange) = self.exchange(key) {
            exchange.tried = search.tried;
            exchange.retries = search.retries;
            // Who goes to wait holds nothing meanwhile; who failed may still be answered with that.
            let waits = again.is_none() || exchange.waiting.is_some();
            if !(waits && matches!(found, Err(Fault::GroupFull))) {
                exchange.rights = search.rights;
            }
        }
        let (upstream, index) = found?;
        group.enter(index, self.core);
        let crowd = group.crowd_at(index, self.now.unix_micros());
        let is_connected = self.conns.at(upstream).is_some_and(|conn| conn.established);
        if let Some(exchange) = self.exchange(key) {
            exchange.reason = reason;
            exchange.permit = search.permit;
            exchange.trial = search.trial;
            exchange.backend = Some(index);
            exchange.crowd = crowd;
            exchange.upstream = Some(upstream);
            exchange.handed_micros = now;
            exchange.connect_micros = is_connected.then_some(0);
        }
        if let Some(conn) = self.conns.at_mut(key) {
            conn.peer = Some(upstream);
        }
        self.engage(upstream, key);
        if again.is_none() {
            self.plan_hedge(key, group);
        }
        Ok(())
    }

    /// The connection `upstream` of a backend serves `client` from now on.
    pub(super) fn engage(&mut self, upstream: Key, client: Key) {
        let Some(conn) = self.conns.at_mut(upstream) else {
            return;
        };
        conn.peer = Some(client);
        if conn.established {
            conn.deadline = NEVER;
        }
        if let Role::Upstream(upstream) = &mut conn.role {
            upstream.state = UpstreamState::Busy;
            upstream.untouched = true;
            upstream.keeps_alive = false;
        }
    }

    fn search_upstream(
        &mut self,
        group: &Group,
        search: &mut Search,
    ) -> Result<(Key, BackendIndex), Fault> {
        // Who was full when it came to it is passed over for now, and not tried.
        let mut passed = search.tried;
        let mut why = NoPick::Nobody;
        let mut lacking = false;
        loop {
            let refused = search.again == Some(Again::Elsewhere);
            if refused && u32::from(search.retries) >= group.retries_max {
                return Err(Fault::ConnectFailed);
            }
            let index = match self.pick_upstream(group, search, &passed) {
                Ok(index) => index,
                Err(_) if lacking => return Err(Fault::Overload),
                Err(NoPick::Nobody) if why == NoPick::Nobody && refused => {
                    return Err(Fault::ConnectFailed);
                }
                Err(NoPick::Nobody) if why == NoPick::Nobody => return Err(Fault::NoBackend),
                Err(_) => return Err(Fault::GroupFull),
            };
            let backend = &group.backends[index.index()];
            passed.insert(index);
            let fresh = matches!(search.again, Some(Again::Fresh(_)));
            let may = fresh.then_some(false);
            let Some(trial) = may.or_else(|| group.may_enter(backend)) else {
                continue;
            };
            search.trial |= trial;
            let pooled = search.again.is_none();
            let taken = self.take_permits((group, backend), pooled, &mut search.permit);
            let Ok((pooled, permits)) = taken else {
                search.drop_trial(backend);
                if fresh {
                    return Err(Fault::GroupFull);
                }
                why = NoPick::Full;
                continue;
            };
            let stats = backend.stats.of(self.core);
            if refused && !(search.rights.may_retry(&group.breaker) && self.affords_retry(group)) {
                search.drop_trial(backend);
                stats.retries_refused.inc();
                return Err(Fault::ConnectFailed);
            }
            search.note_try(index);
            if let Some(upstream) = pooled {
                stats.reuses.inc();
                return Ok((upstream, index));
            }
            match self.connect_upstream(group, backend, permits) {
                Ok(upstream) => return Ok((upstream, index)),
                Err(error) if is_own_lack(error) => {
                    lacking = true;
                    search.give_back(backend);
                    note_lack(backend, self.core, error).inspect_err(|_| self.ran_out(error))?;
                }
                Err(error) => {
                    tracing::debug!(%error, backend = %backend.id, "connect failed");
                    stats.connect_failures.inc();
                    stats.retries.inc();
                    let trial = std::mem::take(&mut search.trial);
                    self.observe_at(group, index, Outcome::ConnectFailed, trial);
                    search.permit = None;
                    search.again = Some(Again::Elsewhere);
                }
            }
        }
    }

    pub(super) fn connect_upstream(
        &mut self,
        group: &Group,
        backend: &Backend,
        permits: [Option<Permit>; 2],
    ) -> Result<Key, Errno> {
        let turn = &mut self.source_turns[group.slot.index()];
        let fd = connect(backend, &group.sources, turn)?;
        backend.stats.of(self.core).connections_open.up();
        let key = self.add(Conn::new(
            fd,
            Role::Upstream(Upstream {
                state: UpstreamState::Idle,
                slot: backend.slot,
                reused: false,
                untouched: true,
                keeps_alive: false,
                stash: Stash::default(),
                permits,
            }),
        ));
        self.receive_more(key);
        self.set_deadline(key, self.now.tick + ticks(group.timeouts.connect));
        Ok(key)
    }

    /// The connect or idle deadline of a backend's connection has passed.
    pub(super) fn upstream_due(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        let Role::Upstream(upstream) = &conn.role else {
            return;
        };
        match upstream.state {
            UpstreamState::Idle => self.close_idle(key),
            UpstreamState::Busy if !conn.established && !net::is_connected(conn.fd()) => {
                self.upstream_failed(key, Errno::TIMEDOUT);
            }
            UpstreamState::Busy => {}
        }
    }

    /// Closes a pooled connection.
    pub(super) fn close_idle(&mut self, key: Key) {
        if let Some(Role::Upstream(upstream)) = self.conns.at(key).map(|conn| &conn.role) {
            let slot = upstream.slot;
            self.pools[slot.index()].retain(|pooled| *pooled != key);
        }
        self.close_upstream(key);
    }

    /// Closes a backend's connection, whatever it was doing.
    pub(super) fn close_upstream(&mut self, key: Key) {
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        if conn.dying {
            return;
        }
        if let Role::Upstream(upstream) = &conn.role
            && let Some(stats) = self
                .backend_stats
                .get(upstream.slot.index())
                .and_then(Option::as_ref)
        {
            stats.of(self.core).connections_open.down();
        }
        self.close(key);
    }

    /// The response is over: the connection goes to the pool, or is closed.
    pub(super) fn return_upstream(&mut self, client: Key, reusable: bool) {
        let core = self.core;
        let Some(exchange) = self.exchange(client) else {
            return;
        };
        let Some(key) = exchange.upstream.take() else {
            return;
        };
        let replay = exchange.replay.take();
        let table = Pinned::clone(&exchange.table);
        let group = exchange.group.map(|index| table.group(index));
        exchange.leave_backend(core);
        let idle_max = |group: &Group| match exchange.backend() {
            Some(backend) if !backend.is_starved() && !group.breaker.is_starved() => {
                backend.idle_max(group.idle_connections_max)
            }
            _ => 0,
        };
        let idle_max = group.map_or(0, idle_max);
        replay
            .into_iter()
            .for_each(|segment| self.driver.buffers().give(segment));
        self.cancel_bulk(key);
        let draining = self.draining.is_some();
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        conn.peer = None;
        conn.run_bytes = 0;
        let flushed = conn.is_flushed();
        let open = !conn.ended && !conn.dying && !conn.finished;
        let (Role::Upstream(upstream), Some(group)) = (&mut conn.role, group) else {
            return self.close_upstream(key);
        };
        let pool = &mut self.pools[upstream.slot.index()];
        let room = pool.len() < idle_max as usize;
        if !(reusable && upstream.keeps_alive && flushed && open && room && !draining) {
            return self.close_upstream(key);
        }
        upstream.state = UpstreamState::Idle;
        upstream.reused = true;
        pool.push(key);
        self.set_deadline(key, self.now.tick + ticks(group.timeouts.idle));
        self.release(key);
    }

    /// Receiving from or sending to a backend failed.
    pub(super) fn upstream_failed(&mut self, key: Key, error: Errno) {
        match self.conns.at(key).map(|conn| &conn.role) {
            Some(Role::Upstream(Upstream {
                state: UpstreamState::Idle,
                ..
            })) => {
                self.close_idle(key);
            }
            _ => self.fail(key, error),
        }
    }
}
