//! Shard rules, as meant.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::GroupRef;

/// Position of a shard rule in [`super::Config::shards`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardRef(pub usize);

/// Where a listener or a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To this group.
    Group(GroupRef),
    /// Where this rule says.
    Shard(ShardRef),
}

/// A rule from a key to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name, unique among rules.
    pub name: Arc<str>,
    /// Where its key is taken from.
    pub key: KeySource,
    /// Longest key.
    pub key_bytes_max: usize,
    /// How a key chooses a group.
    pub function: ShardFunction,
    /// Whose keys were whose before, while that counts.
    pub handover: Option<Handover>,
    /// Where keys go that the function has no place for; they are refused without it.
    pub default: Option<GroupRef>,
    /// Labels a backend must have to be given what the rule places, whatever the group; sorted.
    pub require: Vec<Arc<str>>,
    /// What happens without a key.
    pub missing: ShardOutcome,
    /// What happens with an ambiguous or unreadable key.
    pub malformed: ShardOutcome,
    /// What happens with a key that is too long or too far into the body.
    pub oversized: ShardOutcome,
    /// What happens with a key in a body that has a content coding.
    pub compressed: ShardOutcome,
}

impl Shard {
    /// Every group it can lead to, in order.
    pub fn groups(&self) -> BTreeSet<GroupRef> {
        let mut groups = self.function.groups();
        groups.extend(self.default);
        if let Some(before) = &self.handover {
            groups.extend(before.function.groups());
            groups.extend(before.default);
        }
        let outcomes = [
            self.missing,
            self.malformed,
            self.oversized,
            self.compressed,
        ];
        groups.extend(outcomes.into_iter().filter_map(|outcome| match outcome {
            ShardOutcome::Group(group) => Some(group),
            ShardOutcome::Default | ShardOutcome::Reject => None,
        }));
        groups
    }
}

impl ShardFunction {
    /// Every group it can lead to, in order.
    fn groups(&self) -> BTreeSet<GroupRef> {
        match self {
            ShardFunction::Hash(hash) => hash.groups.iter().map(|(group, _)| *group).collect(),
            ShardFunction::Integers(ranges) => ranges.iter().map(|range| range.group).collect(),
            ShardFunction::Map(entries) | ShardFunction::Prefix(entries) => {
                entries.iter().map(|entry| entry.group).collect()
            }
            ShardFunction::Modulo(groups) => groups.iter().copied().collect(),
            ShardFunction::Texts(ranges) => ranges.iter().map(|range| range.group).collect(),
        }
    }
}

/// Whose keys were whose before a change of a rule: for a while its former owner is the second
/// choice of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// How long.
    pub window: Duration,
    /// Since when, after 1970.
    pub since: Duration,
    /// How keys chose a group.
    pub function: ShardFunction,
    /// Where keys went that it had no place for.
    pub default: Option<GroupRef>,
}

impl Handover {
    /// When it is over, after 1970.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.since + self.window
    }
}

/// Where a key is taken from: that of a shard rule, or that of a hashing policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The client's address.
    ClientAddress,
    /// The value of this cookie.
    Cookie(Arc<str>),
    /// The value of this header, in lower case.
    Header(Arc<str>),
    /// The host of the request.
    Host,
    /// A value in a request body of JSON (shard rules only).
    Json {
        /// RFC 6901 pointer to it.
        pointer: Arc<str>,
        /// Bytes of body that are looked at.
        body_bytes: usize,
    },
    /// The method.
    Method,
    /// This segment of the path, counted from 1.
    PathSegment(u32),
    /// The value of this query parameter.
    Query(Arc<str>),
    /// The name in a TLS client hello (shard rules of tcp listeners only).
    Sni,
}

/// How a key chooses a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardFunction {
    /// A consistent hash over groups.
    Hash(ShardHash),
    /// Ranges of integers that do not overlap.
    Integers(Vec<IntegerRange>),
    /// Single keys, each once.
    Map(Vec<ShardKeys>),
    /// The remainder of an integer by the number of groups.
    Modulo(Vec<GroupRef>),
    /// Beginnings of keys, each once; the longest counts.
    Prefix(Vec<ShardKeys>),
    /// Ranges of texts that do not overlap.
    Texts(Vec<TextRange>),
}

/// A consistent hash over groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardHash {
    /// Which one.
    pub algorithm: HashAlgorithm,
    /// The groups, each once, with their shares.
    pub groups: Vec<(GroupRef, u32)>,
    /// How much of its fair share of the load a group may have, in percent.
    pub bounded_load: Option<u32>,
}

/// Which function places keys on groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// No table; the order of the groups counts.
    Jump,
    /// The most even shares.
    Maglev,
    /// No key moves between groups that stay.
    Rendezvous,
    /// Ketama.
    RingHash,
}

/// Keys, or beginnings of keys, of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardKeys {
    /// At least one.
    pub keys: Vec<Arc<str>>,
    /// Where they belong.
    pub group: GroupRef,
}

/// Integers from `from` to `to`, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerRange {
    /// The least.
    pub from: i64,
    /// The greatest.
    pub to: i64,
    /// Where they belong.
    pub group: GroupRef,
}

/// Texts from `from`, included, to `to`, not included, compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRange {
    /// The least.
    pub from: Arc<str>,
    /// The end; `None` for no end.
    pub to: Option<Arc<str>>,
    /// Where they belong.
    pub group: GroupRef,
}

/// What happens to a request that cannot be placed by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardOutcome {
    /// It goes to the default group of the rule.
    Default,
    /// It goes to this group.
    Group(GroupRef),
    /// It is refused.
    Reject,
}

impl fmt::Display for IntegerRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.from, self.to)
    }
}

impl fmt::Display for TextRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..", self.from)?;
        match &self.to {
            Some(to) => write!(f, "{to:?}"),
            None => Ok(()),
        }
    }
}
