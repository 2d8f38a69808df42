//! Hard limits over all nodes, at their edge: which backends have one, the gates of their requests,
//! and what is said of slots.
//!
//! A table is looked at before the cores get it, so that no request of a backend that is new begins
//! without its limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gossip::capacity::{Capacity, Owners, Slots, Sums, Words};
use crate::gossip::{Member, Moment};
use crate::routing::limit::{Gate, Limited};
use crate::routing::table::{Backend, Group, Table};

/// The slots of this node; clones are the same.
#[derive(Clone)]
pub(super) struct Sharing(Arc<Mutex<Shared>>);

struct Shared {
    capacity: Capacity,
    gates: Gates,
}

#[derive(Default)]
struct Gates(BTreeMap<u64, Arc<Gate>>);

impl Slots for Gates {
    fn taken(&self, key: u64) -> u32 {
        let gate = self.0.get(&key);
        gate.map_or(0, |gate| gate.taken(Limited::Requests))
    }

    fn was_short(&mut self, key: u64) -> bool {
        self.0.get(&key).is_some_and(|gate| gate.take_short())
    }

    fn set(&mut self, key: u64, limit: u32) {
        if let Some(gate) = self.0.get(&key) {
            gate.set_limit(limit);
        }
    }

    fn lower(&mut self, key: u64, limit: u32) -> u32 {
        let gate = self.0.get(&key);
        gate.map_or(limit, |gate| gate.lower_limit(limit))
    }
}

impl Sharing {
    pub(super) fn new(owners: &[Arc<str>], me: &str) -> Sharing {
        let shared = Shared {
            capacity: Capacity::new(Owners::new(owners, me), Moment::ZERO),
            gates: Gates::default(),
        };
        Sharing(Arc::new(Mutex::new(shared)))
    }

    /// A table is about to be published.
    pub(super) fn adopt(&self, table: &Table, now: Moment) {
        let mut maxima = BTreeMap::new();
        let mut gates = BTreeMap::new();
        for group in table.whole_groups() {
            for backend in &group.backends {
                if let (Some(max), Some(gate)) = (backend.requests_max, &backend.gate) {
                    let key = backend_key(group, backend);
                    maxima.insert(key, max);
                    gates.insert(key, Arc::clone(gate));
                }
            }
        }
        let mut shared = self.lock();
        let Shared {
            capacity,
            gates: known,
        } = &mut *shared;
        known.0 = gates;
        capacity.adopt(&maxima, now, known);
    }

    pub(super) fn handle(&self, from: &Member, words: Words, now: Moment) {
        let mut shared = self.lock();
        let Shared { capacity, gates } = &mut *shared;
        capacity.handle(from, words, now, gates);
    }

    /// What is to be said, and to whom.
    pub(super) fn step(&self, there: &[Arc<str>], now: Moment) -> Vec<(Arc<str>, Vec<u8>)> {
        let mut shared = self.lock();
        let Shared { capacity, gates } = &mut *shared;
        capacity.step(there, now, gates);
        capacity.check();
        all(capacity)
    }

    /// What waits to be said.
    pub(super) fn said(&self) -> Vec<(Arc<str>, Vec<u8>)> {
        all(&mut self.lock().capacity)
    }

    pub(super) fn sums(&self) -> Sums {
        self.lock().capacity.sums()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn all(capacity: &mut Capacity) -> Vec<(Arc<str>, Vec<u8>)> {
    std::iter::from_fn(|| capacity.poll_output()).collect()
}

/// What a backend is known by on every node.
pub(in crate::control) fn backend_key(group: &Group, backend: &Backend) -> u64 {
    super::key_of(&[&group.name, &backend.id, &backend.address.to_string()])
}
