//! What goes from node to node, and from there to the policies.
//!
//! What is under way changes within milliseconds, so it is told ten times a second, for the
//! backends of groups that go by it, a few messages at a time: some two hundred backends in each
//! tenth of a second, the others in their turn. All that others are told of slower things comes
//! once a second, with the node itself, and the backends of other groups by turns.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::book::Book;
use super::measuring::Measuring;
use crate::base::id::{BackendSlot, CoreId};
use crate::gossip::{BACKENDS_MAX, Figures, Moment, NodeFigures};

/// How often all of this is asked for.
pub(in crate::control) const TELL_EVERY: Duration = Duration::from_millis(100);

/// A number must come so often while an answer takes, to be gone by.
const OFTEN: f32 = 4.0;

/// Messages to each node in one turn.
const MESSAGES_MAX: usize = 4;

/// Turns of which one also tells of a message full of backends nobody is in a hurry about.
const SLOW_EVERY: u64 = 10;

/// What is told, and what was heard and not fed yet.
#[derive(Default)]
pub(super) struct Telling {
    /// Backends that are told of often, and where it goes on.
    quick: Vec<u64>,
    quick_at: usize,
    slow: Vec<u64>,
    slow_at: usize,
    node: Option<NodeFigures>,
    heard: BTreeSet<u64>,
    turns: u64,
}

impl Telling {
    /// Other backends are there.
    pub(super) fn adopt(&mut self, measuring: &Measuring) {
        let of = |fed: bool| {
            let some = measuring.backends.iter();
            some.filter(move |(_, counted)| counted.fed == fed)
                .map(|(key, _)| *key)
                .collect()
        };
        (self.quick, self.slow) = (of(true), of(false));
    }

    /// The node was measured.
    pub(super) fn node_is(&mut self, figures: NodeFigures) {
        self.node = Some(figures);
    }

    /// Somebody has said something of these.
    pub(super) fn heard(&mut self, keys: Vec<u64>) {
        self.heard.extend(keys);
    }

    /// Tells the policies what others have under way, of those that were heard of. A number that
    /// is old when it arrives is worse than none, so a group hears of it only where it comes four
    /// times while an answer takes (ALGORITHMS: a mesh above a quarter of the service time herds).
    pub(super) fn feed(&mut self, book: &Book, measuring: &Measuring, now: Moment, micros: u64) {
        let rounds = self
            .quick
            .len()
            .div_ceil(MESSAGES_MAX * BACKENDS_MAX)
            .max(1);
        let period = TELL_EVERY.as_micros() as f32 * rounds as f32;
        let Some(table) = &measuring.table else {
            return;
        };
        for key in std::mem::take(&mut self.heard) {
            let counted = measuring.backends.get(&key).filter(|counted| counted.fed);
            let others = book
                .backends
                .get(&key)
                .and_then(|backend| backend.others(now));
            let (Some(counted), Some(others)) = (counted, others) else {
                continue;
            };
            let (group, index) = counted.place;
            let group = &table.groups[group];
            let usual = group.norm.usual(CoreId(0));
            if usual.is_some_and(|usual| usual[0] >= OFTEN * period) {
                group.heard(index, others, micros);
            }
        }
    }

    /// What is to be told in this turn.
    pub(super) fn messages(&mut self, book: &Book, measuring: &Measuring) -> Vec<Figures> {
        self.turns += 1;
        let due = |keys: &[u64], at: &mut usize, most: usize| -> Vec<u64> {
            let count = keys.len().min(most);
            let some = (0..count)
                .map(|step| keys[(*at + step) % keys.len()])
                .collect();
            *at = (*at + count) % keys.len().max(1);
            some
        };
        let most = MESSAGES_MAX * BACKENDS_MAX;
        let mut keys = due(&self.quick, &mut self.quick_at, most);
        if self.turns.is_multiple_of(SLOW_EVERY) {
            keys.extend(due(&self.slow, &mut self.slow_at, BACKENDS_MAX));
        }
        let backends = keys.iter().filter_map(|key| {
            let mut figures = book.backends.get(key)?.own;
            let under_way = measuring.backends.get(key)?.load.in_flight();
            figures.in_flight = u16::try_from(under_way).unwrap_or(u16::MAX);
            Some(figures)
        });
        let backends: Vec<_> = backends.collect();
        let mut messages: Vec<Figures> = backends
            .chunks(BACKENDS_MAX)
            .map(|some| Figures {
                node: None,
                backends: some.to_vec(),
            })
            .collect();
        if let Some(node) = self.node.take() {
            if messages.is_empty() {
                messages.push(Figures::default());
            }
            messages[0].node = Some(node);
        }
        messages
    }
}

/// What answers of other nodes take, of backends of groups that go by it: how many in the last
/// second, and microseconds in the mean.
pub(super) fn latencies(
    book: &Book,
    measuring: &Measuring,
    now: Moment,
) -> BTreeMap<BackendSlot, (u32, f64)> {
    let fed = measuring.backends.iter().filter(|(_, counted)| counted.fed);
    fed.filter_map(|(key, counted)| {
        let heard = book.backends.get(key)?.latency_elsewhere(now)?;
        Some((counted.slot, heard))
    })
    .collect()
}
