//! Where listeners and routes lead: to a group, or where a shard rule says.

use std::collections::HashMap;

use super::super::checked::{Destination, KeySource, Protocol, Shard, ShardRef};
use super::super::problem::{Problems, nearest};
use super::super::raw::{self, Text};
use super::super::reader::Written;
use super::names::{GroupNames, Names};
use super::shard;

/// What can be named, and which of it was.
pub(super) struct Targets<'f> {
    groups: GroupNames<'f>,
    positions: HashMap<&'f str, usize>,
    /// Key of each rule, as far as it could be read.
    keys: Vec<Option<KeySource>>,
    used: Vec<bool>,
    shards: &'f [raw::Shard],
}

impl<'f> Targets<'f> {
    /// Everything in the file; the rules that are sound are returned.
    pub(super) fn check(file: &'f raw::File, problems: &mut Problems<'_>) -> (Self, Vec<Shard>) {
        let mut groups = GroupNames::new(&file.groups);
        let mut names = Names::new("shard rule");
        let mut positions = HashMap::new();
        let mut keys = Vec::new();
        let mut checked = Vec::new();
        for (position, raw) in file.shards.iter().enumerate() {
            if let Some(name) = &raw.name {
                positions.entry(name.value.as_str()).or_insert(position);
            }
            let shard = shard::check(raw, &mut names, &mut groups, problems);
            keys.push(shard.as_ref().map(|shard| shard.key.clone()));
            checked.extend(shard);
        }
        if let Some(excess) = file.shards.get(shard::SHARDS_MAX) {
            let fix = format!("write at most {}", shard::SHARDS_MAX);
            problems.error(&excess.at, "too many shard rules", fix);
        }
        let targets = Targets {
            groups,
            positions,
            keys,
            used: vec![false; file.shards.len()],
            shards: &file.shards,
        };
        (targets, checked)
    }

    /// Where `group` or `shard` leads; one of them at most may be written.
    pub(super) fn find(
        &mut self,
        group: &Text,
        shard: &Text,
        protocol: Protocol,
        problems: &mut Problems<'_>,
    ) -> Option<Destination> {
        let by_group = group
            .as_ref()
            .and_then(|written| self.groups.find(written, problems));
        let Some(written) = shard else {
            return by_group.map(Destination::Group);
        };
        if group.is_some() {
            let fix = "remove one of the two; the rule has a default for what it cannot place";
            problems.error(&written.at, "group says where to go already", fix);
        }
        self.find_shard(written, protocol, problems)
            .map(Destination::Shard)
    }

    fn find_shard(
        &mut self,
        written: &Written<String>,
        protocol: Protocol,
        problems: &mut Problems<'_>,
    ) -> Option<ShardRef> {
        let Some(position) = self.positions.get(written.value.as_str()).copied() else {
            let names = self.shards.iter().filter_map(|shard| shard.name.as_ref());
            let fix = match nearest(&written.value, names.map(|name| name.value.as_str())) {
                Some(name) => format!("write {name:?}"),
                None => format!("add a [[shard]] with name = {:?}", written.value),
            };
            let what = format!("no shard rule is named {:?}", written.value);
            problems.error(&written.at, what, fix);
            return None;
        };
        self.used[position] = true;
        let key = self.keys.get(position)?.as_ref()?;
        let misplaced = match (protocol, key) {
            (Protocol::Http, KeySource::Sni) => Some((
                "the key of this rule, sni, is not known on an http listener",
                "take it from host instead",
            )),
            (Protocol::Http, _) | (Protocol::Tcp, KeySource::ClientAddress | KeySource::Sni) => {
                None
            }
            (Protocol::Tcp, _) => Some((
                "the key of this rule is not known on a tcp listener",
                "use a rule whose key is client_address or sni",
            )),
        };
        if let Some((what, fix)) = misplaced {
            problems.error(&written.at, what, fix);
        }
        Some(ShardRef(position))
    }

    /// Whether the first bytes of a connection decide where it goes.
    pub(super) fn waits_for_hello(&self, destination: Destination) -> bool {
        match destination {
            Destination::Group(_) => false,
            Destination::Shard(shard) => self.keys.get(shard.0) == Some(&Some(KeySource::Sni)),
        }
    }

    /// Warns of all groups and rules nothing leads to.
    pub(super) fn warn_unused(&self, file: &raw::File, problems: &mut Problems<'_>) {
        self.groups.warn_unused(&file.groups, problems);
        for (position, shard) in self.shards.iter().enumerate() {
            let Some(name) = &shard.name else { continue };
            let first = self.positions.get(name.value.as_str()) == Some(&position);
            if first && !self.used[position] {
                let what = format!("no listener or route uses shard rule {:?}", name.value);
                problems.warning(&name.at, what, "remove it, or name it by shard = ...");
            }
        }
    }
}
