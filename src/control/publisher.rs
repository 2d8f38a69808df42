//! Sends tables to the cores and follows who serves by which.
//!
//! How that is done without a word lost is the matter of `link::control_side`. Here it becomes one
//! [`Progress`], which anyone may watch; only the owner of the publisher changes it, by calling
//! [`Publisher::receive`] after a kick.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::base::epoch::Epoch;
use crate::base::id::CoreId;

use crate::link::control_side::{ControlEnd, ControlSide, CoreProgress, CoreState, PublishError};
use crate::link::{Drain, ListenSocket, Report};
use crate::routing::table::Table;

/// Where the node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing new is accepted.
    Draining,
    /// Every core has adopted a table.
    Serving,
    /// Not every core has adopted its first table.
    Starting,
}

/// How far the cores are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where the node is in its life.
    pub phase: Phase,
    /// The newest epoch sent.
    pub published: Epoch,
    /// Each core, in order.
    pub cores: Vec<CoreProgress>,
}

impl Progress {
    /// Cores that serve by an older epoch than this one.
    #[must_use]
    pub fn stragglers(&self, epoch: Epoch) -> Vec<CoreId> {
        self.select(|core| core.adopted < epoch)
    }

    /// Cores whose threads ended by a defect.
    #[must_use]
    pub fn died(&self) -> Vec<CoreId> {
        self.select(|core| core.state == CoreState::Died)
    }

    /// Cores that have not ended.
    #[must_use]
    pub fn running(&self) -> Vec<CoreId> {
        self.select(|core| core.state == CoreState::Running)
    }

    /// The oldest epoch any core still has.
    #[must_use]
    pub fn oldest_held(&self) -> Epoch {
        let oldest = self.cores.iter().filter_map(|core| core.held.first());
        oldest.min().copied().unwrap_or(self.published)
    }

    /// Connections cut by cores that ended.
    #[must_use]
    pub fn cut(&self) -> usize {
        let cut = |core: &CoreProgress| match core.state {
            CoreState::Stopped { cut } => cut,
            CoreState::Died | CoreState::Running => 0,
        };
        self.cores.iter().map(cut).sum()
    }

    fn select(&self, wanted: impl Fn(&CoreProgress) -> bool) -> Vec<CoreId> {
        let numbered = (0_u16..).map(CoreId).zip(&self.cores);
        numbered
            .filter(|(_, core)| wanted(core))
            .map(|(id, _)| id)
            .collect()
    }
}

/// Waits until every core serves by `epoch` or a newer one. Whoever owns the publisher must keep
/// receiving meanwhile.
///
/// # Errors
/// The cores that did not within `timeout`.
pub async fn wait_adopted(
    progress: &mut watch::Receiver<Progress>,
    epoch: Epoch,
    timeout: Duration,
) -> Result<(), Vec<CoreId>> {
    let adopted = progress.wait_for(|now| now.stragglers(epoch).is_empty());
    let in_time = matches!(tokio::time::timeout(timeout, adopted).await, Ok(Ok(_)));
    if in_time {
        Ok(())
    } else {
        Err(progress.borrow().stragglers(epoch))
    }
}

/// The control thread's side of all links, for everyone who watches.
pub struct Publisher {
    side: ControlSide,
    progress: watch::Sender<Progress>,
    table: Arc<ArcSwapOption<Table>>,
}

impl Publisher {
    /// A publisher to these cores, in their order.
    #[must_use]
    pub fn new(ends: Vec<ControlEnd>) -> Self {
        let side = ControlSide::new(ends);
        let progress = Progress {
            phase: Phase::Starting,
            published: side.published(),
            cores: side.cores().to_vec(),
        };
        Publisher {
            side,
            progress: watch::Sender::new(progress),
            table: Arc::default(),
        }
    }

    /// The newest table, for readers that never wait.
    #[must_use]
    pub fn table(&self) -> Arc<ArcSwapOption<Table>> {
        Arc::clone(&self.table)
    }

