//! The control plane as the rest of the process uses it: what the admin interface is made of,
//! and the library's own interface.
//!
//! Reading takes what was published last and never waits. A change is a message to the control
//! loop, which makes one after the other; the queue is bounded and a full one refuses at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, oneshot, watch};

use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::base::limits::CHANGES_MAX;
use crate::control::change::{Change, Conditions, Done, Refusal, Snapshot};
use crate::control::document::Op;
use crate::control::health::Health;
use crate::control::publisher::{Progress, wait_adopted};
use crate::control::servers::Picks;
use crate::control::verdicts::Verdicts;
use crate::control::view::View;

/// A way to the control loop; clones are the same one.
#[derive(Clone)]
pub struct Handle {
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) view: Arc<ArcSwapOption<View>>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) picks: Picks,
    pub(super) health: Health,
    pub(super) verdicts: Verdicts,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle(epoch {})", self.snapshot.load().epoch)
    }
}

impl Handle {
    /// A handle, and the end of its queue that the control loop has.
    #[must_use]
    pub fn new(
        snapshot: Snapshot,
        view: Arc<ArcSwapOption<View>>,
        progress: watch::Receiver<Progress>,
        health: Health,
    ) -> (Handle, mpsc::Receiver<Change>) {
        let (changes, queue) = mpsc::channel(CHANGES_MAX);
        let handle = Handle {
            verdicts: Verdicts::new(changes.clone()),
            changes,
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            view,
            progress,
            picks: Picks::default(),
            health,
        };
        (handle, queue)
    }

    /// What is in effect.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts another snapshot in effect; only the control loop does.
    pub(super) fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// What is thought of backends.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Makes a change; when it answers, the change is stored and on its way to every core.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn change(&self, ops: Vec<Op>, conditions: Conditions) -> Result<Done, Refusal> {
        let (answer, made) = oneshot::channel();
        let change = Change {
            ops,
            conditions,
            answer,
            tries: 0,
            asked: Instant::now(),
        };
        match self.changes.try_send(change) {
            Ok(()) => made.await.unwrap_or(Err(Refusal::Ending)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refusal::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refusal::Ending),
        }
    }

    /// Waits until every core serves by `epoch` or a newer one.
    ///
    /// # Errors
    /// The cores that did not within `timeout`.
    pub async fn adopted(&self, epoch: Epoch, timeout: Duration) -> Result<(), Vec<CoreId>> {
        wait_adopted(&mut self.progress.clone(), epoch, timeout).await
    }
}
