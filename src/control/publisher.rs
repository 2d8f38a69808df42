//! Sends tables to the cores and follows who serves by which.
//!
//! A table goes to every core or to none: room is made sure of first, and a core that has not
//! taken earlier messages refuses the whole publication rather than letting cores drift apart.
//! Tables come back here to be freed, so that freeing a large one never stalls a request. What
//! the cores say is kept as one [`Progress`], which anyone may watch; only the owner of the
//! publisher changes it, by calling [`Publisher::receive`] after a kick.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::link::{ControlEnd, FromWorker, ListenSocket, ToWorker};
use crate::routing::table::Table;

/// What a core is doing, as far as it has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreState {
    /// Its thread ended without a word: a defect.
    Died,
    /// Serving, or finishing what runs.
    Running,
    /// Ended as it was told to.
    Stopped {
        /// Connections it cut.
        cut: usize,
    },
}

/// One core's part of the progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreProgress {
    /// Epoch it serves new requests with; 0 before the first.
    pub adopted: Epoch,
    /// Epochs of the tables it has, oldest first, those on the way included.
    pub held: Vec<Epoch>,
    /// What it is doing.
    pub state: CoreState,
}

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

/// Why a table was not published; no core has seen any of it.
#[derive(Debug, PartialEq, Eq)]
pub enum PublishError {
    /// These cores do not take messages any more.
    Ended(Vec<CoreId>),
    /// The epoch is not newer than the one before.
    NotNewer,
    /// These cores have not read their earlier messages.
    Stuck(Vec<CoreId>),
}

impl std::fmt::Display for PublishError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PublishError::Ended(cores) => write!(f, "cores ended: {}", Cores(cores)),
            PublishError::NotNewer => f.write_str("epoch not newer than the published one"),
            PublishError::Stuck(cores) => write!(f, "cores stuck: {}", Cores(cores)),
        }
    }
}

impl std::error::Error for PublishError {}

/// Core numbers for people.
pub struct Cores<'a>(pub &'a [CoreId]);

impl std::fmt::Display for Cores<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, core) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{}", core.0)?;
        }
        Ok(())
    }
}

/// The control thread's ends of all links.
pub struct Publisher {
    ends: Vec<ControlEnd>,
    progress: watch::Sender<Progress>,
    table: Arc<ArcSwapOption<Table>>,
}

