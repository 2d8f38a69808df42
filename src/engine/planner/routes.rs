//! Routes and shard rules of a configuration as those of a table.

use std::sync::Arc;
use std::time::Duration;

use super::views::Views;
use crate::base::id::{GroupIndex, ShardIndex};
use crate::config::checked::{
    self, Config, GroupRef, HashAlgorithm, ShardFunction, ShardHash, ShardOutcome,
};
use crate::engine::registry::Registry;
use crate::routing::conditions::{HeaderRule, HeaderTest};
use crate::routing::hashing::Algorithm;
use crate::routing::matcher::{Destination, HostRule, PathRule, RouteRule, RouteSet};
use crate::routing::shard::function::{Function, IntegerRange, TextRange};
use crate::routing::shard::handover::Handover;
use crate::routing::shard::key::{JsonKey, KeySource};
use crate::routing::shard::pointer::Pointer;
use crate::routing::shard::{Outcome, Outcomes, Rule};

/// The routes of a listener.
pub(super) fn set_of(listener: &checked::Listener, views: &Views<'_>) -> RouteSet {
    let rules = listener.routes.iter().map(|route| rule_of(route, views));
    let rules: Vec<RouteRule> = rules.collect();
    let default = listener.destination;
    RouteSet::new(default.map(|to| destination_of(to, &[], views)), &rules)
}

/// What its routes are called: those that have no name by their place, as the API does.
pub(super) fn names_of(listener: &checked::Listener) -> Box<[Arc<str>]> {
    let named = (1..).zip(&listener.routes);
    named
        .map(|(place, route)| match &route.name {
            Some(name) => Arc::clone(name),
            None => format!("route-{place}").into(),
        })
        .collect()
}

fn rule_of(route: &checked::Route, views: &Views<'_>) -> RouteRule {
    let host = |pattern: &checked::HostPattern| match pattern {
        checked::HostPattern::Exact(host) => HostRule::Exact(host.clone()),
        checked::HostPattern::Wildcard(host) => HostRule::Below(host.clone()),
    };
    let path = |pattern: &checked::PathPattern| match pattern {
        checked::PathPattern::Exact(path) => PathRule::Exact(path.clone()),
        checked::PathPattern::Prefix(path) => PathRule::Prefix(path.clone()),
        checked::PathPattern::Regex(path) => PathRule::Regex(path.clone()),
    };
    let header = |condition: &checked::HeaderCondition| HeaderRule {
        name: Box::from(&*condition.name),
        test: match &condition.test {
            checked::HeaderTest::Absent => HeaderTest::Absent,
            checked::HeaderTest::Prefix(text) => HeaderTest::Prefix(text.as_str().into()),
            checked::HeaderTest::Present => HeaderTest::Present,
            checked::HeaderTest::Regex(text) => HeaderTest::Regex(text.as_str().into()),
            checked::HeaderTest::Value(text) => HeaderTest::Value(text.as_str().into()),
        },
    };
    RouteRule {
        hosts: route.hosts.iter().map(host).collect(),
        paths: route.paths.iter().map(path).collect(),
        methods: route
            .methods
            .iter()
            .map(|method| Box::from(&**method))
            .collect(),
        headers: route.headers.iter().map(header).collect(),
        destination: destination_of(route.destination, &route.require, views),
    }
}

/// The table keeps groups and shard rules in the order of the file.
fn destination_of(
    destination: checked::Destination,
    required: &[Arc<str>],
    views: &Views<'_>,
) -> Destination {
    match destination {
        checked::Destination::Group(group) => Destination::Group(views.index_of(group, required)),
        checked::Destination::Shard(shard) => {
            Destination::Shard(ShardIndex(u32::try_from(shard.0).unwrap_or(u32::MAX)))
        }
    }
}

/// The shard rules.
pub(super) fn shards_of(config: &Config, views: &Views<'_>, registry: &mut Registry) -> Vec<Rule> {
    let windows = config.shards.iter().filter_map(window_of);
    registry.keep_handovers(&windows.collect());
    let rules = config.shards.iter();
    rules
        .map(|shard| {
            let mut rule = shard_of(shard, config, views);
            rule.handover = shard.handover.as_ref().map(|before| {
                let former = checked::Shard {
                    function: before.function.clone(),
                    default: before.default,
                    handover: None,
                    ..shard.clone()
                };
                Handover {
                    until: before.until(),
                    before: Box::new(shard_of(&former, config, views)),
                    stats: registry.handover(&shard.name, before.since),
                }
            });
            rule
        })
        .collect()
}

