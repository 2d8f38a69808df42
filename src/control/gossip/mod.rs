//! The node among others, at its edge: the socket, the clock, and what the node says of itself.
//! What is said and heard is decided in `crate::gossip`.
//!
//! One task has the state. Whoever wants to know who is there reads what it showed last, or waits
//! for what it shows next.

mod door;
mod facts;
mod key;
mod live;
mod observing;
mod own;
mod seeds;
mod sharing;
mod waiting;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use self::sharing::Sharing;
use crate::gossip::{Member, Moment, Peer, State};
use crate::telemetry::cluster::ClusterStats;

pub(in crate::control) use door::{Door, name_of};
pub(in crate::control) use key::key_of;
pub(in crate::control) use observing::Observing;
pub(in crate::control) use own::Own;
pub(in crate::control) use sharing::backend_key;
pub use waiting::Missing;

/// Who is there, as this node sees it.
#[derive(Clone, Debug)]
pub struct Roll {
    /// The node itself.
    pub me: Member,
    /// What it says of itself.
    pub state: State,
    /// The others, by name.
    pub peers: Vec<Peer>,
}

/// A way to what is known of the cluster; clones are the same.
#[derive(Clone)]
pub struct Cluster {
    /// Who is there.
    pub roll: watch::Receiver<Arc<Roll>>,
    /// What is counted.
    pub stats: Arc<ClusterStats>,
    /// Checks that nodes share.
    observing: Observing,
    /// Limits over all nodes, where nodes own parts of them.
    sharing: Option<Sharing>,
    /// When moments began.
    origin: Instant,
}

impl Cluster {
    /// How long ago a moment was, in milliseconds.
    #[must_use]
    pub fn age_millis(&self, moment: Moment) -> u64 {
        let age = self.origin.elapsed().saturating_sub(moment);
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
    }
}
