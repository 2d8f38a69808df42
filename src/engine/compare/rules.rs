//! Shard rules compared: which part of the keys goes to another group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Share, key, parts, share};
use crate::base::id::GroupIndex;
use crate::routing::shard::function::{Function, IntegerRange, TextRange};
use crate::routing::shard::key::Extracted;
use crate::routing::shard::{Decision, Rule};
use crate::routing::table::Table;

/// Moves that are named; the rest is in the share.
const MOVES_MAX: usize = 100;

/// How a shard rule changes.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleChange {
    /// Its name.
    pub name: Arc<str>,
    /// How keys choose a group before; `None` where the rule was not there.
    pub function_before: Option<&'static str>,
    /// How keys choose a group after; `None` where it is gone.
    pub function_after: Option<&'static str>,
    /// How the shares were found.
    pub method: Method,
    /// The share of keys that go elsewhere; `None` for a rule that comes or goes.
    pub moved: Option<f64>,
    /// What each group gets; a key that is refused is nobody's.
    pub groups: Vec<Share>,
    /// What moves, where that can be named, at most [`MOVES_MAX`].
    pub moves: Vec<Move>,
}

/// How shares are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Every entry that is listed counts once.
    Entries,
    /// Every integer in a range counts once.
    Integers,
    /// Every piece between two bounds of text ranges counts once.
    Pieces,
    /// So many keys were tried.
    Sampled(u32),
}

/// Some keys that go elsewhere; nobody's are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub keys: String,
    /// Where they went.
    pub before: Option<Arc<str>>,
    /// Where they go.
    pub after: Option<Arc<str>>,
}

/// One key that stands for some.
struct Probe {
    key: Vec<u8>,
    weight: u128,
    /// What it stands for, where that can be named.
    keys: Option<String>,
}

pub(super) fn compare(before: &Table, after: &Table, keys: u32) -> Vec<RuleChange> {
    let old: BTreeMap<&Arc<str>, &Rule> = by_name(before);
    let new: BTreeMap<&Arc<str>, &Rule> = by_name(after);
    let names: BTreeSet<&Arc<str>> = old.keys().chain(new.keys()).copied().collect();
    let changes = names.into_iter().map(|name| {
        let old = old.get(name).map(|rule| (before, *rule));
        let new = new.get(name).map(|rule| (after, *rule));
        change(name, old, new, keys)
    });
    changes.collect()
}

/// What a rule that hands keys over changes, with so many keys tried where it hashes; `None` of
/// one that hands nothing over.
#[must_use]
pub fn handed_over(table: &Table, rule: &Rule, keys: u32) -> Option<RuleChange> {
    let before = &rule.handover.as_ref()?.before;
    Some(change(
        &rule.name,
        Some((table, before)),
        Some((table, rule)),
        keys,
    ))
}

fn by_name(table: &Table) -> BTreeMap<&Arc<str>, &Rule> {
    table.shards.iter().map(|rule| (&rule.name, rule)).collect()
}

type Side<'t> = Option<(&'t Table, &'t Rule)>;

fn change(name: &Arc<str>, old: Side<'_>, new: Side<'_>, keys: u32) -> RuleChange {
    let function = |side: Side<'_>| side.map(|(_, rule)| rule.function.name());
    let (method, probes) = match (old, new) {
        (Some((_, old)), Some((_, new))) => probes(&old.function, &new.function, keys),
        (Some((_, only)), None) | (None, Some((_, only))) => {
            probes(&only.function, &only.function, keys)
        }
        (None, None) => (Method::Sampled(0), Vec::new()),
    };
    let (mut whole, mut moved) = (0_u128, 0_u128);
    let mut counts = BTreeMap::<Option<Arc<str>>, (u128, u128)>::new();
    let mut moves = Vec::new();
    for probe in probes {
        let (before, after) = (place(old, &probe.key), place(new, &probe.key));
        whole += probe.weight;
        if old.is_some() {
            counts.entry(before.clone()).or_default().0 += probe.weight;
        }
        if new.is_some() {
            counts.entry(after.clone()).or_default().1 += probe.weight;
        }
        if before != after {
            moved += probe.weight;
            if let Some(keys) = probe.keys.filter(|_| moves.len() < MOVES_MAX) {
                moves.push(Move {
                    keys,
                    before,
                    after,
                });
            }
        }
    }
    RuleChange {
        name: Arc::clone(name),
        function_before: function(old),
        function_after: function(new),
        method,
        moved: (old.is_some() && new.is_some()).then(|| share(moved, whole)),
        groups: parts(counts, whole),
        moves: if old.is_some() && new.is_some() {
            moves
        } else {
            Vec::new()
        },
    }
}

