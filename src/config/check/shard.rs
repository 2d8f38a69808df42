//! Shard rules: one key, one function, and an answer for every key.
//!
//! Keys that are there twice and ranges that overlap are refused, because the order of a file is
//! no reason to prefer one owner to another.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::checked::{
    GroupRef, Handover, KeySource, Shard, ShardFunction, ShardKeys, ShardOutcome,
};
use super::super::problem::{At, Problems, nearest};
use super::super::raw;
use super::super::reader::Written;
use super::names::{GroupNames, Names};
use super::values::{duration, missing, number, place};
use super::{drain, hash, key, ranges, require};
use crate::base::limits::SHARD_KEY_BYTES_MAX;

/// Rules of one file.
pub(super) const SHARDS_MAX: usize = 4096;
/// Keys or ranges of one rule.
pub(super) const ENTRIES_MAX: usize = 1_000_000;
/// The window of a hand-over nobody has written one for; it is a mistake then.
const WINDOW: Duration = Duration::from_secs(600);
const KEY_BYTES: RangeInclusive<u32> = 1..=SHARD_KEY_BYTES_MAX as u32;
const KEY_BYTES_DEFAULT: u32 = 256;

pub(super) fn check(
    raw: &raw::Shard,
    names: &mut Names,
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> Option<Shard> {
    let name = names.required(&raw.name, &raw.at, problems);
    let source = match &raw.key {
        Some(key) => key::check(key, problems),
        None => {
            missing(&raw.at, "key", "{ header = \"x-tenant\" }", problems);
            None
        }
    };
    let own = (&raw.function, &raw.at);
    let function = function(own, groups, problems);
    let handover = raw.handover.as_ref();
    let handover = handover.and_then(|raw| handover_of(raw, groups, problems));
    let default = raw
        .default
        .as_ref()
        .and_then(|written| groups.find(written, problems));
    let mut outcome = |written| outcome(written, raw, groups, problems);
    let outcomes = [
        outcome(&raw.missing),
        outcome(&raw.malformed),
        outcome(&raw.oversized),
        outcome(&raw.compressed),
    ];
    if let (Some(raw::Outcome::Group(written) | raw::Outcome::Word(written)), Some(source)) =
        (&raw.compressed, &source)
        && !matches!(source, KeySource::Json { .. })
    {
        let what = "has no meaning: only a key in the body can be compressed";
        problems.error(&written.at, what, "remove it, or take the key from json");
    }
    let [missing, malformed, oversized, compressed] = outcomes;
    Some(Shard {
        name: name?,
        key: source?,
        key_bytes_max: number(&raw.key_bytes_max, KEY_BYTES_DEFAULT, KEY_BYTES, problems) as usize,
        function: function?,
        handover,
        default,
        require: require::labels(&raw.require, problems),
        missing,
        malformed,
        oversized,
        compressed,
    })
}

/// Whose keys were whose, and until when that counts.
fn handover_of(
    raw: &raw::Handover,
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> Option<Handover> {
    let function = function((&raw.function, &raw.at), groups, problems);
    let default = raw.default.as_ref();
    let default = default.and_then(|written| groups.find(written, problems));
    if raw.window.is_none() {
        missing(&raw.at, "window", "\"10m\"", problems);
    }
    let window = duration(&raw.window, WINDOW, Duration::from_secs(1), problems);
    let since = match &raw.since {
        Some(written) => drain::time(written, "", problems),
        None => {
            missing(&raw.at, "since", "\"2026-01-31T12:00:00Z\"", problems);
            None
        }
    };
    Some(Handover {
        window,
        since: since?,
        function: function?,
        default,
    })
}

fn function(
    (raw, at): (&raw::Function, &At),
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> Option<ShardFunction> {
    let functions = [
        place(&raw.map),
        place(&raw.prefix),
        place(&raw.ranges),
        place(&raw.modulo),
        raw.hash.as_ref().map(|hash| &hash.at),
    ];
    let mut found: Vec<&At> = functions.into_iter().flatten().collect();
    found.sort_by_key(|at| at.offset);
    if let Some(second) = found.get(1) {
        problems.error(second, "a rule has one function", "keep one of them");
        return None;
    }
    if let Some(entries) = &raw.map {
        return keys(entries, "key", "\"acme\"", groups, problems).map(ShardFunction::Map);
    }
    if let Some(entries) = &raw.prefix {
        return keys(entries, "prefix", "\"eu-\"", groups, problems).map(ShardFunction::Prefix);
    }
    if let Some(entries) = &raw.ranges {
        return ranges::check(entries, groups, problems);
    }
    if let Some(list) = &raw.modulo {
        return hash::modulo(list, groups, problems);
    }
    if let Some(hash) = &raw.hash {
        return hash::check(hash, groups, problems);
    }
    if !problems.noted_below(at) {
        let fix = "add one of map, prefix, ranges, modulo and hash";
        problems.error(at, "has no function from keys to groups", fix);
    }
    None
}

/// Whether a list has something in it, and not too much.
pub(super) fn has_entries<T>(list: &Written<Vec<T>>, problems: &mut Problems<'_>) -> bool {
    if list.value.is_empty() && !problems.noted(&list.at) {
        let fix = "write at least one entry, or remove the rule";
        problems.error(&list.at, "an empty list places nothing", fix);
    }
    if list.value.len() > ENTRIES_MAX {
        let what = format!("{} entries are too many", list.value.len());
        problems.error(&list.at, what, format!("write at most {ENTRIES_MAX}"));
    }
    (1..=ENTRIES_MAX).contains(&list.value.len())
}

/// The group an entry names.
pub(super) fn group_of(
    written: &raw::Text,
    at: &At,
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> Option<GroupRef> {
    match written {
        Some(written) => groups.find(written, problems),
        None => {
            missing(at, "group", "\"app\"", problems);
            None
        }
    }
}

fn keys(
    list: &Written<Vec<raw::KeysEntry>>,
    name: &'static str,
    example: &str,
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> Option<Vec<ShardKeys>> {
    let mut sound = has_entries(list, problems);
    let mut first: HashMap<&str, &At> = HashMap::new();
    let mut entries = Vec::new();
    for entry in &list.value {
        let group = group_of(&entry.group, &entry.at, groups, problems);
        let Some(written) = &entry.keys else {
            missing(&entry.at, name, example, problems);
            sound = false;
            continue;
        };
        let mut keys: Vec<Arc<str>> = Vec::new();
        for Written { value, at } in &written.value {
            if let Some(first) = first.get(value.as_str()) {
                let what = format!("{value:?} is already on line {}", problems.line(first));
                problems.error(at, what, "remove one of the two");
            } else if value.is_empty() && name == "key" {
                let fix = "say what becomes of a missing key by missing = ...";
                problems.error(at, "an empty key is a missing one", fix);
            } else if value.len() > SHARD_KEY_BYTES_MAX {
                let fix = format!("write at most {SHARD_KEY_BYTES_MAX} bytes");
                problems.error(at, "is longer than any key", fix);
            } else {
                keys.push(Arc::from(value.as_str()));
            }
            first.entry(value).or_insert(at);
        }
        if written.value.is_empty() && !problems.noted(&written.at) {
            problems.error(
                &written.at,
                "an empty list places nothing",
                "remove the entry",
            );
        }
        entries.extend(group.map(|group| ShardKeys { keys, group }));
    }
    sound.then_some(entries)
}

/// Refused unless the rule says otherwise.
fn outcome(
    written: &Option<raw::Outcome>,
    shard: &raw::Shard,
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> ShardOutcome {
    match written {
        None => ShardOutcome::Reject,
        Some(raw::Outcome::Group(written)) => groups
            .find(written, problems)
            .map_or(ShardOutcome::Reject, ShardOutcome::Group),
        Some(raw::Outcome::Word(Written { value, at })) => match value.as_str() {
            "default" if shard.default.is_none() => {
                let fix = "add default = \"app\" to the rule, or write \"reject\"";
                problems.error(at, "the rule has no default group", fix);
                ShardOutcome::Reject
            }
            "default" => ShardOutcome::Default,
            "reject" => ShardOutcome::Reject,
            word => {
                let fix = match nearest(word, ["default", "reject"]) {
                    Some(word) => format!("write {word:?}"),
                    None => format!("write {}", raw::OUTCOMES),
                };
                problems.error(at, format!("unknown value {word:?}"), fix);
                ShardOutcome::Reject
            }
        },
    }
}
