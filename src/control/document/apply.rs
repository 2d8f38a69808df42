//! Changes of a document: put, patch (RFC 7386), delete; several at once or none.
//!
//! What is checked here is only shape: that a parent exists, that names agree, that a list of
//! parts is one. What values mean is judged afterwards on the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::judge::Mistake;
use super::path::{Family, ObjectPath, is_name};
use super::{Document, Entry, PROCESS_KEYS, SEED_KEY, Section, parts_of};

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Remove an object and its parts.
    Delete {
        /// Which.
        path: ObjectPath,
    },
    /// Merge into an object that is there.
    Patch {
        /// Which.
        path: ObjectPath,
        /// Keys to set; null removes one.
        value: Section,
    },
    /// Create an object or replace it, its parts included.
    Put {
        /// Which.
        path: ObjectPath,
        /// Its whole section.
        value: Section,
        /// Its place among its siblings; where it is, or the end, when not given.
        place: Option<Place>,
    },
    /// Take a shard rule back to what it was before its window opened.
    TakeBack {
        /// Which.
        path: ObjectPath,
    },
}

impl Op {
    fn path(&self) -> &ObjectPath {
        match self {
            Op::Delete { path }
            | Op::Patch { path, .. }
            | Op::Put { path, .. }
            | Op::TakeBack { path } => path,
        }
    }
}

/// A place among siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Right behind this sibling.
    After(Arc<str>),
    /// Right before this sibling.
    Before(Arc<str>),
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq)]
pub enum OpError {
    /// The object, or the one it is part of, is not there.
    Absent(ObjectPath),
    /// No window of the rule is there to be taken back.
    NoWindow(ObjectPath),
    /// The value has not the shape of a section.
    Shape(Mistake),
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpError::Absent(path) => write!(f, "{path} does not exist"),
            OpError::NoWindow(path) => write!(f, "{path} hands nothing over"),
            OpError::Shape(mistake) => write!(f, "{mistake}"),
        }
    }
}

impl std::error::Error for OpError {}

impl Document {
    /// The document after these changes, in their order.
    ///
    /// # Errors
    /// The first change that cannot be made; then none is.
    pub fn apply(&self, ops: &[Op]) -> Result<Document, OpError> {
        let mut next = self.clone();
        for op in ops {
            match op {
                Op::Delete { path } => next.delete(path)?,
                Op::Patch { path, value } => next.patch(path, value)?,
                Op::Put { path, value, place } => next.put(path, value, place.as_ref())?,
                Op::TakeBack { path } => next.take_back(path)?,
            }
            if *op.path() == ObjectPath::Settings {
                next = next.with_seed_of(self, op)?;
            }
        }
        Ok(next)
    }

    /// Keeps the seed whatever becomes of the settings around it.
    fn with_seed_of(self, before: &Document, op: &Op) -> Result<Document, OpError> {
        let seed = before.hash_seed();
        if let Op::Patch { path, value } | Op::Put { path, value, .. } = op
            && let Some(said) = value.get(SEED_KEY)
            && Some(said) != seed
        {
            let problem = "cannot be changed: nearly every key would be placed elsewhere";
            let fix = "leave it as it is or out; a new store takes it from its file";
            let mistake = Mistake::new(path, SEED_KEY, problem, fix);
            return Err(OpError::Shape(mistake));
        }
        Ok(match seed {
            Some(seed) => self.or_hash_seed(seed.clone()),
            None => self,
        })
    }

    fn delete(&mut self, path: &ObjectPath) -> Result<(), OpError> {
        if self.entries.remove(path).is_none() && *path != ObjectPath::Settings {
            return Err(OpError::Absent(path.clone()));
        }
        if let Some((_, family)) = parts_of(path) {
            self.remove_family(&family);
        }
        Ok(())
    }

    fn patch(&mut self, path: &ObjectPath, patch: &Section) -> Result<(), OpError> {
        if !self.contains(path) {
            return Err(OpError::Absent(path.clone()));
        }
        let mut patch = patch.clone();
        let parts = take_parts(path, &mut patch)?;
        take_name(path, &mut patch)?;
        let (order, mut value) = match self.entries.get(path) {
            Some(entry) => (entry.order, entry.value.clone()),
            None => (0, Section::new()),
        };
        merge(&mut value, &patch);
        self.set(path, value, order)?;
        match parts {
            Some(parts) => self.set_parts(path, parts),
            None => Ok(()),
        }
    }

