//! The control thread's side of the protocol: publish, follow, free.
//!
//! A table goes to every core or to none: room is made sure of first, and a core that has not
//! taken or answered earlier messages refuses the whole publication rather than letting cores
//! drift apart. Tables come back here to be freed, so that freeing a large one never stalls a
//! request.

use std::fmt;

use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::link::parts::{Inbox, Live, Numbered, Outbox, Parts, Signal};
use crate::link::{Drain, FromWorker, ListenSocket, Report, ToWorker, tables_unanswered_max};

/// The control thread's end of the link to one worker.
pub struct ControlEnd<P: Parts = Live> {
    pub(super) to_worker: P::Outbox<ToWorker<P::Table>>,
    pub(super) from_worker: P::Inbox<FromWorker<P::Table>>,
    pub(super) kick_worker: P::Signal,
}

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

impl CoreProgress {
    /// Tables it was sent and has not answered: the epochs it has beyond the adopted one.
    fn unanswered(&self) -> usize {
        let newer = |epoch: &&Epoch| **epoch > self.adopted;
        self.held.iter().filter(newer).count()
    }
}

/// Why a table was not published; no core has seen any of it.
#[derive(Debug, PartialEq, Eq)]
pub enum PublishError {
    /// These cores do not take messages any more.
    Ended(Vec<CoreId>),
    /// The epoch is not newer than the one before.
    NotNewer,
    /// These cores have not read or answered their earlier messages.
    Stuck(Vec<CoreId>),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl fmt::Display for Cores<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, core) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{}", core.0)?;
        }
        Ok(())
    }
}

/// The control thread's ends of all links, and what the cores have told through them.
pub struct ControlSide<P: Parts = Live> {
    pub(super) ends: Vec<ControlEnd<P>>,
    published: Epoch,
    pub(super) cores: Vec<CoreProgress>,
    pub(super) reports: Vec<Report>,
}

impl<P: Parts> ControlSide<P> {
    /// A side for these cores, in their order.
    #[must_use]
    pub fn new(ends: Vec<ControlEnd<P>>) -> Self {
        let fresh = CoreProgress {
            adopted: Epoch(0),
            held: Vec::new(),
            state: CoreState::Running,
        };
        ControlSide {
            published: Epoch(0),
            cores: vec![fresh; ends.len()],
            reports: Vec::new(),
            ends,
        }
    }

    /// The newest epoch sent.
    #[must_use]
    pub fn published(&self) -> Epoch {
        self.published
    }

    /// Each core, in order.
    #[must_use]
    pub fn cores(&self) -> &[CoreProgress] {
        &self.cores
    }

    /// Whether a table could be published now.
    ///
    /// # Errors
    /// What [`ControlSide::publish`] would answer.
    pub fn check_room(&self) -> Result<(), PublishError> {
        let ended = self.select(|_, core| core.state != CoreState::Running);
        if !ended.is_empty() {
            return Err(PublishError::Ended(ended));
        }
        // The ring holds an order to drain and one to stop beside every unanswered table, and an
        // answer that was read is no longer in the ring: so both directions have room.
        let stuck = self.select(|end, core| {
            core.unanswered() >= tables_unanswered_max(end.to_worker.capacity())
        });
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
        table: &P::Table,
        sockets: Vec<Vec<ListenSocket>>,
    ) -> Result<(), PublishError> {
        let cores = self.ends.len();
        assert_eq!(sockets.len(), cores, "one list of sockets per core");
        let epoch = table.epoch();
        if epoch <= self.published {
            return Err(PublishError::NotNewer);
        }
        self.check_room()?;
        self.published = epoch;
        let parties = self.ends.iter_mut().zip(&mut self.cores).zip(sockets);
        for ((end, core), sockets) in parties {
            core.held.push(epoch);
            let table = table.clone();
            end.send(ToWorker::Adopt { table, sockets });
        }
        Ok(())
    }

    /// Tells every core to finish what runs and to end.
    pub fn drain(&mut self, how: Drain) {
        let ends = self.ends.iter_mut();
        ends.for_each(|end| end.send(ToWorker::Drain(how)));
    }

    /// Tells every core to end at once.
    pub fn stop(&mut self) {
        let ends = self.ends.iter_mut();
        ends.for_each(|end| end.send(ToWorker::Stop));
    }

    /// Takes in what the cores have told since, frees the tables they gave back, and notices
    /// cores that died. To be called after every kick, which is taken back first.
    pub fn receive(&mut self) {
        for (end, core) in self.ends.iter_mut().zip(&mut self.cores) {
            // Asked first: what a thread said before it ended is then surely seen below.
            let gone = end.from_worker.is_abandoned();
            end.take_messages(core, &mut self.reports);
            if gone && core.state == CoreState::Running {
                core.state = CoreState::Died;
            }
        }
    }

    /// What the cores saw of backends since this was last asked, in the order of each core.
    pub fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    fn select(&self, wanted: impl Fn(&ControlEnd<P>, &CoreProgress) -> bool) -> Vec<CoreId> {
        let parties = self.ends.iter().zip(&self.cores);
        let numbered = (0_u16..).map(CoreId).zip(parties);
        numbered
            .filter(|(_, (end, core))| wanted(end, core))
            .map(|(id, _)| id)
            .collect()
    }
}

impl<P: Parts> ControlEnd<P> {
    /// A core that is gone misses the message, which shows in the progress; so does one that is
    /// stuck and has orders to drain and to stop before it already.
    fn send(&mut self, message: ToWorker<P::Table>) {
        let _ = self.to_worker.push(message);
        self.kick_worker.kick();
    }

    pub(super) fn take_messages(&mut self, core: &mut CoreProgress, reports: &mut Vec<Report>) {
        while let Some(message) = self.from_worker.pop() {
            match message {
                FromWorker::Adopted(epoch) => core.adopted = core.adopted.max(epoch),
                FromWorker::Reported(report) => reports.push(report),
                FromWorker::Retired(table) => {
                    core.held.retain(|epoch| *epoch != table.epoch());
                    drop(table);
                }
                FromWorker::Stopped { cut } => core.state = CoreState::Stopped { cut },
            }
        }
    }
}
