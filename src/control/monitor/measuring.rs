//! What this node measures once a second: itself, by what the kernel says of its process and the
//! cores have counted, and its backends, by the counters every answer moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::{Book, Place};
use super::process;
use crate::base::id::{BackendIndex, BackendSlot, CoreId, ListenerSlot};
use crate::config::Config;
use crate::control::gossip::backend_key;
use crate::engine::judging::Totals;
use crate::gossip::{Claimed, Moment, NodeFigures};
use crate::routing::load::Load;
use crate::routing::table::Table;
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

/// What it needs to remember from one second to the next.
pub(super) struct Measuring {
    cores: usize,
    pub(super) backends: BTreeMap<u64, Counted>,
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
            table: None,
            listeners: BTreeMap::new(),
            capacity: 0,
            memory_bytes: memory_of_machine(),
            cpu: None,
        }
    }

    /// Another table; answers its backends.
    pub(super) fn adopt(
        &mut self,
        table: &Arc<Table>,
        config: &Config,
    ) -> impl Iterator<Item = (u64, Place)> {
        let mut before = std::mem::take(&mut self.backends);
        let mut places = Vec::new();
        for (index, (group, meant)) in table.groups.iter().zip(&config.groups).enumerate() {
            let learns = group.adaptive().is_some() && meant.probe.is_none();
            let fed = learns || meant.dynamic_weights.is_some();
            for (at, backend) in (0..).map(BackendIndex).zip(&group.backends) {
                let key = backend_key(group, backend);
                let known = before
                    .remove(&key)
                    .filter(|known| known.slot == backend.slot);
                let place = (index, at);
                let counted = match known {
                    Some(known) => Counted {
                        place,
                        fed,
                        ..known
                    },
                    None => Counted {
                        slot: backend.slot,
                        load: backend.load.clone(),
                        totals: Totals::of(&backend.stats),
                        stats: backend.stats.clone(),
                        place,
                        fed,
                    },
                };
                self.backends.insert(key, counted);
                let place = Place {
                    group: Arc::clone(&group.name),
                    id: Arc::clone(&backend.id),
                    address: backend.address,
                };
                places.push((key, place));
            }
        }
        self.table = Some(Arc::clone(table));
        let listeners = table.listeners.iter().flatten();
        self.listeners = listeners
            .map(|listener| (listener.slot, listener.stats.clone()))
            .collect();
        let listeners = table.listeners.iter().flatten();
        let most = listeners.map(|listener| listener.connections_max);
        self.capacity = most.fold(0, u32::saturating_add);
        places.into_iter()
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