    fn put(
        &mut self,
        path: &ObjectPath,
        value: &Section,
        place: Option<&Place>,
    ) -> Result<(), OpError> {
        if let Some(parent) = path.parent()
            && !self.contains(&parent)
        {
            return Err(OpError::Absent(parent));
        }
        let order = match self.entries.get(path) {
            Some(entry) => entry.order,
            None => self.last_order(&path.family()),
        };
        self.put_at(path, value, order)?;
        match place {
            Some(place) => self.move_to(path, place),
            None => Ok(()),
        }
    }

    /// Puts an object at a place that is known to be free or its own.
    pub(super) fn put_at(
        &mut self,
        path: &ObjectPath,
        value: &Section,
        order: u32,
    ) -> Result<(), OpError> {
        let mut value = value.clone();
        let parts = take_parts(path, &mut value)?;
        take_name(path, &mut value)?;
        self.set(path, value, order)?;
        self.set_parts(path, parts.unwrap_or_default())
    }

    /// Sets the value of one object without its parts.
    fn set(&mut self, path: &ObjectPath, value: Section, order: u32) -> Result<(), OpError> {
        check_shape(path, &value)?;
        let entry = Entry { order, value };
        if self.entries.get(path).is_none_or(|old| **old != entry) {
            self.entries.insert(path.clone(), Arc::new(entry));
        }
        Ok(())
    }

    /// The order of a new last member.
    fn last_order(&self, family: &Family) -> u32 {
        let orders = self.entries_of(family).map(|(_, entry)| entry.order);
        orders.max().map_or(0, |last| last.saturating_add(1))
    }

    fn move_to(&mut self, path: &ObjectPath, place: &Place) -> Result<(), OpError> {
        let family = path.family();
        let (Place::After(sibling) | Place::Before(sibling)) = place;
        let sibling = family.member(sibling);
        let mut members = self.members(&family);
        members.retain(|member| member != path);
        let Some(position) = members.iter().position(|member| *member == sibling) else {
            return Err(OpError::Absent(sibling));
        };
        let behind = usize::from(matches!(place, Place::After(_)));
        members.insert(position + behind, path.clone());
        for (order, member) in (0_u32..).zip(&members) {
            // Only who moves is written: what is not is shared with the document before.
            if let Some(entry) = self.entries.get(member)
                && entry.order != order
            {
                let value = entry.value.clone();
                let moved = Arc::new(Entry { order, value });
                self.entries.insert(member.clone(), moved);
            }
        }
        Ok(())
    }

    fn set_parts(&mut self, path: &ObjectPath, parts: Vec<Section>) -> Result<(), OpError> {
        let Some((key, family)) = parts_of(path) else {
            return Ok(());
        };
        let before = self.remove_family(&family);
        let mut seen = BTreeSet::new();
        for (order, (index, mut part)) in (0_u32..).zip(parts.into_iter().enumerate()) {
            let wrong = |problem: &str, fix: &str| {
                let field = format!("{key}[#{}]", index + 1);
                OpError::Shape(Mistake::new(path, field, problem, fix))
            };
            let member = match named(&family, &part, index) {
                Ok(name) => family.member(&name),
                Err((problem, fix)) => return Err(wrong(problem, fix)),
            };
            if !seen.insert(member.clone()) {
                return Err(wrong("has the name of another one", "give it another name"));
            }
            take_name(&member, &mut part)?;
            check_shape(&member, &part)?;
            let entry = Entry { order, value: part };
            // What stays the same stays the same object, so that nothing is written for it.
            let old = before.get(&member).filter(|old| ***old == entry);
            let entry = old.cloned().unwrap_or_else(|| Arc::new(entry));
            self.entries.insert(member, entry);
        }
        Ok(())
    }

    fn remove_family(&mut self, family: &Family) -> BTreeMap<ObjectPath, Arc<Entry>> {
        let members: Vec<_> = self
            .entries_of(family)
            .map(|(path, _)| path.clone())
            .collect();
        let removed = members
            .into_iter()
            .filter_map(|member| self.entries.remove_with_key(&member));
        removed.collect()
    }
}