impl Publisher {
    /// A publisher to these cores, in their order.
    #[must_use]
    pub fn new(ends: Vec<ControlEnd>) -> Self {
        let fresh = CoreProgress {
            adopted: Epoch(0),
            held: Vec::new(),
            state: CoreState::Running,
        };
        let progress = Progress {
            phase: Phase::Starting,
            published: Epoch(0),
            cores: vec![fresh; ends.len()],
        };
        Publisher {
            ends,
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
        self.ends.len()
    }

    /// Whether a table could be published now; to be asked before sockets are bound for it.
    ///
    /// # Errors
    /// What [`Publisher::publish`] would answer.
    pub fn check_room(&self) -> Result<(), PublishError> {
        let ended = self
            .progress
            .borrow()
            .select(|core| core.state != CoreState::Running);
        if !ended.is_empty() {
            return Err(PublishError::Ended(ended));
        }
        let full = (0_u16..).map(CoreId).zip(&self.ends);
        let full = full
            .filter(|(_, end)| end.to_worker.is_full())
            .map(|(id, _)| id);
        let stuck: Vec<_> = full.collect();
        if stuck.is_empty() {
            Ok(())
        } else {
            Err(PublishError::Stuck(stuck))
        }
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
        assert_eq!(
            sockets.len(),
            self.ends.len(),
            "one list of sockets per core"
        );
        if table.epoch <= self.progress.borrow().published {
            return Err(PublishError::NotNewer);
        }
        self.check_room()?;
        self.table.store(Some(Arc::clone(&table)));
        for (index, sockets) in sockets.into_iter().enumerate() {
            let table = Arc::clone(&table);
            self.send(index, ToWorker::Adopt { table, sockets });
        }
        self.progress.send_modify(|progress| {
            progress.published = table.epoch;
            progress
                .cores
                .iter_mut()
                .for_each(|core| core.held.push(table.epoch));
        });
        Ok(())
    }

    /// Tells every core to finish what runs within `within` and to end.
    pub fn drain(&mut self, within: Duration) {
        self.progress
            .send_modify(|progress| progress.phase = Phase::Draining);
        (0..self.ends.len()).for_each(|index| self.send(index, ToWorker::Drain(within)));
    }

    /// Tells every core to end at once.
    pub fn stop(&mut self) {
        self.progress
            .send_modify(|progress| progress.phase = Phase::Draining);
        (0..self.ends.len()).for_each(|index| self.send(index, ToWorker::Stop));
    }

    /// A core that is gone or stuck misses the message, which shows in the progress.
    fn send(&mut self, index: usize, message: ToWorker) {
        let end = &mut self.ends[index];
        let _ = end.to_worker.push(message);
        end.kick_worker.kick();
    }

    /// Takes in what the cores have told since, frees the tables they gave back, and notices
    /// cores that died. Call it after every kick, and now and then without one, because a thread
    /// that dies may not kick any more.
    pub fn receive(&mut self) {
        let mut next = self.progress.borrow().clone();
        for (end, core) in self.ends.iter_mut().zip(&mut next.cores) {
            receive_core(end, core);
        }
        let first = next.published > Epoch(0) && next.stragglers(Epoch(1)).is_empty();
        if next.phase == Phase::Starting && first {
            next.phase = Phase::Serving;
        }
        self.progress.send_if_modified(|progress| {
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

fn receive_core(end: &mut ControlEnd, core: &mut CoreProgress) {
    // Asked first: what a thread said before it ended is then surely seen below.
    let gone = end.from_worker.is_abandoned();
    while let Ok(message) = end.from_worker.pop() {
        match message {
            FromWorker::Adopted(epoch) => core.adopted = core.adopted.max(epoch),
            FromWorker::Retired(table) => {
                core.held.retain(|epoch| *epoch != table.epoch);
                drop(table);
            }
            FromWorker::Stopped { cut } => core.state = CoreState::Stopped { cut },
        }
    }
    if gone && core.state == CoreState::Running {
        core.state = CoreState::Died;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::TO_WORKER_MAX;
    use crate::control::fake_worker::{self, Habit};
    use crate::link::{WorkerEnd, link};
    use crate::runtime::kick::Kick;
    use crate::runtime::kick_waiter::KickWaiter;

    fn table(epoch: u64) -> Arc<Table> {
        Arc::new(Table {
            epoch: Epoch(epoch),
            listeners: Vec::new(),
            groups: Vec::new(),
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
        publisher.drain(Duration::ZERO);
        until(&mut publisher, &waiter, |now| now.running().is_empty()).await;
        let progress = publisher.watch().borrow().clone();
        assert_eq!(
            (progress.phase, progress.cut(), progress.died()),
            (Phase::Draining, 0, vec![])
        );
    }

    #[tokio::test]
    async fn stragglers_are_named_and_a_full_link_refuses_for_all() {
        let (mut publisher, _waiter, mut workers) = links(2);
        let mut sleeper = workers.pop().unwrap();
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
        for epoch in 2..=TO_WORKER_MAX as u64 {
            // The good core needs a moment to read, too.
            while publisher.check_room().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            publisher.publish(table(epoch), none(2)).unwrap();
            publisher.receive();
        }
        let stuck = PublishError::Stuck(vec![CoreId(1)]);
        assert_eq!(publisher.publish(table(1000), none(2)), Err(stuck));
        assert_eq!(
            publisher.table().load().as_ref().map(|t| t.epoch.0),
            Some(64)
        );
        assert!(sleeper.from_control.pop().is_ok());
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
