//! Functions of a shard rule that spread keys over groups: the remainder and the hashes.

use std::collections::HashMap;

use super::super::checked::{GroupRef, HashAlgorithm, ShardFunction, ShardHash};
use super::super::problem::{At, Problems};
use super::super::raw;
use super::super::reader::Written;
use super::names::GroupNames;
use super::shard::{group_of, has_entries};
use super::values::{choice, missing, number, out_of_range};

/// Groups one function spreads over.
const GROUPS_MAX: usize = 65_536;
/// Shares are compared with each other, so a wide range is never needed.
const WEIGHT_MAX: u32 = 65_535;
/// A bound of 100 % could leave nobody who may take a request.
const BOUND: std::ops::RangeInclusive<u32> = 101..=1000;

/// The words of `hash.algorithm`.
pub(in super::super) const ALGORITHMS: [(&str, HashAlgorithm); 4] = [
    ("rendezvous", HashAlgorithm::Rendezvous),
    ("maglev", HashAlgorithm::Maglev),
    ("ring_hash", HashAlgorithm::RingHash),
    ("jump", HashAlgorithm::Jump),
];

pub(super) fn modulo(
    list: &Written<Vec<Written<String>>>,
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> Option<ShardFunction> {
    if !has_entries(list, problems) {
        return None;
    }
    if list.value.len() > GROUPS_MAX {
        let what = format!("{} groups are too many", list.value.len());
        problems.error(&list.at, what, format!("write at most {GROUPS_MAX}"));
        return None;
    }
    let found = list
        .value
        .iter()
        .map(|written| groups.find(written, problems));
    let found: Vec<Option<GroupRef>> = found.collect();
    let found: Option<Vec<GroupRef>> = found.into_iter().collect();
    found.map(ShardFunction::Modulo)
}

pub(super) fn check(
    raw: &raw::Hash,
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> Option<ShardFunction> {
    let algorithm = choice(
        &raw.algorithm,
        HashAlgorithm::Rendezvous,
        &ALGORITHMS,
        problems,
    );
    let bounded_load = raw
        .bounded_load
        .is_some()
        .then(|| number(&raw.bounded_load, 125, BOUND, problems));
    let Some(list) = &raw.groups else {
        missing(
            &raw.at,
            "groups",
            "[{ group = \"a\" }, { group = \"b\" }]",
            problems,
        );
        return None;
    };
    if !has_entries(list, problems) {
        return None;
    }
    if let Some(excess) = list.value.get(GROUPS_MAX) {
        problems.error(
            &excess.at,
            "too many groups",
            format!("write at most {GROUPS_MAX}"),
        );
    }
    let mut first: HashMap<GroupRef, &At> = HashMap::new();
    let mut checked = Vec::new();
    for entry in &list.value {
        let weight = weight(entry, problems);
        let Some(group) = group_of(&entry.group, &entry.at, groups, problems) else {
            continue;
        };
        if let Some(first) = first.get(&group) {
            let what = format!("the group is already on line {}", problems.line(first));
            problems.error(&entry.at, what, "write it once, with a larger weight");
        }
        first.entry(group).or_insert(&entry.at);
        checked.push((group, weight));
    }
    if !checked.is_empty() && checked.iter().all(|(_, weight)| *weight == 0) {
        problems.error(
            &list.at,
            "no group has a weight",
            "give one a weight above 0",
        );
    }
    Some(ShardFunction::Hash(ShardHash {
        algorithm,
        groups: checked,
        bounded_load,
    }))
}

/// The share of a group, 1 unless written; 0 keeps its place and gets nothing.
fn weight(entry: &raw::HashEntry, problems: &mut Problems<'_>) -> u32 {
    let Some(Written { value, at }) = &entry.weight else {
        return 1;
    };
    match u32::try_from(*value) {
        Ok(weight) if weight <= WEIGHT_MAX => weight,
        _ => {
            out_of_range(at, *value, 0, WEIGHT_MAX, problems);
            1
        }
    }
}
