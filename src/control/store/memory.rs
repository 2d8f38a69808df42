//! A store that lasts as long as its process: without `[store]` the file is the truth again at
//! the next start.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Answer, Content, Revision, Store, StoreError, Write};

/// Records in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    content: Arc<Mutex<Content>>,
}

impl Memory {
    /// An empty one whose first commit comes after `revision`.
    #[must_use]
    pub fn after(revision: Revision) -> Memory {
        let content = Content {
            revision,
            ..Content::default()
        };
        Memory {
            content: Arc::new(Mutex::new(content)),
        }
    }
}

impl Store for Memory {
    fn load(&self) -> Answer<Content> {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let content = content.clone();
        Box::pin(async { Ok(content) })
    }

    fn commit(&self, expected: Revision, writes: Vec<Write>) -> Answer<Revision> {
        let shared = Arc::clone(&self.content);
        Box::pin(async move {
            let mut content = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let now = content.revision;
            if now != expected {
                return Err(StoreError::Conflict { now });
            }
            for (key, record) in writes {
                match record {
                    Some(record) => content.records.insert(key, record),
                    None => content.records.remove(&key),
                };
            }
            content.revision = Revision(now.0 + 1);
            Ok(content.revision)
        })
    }
}
