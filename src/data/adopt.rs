//! Taking over a new table between two turns of the loop.
//!
//! A table is pinned by the exchanges that began with it and by the listeners it was the last to
//! have; `link::worker_side` gives it back when the last of them lets it go.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::base::id::{BackendIndex, GroupIndex, GroupSlot, ListenerSlot};
use crate::base::slab::Key;
use crate::data::client::Phase;
use crate::data::conn::Role;
use crate::data::worker::Worker;
use crate::link::ListenSocket;
use crate::link::worker_side;
use crate::routing::policy::{PickState, ShadowState};
use crate::routing::retry::Budget;
use crate::routing::table::{BackendState, Table};
use crate::runtime::driver::Driver;
use crate::runtime::net;

/// A table in use on this core.
pub(super) type Pinned = worker_side::Pinned<Arc<Table>>;

/// One listener as this core serves it.
pub(super) struct ListenerState {
    /// The last table that had this listener.
    pub(super) table: Pinned,
    /// Connections of this core.
    pub(super) open: u32,
    /// No longer in the table: what runs is finished, nothing new is accepted.
    pub(super) removed: bool,
}

/// A socket this core accepts on; of most listeners there is one. Its position among all of them is
/// what the driver knows it by.
pub(super) struct Socket {
    pub(super) listener: ListenerSlot,
    /// `None` after it was closed; its position is then free, unless an accept is under way.
    pub(super) fd: Option<Arc<OwnedFd>>,
    /// An accept is under way.
    pub(super) accepting: bool,
    /// The accept was asked to end.
    pub(super) cancelled: bool,
    /// Nothing is to be accepted on it any more.
    pub(super) closing: bool,
    /// Whether it prefers the connections of this core's CPU; not known of one that is new here,
    /// because another process may have set it.
    steered: Option<bool>,
}

impl Socket {
    pub(super) fn is_gone(&self) -> bool {
        self.fd.is_none() && !self.accepting
    }
}

impl<D: Driver> Worker<D> {
    /// Serves new requests by `table` from now on.
    pub(super) fn adopt(&mut self, table: Arc<Table>, sockets: Vec<ListenSocket>) {
        let Some(table) = self.link.admit(table) else {
            return;
        };
        self.make_room(&table);
        for listener in table.listeners.iter().flatten() {
            if let Some(state) = self.listener_mut(listener.slot) {
                state.table = Pinned::clone(&table);
            }
        }
        for socket in sockets {
            self.open_listener(&table, socket);
        }
        self.steer(&table);
        self.remove_listeners(&table);
        self.stats
            .epoch
            .add(table.epoch.0 - self.stats.epoch.read());
        self.link.adopt(table);
    }

    fn make_room(&mut self, table: &Pinned) {
        let groups = table.group_slots as usize;
        for slot in self.picks.len()..groups {
            let slot = GroupSlot(slot as u32);
            self.picks.push(PickState::new(self.seed, self.core, slot));
            let shadow = ShadowState::new(self.seed, self.core, slot);
            self.shadows.push(shadow);
        }
        let first = u32::from(self.core.0);
        self.source_turns
            .resize(groups.max(self.source_turns.len()), first);
        self.budgets
            .resize_with(groups.max(self.budgets.len()), Budget::default);
        let backends = table.backend_slots as usize;
        self.pools
            .resize_with(backends.max(self.pools.len()), Vec::new);
        self.backend_stats
            .resize_with(backends.max(self.backend_stats.len()), || None);
        self.limited.clear();
        for (index, group) in (0..).map(GroupIndex).zip(&table.groups) {
            for (at, backend) in (0..).map(BackendIndex).zip(&group.backends) {
                self.backend_stats[backend.slot.index()] = Some(backend.stats.clone());
                self.limited
                    .extend(backend.gate.is_some().then_some((index, at)));
            }
        }
        self.close_pools_without_backend(table);
        let listeners = table.listeners.len();
        self.listeners
            .resize_with(listeners.max(self.listeners.len()), || None);
    }

