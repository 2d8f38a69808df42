//! Changes from outside, as the control loop takes them: what is wanted, under which conditions,
//! and what became of it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::base::epoch::Epoch;
use crate::control::document::{Document, Mistake, ObjectPath, Op, OpError, Section};
use crate::control::store::Revision;
use crate::engine::facts::Facts;

/// One change of the configuration; all of its operations or none.
pub struct Change {
    /// What to do, in this order.
    pub ops: Vec<Op>,
    /// When to do it.
    pub conditions: Conditions,
    /// Who wants to know.
    pub answer: oneshot::Sender<Result<Done, Refusal>>,
    /// How often it was judged before another node was first.
    pub tries: u32,
    /// When it was asked for.
    pub asked: Instant,
}

/// What must hold for a change to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The store is at the revision of one of these epochs; what was found since is no change.
    pub epochs: Option<Vec<Epoch>>,
    /// These objects are not there.
    pub absent: Vec<ObjectPath>,
    /// These objects are there.
    pub present: Vec<ObjectPath>,
}

/// A change that was made: stored and published.
#[derive(Clone, Debug)]
pub struct Done {
    /// What was before.
    pub before: Arc<Snapshot>,
    /// What is now; the same when nothing had to change.
    pub after: Arc<Snapshot>,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// An object that is not there.
    Absent(ObjectPath),
    /// Too many changes wait already.
    Busy,
    /// The store was changed by somebody else.
    Conflict(String),
    /// The node is ending.
    Ending,
    /// An object that must not be there.
    Exists(ObjectPath),
    /// Another process is taking over, or has just failed to.
    HandingOver,
    /// The result would have these mistakes.
    Invalid(Vec<Mistake>),
    /// An address cannot be listened on.
    Machine(String),
    /// A shard rule that hands nothing over.
    NoWindow(ObjectPath),
    /// The node is at this epoch, not at one that was asked for.
    NotAt(Epoch),
    /// The store failed.
    Store(String),
    /// Cores take no table; when it was stored before that showed, it counts at the next start.
    Stuck(String),
}

impl From<OpError> for Refusal {
    fn from(error: OpError) -> Refusal {
        match error {
            OpError::Absent(path) => Refusal::Absent(path),
            OpError::NoWindow(path) => Refusal::NoWindow(path),
            OpError::Shape(mistake) => Refusal::Invalid(vec![mistake]),
        }
    }
}

/// What is in effect, for readers that never wait.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The state of the store it comes from.
    pub revision: Revision,
    /// The number of its table.
    pub epoch: Epoch,
    /// What belongs to the process.
    pub process: Section,
    /// Everything else.
    pub document: Document,
    /// What was found of its backends.
    pub facts: Facts,
    /// Filled when first asked for.
    pub(super) hash: OnceLock<u64>,
}

impl Snapshot {
    /// What the store holds at the start, before anything is found, at the first epoch.
    #[must_use]
    pub fn first(revision: Revision, epoch: Epoch, process: &Section, document: &Document) -> Self {
        Snapshot {
            revision,
            epoch,
            process: process.clone(),
            document: document.clone(),
            ..Snapshot::default()
        }
    }

    /// The same configuration at a later epoch, with what is found by then.
    #[must_use]
    pub fn at(&self, epoch: Epoch, facts: Facts) -> Self {
        Snapshot {
            revision: self.revision,
            epoch,
            facts,
            process: self.process.clone(),
            document: self.document.clone(),
            hash: self.hash.clone(),
        }
    }

    /// The hash of the document's content.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        *self.hash.get_or_init(|| self.document.content_hash())
    }
}

impl Conditions {
    /// Whether they hold.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        if let Some(epochs) = &self.epochs
            && !epochs
                .iter()
                .any(|epoch| epoch.revision() == snapshot.revision.0)
        {
            return Err(Refusal::NotAt(snapshot.epoch));
        }
        let there = |path: &&ObjectPath| snapshot.document.contains(path);
        if let Some(path) = self.absent.iter().find(there) {
            return Err(Refusal::Exists(path.clone()));
        }
        match self.present.iter().find(|path| !there(path)) {
            Some(path) => Err(Refusal::Absent(path.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_of_backends_spoils_no_condition_and_a_change_does() {
        let before = Snapshot {
            epoch: Epoch::of(4),
            revision: Revision(4),
            ..Snapshot::default()
        };
        let found = before.epoch.next_found();
        let now = before.at(found, Facts::default());
        let at = |epoch| Conditions {
            epochs: Some(vec![epoch]),
            ..Conditions::default()
        };
        for epoch in [Epoch::of(4), found] {
            assert_eq!(at(epoch).check(&now), Ok(()));
        }
        for epoch in [3, 5] {
            assert_eq!(at(Epoch::of(epoch)).check(&now), Err(Refusal::NotAt(found)));
        }
    }
}
