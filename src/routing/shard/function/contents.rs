//! What a function names, for people and for comparing: its groups and the keys it lists.

use std::collections::BTreeSet;

use super::{Function, Keys};
use crate::base::id::GroupIndex;
use crate::routing::hashing::hash_key;

impl Function {
    /// Every group a key can be placed on, in order.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<GroupIndex> {
        match self {
            Function::Hash(hashed) => {
                let open = hashed.groups.iter().filter(|(_, weight)| *weight > 0);
                open.map(|(group, _)| *group).collect()
            }
            Function::Integers(ranges) => ranges.iter().map(|range| range.group).collect(),
            Function::Map(keys) | Function::Prefix(keys) => {
                let keys = keys.0.strings();
                keys.into_iter()
                    .map(|(_, group)| GroupIndex(group))
                    .collect()
            }
            Function::Modulo(modulo) => modulo.groups.iter().copied().collect(),
            Function::Texts(ranges) => ranges.iter().map(|range| range.group).collect(),
        }
    }

    /// The word of the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Function::Hash(_) => "hash",
            Function::Integers(_) | Function::Texts(_) => "ranges",
            Function::Map(_) => "map",
            Function::Modulo(_) => "modulo",
            Function::Prefix(_) => "prefix",
        }
    }

    /// The hash that places `key`, where one does.
    #[must_use]
    pub fn hash_of(&self, key: &[u8]) -> Option<u64> {
        match self {
            Function::Hash(hashed) => Some(hash_key(hashed.seed, key)),
            Function::Modulo(modulo) if super::digits_of(key).is_none() => {
                Some(hash_key(modulo.seed, key))
            }
            _ => None,
        }
    }
}

impl Keys {
    /// Every key, or beginning of keys, in order.
    #[must_use]
    pub fn listed(&self) -> BTreeSet<Vec<u8>> {
        self.0.strings().into_iter().map(|(key, _)| key).collect()
    }
}
