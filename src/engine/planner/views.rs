//! Parts of groups: what a rule that requires labels sees of the groups it leads to.
//!
//! A part is a group of the table like any other, with a policy over its own members: a request
//! needs no look at labels, only another index, and a consistent hash has the ring of those who
//! can be chosen, so that nobody's keys move when another backend changes. Its members have the
//! slots, loads and gates of the whole group, so that each backend is one backend however it is
//! reached, and what is under way counts in the whole and in all of its parts. The queue has one
//! account for all of them and a line for each. Rules that require the same share a part.
//!
//! Rejected: to pass over backends without the labels when picking, which would move keys and
//! shares with the number of those who cannot serve them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{affinity, policies};
use crate::base::id::GroupIndex;
use crate::config::checked::{Config, Destination, GroupRef, satisfies};
use crate::engine::registry::Registry;
use crate::routing::limit::Queue;
use crate::routing::load::Load;
use crate::routing::table::{Backend, Group};

/// Where each part of each group stands in the table: behind all whole groups.
pub(super) struct Views<'c>(BTreeMap<(GroupRef, &'c [Arc<str>]), GroupIndex>);

impl<'c> Views<'c> {
    /// The parts that something in the configuration asks for.
    pub(super) fn of(config: &'c Config) -> Self {
        let mut views = BTreeMap::new();
        let mut add = |group: GroupRef, required: &'c [Arc<str>]| {
            if !required.is_empty() {
                views.insert((group, required), GroupIndex(0));
            }
        };
        for shard in config
            .shards
            .iter()
            .filter(|shard| !shard.require.is_empty())
        {
            for group in shard.groups() {
                add(group, &shard.require);
            }
        }
        for route in config
            .listeners
            .iter()
            .flat_map(|listener| &listener.routes)
        {
            if let Destination::Group(group) = route.destination {
                add(group, &route.require);
            }
        }
        for (position, index) in (config.groups.len()..).zip(views.values_mut()) {
            *index = GroupIndex(u32::try_from(position).unwrap_or(u32::MAX));
        }
        Views(views)
    }

    /// Where a group, or the part of it with these labels, is in the table.
    pub(super) fn index_of(&self, group: GroupRef, required: &[Arc<str>]) -> GroupIndex {
        let whole = GroupIndex(u32::try_from(group.0).unwrap_or(u32::MAX));
        match required {
            [] => whole,
            required => self.0.get(&(group, required)).copied().unwrap_or(whole),
        }
    }

    /// Appends the parts to the whole groups.
    pub(super) fn plan(&self, config: &Config, registry: &mut Registry, groups: &mut Vec<Group>) {
        let whole = groups.len();
        for (group, required) in self.0.keys() {
            let part = part_of(config, *group, required, registry, groups);
            groups.push(part);
        }
        share_loads(whole, groups);
    }
}

fn part_of(
    config: &Config,
    group: GroupRef,
    required: &[Arc<str>],
    registry: &mut Registry,
    groups: &[Group],
) -> Group {
    let whole = &groups[group.0];
    let required: Arc<[Arc<str>]> = required.into();
    let members = whole.backends.iter();
    let members = members.filter(|backend| satisfies(&backend.labels, &required));
    let backends: Vec<Backend> = members.cloned().collect();
    let (slot, state) = registry.claim_group(&whole.name, &required);
    Group {
        slot,
        name: Arc::clone(&whole.name),
        required,
        policy: policies::of(config.group(group), &backends, registry),
        shadow: policies::shadow_of(config.group(group), &backends, registry),
        hash_on: whole.hash_on.clone(),
        sticky: affinity::sticky(config.group(group), &backends, config.hash_seed),
        queue: Queue {
            waiting: Arc::clone(&whole.queue.waiting),
            ..affinity::queue(config.group(group), state.waiting)
        },
        outlier: whole.outlier.clone(),
        retry: whole.retry.clone(),
        breaker: whole.breaker.clone(),
        // Ejections and panic are of the whole group: a part must not empty it twice.
        standing: whole.standing.clone(),
        backends,
        load: state.load,
        norm: state.norm,
        sources: whole.sources.clone(),
        key_seed: whole.key_seed,
        timeouts: whole.timeouts,
        retries_max: whole.retries_max,
        idle_connections_max: whole.idle_connections_max,
        head_bytes_max: whole.head_bytes_max,
    }
}

/// Gives each backend the loads of the other groups it is in. A backend has its slot in one group
/// of the file only, so the parts of that group are all there are.
fn share_loads(whole: usize, groups: &mut [Group]) {
    let mut holders: BTreeMap<u32, Vec<(usize, Load)>> = BTreeMap::new();
    for (at, part) in groups.iter().enumerate().skip(whole) {
        for backend in &part.backends {
            let holders = holders.entry(backend.slot.0).or_default();
            holders.push((at, part.load.clone()));
        }
    }
    if holders.is_empty() {
        return;
    }
    for (at, group) in groups.iter_mut().enumerate().take(whole) {
        for backend in &group.backends {
            if let Some(holders) = holders.get_mut(&backend.slot.0) {
                holders.push((at, group.load.clone()));
            }
        }
    }
    for (at, group) in groups.iter_mut().enumerate() {
        for backend in &mut group.backends {
            let holders = holders.get(&backend.slot.0).into_iter().flatten();
            let others = holders.filter(|(holder, _)| *holder != at);
            backend.shared_by = others.map(|(_, load)| load.clone()).collect();
        }
    }
}
