//! What this node measures once a second: itself, by what the kernel says of its process and the
//! cores have counted, and its backends, by the counters every answer moves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::book::{Book, Place};
use super::process;
use crate::base::id::{BackendIndex, BackendSlot, CoreId, ListenerSlot};
use crate::config::Config;
use crate::control::breath::unhurried;
use crate::control::gossip::backend_key;
use crate::engine::judging::Totals;
use crate::gossip::{Claimed, Moment, NodeFigures};
use crate::routing::load::Load;
use crate::routing::table::{Backend, Group, Table};
use crate::telemetry::stats::{BackendStats, ListenerStats, PerCore};

/// A backend, as this node counts it.
pub(super) struct Counted {
    pub(super) slot: BackendSlot,
    pub(super) load: Load,
    stats: PerCore<BackendStats>,
    totals: Totals,
    /// Its group, and where it is in it.
    pub(super) place: (usize, BackendIndex),
    /// Policies go by what others have under way there, and nobody tells that better.
    pub(super) fed: bool,
}

impl Counted {
    /// From now on.
    fn new(backend: &Backend, place: (usize, BackendIndex), fed: bool) -> Counted {
        Counted {
            slot: backend.slot,
            load: backend.load.clone(),
            totals: Totals::of(&backend.stats),
            stats: backend.stats.clone(),
            place,
            fed,
        }
    }
}

/// Whom a slot stands for, and what nodes know it by.
struct Known {
    group: Arc<str>,
    id: Arc<str>,
    address: SocketAddr,
    key: u64,
    role: Role,
}

/// Where a backend is, and whether policies are fed with what others have under way there.
type Role = ((usize, BackendIndex), bool);

impl Known {
    fn of(group: &Group, backend: &Backend, role: Role) -> Known {
        Known {
            group: Arc::clone(&group.name),
            id: Arc::clone(&backend.id),
            address: backend.address,
            key: backend_key(group, backend),
            role,
        }
    }

    fn is(&self, group: &Group, backend: &Backend) -> bool {
        self.address == backend.address && self.id == backend.id && self.group == group.name
    }
}

/// What it needs to remember from one second to the next.
pub(super) struct Measuring {
    cores: usize,
    pub(super) backends: BTreeMap<u64, Counted>,
    /// By slot: what each is known by, which takes a text and its hash to find out.
    known: Vec<Option<Known>>,
    pub(super) table: Option<Arc<Table>>,
    listeners: BTreeMap<ListenerSlot, PerCore<ListenerStats>>,
    capacity: u32,
    memory_bytes: u64,
    /// Time of processors, in microseconds, and when.
    cpu: Option<(u64, Moment)>,
}

impl Measuring {
    pub(super) fn new(cores: usize) -> Measuring {
        Measuring {
            cores,
            backends: BTreeMap::new(),
            known: Vec::new(),
            table: None,
            listeners: BTreeMap::new(),
            capacity: 0,
            memory_bytes: memory_of_machine(),
            cpu: None,
        }
    }

    /// Another table; answers whether it has other backends than the one before, or others that
    /// are fed.
    pub(super) fn adopt(&mut self, table: &Arc<Table>, config: &Config) -> bool {
        let mut stays = vec![false; table.backend_slots as usize];
        self.known.resize_with(stays.len(), || None);
        let mut others = false;
        for (index, (group, meant)) in table.groups.iter().zip(&config.groups).enumerate() {
            let learns = group.adaptive().is_some() && meant.probe.is_none();
            let fed = learns || meant.dynamic_weights.is_some();
            for (at, backend) in (0..)
                .map(BackendIndex)
                .zip(unhurried(group.backends.iter()))
            {
                others |= self.count(group, backend, ((index, at), fed));
                stays[backend.slot.index()] = true;
            }
        }
        others |= self.forget_all_but(&stays);
        self.table = Some(Arc::clone(table));
        let listeners = table.listeners.iter().flatten();
        self.listeners = listeners
            .map(|listener| (listener.slot, listener.stats.clone()))
            .collect();
        let listeners = table.listeners.iter().flatten();
        let most = listeners.map(|listener| listener.connections_max);
        self.capacity = most.fold(0, u32::saturating_add);
        others
    }

    /// Counts a backend from now on, if it is not counted already; answers whether it was not, or
    /// is fed now and was not, or the reverse.
    fn count(&mut self, group: &Group, backend: &Backend, role: Role) -> bool {
        let known = &mut self.known[backend.slot.index()];
        if !known.as_ref().is_some_and(|known| known.is(group, backend)) {
            *known = Some(Known::of(group, backend, role));
        } else if let Some(known) = known {
            if known.role == role {
                return false;
            }
            known.role = role;
        }
        let Some(Known { key, .. }) = known else {
            return false;
        };
        let (place, fed) = role;
        match self.backends.get_mut(key) {
            Some(counted) if counted.slot == backend.slot => {
                counted.place = place;
                std::mem::replace(&mut counted.fed, fed) != fed
            }
            _ => {
                self.backends
                    .insert(*key, Counted::new(backend, place, fed));
                true
            }
        }
    }

    /// Answers whether there was another one.
    fn forget_all_but(&mut self, stay: &[bool]) -> bool {
        let before = self.backends.len();
        if before == stay.iter().filter(|stays| **stays).count() {
            return false;
        }
        for (known, stays) in self.known.iter_mut().zip(stay) {
            known.take_if(|_| !stays);
        }
        let known = &self.known;
        self.backends.retain(|key, counted| {
            let known = known.get(counted.slot.index()).and_then(Option::as_ref);
            known.is_some_and(|known| known.key == *key)
        });
        self.backends.len() < before
    }