    /// Idle connections to backends that left the table, or are to get nothing, are of no use.
    fn close_pools_without_backend(&mut self, table: &Pinned) {
        let mut used = vec![false; self.pools.len()];
        for backend in table.groups.iter().flat_map(|group| &group.backends) {
            used[backend.slot.index()] |= backend.state != BackendState::Maint;
        }
        for slot in (0..used.len()).filter(|slot| !used[*slot]) {
            for key in std::mem::take(&mut self.pools[slot]) {
                self.close_upstream(key);
            }
        }
    }

    fn open_listener(&mut self, table: &Pinned, socket: ListenSocket) {
        let slot = socket.listener;
        let state = self.listeners[slot.index()].get_or_insert_with(|| ListenerState {
            table: Pinned::clone(table),
            open: 0,
            removed: false,
        });
        state.removed = false;
        let fresh = Socket {
            listener: slot,
            fd: Some(socket.fd),
            accepting: false,
            cancelled: false,
            closing: false,
            steered: None,
        };
        let at = match self.sockets.iter().position(Socket::is_gone) {
            Some(free) => {
                self.sockets[free] = fresh;
                free
            }
            None => {
                self.sockets.push(fresh);
                self.sockets.len() - 1
            }
        };
        self.accept_on(at);
    }

    /// Has each socket prefer the connections of this core's CPU, or not, as its listener says.
    fn steer(&mut self, table: &Table) {
        for socket in &mut self.sockets {
            let listener = table.listener(socket.listener);
            let (Some(fd), Some(listener)) = (&socket.fd, listener) else {
                continue;
            };
            if socket.steered == Some(listener.steered) {
                continue;
            }
            socket.steered = Some(listener.steered);
            if let Err(error) = net::prefer_own_cpu(fd, listener.steered) {
                tracing::warn!(%error, listener = %listener.name, "not steered by CPU");
            }
        }
    }

    fn remove_listeners(&mut self, table: &Pinned) {
        for index in 0..self.listeners.len() {
            let slot = ListenerSlot(index as u32);
            if table.listener(slot).is_some() {
                continue;
            }
            if let Some(state) = self.listener_mut(slot).filter(|state| !state.removed) {
                state.removed = true;
                self.close_sockets(slot);
                self.close_idle_clients(Some(slot));
            }
        }
    }

    /// Lets go of removed listeners whose last connection has ended, and so of their tables.
    pub(super) fn forget_listeners(&mut self) {
        let sockets = &self.sockets;
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            listener.take_if(|state| {
                let of_it = |socket: &&Socket| socket.listener.index() == index;
                state.removed
                    && state.open == 0
                    && sockets.iter().filter(of_it).all(Socket::is_gone)
            });
        }
    }

    /// Closes clients that wait for nothing: of one listener, or of all.
    pub(super) fn close_idle_clients(&mut self, only: Option<ListenerSlot>) {
        let idle: Vec<Key> = self
            .conns
            .keys()
            .filter(|key| match self.conns.at(*key).map(|conn| &conn.role) {
                Some(Role::Client(client)) => {
                    client.phase == Phase::Head
                        && client.stash.is_empty()
                        && only.is_none_or(|slot| slot == client.listener)
                }
                _ => false,
            })
            .collect();
        for key in idle {
            self.close_client(key, None);
        }
    }

    /// The listener in `slot`, if this core has ever had it.
    pub(super) fn listener(&self, slot: ListenerSlot) -> Option<&ListenerState> {
        self.listeners.get(slot.index())?.as_ref()
    }

    /// The listener in `slot`, to change it.
    pub(super) fn listener_mut(&mut self, slot: ListenerSlot) -> Option<&mut ListenerState> {
        self.listeners.get_mut(slot.index())?.as_mut()
    }
}
