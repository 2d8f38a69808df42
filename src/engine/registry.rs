//! Stable slots: which number a listener, a group or a backend has, and where its counters are.
//!
//! A slot is handed out when an identity first appears and stays with it across epochs, so
//! counters, pools and cursors survive every change of the configuration, also one that removes
//! the thing and brings it back. Identity is what must agree for the old state to make sense:
//! name and address for a listener (another address is another socket), the name for a group, with
//! the labels that are required for a part of one;
//! group, id and resolved address for a backend, so that a new weight, state, label or policy
//! changes nothing of its counters.
//!
//! A slot that is not live keeps its number and counters until [`Registry::release_before`] says
//! that no core can name it any more; only then may another identity get it, with fresh counters.
//! Who never calls it never sees a slot change hands, and pays with memory for each address a DNS
//! name ever had.

mod slots;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use self::slots::Slots;
use crate::base::epoch::Epoch;
use crate::base::id::{BackendSlot, GroupSlot, ListenerSlot, RouteSerial};
use crate::routing::breaker::Overflows;
use crate::routing::latency::{GroupNorm, Norms};
use crate::routing::limit::Gate;
use crate::routing::load::{Board, Load};
use crate::routing::standing::{BackendStanding, GroupStanding, Standings};
use crate::routing::table::RouteAccount;
use crate::telemetry::stats::{BackendStats, HandoverStats, ListenerStats, PerCore};

/// What makes a listener the same listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ListenerIdentity {
    name: Arc<str>,
    address: SocketAddr,
}

/// What makes a backend the same backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BackendIdentity {
    group: Arc<str>,
    id: Arc<str>,
    address: SocketAddr,
}

/// What makes a group, or a part of it, the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct GroupIdentity {
    name: Arc<str>,
    required: Arc<[Arc<str>]>,
}

/// What makes a route the same route: its listener may move.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RouteIdentity {
    listener: Arc<str>,
    /// Empty for requests that none of its routes takes.
    name: Arc<str>,
}

/// All slots of a node. A clone shares the counters, and all that stays the same, so a plan can be
/// tried on a clone and thrown away.
#[derive(Clone)]
pub struct Registry {
    cores: usize,
    epoch: Epoch,
    listeners: Slots<ListenerIdentity, ListenerState>,
    routes: Slots<RouteIdentity, RouteAccount>,
    /// The serial the last new route got.
    last_route: RouteSerial,
    groups: Slots<GroupIdentity, GroupState>,
    backends: Slots<BackendIdentity, BackendState>,
    group_loads: Board,
    backend_loads: Board,
    standings: Standings,
    norms: Norms,
    /// What cores count of rules that hand keys over, by rule and when that began.
    handovers: BTreeMap<(Arc<str>, Duration), PerCore<HandoverStats>>,
    /// The last addresses each name had, by host and port.
    pub(super) known: HashMap<(Arc<str>, u16), Vec<SocketAddr>>,
}

/// What stays with a backend from epoch to epoch.
#[derive(Clone)]
pub(super) struct BackendState {
    pub(super) stats: PerCore<BackendStats>,
    pub(super) load: Load,
    /// Made when the backend is first given a limit.
    pub(super) gate: Option<Arc<Gate>>,
    pub(super) standing: BackendStanding,
}

#[derive(Clone)]
pub(super) struct GroupState {
    /// What its backends have under way.
    pub(super) load: Load,
    /// What an answer of it usually takes.
    pub(super) norm: GroupNorm,
    /// Requests that wait for room in it.
    pub(super) waiting: Arc<AtomicU32>,
    pub(super) standing: GroupStanding,
    /// The accounts of its breaker.
    pub(super) gate: Arc<Gate>,
    pub(super) overflows: Arc<Overflows>,
}

#[derive(Clone)]
struct ListenerState {
    stats: PerCore<ListenerStats>,
    backlog: u32,
}

/// One listener, for metrics and admin views.
#[derive(Clone)]
pub struct ListenerEntry {
    /// Its slot.
    pub slot: ListenerSlot,
    /// Its name.
    pub name: Arc<str>,
    /// Where it listens, or did.
    pub address: SocketAddr,
    /// Its counters.
    pub stats: PerCore<ListenerStats>,
    /// Whether the last plan has it.
    pub live: bool,
}

/// One route, for metrics.
#[derive(Clone)]
pub struct RouteEntry {
    /// Name of its listener.
    pub listener: Arc<str>,
    /// Its name; empty for requests that no route took.
    pub name: Arc<str>,
    /// What is counted of it.
    pub account: RouteAccount,
}

