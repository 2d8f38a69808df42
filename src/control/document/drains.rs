//! When drains began: noted in the document, so that every node that shares it, and every later
//! life of one, lets those who stick to a backend go at the same time.

use std::sync::Arc;
use std::time::Duration;

use super::{Document, Entry, ObjectPath, Op, OpError, Section};
use crate::base::date::time_text;

/// What is said of a drain: since when, and until when.
pub const DRAIN_KEYS: [&str; 2] = ["drain_since", "drain_until"];

/// What drains a backend: until this time since 1970, or for ever; without a word for as long as
/// its group lets a drain last.
#[must_use]
pub fn drain_value(until: Option<Option<Duration>>) -> Section {
    let mut value = Section::from_iter([("state".to_owned(), "drain".into())]);
    if let Some(until) = until {
        // Whole seconds: rather longer than was asked for.
        let until = until.map(|until| time_text(until + Duration::from_millis(999)));
        let until = until.unwrap_or_else(|| "never".to_owned());
        value.insert(DRAIN_KEYS[1].to_owned(), until.into());
    }
    value
}

impl Document {
    /// The document after `ops` at `now` (since 1970), with what they begin or end noted.
    ///
    /// # Errors
    /// What cannot be done, as [`Document::apply`] has it.
    pub fn changed(&self, ops: &[Op], now: Duration) -> Result<Document, OpError> {
        let changed = self.apply(ops)?.with_drains_since(self, now);
        Ok(changed.with_handovers_since(self, now))
    }

    /// The document with what began or ended between `before` and this at `now` (since 1970)
    /// noted: a drain that began has a beginning, one that goes on keeps it, and of one that is
    /// over nothing is said any more.
    #[must_use]
    pub fn with_drains_since(mut self, before: &Document, now: Duration) -> Document {
        let mut noted = Vec::new();
        for (path, old, entry) in self.differences_from(before) {
            let (ObjectPath::Backend { .. }, Some(entry)) = (path, entry) else {
                continue;
            };
            let value = noted_value(&entry.value, old.map(|old| &old.value), now);
            if value != entry.value {
                let order = entry.order;
                noted.push((path.clone(), Arc::new(Entry { order, value })));
            }
        }
        self.note(noted);
        self
    }
}

fn noted_value(value: &Section, before: Option<&Section>, now: Duration) -> Section {
    let [since, _] = DRAIN_KEYS;
    let drains = |value: &Section| value.get("state").is_some_and(|state| state == "drain");
    let drained = before.filter(|before| drains(before));
    let mut value = value.clone();
    match (drains(&value), drained) {
        (true, _) if value.contains_key(since) => {}
        (true, None) => {
            value.insert(since.to_owned(), time_text(now).into());
        }
        (true, Some(before)) => {
            if let Some(begun) = before.get(since) {
                value.insert(since.to_owned(), begun.clone());
            }
        }
        (false, Some(before)) => {
            // What was said of the drain before is over; what is said anew is judged.
            for key in DRAIN_KEYS {
                if value.get(key) == before.get(key) {
                    value.remove(key);
                }
            }
        }
        (false, None) => {}
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn section(json: &str) -> Section {
        serde_json::from_str(json).unwrap()
    }

    fn b1() -> ObjectPath {
        "groups/app/backends/b1".parse().unwrap()
    }

    /// A group of one backend with this value, filled at second 0.
    fn with_one(value: &str) -> Document {
        let group =
            format!(r#"{{"backend": [{{"id": "b1", "address": "127.0.0.1:1", {value}}}]}}"#);
        let put = Op::Put {
            path: "groups/app".parse().unwrap(),
            value: section(&group),
            place: None,
        };
        let empty = Document::default();
        empty.changed(&[put], at(0)).unwrap()
    }

    fn patched(document: &Document, patch: &str, now: u64) -> Document {
        let patch = Op::Patch {
            path: b1(),
            value: section(patch),
        };
        document.changed(&[patch], at(now)).unwrap()
    }

    fn said(document: &Document) -> [Option<&str>; 2] {
        let value = document.value(&b1()).unwrap();
        DRAIN_KEYS.map(|key| value.get(key)?.as_str())
    }

    #[test]
    fn a_drain_has_a_beginning_and_nothing_is_left_of_it() {
        let ready = with_one("\"weight\": 1");
        assert_eq!(said(&ready), [None, None]);
        let drains = patched(&ready, r#"{"state": "drain"}"#, 60);
        let begun = Some("1970-01-01T00:01:00Z");
        assert_eq!(said(&drains), [begun, None]);
        let again = patched(&drains, r#"{"state": "drain", "weight": 3}"#, 99);
        assert_eq!(said(&again), [begun, None], "it began when it began");
        let longer = Op::Patch {
            path: b1(),
            value: drain_value(Some(Some(Duration::from_millis(120_001)))),
        };
        let longer = again.apply(&[longer]).unwrap();
        let longer = longer.with_drains_since(&again, at(100));
        assert_eq!(said(&longer), [begun, Some("1970-01-01T00:02:01Z")]);
        for state in ["null", "\"maint\""] {
            let over = patched(&longer, &format!(r#"{{"state": {state}}}"#), 200);
            assert_eq!(said(&over), [None, None], "{state}");
        }
    }

    #[test]
    fn a_replaced_section_keeps_the_beginning_and_a_filled_store_gets_one() {
        let filled = with_one("\"state\": \"drain\"");
        let begun = Some("1970-01-01T00:00:00Z");
        assert_eq!(said(&filled), [begun, None]);
        let put = Op::Put {
            path: b1(),
            value: section(r#"{"address": "127.0.0.1:2", "state": "drain"}"#),
            place: None,
        };
        let replaced = filled.apply(&[put]).unwrap();
        assert_eq!(
            said(&replaced.with_drains_since(&filled, at(5))),
            [begun, None]
        );
        let written = with_one(r#""state": "drain", "drain_since": "2026-01-01T00:00:00Z""#);
        assert_eq!(said(&written)[0], Some("2026-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_wrong_is_left_to_be_judged() {
        let ready = with_one("\"weight\": 1");
        let wrong = patched(&ready, r#"{"drain_until": "never"}"#, 60);
        assert_eq!(said(&wrong), [None, Some("never")]);
    }
}
