//! What a document means after a small change, without judging all of it again.
//!
//! Most changes of a large configuration say something else of a backend or two: another weight,
//! a drain, a verdict of health. Such a change is judged by the same rules as a whole document,
//! in a small one that holds nothing but these backends, and what comes of them is put in the
//! place of what they were. Only keys that no rule compares with other objects count as small;
//! whatever else changes, and whatever is wrong, is judged whole, so mistakes are told alike.

use std::sync::Arc;

use serde_json::Value;

use super::judge::{Mistake, judge};
use super::path::ObjectPath;
use super::{DRAIN_KEYS, Document, Entry, HEALTH_KEY, Section};
use crate::config::Config;

/// Keys of a backend that mean the same whatever the other objects say.
const SMALL_KEYS: [&str; 7] = [
    "connections_max",
    DRAIN_KEYS[0],
    DRAIN_KEYS[1],
    HEALTH_KEY,
    "requests_max",
    "state",
    "weight",
];

/// Backends that are judged apart at one time.
const BACKENDS_MAX: usize = 64;

/// The configuration `after` stands for, where `config` is what `before` stands for with the same
/// `process`. Warnings are those of before. `pause` is called between its two steps.
///
/// # Errors
/// Every mistake in it.
pub fn rejudge(
    process: &Section,
    (before, config): (&Document, &Config),
    after: &Document,
    pause: &mut dyn FnMut(),
) -> Result<Config, Vec<Mistake>> {
    let mut small = || {
        let changed = small_changes(before, after)?;
        let judged = judge(&Section::new(), &alone(&changed)?).ok()?;
        pause();
        spliced(config, &judged)
    };
    match small() {
        Some(config) => Ok(config),
        None => judge(process, after),
    }
}

type Changed<'d> = (&'d ObjectPath, &'d Arc<Entry>);

/// What differs, if that is small.
fn small_changes<'d>(before: &'d Document, after: &'d Document) -> Option<Vec<Changed<'d>>> {
    let mut changed = Vec::new();
    for (path, old, new) in after.differences_from(before) {
        let (Some(old), Some(new)) = (old, new) else {
            return None;
        };
        changed.push((path, new));
        if changed.len() > BACKENDS_MAX || !is_small(path, old, new) {
            return None;
        }
    }
    Some(changed)
}

fn is_small(path: &ObjectPath, old: &Entry, new: &Entry) -> bool {
    let others = |entry: &Entry| -> Vec<(String, Value)> {
        let is_small = |key: &String| SMALL_KEYS.contains(&key.as_str());
        let pairs = entry.value.iter().filter(|(key, _)| !is_small(key));
        pairs
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    matches!(path, ObjectPath::Backend { .. })
        && old.order == new.order
        && others(old) == others(new)
}

/// The configuration with these backends in the place of what they were.
fn spliced(config: &Config, judged: &Config) -> Option<Config> {
    let mut config = config.clone();
    for group in &judged.groups {
        let place = config
            .groups
            .iter_mut()
            .find(|old| old.name == group.name)?;
        let place = Arc::make_mut(place);
        for backend in &group.backends {
            let mut backends = place.backends.iter_mut();
            let old = backends.find(|old| old.id == backend.id)?;
            old.clone_from(backend);
        }
    }
    Some(config)
}

/// A document with these backends, and what it cannot be without.
fn alone(changed: &[Changed<'_>]) -> Option<Document> {
    let mut document = Document::default();
    let mut put = |path: ObjectPath, value: Section| {
        document
            .entries
            .insert(path, Arc::new(Entry { order: 0, value }));
    };
    let (ObjectPath::Backend { group: first, .. }, _) = changed.first()? else {
        return None;
    };
    let listener = serde_json::json!({"address": "127.0.0.1:1", "group": &**first});
    if let Value::Object(value) = listener {
        put(ObjectPath::Listener("alone".into()), value);
    }
    for (path, entry) in changed {
        put(path.parent()?, Section::new());
        put((*path).clone(), entry.value.clone());
    }
    Some(document)
}
