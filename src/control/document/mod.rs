//! The configuration as objects: one for each thing that has a name, each with an opaque JSON
//! value of the shape of its section in the file.
//!
//! A document is immutable; a change makes the next one, which shares with it all that stays the
//! same, so that neither a copy nor a comparison costs what a document has but what a change says.
//! What an object may say is not known here: [`judge`] writes the document as a file and asks
//! `config`, so that there is one set of rules for files and for the API. Lists that have names
//! (routes of a listener, backends of a group) are objects of their own, so that one backend can
//! change without its group being written; a section read or written whole carries them as it does
//! in the file.

mod apply;
mod difference;
mod drains;
mod handover;
mod judge;
mod path;
mod rejudge;
mod render;
mod split;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use imbl::OrdMap;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

pub use apply::{Op, OpError, Place};
pub use drains::{DRAIN_KEYS, drain_value};
pub use handover::HANDOVER_KEY;
pub use judge::{Mistake, judge};
pub use path::{Family, NotAPath, ObjectPath, is_name};
pub use rejudge::rejudge;
pub use render::to_toml;
pub use split::{PROCESS_KEYS, Split, split};

/// The value of one object.
pub type Section = Map<String, Value>;

/// The key by which a backend is out of rotation by somebody's judgement. It is not part of the
/// file: the table takes it for maintenance, a file that is written leaves it out.
pub const HEALTH_KEY: &str = "health";

/// The key of the settings that seeds every placement. It is made with a store and kept for ever,
/// because another one moves nearly every key.
pub const SEED_KEY: &str = "hash_seed";

/// One object: its value without its name and its parts, and its place among its siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    order: u32,
    value: Section,
}

/// Every object of a configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    entries: OrdMap<ObjectPath, Arc<Entry>>,
}

/// A record that is no object, or one without its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotADocument {
    /// Key of the record.
    pub key: String,
}

impl std::fmt::Display for NotADocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {:?} is no object of a configuration", self.key)
    }
}

impl std::error::Error for NotADocument {}

impl Document {
    /// The document of what a store holds: paths and records.
    ///
    /// # Errors
    /// When something in it was not written by [`Document::records_since`].
    pub fn from_records<'r>(
        records: impl IntoIterator<Item = (&'r str, &'r [u8])>,
    ) -> Result<Document, NotADocument> {
        let mut entries = OrdMap::new();
        for (key, record) in records {
            let read = || Some((key.parse::<ObjectPath>().ok()?, Entry::read(record)?));
            let (path, entry) = read().ok_or_else(|| NotADocument { key: key.into() })?;
            entries.insert(path, Arc::new(entry));
        }
        let document = Document { entries };
        let orphan = document.entries.keys().find(|path| {
            let parent = path.parent();
            parent.is_some_and(|parent| !document.entries.contains_key(&parent))
        });
        match orphan {
            Some(path) => Err(NotADocument {
                key: path.to_string(),
            }),
            None => Ok(document),
        }
    }

    /// What a store that holds `before` must write to hold this: key and record, or none where
    /// an object is gone.
    #[must_use]
    pub fn records_since(&self, before: &Document) -> Vec<(String, Option<Vec<u8>>)> {
        let differences = self.differences_from(before);
        let writes =
            differences.map(|(path, _, now)| (path.to_string(), now.map(|it| it.record())));
        writes.collect()
    }

    /// Whether there is no object at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is such an object.
    #[must_use]
    pub fn contains(&self, path: &ObjectPath) -> bool {
        *path == ObjectPath::Settings || self.entries.contains_key(path)
    }

    /// The members of a family in their order.
    #[must_use]
    pub fn members(&self, family: &Family) -> Vec<ObjectPath> {
        let mut members: Vec<_> = self.entries_of(family).collect();
        members.sort_by_key(|(path, entry)| (entry.order, *path));
        members.into_iter().map(|(path, _)| path.clone()).collect()
    }

    /// The whole section of an object as its file has it: with its name, its routes, its
    /// backends.
    #[must_use]
    pub fn section(&self, path: &ObjectPath) -> Option<Section> {
        let entry = match (self.entries.get(path), path) {
            (Some(entry), _) => entry,
            (None, ObjectPath::Settings) => return Some(Section::new()),
            (None, _) => return None,
        };
        let mut section = entry.value.clone();
        if let Some(name) = path.name() {
            section.insert(path.name_key().into(), Value::from(&**name));
        }
        if let Some((key, family)) = parts_of(path) {
            let parts = self.members(&family);
            let parts = parts.iter().filter_map(|part| self.section(part));
            let parts: Vec<Value> = parts.map(Value::Object).collect();
            if !parts.is_empty() {
                section.insert(key.into(), parts.into());
            }
        }
        Some(section)
    }

    /// The value of an object without its parts.
    #[must_use]
    pub fn value(&self, path: &ObjectPath) -> Option<&Section> {
        self.entries.get(path).map(|entry| &entry.value)
    }

    /// A number that two documents share only when they say the same: xxh3 of every path and
    /// record in order.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        let mut hasher = Xxh3::new();
        for (path, entry) in &self.entries {
            for part in [path.to_string().into_bytes(), entry.record()] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(&part);
            }
        }
        hasher.digest()
    }

    /// The seed of every placement, if it has one.
    #[must_use]
    pub fn hash_seed(&self) -> Option<&Value> {
        self.value(&ObjectPath::Settings)?.get(SEED_KEY)
    }

    /// The document with this seed, unless it has one.
    #[must_use]
    pub fn or_hash_seed(mut self, seed: Value) -> Document {
        if self.hash_seed().is_none() {
            let settings = self.entries.entry(ObjectPath::Settings);
            let settings = settings.or_insert_with(|| Arc::new(Entry::empty()));
            Arc::make_mut(settings).value.insert(SEED_KEY.into(), seed);
        }
        self
    }

    /// Puts these in the place of what they were.
    fn note(&mut self, entries: Vec<(ObjectPath, Arc<Entry>)>) {
        for (path, entry) in entries {
            self.entries.insert(path, entry);
        }
    }

    fn entries_of<'d>(
        &'d self,
        family: &Family,
    ) -> impl Iterator<Item = (&'d ObjectPath, &'d Entry)> {
        let family = family.clone();
        let start = family.member("");
        self.entries
            .range(start..)
            .take_while(move |(path, _)| path.family() == family)
            .map(|(path, entry)| (path, &**entry))
    }
}

impl Entry {
    fn empty() -> Entry {
        Entry {
            order: 0,
            value: Section::new(),
        }
    }

    /// What a store keeps. Keys are sorted, so equal entries have equal records.
    fn record(&self) -> Vec<u8> {
        let record = serde_json::json!({"order": self.order, "value": self.value});
        record.to_string().into_bytes()
    }

    fn read(record: &[u8]) -> Option<Entry> {
        let mut record: Section = serde_json::from_slice(record).ok()?;
        let order = u32::try_from(record.get("order")?.as_u64()?).ok()?;
        match record.remove("value")? {
            Value::Object(value) => Some(Entry { order, value }),
            _ => None,
        }
    }
}

/// The key under which a section carries its parts, and what they are.
fn parts_of(path: &ObjectPath) -> Option<(&'static str, Family)> {
    match path {
        ObjectPath::Group(name) => Some(("backend", Family::Backends(Arc::clone(name)))),
        ObjectPath::Listener(name) => Some(("route", Family::Routes(Arc::clone(name)))),
        ObjectPath::Backend { .. }
        | ObjectPath::Route { .. }
        | ObjectPath::Settings
        | ObjectPath::Shard(_) => None,
    }
}
