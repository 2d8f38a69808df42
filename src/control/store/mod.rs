//! Where the truth is kept: records by key, changed in transactions, each with the next revision.
//!
//! One trait, so that a single node (embedded), a node without a disk (memory) and a cluster are
//! the same to the control loop. It asks for what every such store can do: read everything with
//! its revision, and change several keys at once if nothing has changed since. The latter is one
//! compare and several puts, so nobody needs locks or sessions. What a record means is not known
//! here.
//!
//! A commit that was acknowledged is there after a kill or a power failure at any instant; one
//! that was not is there whole or not at all. `tests/store.rs` kills a writer to see.

#[cfg(test)]
mod contract;
mod copy;
mod embedded;
mod etcd;
mod memory;
mod shared;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::telemetry::stats::StoreStats;

pub use embedded::Embedded;
pub use etcd::Etcd;
pub use memory::Memory;
pub use shared::Shared;

#[cfg(test)]
pub(super) use etcd::simulated::{Known, Quorum, Read};

/// Number of a state of the store; each commit makes the next. An empty one is at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Of this state.
    pub revision: Revision,
    /// Records by key.
    pub records: BTreeMap<String, Vec<u8>>,
}

/// A key and its new record, or none to remove it.
pub type Write = (String, Option<Vec<u8>>);

/// Why a store did not do what it was asked for; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Another process has it open.
    Busy,
    /// Something else has changed it: it is at this revision now.
    Conflict {
        /// Of the store.
        now: Revision,
    },
    /// It cannot be read or written.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Busy => f.write_str("another process has it open"),
            StoreError::Conflict { now } => {
                write!(
                    f,
                    "it was changed by somebody else and is at revision {now}"
                )
            }
            StoreError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StoreError {}

/// What a store answers, in its own time.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// A place for records.
pub trait Store: Send + Sync {
    /// Everything it holds, as of one revision.
    fn load(&self) -> Answer<Content>;

    /// Makes all of these writes if it is still at `expected`, durably, and answers the revision
    /// they made. An empty list makes a revision as well.
    fn commit(&self, expected: Revision, writes: Vec<Write>) -> Answer<Revision>;

    /// Begins to follow what others change; none of a store that only its node writes.
    fn follow(&self) -> Option<Following> {
        None
    }
}

/// What is heard of a store that others write as well.
#[derive(Clone)]
pub struct Following {
    /// Its newest state.
    pub feed: watch::Receiver<Feed>,
    /// What is counted of it.
    pub stats: Arc<StoreStats>,
    /// Why the node does not serve the newest revision, if it does not.
    pub unserved: Arc<ArcSwapOption<String>>,
}

/// The newest state that is known of a store, and whether it is in sight.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// The state.
    pub content: Arc<Content>,
    /// Whether it is the newest there is.
    pub sight: Sight,
}

/// What is seen of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// It does not answer.
    Away(String),
    /// It answers.
    #[default]
    Current,
    /// What it says is older than what is known of it, or contradicts it.
    Untrusted(String),
}
