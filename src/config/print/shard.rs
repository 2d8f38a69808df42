//! Shard rules as TOML.

use toml::Value;
use toml::map::Map;

use super::super::check::hash::ALGORITHMS;
use super::super::checked::{
    Config, Destination, Handover, KeySource, Shard, ShardFunction, ShardHash, ShardKeys,
    ShardOutcome,
};
use super::super::units::{duration_text, size_text};
use super::Page;
use crate::base::date::time_text;

impl Config {
    /// Where a listener or a route leads, as a key.
    pub(super) fn print_destination(&self, destination: Destination, page: &mut Page) {
        match destination {
            Destination::Group(group) => page.text("group", &self.group(group).name),
            Destination::Shard(shard) => page.text("shard", &self.shard(shard).name),
        }
    }

    pub(super) fn print_shard(&self, shard: &Shard, page: &mut Page) {
        page.section("[[shard]]");
        page.text("name", &shard.name);
        page.raw("key", key(&shard.key));
        page.raw("key_bytes_max", shard.key_bytes_max);
        let (name, function) = self.function_value(&shard.function);
        page.raw(name, function);
        if let Some(before) = &shard.handover {
            page.raw("handover", self.handover_value(before));
        }
        if let Some(group) = shard.default {
            page.text("default", &self.group(group).name);
        }
        page.texts("require", shard.require.iter().map(ToString::to_string));
        page.raw("missing", self.outcome(shard.missing));
        page.raw("malformed", self.outcome(shard.malformed));
        page.raw("oversized", self.outcome(shard.oversized));
        if matches!(shard.key, KeySource::Json { .. }) {
            page.raw("compressed", self.outcome(shard.compressed));
        }
    }

    fn function_value(&self, function: &ShardFunction) -> (&'static str, Value) {
        let name = |group| Value::from(&*self.group(group).name);
        match function {
            ShardFunction::Hash(hash) => ("hash", self.hash_value(hash)),
            ShardFunction::Integers(ranges) => {
                let entries = ranges.iter().map(|range| {
                    table([
                        ("from", Some(range.from.into())),
                        ("to", Some(range.to.into())),
                        ("group", Some(name(range.group))),
                    ])
                });
                ("ranges", list(entries))
            }
            ShardFunction::Map(entries) => ("map", self.keys_value("key", entries)),
            ShardFunction::Modulo(groups) => {
                ("modulo", list(groups.iter().map(|group| name(*group))))
            }
            ShardFunction::Prefix(entries) => ("prefix", self.keys_value("prefix", entries)),
            ShardFunction::Texts(ranges) => {
                let entries = ranges.iter().map(|range| {
                    table([
                        ("from", Some((*range.from).into())),
                        ("to", range.to.as_ref().map(|to| (**to).into())),
                        ("group", Some(name(range.group))),
                    ])
                });
                ("ranges", list(entries))
            }
        }
    }

    fn handover_value(&self, before: &Handover) -> Value {
        let (name, function) = self.function_value(&before.function);
        let default = before.default;
        table([
            ("window", Some(duration_text(before.window).into())),
            ("since", Some(time_text(before.since).into())),
            (name, Some(function)),
            (
                "default",
                default.map(|group| Value::from(&*self.group(group).name)),
            ),
        ])
    }

    fn hash_value(&self, hash: &ShardHash) -> Value {
        let word = ALGORITHMS
            .iter()
            .find(|(_, algorithm)| *algorithm == hash.algorithm);
        let groups = hash.groups.iter().map(|(group, weight)| {
            table([
                ("group", Some(Value::from(&*self.group(*group).name))),
                ("weight", Some(Value::from(i64::from(*weight)))),
            ])
        });
        let bound = hash
            .bounded_load
            .map(|percent| Value::from(i64::from(percent)));
        table([
            ("algorithm", word.map(|(word, _)| Value::from(*word))),
            ("groups", Some(list(groups))),
            ("bounded_load", bound),
        ])
    }

    fn keys_value(&self, key: &'static str, entries: &[ShardKeys]) -> Value {
        let entries = entries.iter().map(|entry| {
            let keys = list(entry.keys.iter().map(|key| Value::from(&**key)));
            let group = Value::from(&*self.group(entry.group).name);
            table([(key, Some(keys)), ("group", Some(group))])
        });
        list(entries)
    }

    fn outcome(&self, outcome: ShardOutcome) -> Value {
        match outcome {
            ShardOutcome::Default => Value::from("default"),
            ShardOutcome::Group(group) => {
                table([("group", Some(Value::from(&*self.group(group).name)))])
            }
            ShardOutcome::Reject => Value::from("reject"),
        }
    }
}

pub(super) fn key(source: &KeySource) -> Value {
    let text = |name, value: &str| table([(name, Some(Value::from(value)))]);
    let flag = |name| table([(name, Some(Value::from(true)))]);
    match source {
        KeySource::ClientAddress => flag("client_address"),
        KeySource::Cookie(name) => text("cookie", name),
        KeySource::Header(name) => text("header", name),
        KeySource::Host => flag("host"),
        KeySource::Json {
            pointer,
            body_bytes,
        } => table([
            ("json", Some(Value::from(&**pointer))),
            (
                "body_bytes",
                Some(Value::from(size_text(*body_bytes as u64))),
            ),
        ]),
        KeySource::Method => flag("method"),
        KeySource::PathSegment(number) => {
            table([("path_segment", Some(Value::from(i64::from(*number))))])
        }
        KeySource::Query(name) => text("query", name),
        KeySource::Sni => flag("sni"),
    }
}

pub(super) fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::Array(values.collect())
}

pub(super) fn table<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    let entries = entries
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Table(entries.collect::<Map<String, Value>>())
}