    /// The progress, to watch.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Cores to publish to.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.side.cores().len()
    }

    /// Whether a table could be published now; to be asked before sockets are bound for it.
    ///
    /// # Errors
    /// What [`Publisher::publish`] would answer.
    pub fn check_room(&self) -> Result<(), PublishError> {
        self.side.check_room()
    }

    /// Sends a table to every core, each with its sockets of new listeners (one list per core).
    ///
    /// # Errors
    /// When the epoch is not newer or a core cannot take it; then no core gets it.
    pub fn publish(
        &mut self,
        table: Arc<Table>,
        sockets: Vec<Vec<ListenSocket>>,
    ) -> Result<(), PublishError> {
        self.side.publish(&table, sockets)?;
        self.table.store(Some(table));
        self.show(|_| {});
        Ok(())
    }

    /// What the cores saw of backends since this was last asked.
    pub fn take_reports(&mut self) -> Vec<Report> {
        self.side.take_reports()
    }

    /// Tells every core to finish what runs and to end.
    pub fn drain(&mut self, how: Drain) {
        self.show(|progress| progress.phase = Phase::Draining);
        self.side.drain(how);
    }

    /// Tells every core to end at once.
    pub fn stop(&mut self) {
        self.show(|progress| progress.phase = Phase::Draining);
        self.side.stop();
    }

    /// Takes in what the cores have told since, frees the tables they gave back, and notices
    /// cores that died. Call it after every kick, and now and then without one, in case that a
    /// thread ended without unwinding.
    pub fn receive(&mut self) {
        self.side.receive();
        self.show(|next| {
            let first = next.published > Epoch(0) && next.stragglers(Epoch(1)).is_empty();
            if next.phase == Phase::Starting && first {
                next.phase = Phase::Serving;
            }
        });
    }

    /// Brings the progress up to date, wakes those who watch it if that changed it.
    fn show(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_if_modified(|progress| {
            let mut next = Progress {
                phase: progress.phase,
                published: self.side.published(),
                cores: self.side.cores().to_vec(),
            };
            change(&mut next);
            let changed = *progress != next;
            *progress = next;
            changed
        });
    }
}

