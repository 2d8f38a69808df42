//! What a change moves: two tables compared key by key, by the code that serves requests.
//!
//! **Shard rules.** Where both sides list what they place, the comparison is exact: integer ranges
//! are measured in integers, maps and prefixes in the entries listed, text ranges in the pieces
//! between two bounds (texts have no measure of their own), and what moves is named. Everything
//! else (hashes, remainders, a rule that changes its function) is sampled with the keys `0`, `1`,
//! ..., always the same ones: by 65,536 of them a share is met within 0.2 % (one standard
//! deviation).
//!
//! **Groups.** Each sampled key is one pick by the group's policy with nothing under way: of a
//! policy that places by a key it is the key, of any other one more turn or draw. Keys that move
//! are counted only between policies that place.
//!
//! **Routes** are not measured: no table says how many requests match one. Those that lead
//! elsewhere are listed.
//!
//! Nothing here depends on the load: a bound on it counts as met.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::id::{BackendIndex, CoreId, GroupIndex, GroupSlot};
use crate::routing::matcher::Destination;
use crate::routing::policy::{Ask, PickState, Tried, pick};
use crate::routing::table::{Backend, BackendState, Group, Table};

mod routes;
mod rules;
#[cfg(test)]
mod tests;

pub use routes::{RouteChange, Target};
pub use rules::{Method, Move, RuleChange, handed_over};

/// Keys that are sampled unless another number is asked for.
pub const KEYS_DEFAULT: u32 = 65_536;

/// What differs between two tables for those who are placed by them.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Routes that lead elsewhere, by listener and name.
    pub routes: Vec<RouteChange>,
    /// Every shard rule of either table, by name.
    pub shards: Vec<RuleChange>,
    /// The groups, and the parts of them something requires, that are not the same in both, by
    /// name.
    pub groups: Vec<GroupChange>,
    /// Groups that would get requests and have nobody who takes them.
    pub unserved: Vec<Unserved>,
}

/// How a group changes.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupChange {
    /// Its name.
    pub name: Arc<str>,
    /// The labels all of its backends have, if it is a part of that group.
    pub required: Arc<[Arc<str>]>,
    /// Its policy before; `None` where it was not there.
    pub policy_before: Option<&'static str>,
    /// Its policy after; `None` where it is gone.
    pub policy_after: Option<&'static str>,
    /// The share of keys that go to another backend, if both policies place by the same one.
    pub moved: Option<f64>,
    /// What each backend gets.
    pub backends: Vec<Share>,
}

/// A part of the whole, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Of whom; `None` for what nobody gets.
    pub name: Option<String>,
    /// Before.
    pub before: f64,
    /// After.
    pub after: f64,
}

/// A group without a backend that is ready and has a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// The group.
    pub group: Arc<str>,
    /// The labels that are required of its backends.
    pub required: Arc<[Arc<str>]>,
    /// What leads to it: listeners and shard rules.
    pub reached_by: Vec<String>,
    /// Whether it is so only after the change.
    pub is_new: bool,
}

/// Compares the table before a change with the one after it, by so many keys.
#[must_use]
pub fn compare(before: &Table, after: &Table, keys: u32) -> Comparison {
    let keys = keys.max(1);
    Comparison {
        routes: routes::compare(before, after),
        shards: rules::compare(before, after, keys),
        groups: groups(before, after, keys),
        unserved: unserved(before, after),
    }
}

/// The shard rules of a table and what each of their groups owns: a comparison with itself.
#[must_use]
pub fn shares(table: &Table, keys: u32) -> Vec<RuleChange> {
    rules::compare(table, table, keys.max(1))
}

fn groups(before: &Table, after: &Table, keys: u32) -> Vec<GroupChange> {
    let old: BTreeMap<Name<'_>, &Group> = by_name(before);
    let new: BTreeMap<Name<'_>, &Group> = by_name(after);
    let names: BTreeSet<Name<'_>> = old.keys().chain(new.keys()).copied().collect();
    let pairs = names
        .into_iter()
        .map(|name| (name, old.get(&name), new.get(&name)));
    let changed = pairs.filter(|(_, old, new)| match (old, new) {
        (Some(old), Some(new)) => !is_same(old, new),
        _ => true,
    });
    changed
        .map(|(name, old, new)| group(name, old.copied(), new.copied(), keys))
        .collect()
}

/// A group and what is required of it.
type Name<'t> = (&'t Arc<str>, &'t Arc<[Arc<str>]>);

fn by_name(table: &Table) -> BTreeMap<Name<'_>, &Group> {
    table
        .groups
        .iter()
        .map(|group| ((&group.name, &group.required), group))
        .collect()
}

