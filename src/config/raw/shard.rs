//! Shard rules as written.

use toml::de::DeValue;

use super::super::problem::{At, Problems};
use super::super::reader::{Section, Written, kind};
use super::{Boolean, Integer, Size, Text, Texts};

pub(in super::super) struct Shard {
    pub(in super::super) name: Text,
    pub(in super::super) key: Option<KeySource>,
    pub(in super::super) key_bytes_max: Integer,
    pub(in super::super) function: Function,
    pub(in super::super) handover: Option<Handover>,
    pub(in super::super) default: Text,
    pub(in super::super) require: Texts,
    pub(in super::super) missing: Option<Outcome>,
    pub(in super::super) malformed: Option<Outcome>,
    pub(in super::super) oversized: Option<Outcome>,
    pub(in super::super) compressed: Option<Outcome>,
    pub(in super::super) at: At,
}

/// How keys choose a group: one of these.
pub(in super::super) struct Function {
    pub(in super::super) map: Option<Written<Vec<KeysEntry>>>,
    pub(in super::super) prefix: Option<Written<Vec<KeysEntry>>>,
    pub(in super::super) ranges: Option<Written<Vec<RangeEntry>>>,
    pub(in super::super) modulo: Texts,
    pub(in super::super) hash: Option<Hash>,
}

/// Whose keys were whose before a change, and for how long that counts.
pub(in super::super) struct Handover {
    pub(in super::super) window: Text,
    pub(in super::super) since: Text,
    pub(in super::super) function: Function,
    pub(in super::super) default: Text,
    pub(in super::super) at: At,
}

/// A table that should have exactly one of its keys.
pub(in super::super) struct KeySource {
    pub(in super::super) header: Text,
    pub(in super::super) cookie: Text,
    pub(in super::super) query: Text,
    pub(in super::super) path_segment: Integer,
    pub(in super::super) host: Boolean,
    pub(in super::super) method: Boolean,
    pub(in super::super) client_address: Boolean,
    pub(in super::super) json: Text,
    pub(in super::super) body_bytes: Size,
    pub(in super::super) sni: Boolean,
    pub(in super::super) at: At,
}

/// An entry of `map` or `prefix`.
pub(in super::super) struct KeysEntry {
    pub(in super::super) keys: Texts,
    pub(in super::super) group: Text,
    pub(in super::super) at: At,
}

pub(in super::super) struct RangeEntry {
    pub(in super::super) from: Size,
    pub(in super::super) to: Size,
    pub(in super::super) group: Text,
    pub(in super::super) at: At,
}

pub(in super::super) struct Hash {
    pub(in super::super) algorithm: Text,
    pub(in super::super) groups: Option<Written<Vec<HashEntry>>>,
    pub(in super::super) bounded_load: Integer,
    pub(in super::super) at: At,
}

pub(in super::super) struct HashEntry {
    pub(in super::super) group: Text,
    pub(in super::super) weight: Integer,
    pub(in super::super) at: At,
}

pub(in super::super) enum Outcome {
    Group(Written<String>),
    Word(Written<String>),
}