/// One group, for metrics and admin views.
#[derive(Clone, Debug)]
pub struct GroupEntry {
    /// Its slot.
    pub slot: GroupSlot,
    /// Its name.
    pub name: Arc<str>,
    /// Labels all of its backends have, if it is a part of a group that something requires.
    pub required: Arc<[Arc<str>]>,
    /// What holds for all of it at this moment.
    pub standing: GroupStanding,
    /// Whether the last plan has it.
    pub live: bool,
}

/// One backend, for metrics and admin views.
#[derive(Clone)]
pub struct BackendEntry {
    /// Its slot.
    pub slot: BackendSlot,
    /// Name of its group.
    pub group: Arc<str>,
    /// What it is known by in its group.
    pub id: Arc<str>,
    /// Where it is, or was.
    pub address: SocketAddr,
    /// What it has under way.
    pub load: Load,
    /// Its counters.
    pub stats: PerCore<BackendStats>,
    /// What this node thinks of it at this moment.
    pub standing: BackendStanding,
    /// Whether the last plan has it.
    pub live: bool,
}

impl Registry {
    /// An empty registry whose counters are for `cores` cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        Registry {
            cores,
            epoch: Epoch::default(),
            listeners: Slots::default(),
            routes: Slots::default(),
            last_route: RouteSerial(0),
            groups: Slots::default(),
            backends: Slots::default(),
            group_loads: Board::new(cores),
            backend_loads: Board::new(cores),
            standings: Standings::default(),
            norms: Norms::new(cores),
            handovers: BTreeMap::new(),
            known: HashMap::new(),
        }
    }

    /// Forgets the counts of rules that hand nothing over any more.
    pub(super) fn keep_handovers(&mut self, windows: &BTreeSet<(Arc<str>, Duration)>) {
        self.handovers.retain(|window, _| windows.contains(window));
    }

    /// What is counted of a rule that hands keys over since a time.
    pub(super) fn handover(&mut self, rule: &Arc<str>, since: Duration) -> PerCore<HandoverStats> {
        let cores = self.cores;
        let window = (Arc::clone(rule), since);
        let known = self.handovers.entry(window);
        known.or_insert_with(|| PerCore::new(cores)).clone()
    }

    /// How many cores the counters are for.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Every listener that has a slot.
    pub fn listeners(&self) -> impl Iterator<Item = ListenerEntry> + '_ {
        self.listeners
            .iter()
            .map(|(slot, entry, last)| ListenerEntry {
                slot: ListenerSlot(slot),
                name: Arc::clone(&entry.identity.name),
                address: entry.identity.address,
                stats: entry.state.stats.clone(),
                live: self.is_live(last),
            })
    }

    /// Every route that has counters.
    pub fn routes(&self) -> impl Iterator<Item = RouteEntry> + '_ {
        self.routes.iter().map(|(_, entry, _)| RouteEntry {
            listener: Arc::clone(&entry.identity.listener),
            name: Arc::clone(&entry.identity.name),
            account: entry.state.clone(),
        })
    }

    /// Every group that has a slot.
    pub fn groups(&self) -> impl Iterator<Item = GroupEntry> + '_ {
        self.groups.iter().map(|(slot, entry, last)| GroupEntry {
            slot: GroupSlot(slot),
            name: Arc::clone(&entry.identity.name),
            required: Arc::clone(&entry.identity.required),
            standing: entry.state.standing.clone(),
            live: self.is_live(last),
        })
    }

    /// Every backend that has a slot.
    pub fn backends(&self) -> impl Iterator<Item = BackendEntry> + '_ {
        self.backends
            .iter()
            .map(|(slot, entry, last)| BackendEntry {
                slot: BackendSlot(slot),
                group: Arc::clone(&entry.identity.group),
                id: Arc::clone(&entry.identity.id),
                address: entry.identity.address,
                load: entry.state.load.clone(),
                stats: entry.state.stats.clone(),
                standing: entry.state.standing.clone(),
                live: self.is_live(last),
            })
    }

    /// Bytes of loads and slots of groups and backends, their counters not included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.group_loads.memory_bytes()
            + self.backend_loads.memory_bytes()
            + self.backend_loads.latencies().memory_bytes()
            + self.backend_loads.elsewhere().memory_bytes()
            + self.standings.memory_bytes()
            + self.norms.memory_bytes()
            + self.groups.memory_bytes()
            + self.backends.memory_bytes()
    }

    /// Frees every slot that is not live and was last in a table older than `oldest`, the oldest
    /// epoch any core still serves a request with. Workers must have dropped what they keep by
    /// slot (pools, cursors) for slots their table no longer names.
    pub fn release_before(&mut self, oldest: Epoch) {
        let oldest = oldest.min(self.epoch);
        self.listeners.release_before(oldest);
        self.routes.release_before(oldest);
        self.groups.release_before(oldest);
        self.backends.release_before(oldest);
    }

    /// Begins a plan: what is not claimed in `epoch` from here on is not live any more.
    pub(super) fn begin(&mut self, epoch: Epoch) {
        debug_assert!(
            epoch > self.epoch || self.groups.len() == 0,
            "epochs never fall, and each has one plan"
        );
        self.epoch = epoch;
    }

    /// The slot and counters of a listener. The backlog returned is the one it was opened with,
    /// if the epoch before this one had it.
    pub(super) fn claim_listener(
        &mut self,
        name: &Arc<str>,
        address: SocketAddr,
        backlog: u32,
    ) -> (ListenerSlot, PerCore<ListenerStats>, u32) {
        let identity = ListenerIdentity {
            name: Arc::clone(name),
            address,
        };
        let cores = self.cores;
        let (slot, state) = self
            .listeners
            .claim(identity, self.epoch, |_| ListenerState {
                stats: PerCore::new(cores),
                backlog,
            });
        (ListenerSlot(slot), state.stats.clone(), state.backlog)
    }

    /// What is counted of a route; without a name, of requests that no route of the listener takes.
    pub(super) fn claim_route(&mut self, listener: &Arc<str>, name: &Arc<str>) -> RouteAccount {
        let identity = RouteIdentity {
            listener: Arc::clone(listener),
            name: Arc::clone(name),
        };
        let (cores, last) = (self.cores, &mut self.last_route);
        let make = |_| {
            last.0 += 1;
            RouteAccount {
                serial: *last,
                unplaced: PerCore::new(cores),
            }
        };
        self.routes.claim(identity, self.epoch, make).1.clone()
    }

    /// Notes the backlog a listener's sockets are opened with.
    pub(super) fn opened(&mut self, slot: ListenerSlot, backlog: u32) {
        self.listeners
            .change(slot.0, |state| state.backlog = backlog);
    }

    /// The slot and the load of a group, or of the part of it with these labels.
    pub(super) fn claim_group(
        &mut self,
        name: &Arc<str>,
        required: &Arc<[Arc<str>]>,
    ) -> (GroupSlot, GroupState) {
        let identity = GroupIdentity {
            name: Arc::clone(name),
            required: Arc::clone(required),
        };
        let (loads, norms) = (&mut self.group_loads, &mut self.norms);
        let make = |slot| GroupState {
            load: loads.claim(slot),
            norm: norms.claim(slot),
            waiting: Arc::default(),
            standing: GroupStanding::default(),
            gate: Arc::default(),
            overflows: Arc::default(),
        };
        let (slot, state) = self.groups.claim(identity, self.epoch, make);
        (GroupSlot(slot), state.clone())
    }

    /// The view of all loads of backends, for policies. It is complete once all are claimed.
    pub(super) fn backend_loads(&self) -> &Board {
        &self.backend_loads
    }

    /// The view of all standings of backends, for policies. It is complete once all are claimed.
    pub(super) fn standings(&self) -> &Standings {
        &self.standings
    }

    /// The slot of a backend and what belongs to it; with a gate if it is `limited`.
    pub(super) fn claim_backend(
        &mut self,
        group: &Arc<str>,
        id: &Arc<str>,
        address: SocketAddr,
        limited: bool,
    ) -> (BackendSlot, BackendState) {
        let identity = BackendIdentity {
            group: Arc::clone(group),
            id: Arc::clone(id),
            address,
        };
        let (cores, loads) = (self.cores, &mut self.backend_loads);
        let standings = &mut self.standings;
        let make = |slot| BackendState {
            stats: PerCore::new(cores),
            load: loads.claim(slot),
            gate: None,
            standing: standings.claim(slot),
        };
        let (slot, state) = self.backends.claim(identity, self.epoch, make);
        let mut state = state.clone();
        if limited && state.gate.is_none() {
            state.gate = Some(Arc::default());
            self.backends.change(slot, |kept| *kept = state.clone());
        }
        (BackendSlot(slot), state)
    }

    /// Slots of the listeners that are live now, in order.
    pub(super) fn live_listeners(&self) -> Vec<ListenerSlot> {
        let live = self
            .listeners
            .iter()
            .filter(|(_, _, last)| self.is_live(*last));
        live.map(|(slot, ..)| ListenerSlot(slot)).collect()
    }

    /// One past the highest listener, group and backend slot.
    pub(super) fn lengths(&self) -> (u32, u32, u32) {
        (self.listeners.len(), self.groups.len(), self.backends.len())
    }

    fn is_live(&self, last: Epoch) -> bool {
        last == self.epoch
    }
}