/// The name of a part: what it says, or what it has without saying so.
fn named(
    family: &Family,
    part: &Section,
    index: usize,
) -> Result<String, (&'static str, &'static str)> {
    let key = family.member("").name_key();
    let named = match (part.get(key), family) {
        (Some(name), _) => name.as_str().map(str::to_owned),
        (None, Family::Backends(_)) => {
            let place = part.get("address").or_else(|| part.get("srv"));
            place.and_then(Value::as_str).map(Into::into)
        }
        (None, _) => Some(format!("route-{}", index + 1)),
    };
    let named = named.filter(|name| is_name(name));
    named.ok_or(match family {
        Family::Backends(_) => ("has no address", "add address = \"127.0.0.1:9001\""),
        _ => ("has no name", "write a name as a string"),
    })
}

/// Takes the parts out of a whole section; nothing when it does not speak of them.
fn take_parts(path: &ObjectPath, value: &mut Section) -> Result<Option<Vec<Section>>, OpError> {
    let Some((key, family)) = parts_of(path) else {
        return Ok(None);
    };
    let wrong = |field: String, problem: &str, fix: &str| {
        Err(OpError::Shape(Mistake::new(path, field, problem, fix)))
    };
    let mut parts = None;
    if matches!(family, Family::Backends(_)) {
        let list = match value.remove("backends") {
            None => None,
            Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(list)) => Some(list),
            Some(other) => Some(vec![other]),
        };
        for (index, address) in list.into_iter().flatten().enumerate() {
            let Value::String(address) = address else {
                let field = format!("backends[#{}]", index + 1);
                return wrong(field, "is not a string", "write \"127.0.0.1:9001\"");
            };
            let part = Section::from_iter([("address".to_owned(), Value::from(address))]);
            parts.get_or_insert_with(Vec::new).push(part);
        }
    }
    let list = match value.remove(key) {
        None => return Ok(parts),
        Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => return wrong(key.into(), "is not a list", "write a list of objects"),
    };
    let parts = parts.get_or_insert_with(Vec::new);
    for (index, part) in list.into_iter().enumerate() {
        let Value::Object(part) = part else {
            let field = format!("{key}[#{}]", index + 1);
            return wrong(field, "is not an object", "write an object");
        };
        parts.push(part);
    }
    Ok(Some(std::mem::take(parts)))
}

/// Takes the name out of a section: it is in the path already, and must be the same.
fn take_name(path: &ObjectPath, value: &mut Section) -> Result<(), OpError> {
    let Some(name) = path.name() else {
        return Ok(());
    };
    let key = path.name_key();
    match value.remove(key) {
        Some(said) if said.as_str() != Some(name) => {
            let fix = format!("write {name:?} or leave it out; another name is another object");
            let mistake = Mistake::new(path, key, "is not the name in the path", fix);
            Err(OpError::Shape(mistake))
        }
        _ => Ok(()),
    }
}

fn check_shape(path: &ObjectPath, value: &Section) -> Result<(), OpError> {
    if *path == ObjectPath::Settings {
        let listed = ["group", "listener", "shard"];
        let foreign = value.keys().find(|key| listed.contains(&key.as_str()));
        if let Some(key) = foreign {
            let fix = format!("write it as an object of its own, below /v1/{key}s");
            return Err(OpError::Shape(Mistake::new(path, key, "is a list", fix)));
        }
        let ours = value
            .keys()
            .find(|key| PROCESS_KEYS.contains(&key.as_str()));
        if let Some(key) = ours {
            let problem = "belongs to the process and comes from its file";
            let fix = "change the file and restart";
            return Err(OpError::Shape(Mistake::new(path, key, problem, fix)));
        }
    }
    for (key, value) in value {
        check_value(path, key, value)?;
    }
    Ok(())
}

/// TOML has no null, so a section has none.
fn check_value(path: &ObjectPath, field: &str, value: &Value) -> Result<(), OpError> {
    match value {
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                check_value(path, &format!("{field}[#{}]", index + 1), value)?;
            }
            Ok(())
        }
        Value::Null => {
            let mistake = Mistake::new(path, field, "is null", "leave the key out");
            Err(OpError::Shape(mistake))
        }
        Value::Object(map) => {
            for (key, value) in map {
                check_value(path, &format!("{field}.{key}"), value)?;
            }
            Ok(())
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// RFC 7386.
fn merge(target: &mut Section, patch: &Section) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(patch) => {
                let place = target.entry(key.clone()).or_insert(Value::Null);
                if !place.is_object() {
                    *place = Value::Object(Section::new());
                }
                if let Value::Object(inner) = place {
                    merge(inner, patch);
                }
            }
            other => {
                target.insert(key.clone(), other.clone());
            }
        }
    }
}