/// Whether two groups choose alike.
fn is_same(old: &Group, new: &Group) -> bool {
    let alike = |(old, new): (&Backend, &Backend)| {
        (&old.id, old.address, old.weight, old.state)
            == (&new.id, new.address, new.weight, new.state)
    };
    old.policy.kind() == new.policy.kind()
        && old.hash_on == new.hash_on
        && old.backends.len() == new.backends.len()
        && old.backends.iter().zip(&new.backends).all(alike)
}

fn group(
    (name, required): Name<'_>,
    old: Option<&Group>,
    new: Option<&Group>,
    keys: u32,
) -> GroupChange {
    let (before, after) = (picks(old, keys), picks(new, keys));
    let comparable = old.zip(new).is_some_and(|(old, new)| {
        let places = |group: &Group| group.policy.kind().needs_key();
        places(old) && places(new) && old.hash_on == new.hash_on
    });
    let moved = comparable.then(|| {
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        share(moved.count() as u128, u128::from(keys))
    });
    let mut counts = BTreeMap::<Option<&Arc<str>>, (u128, u128)>::new();
    for (old, new) in before.iter().zip(&after) {
        counts.entry(old.as_ref()).or_default().0 += 1;
        counts.entry(new.as_ref()).or_default().1 += 1;
    }
    let policy = |group: Option<&Group>| group.map(|group| group.policy.kind().name());
    GroupChange {
        name: Arc::clone(name),
        required: Arc::clone(required),
        policy_before: policy(old),
        policy_after: policy(new),
        moved,
        backends: parts(counts, u128::from(keys)),
    }
}

/// Whom each key goes to.
fn picks(group: Option<&Group>, keys: u32) -> Vec<Option<Arc<str>>> {
    let Some(group) = group else {
        return vec![None; keys as usize];
    };
    let names = group.backends.iter().map(|backend| label(group, backend));
    let names: Vec<Arc<str>> = names.collect();
    let mut state = PickState::new(0, CoreId(0), GroupSlot(0));
    let picks = (0..keys).map(|number| {
        let ask = Ask {
            key: Some(group.place_of(key(number).as_bytes())),
            ..Ask::new(&Tried::NONE, 0)
        };
        let found: Option<BackendIndex> = pick(group, &mut state, &ask).ok();
        found.map(|index| Arc::clone(&names[index.index()]))
    });
    picks.collect()
}

/// What tells a backend from the others: its id, and its address where a name has several.
fn label(group: &Group, backend: &Backend) -> Arc<str> {
    let namesakes = group.backends.iter().filter(|other| other.id == backend.id);
    match namesakes.count() {
        0 | 1 => Arc::clone(&backend.id),
        _ => format!("{} {}", backend.id, backend.address).into(),
    }
}

/// The key of a number.
fn key(number: u32) -> String {
    number.to_string()
}

fn parts<N: ToString>(counts: BTreeMap<Option<N>, (u128, u128)>, whole: u128) -> Vec<Share> {
    let parts = counts.into_iter().map(|(name, (before, after))| Share {
        name: name.map(|name| name.to_string()),
        before: share(before, whole),
        after: share(after, whole),
    });
    parts.collect()
}

/// A part of a whole, from 0 to 1; nothing of nothing is 0.
fn share(part: u128, whole: u128) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

fn unserved(before: &Table, after: &Table) -> Vec<Unserved> {
    let old = by_name(before);
    let was_unserved = |group: &Group| {
        let old = old.get(&(&group.name, &group.required));
        old.is_some_and(|group| !is_served(group))
    };
    let reached = reached(after).into_iter();
    let unserved = reached.filter(|(index, _)| !is_served(after.group(*index)));
    unserved
        .map(|(index, reached_by)| {
            let group = after.group(index);
            Unserved {
                group: Arc::clone(&group.name),
                required: Arc::clone(&group.required),
                reached_by: reached_by.into_iter().collect(),
                is_new: !was_unserved(group),
            }
        })
        .collect()
}

fn is_served(group: &Group) -> bool {
    let takes = |backend: &Backend| backend.state == BackendState::Ready && backend.weight > 0;
    group.backends.iter().any(takes)
}

/// The groups that requests can come to, and by what.
fn reached(table: &Table) -> BTreeMap<GroupIndex, BTreeSet<String>> {
    let mut reached = BTreeMap::<GroupIndex, BTreeSet<String>>::new();
    for listener in table.listeners.iter().flatten() {
        for destination in listener.routes.destinations() {
            match destination {
                Destination::Group(group) => {
                    let by = format!("listener {}", listener.name);
                    reached.entry(group).or_default().insert(by);
                }
                Destination::Shard(shard) => {
                    let rule = table.shard(shard);
                    for group in rule.groups() {
                        let by = format!("shard rule {}", rule.name);
                        reached.entry(group).or_default().insert(by);
                    }
                }
            }
        }
    }
    reached
}