/// The group of a key as a request that has it; `None` where it is refused.
fn place(side: Side<'_>, key: &[u8]) -> Option<Arc<str>> {
    let (table, rule) = side?;
    match rule.decide_by(Extracted::Key(key), |_: GroupIndex| 0) {
        Decision::Group(group) => Some(Arc::clone(&table.group(group).name)),
        Decision::NeedsBody | Decision::Reject(_) => None,
    }
}

fn probes(old: &Function, new: &Function, keys: u32) -> (Method, Vec<Probe>) {
    match (old, new) {
        (Function::Integers(old), Function::Integers(new)) => {
            (Method::Integers, integers(old, new))
        }
        (Function::Texts(old), Function::Texts(new)) => (Method::Pieces, pieces(old, new)),
        (Function::Map(old), Function::Map(new)) => {
            (Method::Entries, entries(&[old.listed(), new.listed()], ""))
        }
        (Function::Prefix(old), Function::Prefix(new)) => {
            (Method::Entries, entries(&[old.listed(), new.listed()], "*"))
        }
        _ => {
            let probe = |number| Probe {
                key: key(number).into_bytes(),
                weight: 1,
                keys: None,
            };
            (Method::Sampled(keys), (0..keys).map(probe).collect())
        }
    }
}

/// What is between two bounds of any of the ranges is placed alike; one key stands for all of it.
fn integers(old: &[IntegerRange], new: &[IntegerRange]) -> Vec<Probe> {
    let ranges = || old.iter().chain(new);
    let bounds = ranges().flat_map(|range| [i128::from(range.from), i128::from(range.to) + 1]);
    let bounds: BTreeSet<i128> = bounds.collect();
    let bounds: Vec<i128> = bounds.into_iter().collect();
    let covers = |ranges: &[IntegerRange], from: i128| {
        let after = ranges.partition_point(|range| i128::from(range.from) <= from);
        let last = ranges[..after].last();
        last.is_some_and(|range| from <= i128::from(range.to))
    };
    let pairs = bounds.windows(2).map(|pair| (pair[0], pair[1]));
    let pairs = pairs.filter(|(from, _)| covers(old, *from) || covers(new, *from));
    pairs
        .map(|(from, end)| Probe {
            key: from.to_string().into_bytes(),
            weight: end.abs_diff(from),
            keys: Some(format!("{from}..={}", end - 1)),
        })
        .collect()
}

fn pieces(old: &[TextRange], new: &[TextRange]) -> Vec<Probe> {
    let ranges = || old.iter().chain(new);
    let ends = ranges().filter_map(|range| range.to.as_deref());
    let bounds: BTreeSet<&[u8]> = ranges().map(|range| &*range.from).chain(ends).collect();
    let bounds: Vec<&[u8]> = bounds.into_iter().collect();
    let covers = |ranges: &[TextRange], from: &[u8]| {
        let after = ranges.partition_point(|range| *range.from <= *from);
        let last = ranges[..after].last();
        last.is_some_and(|range| range.to.as_ref().is_none_or(|to| *from < **to))
    };
    let piece = |(position, from): (usize, &&[u8])| {
        let shown = |text: &[u8]| format!("{:?}", String::from_utf8_lossy(text));
        let end = bounds.get(position + 1).map(|end| shown(end));
        (covers(old, from) || covers(new, from)).then(|| Probe {
            key: from.to_vec(),
            weight: 1,
            keys: Some(format!("{}..{}", shown(from), end.unwrap_or_default())),
        })
    };
    bounds.iter().enumerate().filter_map(piece).collect()
}

fn entries(listed: &[BTreeSet<Vec<u8>>; 2], mark: &str) -> Vec<Probe> {
    let keys = listed[0].union(&listed[1]);
    keys.map(|key| Probe {
        key: key.clone(),
        weight: 1,
        keys: Some(format!("{}{mark}", String::from_utf8_lossy(key))),
    })
    .collect()
}
