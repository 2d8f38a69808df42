//! A node's own copy of a store that is elsewhere: what it starts from while that is away.
//!
//! It is an embedded store, opened for the moment of each reading and writing, so that it can be
//! exported like one and the next process of a node finds it free.

use std::path::Path;

use super::{Content, Embedded, StoreError};

/// A copy and what it is of.
#[derive(Debug)]
pub(super) struct Copied {
    /// The number of the store.
    pub(super) store: u64,
    /// What that held.
    pub(super) content: Content,
}

/// Reads the copy in a file, if there is one. It blocks.
///
/// # Errors
/// When the file is there and is no copy.
pub(super) fn read(path: &Path) -> Result<Option<Copied>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let told = |why: &dyn std::fmt::Display| {
        StoreError::Failed(format!("the copy {}: {why}", path.display()))
    };
    let embedded = Embedded::open(path).map_err(|error| told(&error))?;
    let content = embedded.read_all().map_err(|error| told(&error))?;
    match embedded.origin().map_err(|error| told(&error))? {
        Some(store) => Ok(Some(Copied { store, content })),
        None if content.records.is_empty() => Ok(None),
        None => Err(told(
            &"it is a store of its own and no copy; name another file",
        )),
    }
}

/// Writes the copy. It blocks.
///
/// # Errors
/// When the file cannot be opened or written.
pub(super) fn write(path: &Path, store: u64, content: &Content) -> Result<(), StoreError> {
    Embedded::open(path)?.replace_all(store, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::store::{Revision, Store as _};

    #[tokio::test]
    async fn a_copy_is_replaced_whole_and_read_with_its_origin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.redb");
        assert!(read(&path).unwrap().is_none());
        for (revision, keys) in [(5, &["a", "b"][..]), (9, &["b", "c"]), (3, &[])] {
            let records = keys
                .iter()
                .map(|key| ((*key).to_owned(), vec![revision as u8]));
            let content = Content {
                revision: Revision(revision),
                records: records.collect(),
            };
            write(&path, 7, &content).unwrap();
            let copied = read(&path).unwrap().unwrap();
            assert_eq!((copied.store, copied.content), (7, content));
        }
    }

    #[tokio::test]
    async fn a_store_of_its_own_is_no_copy_and_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let own = Embedded::open(&path).unwrap();
        let writes = vec![("a".to_owned(), Some(b"1".to_vec()))];
        own.commit(Revision(0), writes).await.unwrap();
        let before = own.load().await.unwrap();
        drop(own);
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("no copy"), "{told}");
        assert_eq!(Embedded::open(&path).unwrap().read_all(), Ok(before));
    }
}
