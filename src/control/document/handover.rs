//! Windows of shard rules: a change of a rule that carries one notes whose keys were whose.
//!
//! Who changes a rule says `handover = "10m"` with the new keys. What is stored is a section with
//! the window, when it began and how keys were placed before, so that every node that shares the
//! document, and every later life of one, has the same second choice until the same moment.

use std::sync::Arc;
use std::time::Duration;

use super::{Document, Entry, ObjectPath, OpError, Section};
use crate::base::date::time_text;

/// The window of a rule.
pub const HANDOVER_KEY: &str = "handover";

/// What says where keys belong.
const PLACING: [&str; 6] = ["default", "hash", "map", "modulo", "prefix", "ranges"];

impl Document {
    /// The document where each rule that was given a window since `before` has noted what it was,
    /// at `now` (since 1970).
    #[must_use]
    pub(super) fn with_handovers_since(mut self, before: &Document, now: Duration) -> Document {
        let mut noted = Vec::new();
        for (path, old, entry) in self.differences_from(before) {
            let (ObjectPath::Shard(_), Some(old), Some(entry)) = (path, old, entry) else {
                continue;
            };
            let asked = entry.value.get(HANDOVER_KEY).and_then(|said| said.as_str());
            if let Some(window) = asked
                && placing(&old.value) != placing(&entry.value)
            {
                let mut section = placing(&old.value);
                section.insert("window".to_owned(), window.into());
                section.insert("since".to_owned(), time_text(now).into());
                let mut value = entry.value.clone();
                value.insert(HANDOVER_KEY.to_owned(), section.into());
                let order = entry.order;
                noted.push((path.clone(), Arc::new(Entry { order, value })));
            }
        }
        self.note(noted);
        self
    }

    /// Takes back what a window is open for: the rule places keys as before, and has none.
    pub(super) fn take_back(&mut self, path: &ObjectPath) -> Result<(), OpError> {
        let absent = || OpError::Absent(path.clone());
        let entry = self.entries.get(path).ok_or_else(absent)?;
        let mut value = entry.value.clone();
        let Some(serde_json::Value::Object(before)) = value.remove(HANDOVER_KEY) else {
            return Err(OpError::NoWindow(path.clone()));
        };
        for key in PLACING {
            value.remove(key);
        }
        value.extend(placing(&before));
        let order = entry.order;
        self.entries
            .insert(path.clone(), Arc::new(Entry { order, value }));
        Ok(())
    }
}

/// What of a rule says where keys belong.
fn placing(value: &Section) -> Section {
    let placing = value
        .iter()
        .filter(|(key, _)| PLACING.contains(&key.as_str()));
    placing
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Op;
    use super::*;

    fn path() -> ObjectPath {
        "shards/s".parse().unwrap()
    }

    fn section(value: &serde_json::Value) -> Section {
        value.as_object().unwrap().clone()
    }

    fn changed(document: &Document, op: Op, second: u64) -> Document {
        document
            .changed(&[op], Duration::from_secs(second))
            .unwrap()
    }

    fn patch(document: &Document, value: &serde_json::Value, second: u64) -> Document {
        let op = Op::Patch {
            path: path(),
            value: section(value),
        };
        changed(document, op, second)
    }

    fn first() -> Document {
        let value = json!({"key": {"host": true}, "modulo": ["a", "b"], "default": "a"});
        let op = Op::Put {
            path: path(),
            value: section(&value),
            place: None,
        };
        changed(&Document::default(), op, 0)
    }

    #[test]
    fn a_window_notes_what_the_rule_was_and_can_be_taken_back() {
        let before = first();
        let change = json!({"modulo": null, "map": [{"key": ["x"], "group": "c"}],
                            "handover": "10m"});
        let after = patch(&before, &change, 60);
        let noted = &after.value(&path()).unwrap()["handover"];
        let expected = json!({"window": "10m", "since": "1970-01-01T00:01:00Z",
                              "modulo": ["a", "b"], "default": "a"});
        assert_eq!(*noted, expected);
        let again = patch(&after, &json!({"key_bytes_max": 9}), 99);
        assert_eq!(again.value(&path()).unwrap()["handover"], expected);
        let back = changed(&after, Op::TakeBack { path: path() }, 120);
        assert_eq!(back.value(&path()), before.value(&path()));
        let twice = back.changed(&[Op::TakeBack { path: path() }], Duration::ZERO);
        assert_eq!(twice.unwrap_err(), OpError::NoWindow(path()));
    }

    #[test]
    fn a_window_without_a_change_of_keys_is_left_to_be_judged() {
        let same = patch(&first(), &json!({"handover": "10m"}), 60);
        assert_eq!(same.value(&path()).unwrap()["handover"], "10m");
    }
}
