//! What two documents do not have in common.

use std::sync::Arc;

use imbl::ordmap::DiffItem;

use super::{Document, Entry, ObjectPath};

/// An object that differs: what it was, and what it is.
pub(super) type Difference<'d> = (
    &'d ObjectPath,
    Option<&'d Arc<Entry>>,
    Option<&'d Arc<Entry>>,
);

impl Document {
    /// Every object that is not what it was in `before`, in the order of paths. What both share is
    /// passed over unread, so it takes as long as what came between them is large.
    pub(super) fn differences_from<'d>(
        &'d self,
        before: &'d Document,
    ) -> impl Iterator<Item = Difference<'d>> {
        let differences = before.entries.diff(&self.entries);
        differences.map(|difference| match difference {
            DiffItem::Add(path, now) => (path, None, Some(now)),
            DiffItem::Remove(path, before) => (path, Some(before), None),
            DiffItem::Update { old, new } => (new.0, Some(old.1), Some(new.1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Backends of a group by their numbers, each with its weight.
    type Weights = BTreeMap<u16, u8>;

    fn path(number: u16) -> ObjectPath {
        format!("groups/app/backends/b{number:05}").parse().unwrap()
    }

    fn set(document: &mut Document, number: u16, weight: u8) {
        let value = json!({"weight": weight}).as_object().unwrap().clone();
        let entry = Arc::new(Entry { order: 0, value });
        document.entries.insert(path(number), entry);
    }

    fn document(weights: &Weights) -> Document {
        let mut document = Document::default();
        for (number, weight) in weights {
            set(&mut document, *number, *weight);
        }
        document
    }

    fn weights() -> impl Strategy<Value = Weights> {
        prop::collection::btree_map(0..400_u16, 0..3_u8, 0..300)
    }

    /// What differs, by walking along both.
    fn differing(before: &Weights, now: &Weights) -> Vec<(ObjectPath, bool, bool)> {
        let numbers = (0..400).filter(|number| before.get(number) != now.get(number));
        let there = |weights: &Weights, number| weights.contains_key(&number);
        numbers
            .map(|number| (path(number), there(before, number), there(now, number)))
            .collect()
    }

    fn found(before: &Document, now: &Document) -> Vec<(ObjectPath, bool, bool)> {
        let found = now.differences_from(before);
        found
            .map(|(path, before, now)| (path.clone(), before.is_some(), now.is_some()))
            .collect()
    }

    proptest! {
        #[test]
        fn documents_of_any_history_differ_by_what_they_say(before in weights(), now in weights()) {
            let expected = differing(&before, &now);
            prop_assert_eq!(found(&document(&before), &document(&now)), expected.clone());
            // The later one made of the former, which it shares what stays with.
            let start = document(&before);
            let mut changed = start.clone();
            for number in 0..400 {
                match now.get(&number) {
                    Some(weight) if before.get(&number) != Some(weight) => {
                        set(&mut changed, number, *weight);
                    }
                    Some(_) => {}
                    None => {
                        changed.entries.remove(&path(number));
                    }
                }
            }
            prop_assert_eq!(found(&start, &changed), expected);
            prop_assert_eq!(changed, document(&now));
        }
    }
}
