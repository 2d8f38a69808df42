//! How a store lies in etcd: keys, values, and what a state is made of. Pure; nothing is asked.
//!
//! | key below the prefix | value |
//! |---|---|
//! | `head` | the revision, the hash of everything at it, and the base it is counted from |
//! | `change/REVISION` | what that revision wrote |
//! | `part/EXPECTED-TOKEN/NUMBER` | a piece of a change or a base too large for one value |
//! | `node/NAME` | where a node hears others, under a lease (`meeting`) |
//!
//! A state is its base and the changes since. Records are no keys of their own because etcd takes
//! 128 operations and 1.5 MiB in a transaction, and a configuration of a thousand backends is one
//! change. Parts are written before the transaction that names them, so that it stays one
//! comparison and two writes whatever its size; parts nobody names are removed with the next base.
//! The hash finds what a reader has missed, whatever a watch or a stale member told it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::super::{Content, Revision, StoreError, Write};

/// The layout this program writes, and the only one it reads.
const LAYOUT: u32 = 1;

/// Bytes of one value; etcd refuses requests over 1.5 MiB.
pub(super) const PART_BYTES: usize = 512 * 1024;

/// Changes after which the next one brings a new base.
pub(super) const CHANGES_KEPT: u64 = 128;

/// What `head` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    layout: u32,
    /// Which store this is: chosen when it was filled.
    pub(super) store: u64,
    /// The newest revision.
    pub(super) revision: u64,
    /// Of everything at it.
    pub(super) hash: u64,
    /// The base that changes are counted from; none of a store that began empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<Base>,
}

/// A whole state, in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    /// The revision it is the state of.
    pub(super) revision: u64,
    /// Where its parts are.
    pub(super) parts: Parts,
}

/// Pieces under `part/ID/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parts {
    /// Their place.
    pub(super) id: String,
    /// How many there are.
    pub(super) count: usize,
}

/// What one revision wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChangeRecord {
    /// The revision it made.
    pub(super) revision: u64,
    /// Who made it: another one for each commit.
    pub(super) token: u64,
    /// The writes, or where they are.
    #[serde(flatten)]
    pub(super) writes: Writes,
}

/// Writes in place, or in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Writes {
    /// In parts, because they are many.
    Parts(Parts),
    /// Record by key, none where it is removed.
    Writes(BTreeMap<String, Option<String>>),
}

impl Head {
    /// Of a new state.
    pub(super) fn new(store: u64, revision: Revision, hash: u64, base: Option<Base>) -> Head {
        Head {
            layout: LAYOUT,
            store,
            revision: revision.0,
            hash,
            base,
        }
    }

    /// The revision that changes are counted from.
    pub(super) fn base_revision(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.revision)
    }

    pub(super) fn read(value: &[u8]) -> Result<Head, StoreError> {
        let head: Head = read(value)?;
        match head.layout {
            LAYOUT => Ok(head),
            other => Err(StoreError::Failed(format!(
                "it has layout {other}, this program reads {LAYOUT}"
            ))),
        }
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, StoreError> {
        write(self)
    }
}

impl ChangeRecord {
    pub(super) fn read(value: &[u8]) -> Result<ChangeRecord, StoreError> {
        read(value)
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, StoreError> {
        write(self)
    }
}

fn read<T: for<'d> Deserialize<'d>>(value: &[u8]) -> Result<T, StoreError> {
    let strange = |error| StoreError::Failed(format!("it holds something else: {error}"));
    serde_json::from_slice(value).map_err(strange)
}

fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Failed(error.to_string()))
}

/// Writes as text.
///
/// # Errors
/// When a record is not text.
pub(super) fn texts(writes: &[Write]) -> Result<BTreeMap<String, Option<String>>, StoreError> {
    let text = |(key, record): &Write| {
        let record = record.as_ref().map(|record| {
            let text = std::str::from_utf8(record);
            text.map(str::to_owned)
                .map_err(|_| StoreError::Failed(format!("record {key:?} is not text")))
        });
        Ok((key.clone(), record.transpose()?))
    };
    writes.iter().map(text).collect()
}

/// Everything a state holds, as writes.
pub(super) fn everything(content: &Content) -> Vec<Write> {
    let records = content.records.iter();
    let records = records.map(|(key, record)| (key.clone(), Some(record.clone())));
    records.collect()
}

/// The pieces of writes that do not go into one value.
pub(super) fn pieces(texts: &BTreeMap<String, Option<String>>) -> Result<Vec<Vec<u8>>, StoreError> {
    let whole = write(texts)?;
    Ok(whole.chunks(PART_BYTES).map(<[u8]>::to_vec).collect())
}

/// The writes of all pieces in their order.
pub(super) fn joined(pieces: &[Vec<u8>]) -> Result<BTreeMap<String, Option<String>>, StoreError> {
    read(&pieces.concat())
}

/// The state after these writes.
pub(super) fn apply(
    content: &mut Arc<Content>,
    revision: Revision,
    writes: BTreeMap<String, Option<String>>,
) {
    let content = Arc::make_mut(content);
    for (key, record) in writes {
        match record {
            Some(record) => content.records.insert(key, record.into_bytes()),
            None => content.records.remove(&key),
        };
    }
    content.revision = revision;
}