    /// The backends of the present table.
    pub(super) fn places(&self) -> impl Iterator<Item = (u64, Place)> {
        // Parts of groups have the backends of the whole once more.
        let groups = self.table.iter().flat_map(|table| &table.groups);
        let groups = groups.filter(|group| group.required.is_empty());
        let backends = groups.flat_map(|group| group.backends.iter().map(move |b| (group, b)));
        backends.filter_map(|(group, backend)| {
            let place = Place {
                group: Arc::clone(&group.name),
                id: Arc::clone(&backend.id),
                address: backend.address,
            };
            let known = self.known.get(backend.slot.index())?.as_ref()?;
            Some((known.key, place))
        })
    }

    /// Measures: the backends into the book, and this node.
    pub(super) fn measure(
        &mut self,
        book: &mut Book,
        claims: &BTreeMap<BackendSlot, Claimed>,
        now: Moment,
    ) -> NodeFigures {
        let (mut answers, mut micros, mut in_flight) = (0_u64, 0.0, 0_u32);
        for (key, counted) in &mut self.backends {
            let totals = Totals::of(&counted.stats);
            let before = std::mem::replace(&mut counted.totals, totals);
            let (more, took) = totals.answered_since(before);
            answers += more;
            micros += took;
            let under_way = counted.load.in_flight();
            in_flight = in_flight.saturating_add(under_way);
            if let Some(backend) = book.backends.get_mut(key) {
                let own = &mut backend.own;
                own.in_flight = u16::try_from(under_way).unwrap_or(u16::MAX);
                own.answers = u16::try_from(more).unwrap_or(u16::MAX);
                own.latency_micros = mean(more, took);
                own.claimed = claims.get(&counted.slot).copied();
            }
        }
        let process = process();
        let cpu = self.cpu.replace((process.cpu_micros, now));
        let cpu = cpu.and_then(|(before, then)| {
            let passed = now.saturating_sub(then).as_micros() as u64;
            let used = process.cpu_micros.saturating_sub(before);
            // The cores that serve, and the one of this thread beside them.
            used.saturating_mul(1000)
                .checked_div(passed * self.cores.max(1) as u64)
        });
        let memory = process.resident_bytes.saturating_mul(1000);
        NodeFigures {
            cpu_permille: cpu.map(permille),
            memory_permille: memory.checked_div(self.memory_bytes).map(permille),
            connections: self.connections(),
            in_flight,
            capacity: self.capacity,
            answers: u32::try_from(answers).unwrap_or(u32::MAX),
            latency_micros: mean(answers, micros),
        }
    }

    fn connections(&self) -> u32 {
        let cores = (0_u16..).map(CoreId).take(self.cores);
        let open = cores.flat_map(|core| {
            let listeners = self.listeners.values();
            listeners.map(move |stats| stats.of(core).connections_open.read())
        });
        open.fold(0, u32::saturating_add)
    }
}

fn permille(share: u64) -> u16 {
    // The largest number means that it is not known.
    u16::try_from(share).unwrap_or(u16::MAX).min(u16::MAX - 1)
}

fn mean(answers: u64, micros: f64) -> u32 {
    match answers {
        0 => 0,
        _ => (micros / answers as f64) as u32,
    }
}

/// Bytes of memory of this machine; 0 where the kernel does not tell.
fn memory_of_machine() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::epoch::Epoch;
    use crate::config;
    use crate::engine::facts::Resolved;
    use crate::engine::planner::plan;
    use crate::engine::registry::Registry;

    /// Backends of a group with a part, by the last digit of their port, and what stands behind.
    fn group(backends: &[u32], policy: &str) -> Config {
        let member = |digit: &u32| {
            format!(
                "{{ id = \"b{digit}\", address = \"127.0.0.1:900{digit}\", labels = [\"gpu\"] }}"
            )
        };
        let members: Vec<String> = backends.iter().map(member).collect();
        let text = format!(
            "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:8101\"\ngroup = \"app\"\n\
             [[listener.route]]\npath_prefix = \"/x\"\ngroup = \"app\"\nrequire = [\"gpu\"]\n\
             [[group]]\nname = \"app\"\npolicy = \"{policy}\"\nbackend = [{}]\n",
            members.join(", ")
        );
        config::load(&text, "test.toml").unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn only_other_backends_are_told_of_and_each_of_them_once() {
        let mut registry = Registry::new(1);
        let mut measuring = Measuring::new(1);
        let steps: [(&[u32], &str, bool); 5] = [
            (&[1, 2, 3], "round_robin", true),
            (&[1, 2, 3], "least_connections", false),
            (&[3, 1, 2], "round_robin", false),
            (&[3, 1], "round_robin", true),
            (&[3, 1, 4], "round_robin", true),
        ];
        for (epoch, (backends, policy, others)) in (1..).map(Epoch).zip(steps) {
            let config = group(backends, policy);
            let table = plan(&config, &Resolved::default(), epoch, &mut registry).table;
            assert_eq!(table.groups.len(), 2, "the group and its part");
            let table = Arc::new(table);
            assert_eq!(measuring.adopt(&table, &config), others, "{backends:?}");
            let places: Vec<(u64, Place)> = measuring.places().collect();
            let ids: Vec<String> = places.iter().map(|(_, at)| at.id.to_string()).collect();
            let wanted: Vec<String> = backends.iter().map(|digit| format!("b{digit}")).collect();
            assert_eq!(ids, wanted);
            let known: Vec<u64> = measuring.backends.keys().copied().collect();
            let mut keys: Vec<u64> = places.iter().map(|(key, _)| *key).collect();
            keys.sort_unstable();
            assert_eq!(known, keys);
            for (at, (key, _)) in places.iter().enumerate() {
                let place = measuring.backends[key].place;
                assert_eq!(place, (0, BackendIndex(at as u32)));
            }
        }
    }
}