pub(super) fn read(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Shard {
    let shard = Shard {
        at: section.at.clone(),
        name: section.text("name", "\"by-tenant\"", problems),
        key: section
            .section("key", problems)
            .map(|section| read_key(section, problems)),
        key_bytes_max: section.integer("key_bytes_max", "256", problems),
        function: read_function(&mut section, problems),
        handover: read_handover(&mut section, problems),
        default: section.text("default", "\"rest\"", problems),
        require: section.texts("require", "[\"gpu\"]", problems),
        missing: read_outcome(&mut section, "missing", problems),
        malformed: read_outcome(&mut section, "malformed", problems),
        oversized: read_outcome(&mut section, "oversized", problems),
        compressed: read_outcome(&mut section, "compressed", problems),
    };
    section.finish(problems);
    shard
}

fn read_function(section: &mut Section<'_, '_>, problems: &mut Problems<'_>) -> Function {
    Function {
        map: list(section, "map", problems, |section, problems| {
            read_keys(section, "key", "\"acme\"", problems)
        }),
        prefix: list(section, "prefix", problems, |section, problems| {
            read_keys(section, "prefix", "\"eu-\"", problems)
        }),
        ranges: list(section, "ranges", problems, read_range),
        modulo: section.texts("modulo", "[\"a\", \"b\"]", problems),
        hash: section
            .section("hash", problems)
            .map(|section| read_hash(section, problems)),
    }
}

fn read_handover(section: &mut Section<'_, '_>, problems: &mut Problems<'_>) -> Option<Handover> {
    let Written { value, at } = section.value("handover")?;
    if matches!(value, DeValue::String(_)) {
        let what = "is for a change of the keys of a rule that is there, through the API";
        let fix = "remove it, or make it with the change: PATCH /v1/shards/NAME";
        problems.error(&at, what, fix);
        return None;
    }
    let mut section = section.section("handover", problems)?;
    let handover = Handover {
        at: section.at.clone(),
        window: section.text("window", "\"10m\"", problems),
        since: section.text("since", "\"2026-01-31T12:00:00Z\"", problems),
        function: read_function(&mut section, problems),
        default: section.text("default", "\"rest\"", problems),
    };
    section.finish(problems);
    Some(handover)
}

/// A list of tables that is told apart from an absent one.
fn list<'t, 'd, T>(
    section: &mut Section<'t, 'd>,
    key: &'static str,
    problems: &mut Problems<'_>,
    read: impl Fn(Section<'t, 'd>, &mut Problems<'_>) -> T,
) -> Option<Written<Vec<T>>> {
    let at = section.value(key)?.at;
    let sections = section.sections(key, problems).into_iter();
    let value = sections.map(|section| read(section, problems)).collect();
    Some(Written { value, at })
}

pub(in super::super) fn read_key(
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> KeySource {
    let key = KeySource {
        at: section.at.clone(),
        header: section.text("header", "\"x-tenant\"", problems),
        cookie: section.text("cookie", "\"session\"", problems),
        query: section.text("query", "\"tenant\"", problems),
        path_segment: section.integer("path_segment", "1", problems),
        host: section.boolean("host", problems),
        method: section.boolean("method", problems),
        client_address: section.boolean("client_address", problems),
        json: section.text("json", "\"/tenant\"", problems),
        body_bytes: section.scalar("body_bytes", "\"64KiB\"", problems),
        sni: section.boolean("sni", problems),
    };
    section.finish(problems);
    key
}

fn read_keys(
    mut section: Section<'_, '_>,
    key: &'static str,
    example: &str,
    problems: &mut Problems<'_>,
) -> KeysEntry {
    let entry = KeysEntry {
        at: section.at.clone(),
        keys: section.texts(key, example, problems),
        group: section.text("group", "\"app\"", problems),
    };
    section.finish(problems);
    entry
}

fn read_range(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> RangeEntry {
    let entry = RangeEntry {
        at: section.at.clone(),
        from: section.scalar("from", "0", problems),
        to: section.scalar("to", "999", problems),
        group: section.text("group", "\"app\"", problems),
    };
    section.finish(problems);
    entry
}

fn read_hash(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Hash {
    let hash = Hash {
        at: section.at.clone(),
        algorithm: section.text("algorithm", "\"rendezvous\"", problems),
        groups: list(&mut section, "groups", problems, |mut section, problems| {
            let entry = HashEntry {
                at: section.at.clone(),
                group: section.text("group", "\"app\"", problems),
                weight: section.integer("weight", "1", problems),
            };
            section.finish(problems);
            entry
        }),
        bounded_load: section.integer("bounded_load", "125", problems),
    };
    section.finish(problems);
    hash
}

fn read_outcome(
    section: &mut Section<'_, '_>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Option<Outcome> {
    let Written { value, at } = section.value(key)?;
    match value {
        DeValue::String(word) => Some(Outcome::Word(Written {
            value: word.to_string(),
            at,
        })),
        DeValue::Table(_) => {
            let mut inner = section.section(key, problems)?;
            let group = inner.text("group", "\"app\"", problems);
            if group.is_none() {
                super::super::check::missing(&inner.at, "group", "\"app\"", problems);
            }
            inner.finish(problems);
            group.map(Outcome::Group)
        }
        _ => {
            let what = format!("expected a string or a table, found {}", kind(value));
            problems.error(&at, what, format!("write {key} = {OUTCOMES}"));
            None
        }
    }
}

/// What an outcome may be.
pub(in super::super) const OUTCOMES: &str = "\"reject\", \"default\" or { group = \"app\" }";