/// A number two states share only when they hold the same.
pub(super) fn hash_of(content: &Content) -> u64 {
    let mut hasher = Xxh3::new();
    for (key, record) in &content.records {
        for part in [key.as_bytes(), record] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.digest()
}

/// Names of keys below a prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys(pub(super) String);

impl Keys {
    pub(super) fn head(&self) -> String {
        format!("{}head", self.0)
    }

    pub(super) fn change(&self, revision: u64) -> String {
        format!("{}change/{revision:020}", self.0)
    }

    /// The first key after every change.
    pub(super) fn changes_end(&self) -> String {
        format!("{}change0", self.0)
    }

    /// Where the parts of a commit begin.
    pub(super) fn parts(&self, id: &str) -> String {
        format!("{}part/{id}/", self.0)
    }

    pub(super) fn part(&self, id: &str, number: usize) -> String {
        format!("{}{number:06}", self.parts(id))
    }

    /// Where a node says how it is reached.
    pub(super) fn node(&self, name: &str) -> String {
        format!("{}node/{name}", self.0)
    }

    /// From the first key of every node to the first after it.
    pub(super) fn nodes(&self) -> (String, String) {
        (format!("{}node/", self.0), format!("{}node0", self.0))
    }

    /// From the first key of every part to the first after it.
    pub(super) fn all_parts(&self) -> (String, String) {
        (format!("{}part/", self.0), format!("{}part0", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(records: &[(&str, &str)]) -> Arc<Content> {
        let records = records.iter();
        let records = records.map(|(key, record)| ((*key).to_owned(), record.as_bytes().to_vec()));
        Arc::new(Content {
            revision: Revision(3),
            records: records.collect(),
        })
    }

    #[test]
    fn what_was_written_is_read() {
        let base = Base {
            revision: 2,
            parts: Parts {
                id: "7-a".to_owned(),
                count: 3,
            },
        };
        let head = Head::new(9, Revision(3), 5, Some(base));
        assert_eq!(Head::read(&head.write().unwrap()), Ok(head));
        let writes = texts(&[
            ("a".to_owned(), None),
            ("b".to_owned(), Some(b"1".to_vec())),
        ]);
        for writes in [
            Writes::Writes(writes.unwrap()),
            Writes::Parts(Parts {
                id: "x".to_owned(),
                count: 2,
            }),
        ] {
            let change = ChangeRecord {
                revision: 3,
                token: u64::MAX,
                writes,
            };
            assert_eq!(ChangeRecord::read(&change.write().unwrap()), Ok(change));
        }
    }

    #[test]
    fn another_layout_and_another_thing_are_told_apart_from_a_head() {
        let head = Head::new(9, Revision(3), 5, None).write().unwrap();
        let other = String::from_utf8(head)
            .unwrap()
            .replace("\"layout\":1", "\"layout\":2");
        let told = Head::read(other.as_bytes()).unwrap_err().to_string();
        assert!(told.contains("layout 2"), "{told}");
        for strange in ["", "[]", "{}", "\u{fffd}"] {
            assert!(Head::read(strange.as_bytes()).is_err(), "{strange:?}");
        }
    }

    #[test]
    fn a_hash_sees_keys_records_and_where_they_end() {
        let states = [
            content(&[]),
            content(&[("a", "b")]),
            content(&[("ab", "")]),
            content(&[("", "ab")]),
            content(&[("a", "b"), ("c", "d")]),
        ];
        let hashes: std::collections::BTreeSet<u64> =
            states.iter().map(|state| hash_of(state)).collect();
        assert_eq!(hashes.len(), states.len());
    }

    #[test]
    fn keys_sort_as_their_revisions_do() {
        let keys = Keys("/weir/".to_owned());
        assert!(keys.change(9) < keys.change(10));
        assert!(keys.change(u64::MAX) < keys.changes_end());
        let (start, end) = keys.all_parts();
        let part = keys.part("00000000000000000001-ffff", 999_999);
        assert!(start < part && part < end);
    }

    proptest! {
        #[test]
        fn pieces_join_to_what_they_were(
            records in prop::collection::btree_map(
                "[a-z/]{1,9}", prop::option::of(".{0,40}"), 0..20),
            copies in 1_usize..4,
        ) {
            let long = "x".repeat(copies * PART_BYTES / 2);
            let mut records = records;
            records.insert("long".to_owned(), Some(long));
            let pieces = pieces(&records).unwrap();
            prop_assert!(pieces.iter().all(|piece| piece.len() <= PART_BYTES));
            prop_assert_eq!(joined(&pieces).unwrap(), records);
        }

        #[test]
        fn changes_one_after_the_other_lead_where_all_records_do(
            steps in prop::collection::vec(
                prop::collection::btree_map("[a-c]", prop::option::of("[0-9]"), 0..3), 0..12),
        ) {
            let mut now = content(&[]);
            let mut model = BTreeMap::new();
            for (number, step) in (1..).zip(steps) {
                for (key, record) in &step {
                    match record {
                        Some(record) => model.insert(key.clone(), record.clone().into_bytes()),
                        None => model.remove(key),
                    };
                }
                apply(&mut now, Revision(number), step);
                prop_assert_eq!((&now.records, now.revision), (&model, Revision(number)));
            }
        }
    }
}
