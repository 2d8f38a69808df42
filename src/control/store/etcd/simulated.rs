//! A store several nodes share, without etcd: for worlds in which time and chance are simulated.
//!
//! It does what etcd does to a node: one comparison for a commit, and reads that may come from a
//! member that is behind. What a node makes of a read is the product's: it is judged by the head
//! and the hash of the content, and refused when it would take back what is known.

use std::sync::Arc;

use super::super::{Content, Revision, StoreError, Write};
use super::layout::{Head, apply, hash_of, texts};
use super::reading::{Seen, Unread, trusted};

/// Which store it is.
const STORE: u64 = 77;

/// Every state there was.
pub(in crate::control) struct Quorum {
    states: Vec<(u64, Arc<Content>)>,
}

/// What a read brings.
#[derive(Clone)]
pub(in crate::control) struct Read {
    head: Head,
    content: Arc<Content>,
}

/// What a node knows of the store, and may keep on its disk.
#[derive(Clone, Default)]
pub(in crate::control) struct Known(Seen);

impl Quorum {
    /// A store that holds this.
    pub(in crate::control) fn new(content: Content) -> Quorum {
        let content = Arc::new(content);
        Quorum {
            states: vec![(hash_of(&content), content)],
        }
    }

    /// Makes these writes if it is still at `expected`.
    pub(in crate::control) fn commit(
        &mut self,
        expected: Revision,
        writes: &[Write],
    ) -> Result<Revision, StoreError> {
        let now = self.newest().revision;
        if now != expected {
            return Err(StoreError::Conflict { now });
        }
        let mut content = Arc::clone(self.newest());
        let next = Revision(now.0 + 1);
        apply(&mut content, next, texts(writes)?);
        self.states.push((hash_of(&content), content));
        Ok(next)
    }

    /// The newest state.
    pub(in crate::control) fn newest(&self) -> &Arc<Content> {
        &self.states[self.states.len() - 1].1
    }

    /// Every state there was, the oldest first.
    pub(in crate::control) fn states(&self) -> impl Iterator<Item = &Content> {
        self.states.iter().map(|(_, content)| &**content)
    }

    /// What a member says that is so many revisions behind; one whose content does not fit its
    /// head, if it is broken.
    pub(in crate::control) fn read(&self, behind: usize, broken: bool) -> Read {
        let last = self.states.len() - 1;
        let (hash, content) = &self.states[last.saturating_sub(behind)];
        let shown = match broken {
            true => &self.states[last.saturating_sub(behind + 1)].1,
            false => content,
        };
        Read {
            head: Head::new(STORE, content.revision, *hash, None),
            content: Arc::clone(shown),
        }
    }
}

impl Known {
    /// Takes over what was read, if it is newer and sound; true when it was.
    ///
    /// # Errors
    /// Why it is refused.
    pub(in crate::control) fn take(&mut self, read: &Read) -> Result<bool, String> {
        if let Err(Unread::Untrusted(why)) = trusted(&read.head, &self.0) {
            return Err(why);
        }
        if self.0.store != 0 && read.head.revision == self.0.content.revision.0 {
            return Ok(false);
        }
        let sound = read.content.revision.0 == read.head.revision
            && hash_of(&read.content) == read.head.hash;
        if !sound {
            return Err("it does not come to its hash".to_owned());
        }
        self.0 = Seen {
            store: read.head.store,
            content: Arc::clone(&read.content),
            hash: read.head.hash,
            head_at: None,
            base: None,
        };
        Ok(true)
    }

    /// The state it knows.
    pub(in crate::control) fn content(&self) -> &Arc<Content> {
        &self.0.content
    }
}
