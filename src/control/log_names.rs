//! What the access log calls slots, and where it reads what is under way at them.

use std::sync::Arc;

use crate::base::id::{BackendSlot, ListenerSlot};
use crate::control::view::View;
use crate::routing::load::Load;
use crate::routing::table::{Group, Table};
use crate::telemetry::access_log::names::{Figures, LogNames};
use crate::telemetry::stats::{ListenerStats, PerCore};

/// The names of a plan.
#[must_use]
pub fn of(view: &View) -> LogNames {
    let mut listeners = Vec::new();
    for entry in view.listeners() {
        place(&mut listeners, entry.slot.index(), &*entry.name);
    }
    let mut backends = Vec::new();
    for entry in view.backends() {
        let names = (&*entry.group, &*entry.id);
        place(&mut backends, entry.slot.index(), names);
    }
    let gauges = Gauges::of(view);
    LogNames::new(listeners.into_iter(), backends.into_iter()).with_gauges(Box::new(
        move |listener, backend| gauges.read(listener, backend),
    ))
}

/// Everything that is read for a line, by slot.
struct Gauges {
    listeners: Vec<Option<PerCore<ListenerStats>>>,
    /// What a backend has under way, and the position of its group, while it is in the table.
    backends: Vec<Option<(Load, Option<usize>)>>,
    table: Arc<Table>,
}

impl Gauges {
    fn of(view: &View) -> Gauges {
        let mut listeners = Vec::new();
        for entry in view.listeners() {
            place(
                &mut listeners,
                entry.slot.index(),
                Some(entry.stats.clone()),
            );
        }
        let mut backends = Vec::new();
        for entry in view.backends() {
            let load = entry.load.clone();
            place(&mut backends, entry.slot.index(), Some((load, None)));
        }
        for (position, group) in view.table.groups.iter().enumerate() {
            for backend in group.backends.iter().filter(|_| group.required.is_empty()) {
                if let Some(Some((_, of))) = backends.get_mut(backend.slot.index()) {
                    *of = Some(position);
                }
            }
        }
        Gauges {
            listeners,
            backends,
            table: Arc::clone(&view.table),
        }
    }

    fn read(&self, listener: ListenerSlot, backend: Option<BackendSlot>) -> Figures {
        let all = self.listeners.iter().flatten();
        let listener = self.listeners.get(listener.index());
        let mut figures = Figures {
            connections: all.map(connections).sum(),
            of_listener: listener.and_then(Option::as_ref).map_or(0, connections),
            ..Figures::default()
        };
        let found = backend.and_then(|slot| self.backends.get(slot.index())?.as_ref());
        if let Some((load, group)) = found {
            figures.of_backend = u64::from(load.in_flight());
            let group: Option<&Group> = group.and_then(|position| self.table.groups.get(position));
            figures.of_group = group.map_or(0, |group| u64::from(group.load.in_flight()));
            figures.waiting = group.map_or(0, |group| u64::from(group.queue.waiting()));
        }
        figures
    }
}

fn connections(stats: &PerCore<ListenerStats>) -> u64 {
    stats
        .iter()
        .map(|core| u64::from(core.connections_open.read()))
        .sum()
}

fn place<T: Clone + Default>(slots: &mut Vec<T>, index: usize, value: T) {
    if slots.len() <= index {
        slots.resize(index + 1, T::default());
    }
    slots[index] = value;
}