/// What tells one window of a rule from another.
fn window_of(shard: &checked::Shard) -> Option<(Arc<str>, Duration)> {
    let before = shard.handover.as_ref()?;
    Some((Arc::clone(&shard.name), before.since))
}

fn shard_of(shard: &checked::Shard, config: &Config, views: &Views<'_>) -> Rule {
    let index_of = |group: GroupRef| views.index_of(group, &shard.require);
    let to_group = |group: GroupRef| Outcome::Group(index_of(group));
    let default = shard.default.map_or(Outcome::Reject, to_group);
    let outcome = |outcome| match outcome {
        ShardOutcome::Default => default,
        ShardOutcome::Group(group) => to_group(group),
        ShardOutcome::Reject => Outcome::Reject,
    };
    Rule {
        name: Arc::clone(&shard.name),
        source: source_of(&shard.key),
        key_bytes_max: shard.key_bytes_max,
        function: function_of(&shard.function, config, &index_of),
        outcomes: Outcomes {
            compressed: outcome(shard.compressed),
            malformed: outcome(shard.malformed),
            missing: outcome(shard.missing),
            oversized: outcome(shard.oversized),
            unplaced: default,
        },
        handover: None,
    }
}

/// Where a key is taken from, of a shard rule or a policy.
pub(super) fn source_of(source: &checked::KeySource) -> KeySource {
    match source {
        checked::KeySource::ClientAddress => KeySource::ClientAddress,
        checked::KeySource::Cookie(name) => KeySource::Cookie(Box::from(&**name)),
        checked::KeySource::Header(name) => KeySource::Header(Box::from(&**name)),
        checked::KeySource::Host => KeySource::Host,
        checked::KeySource::Json {
            pointer,
            body_bytes,
        } => KeySource::Json(JsonKey {
            pointer: Pointer::new(pointer),
            body_bytes_max: *body_bytes,
        }),
        checked::KeySource::Method => KeySource::Method,
        checked::KeySource::PathSegment(number) => KeySource::PathSegment(*number),
        checked::KeySource::Query(name) => KeySource::Query(Box::from(&**name)),
        checked::KeySource::Sni => KeySource::Sni,
    }
}

/// Where a group is in the table for one rule.
type IndexOf<'f> = dyn Fn(GroupRef) -> GroupIndex + 'f;

fn function_of(function: &ShardFunction, config: &Config, index_of: &IndexOf<'_>) -> Function {
    match function {
        ShardFunction::Hash(hash) => hash_of(hash, config, index_of),
        ShardFunction::Integers(ranges) => {
            let ranges = ranges.iter().map(|range| IntegerRange {
                from: range.from,
                to: range.to,
                group: index_of(range.group),
            });
            Function::integers(ranges.collect())
        }
        ShardFunction::Map(entries) => Function::map(keys_of(entries, index_of)),
        ShardFunction::Modulo(groups) => {
            let groups = groups.iter().map(|group| index_of(*group));
            Function::modulo(groups.collect(), config.hash_seed)
        }
        ShardFunction::Prefix(entries) => Function::prefix(keys_of(entries, index_of)),
        ShardFunction::Texts(ranges) => {
            let ranges = ranges.iter().map(|range| TextRange {
                from: range.from.as_bytes().into(),
                to: range.to.as_ref().map(|to| to.as_bytes().into()),
                group: index_of(range.group),
            });
            Function::texts(ranges.collect())
        }
    }
}

fn hash_of(hash: &ShardHash, config: &Config, index_of: &IndexOf<'_>) -> Function {
    let groups = hash.groups.iter();
    let groups = groups.map(|(group, weight)| {
        let name: &str = &config.group(*group).name;
        (name, index_of(*group), *weight)
    });
    let groups: Vec<(&str, GroupIndex, u32)> = groups.collect();
    let algorithm = match hash.algorithm {
        HashAlgorithm::Jump => Algorithm::Jump,
        HashAlgorithm::Maglev => Algorithm::Maglev,
        HashAlgorithm::Rendezvous => Algorithm::Rendezvous,
        HashAlgorithm::RingHash => Algorithm::Ring,
    };
    Function::hash(algorithm, &groups, hash.bounded_load, config.hash_seed)
}

fn keys_of<'e>(
    entries: &'e [checked::ShardKeys],
    index_of: &IndexOf<'_>,
) -> impl Iterator<Item = (&'e str, GroupIndex)> {
    entries.iter().flat_map(move |entry| {
        let group = index_of(entry.group);
        entry.keys.iter().map(move |key| (&**key, group))
    })
}