/// Cores do not outlive who could tell them anything.
impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::TO_WORKER_MAX;
    use crate::control::fake_worker::{self, Habit};
    use crate::link::worker_side::{WorkerEnd, WorkerSide};
    use crate::link::{ToWorker, link, tables_unanswered_max};
    use crate::runtime::kick::Kick;
    use crate::runtime::kick_waiter::KickWaiter;

    fn table(epoch: u64) -> Arc<Table> {
        Arc::new(Table {
            overload: crate::routing::overload::Terms::default(),
            epoch: Epoch(epoch),
            listeners: Vec::new(),
            groups: Vec::new(),
            shards: Vec::new(),
            backend_slots: 0,
            group_slots: 0,
        })
    }

    fn links(cores: usize) -> (Publisher, KickWaiter, Vec<WorkerEnd>) {
        let kick = Kick::new().unwrap();
        let pairs = (0..cores).map(|_| link(&kick).unwrap());
        let (ends, workers): (Vec<_>, Vec<_>) = pairs.unzip();
        (
            Publisher::new(ends),
            KickWaiter::new(kick).unwrap(),
            workers,
        )
    }

    fn none(cores: usize) -> Vec<Vec<ListenSocket>> {
        (0..cores).map(|_| Vec::new()).collect()
    }

    async fn until(
        publisher: &mut Publisher,
        waiter: &KickWaiter,
        holds: impl Fn(&Progress) -> bool,
    ) {
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                publisher.receive();
                if holds(&publisher.watch().borrow()) {
                    return;
                }
                let pause = Duration::from_millis(20);
                let _ = tokio::time::timeout(pause, waiter.kicked()).await;
            }
        })
        .await
        .expect("reached in time");
    }

    #[tokio::test]
    async fn every_core_adopts_and_old_tables_come_back_to_be_freed() {
        let (mut publisher, waiter, workers) = links(3);
        let _threads = fake_worker::start(workers, Habit::Good);
        let first = table(1);
        let weak = Arc::downgrade(&first);
        publisher.publish(first, none(3)).unwrap();
        assert_eq!(publisher.watch().borrow().phase, Phase::Starting);
        until(&mut publisher, &waiter, |now| {
            now.stragglers(Epoch(1)).is_empty()
        })
        .await;
        assert_eq!(publisher.watch().borrow().phase, Phase::Serving);
        publisher.publish(table(2), none(3)).unwrap();
        let freed = |now: &Progress| now.cores.iter().all(|core| core.held == [Epoch(2)]);
        until(&mut publisher, &waiter, |now| {
            now.stragglers(Epoch(2)).is_empty() && freed(now)
        })
        .await;
        assert!(weak.upgrade().is_none());
        assert_eq!(
            publisher.table().load().as_ref().map(|t| t.epoch),
            Some(Epoch(2))
        );
        assert_eq!(
            publisher.publish(table(2), none(3)),
            Err(PublishError::NotNewer)
        );
        publisher.drain(Drain {
            within: Duration::ZERO,
            idle_grace: Duration::ZERO,
        });
        until(&mut publisher, &waiter, |now| now.running().is_empty()).await;
        let progress = publisher.watch().borrow().clone();
        assert_eq!(
            (progress.phase, progress.cut(), progress.died()),
            (Phase::Draining, 0, vec![])
        );
    }

    #[tokio::test]
    async fn stragglers_are_named_and_a_full_link_refuses_for_all() {
        let (mut publisher, waiter, mut workers) = links(2);
        let mut sleeper = WorkerSide::new(workers.pop().unwrap());
        let _threads = fake_worker::start(workers, Habit::Good);
        publisher.publish(table(1), none(2)).unwrap();
        let mut watch = publisher.watch();
        let receiving = async {
            loop {
                publisher.receive();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = receiving => unreachable!(),
            missing = wait_adopted(&mut watch, Epoch(1), Duration::from_millis(100)) => {
                assert_eq!(missing, Err(vec![CoreId(1)]));
            }
        }
        let last = tables_unanswered_max(TO_WORKER_MAX) as u64;
        for epoch in 2..=last {
            publisher.publish(table(epoch), none(2)).unwrap();
            publisher.receive();
        }
        let caught_up = |now: &Progress| now.cores[0].adopted == Epoch(last);
        until(&mut publisher, &waiter, caught_up).await;
        let stuck = || Err(PublishError::Stuck(vec![CoreId(1)]));
        assert_eq!(publisher.publish(table(1000), none(2)), stuck());
        assert_eq!(
            publisher.table().load().as_ref().map(|t| t.epoch.0),
            Some(last)
        );
        // Reading is not enough: what is read and not answered would be answered later.
        let Some(ToWorker::Adopt { table: first, .. }) = sleeper.next_message() else {
            panic!("a table was sent");
        };
        assert_eq!(publisher.publish(table(1000), none(2)), stuck());
        let first = sleeper.admit(first).unwrap();
        sleeper.adopt(first);
        publisher.receive();
        publisher.publish(table(1000), none(2)).unwrap();
    }

    #[tokio::test]
    async fn a_core_that_dies_is_told_from_one_that_stopped() {
        let (mut publisher, waiter, mut workers) = links(2);
        drop(workers.pop());
        let _threads = fake_worker::start(workers, Habit::Good);
        until(&mut publisher, &waiter, |now| now.died() == [CoreId(1)]).await;
        let refused = Err(PublishError::Ended(vec![CoreId(1)]));
        assert_eq!(publisher.publish(table(1), none(2)), refused);
        publisher.stop();
        until(&mut publisher, &waiter, |now| now.running().is_empty()).await;
        assert_eq!(publisher.watch().borrow().died(), [CoreId(1)]);
    }
}
