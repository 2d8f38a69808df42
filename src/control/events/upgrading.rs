//! Handing everything over to another process, and taking it over from one: what the control loop
//! does of it. The conversation itself is in `takeover`.
//!
//! While it lasts nothing is changed that the other process would not know of: changes are
//! answered with 503, a reload waits, and what is found of backends makes no epoch. Checks go on,
//! because they change no table.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::counting::Heir;
use super::{Control, Ending, GRACE};
use crate::config::Config;
use crate::control::store::{Revision, Store, StoreError};
use crate::control::takeover::{self, Claim, Door, Give, Line, State, Step, conclude, spawn};
use crate::control::truth;
use crate::link::Drain;

/// How soon a store that another process still has is tried again.
const REOPEN_AGAIN: Duration = Duration::from_millis(100);

/// Steps that wait for the loop.
const STEPS_MAX: usize = 8;

/// Where the node is in a hand-over.
pub(super) struct Upgrade {
    /// Whether a signal may start another process.
    allowed: bool,
    sender: mpsc::Sender<Step>,
    steps: mpsc::Receiver<Step>,
    /// Where another process may knock.
    door: Option<Door>,
    /// The line to a process that takes over.
    giving: Option<Line>,
    /// That process was told to the supervisor.
    named: bool,
    /// Who waits for the change under way, and for the store to be closed.
    freezing: Option<oneshot::Sender<Give>>,
    /// Nothing may be changed.
    frozen: bool,
    /// What was taken over, until every core serves.
    claim: Option<Claim>,
    /// Another process has taken over.
    over: bool,
    /// That process, as long as it is to be told what is counted here.
    pub(super) heir: Option<Heir>,
    /// The process that was taken over from still tells what it counts.
    pub(super) hears: bool,
    /// Why the process that was to be taken over from goes on.
    pub(super) kept: Option<String>,
}

impl Upgrade {
    pub(super) fn new(allowed: bool, claim: Option<Claim>) -> Upgrade {
        let (sender, steps) = mpsc::channel(STEPS_MAX);
        Upgrade {
            allowed,
            sender,
            steps,
            door: None,
            giving: None,
            named: false,
            freezing: None,
            frozen: claim.is_some(),
            claim,
            over: false,
            heir: None,
            hears: false,
            kept: None,
        }
    }

    /// Opens the door where another process may knock, if it has one.
    pub(super) fn open_door(
        &mut self,
        config: &Config,
        handed: Option<(PathBuf, OwnedFd)>,
    ) -> io::Result<()> {
        if let Some(path) = &config.upgrade.socket {
            self.door = Some(Door::open(path, handed, self.sender.clone())?);
        }
        Ok(())
    }

    /// Whether nothing may be changed.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Whether this process takes over and does not serve yet.
    pub(super) fn is_taking(&self) -> bool {
        self.claim.is_some()
    }

    /// Whether another process has taken over.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether another process is to be told what a third one still counts.
    pub(super) fn owes_counts(&self) -> bool {
        self.heir.is_some() && self.hears
    }

    /// The next step.
    pub(super) async fn next(&mut self) -> Option<Step> {
        self.steps.recv().await
    }
}

impl Control {
    /// Starts the program anew, to hand everything over to it.
    pub(super) fn upgrade(&mut self) {
        if !self.upgrade.allowed {
            tracing::warn!("this process cannot be upgraded");
            return;
        }
        if self.is_busy() {
            tracing::warn!("an upgrade is under way, or the start or end");
            return;
        }
        match spawn() {
            Ok((child, line)) => {
                tracing::info!(pid = child.id(), "started, to take over");
                self.hand_over_to(line, Some(child));
            }
            Err(error) => self.upgrade_failed(&error.to_string()),
        }
    }

    fn is_busy(&self) -> bool {
        let upgrading = self.upgrade.frozen || self.upgrade.giving.is_some();
        upgrading || self.ending.is_some() || !self.serves
    }

    fn hand_over_to(&mut self, line: Line, child: Option<Child>) {
        let begun = line.try_clone().and_then(|ours| {
            let timeout = self.config.upgrade.timeout;
            takeover::give(line, child, timeout, self.upgrade.sender.clone())?;
            Ok(ours)
        });
        match begun {
            Ok(ours) => self.upgrade.giving = Some(ours),
            Err(error) => self.upgrade_failed(&error.to_string()),
        }
    }

    /// Takes one step of a hand-over.
    pub(super) fn step_upgrade(&mut self, step: Step) {
        match step {
            Step::Knocked(line) => self.knocked(line),
            Step::Freeze(answer) if self.ending.is_none() => {
                self.upgrade.frozen = true;
                self.upgrade.freezing = Some(answer);
            }
            Step::Yield { pid, answer } if self.ending.is_none() => {
                self.upgrade.named = true;
                // Before the other says that it is ready, because a supervisor may listen to the
                // main process only.
                self.notifier.main_pid(pid);
                let _ = answer.send(self.reload_wanted);
            }
            // Dropped unanswered, they are refused.
            Step::Freeze(_) | Step::Yield { .. } => {}
            Step::Given(Ok(pid)) => self.given(pid),
            Step::Given(Err(why)) => self.not_given(&why),
            Step::Reopened(store, revision) => self.reopened(store, revision),
            Step::Concluded(Ok(reload)) => self.taken(reload),
            Step::Concluded(Err(why)) => self.not_taken(why),
            Step::Counted(totals) => self.inherit(totals),
        }
    }

    fn knocked(&mut self, line: Line) {
        if self.is_busy() {
            line.refuse("it starts, ends or hands over already");
            return;
        }
        self.hand_over_to(line, None);
    }

    /// Closes the store and says what there is, as soon as no change is under way.
    pub(super) fn freeze_when_idle(&mut self) {
        if self.underway.is_some() {
            return;
        }
        let Some(answer) = self.upgrade.freezing.take() else {
            return;
        };
        let give = match self.all_there_is() {
            Ok(give) => give,
            Err(error) => {
                // Dropping the sender refuses.
                tracing::error!(%error, "descriptors cannot be duplicated");
                return;
            }
        };
        // One that ends with its process is nothing the other could open, and one that nodes share
        // is open to all.
        let is_file = self.lasting && self.others.following.is_none();
        let store = is_file.then(|| self.store.take());
        tokio::spawn(async move {
            // Closing waits for the disk.
            let closed = tokio::task::spawn_blocking(move || drop(store)).await;
            if closed.is_ok() {
                let _ = answer.send(give);
            }
        });
    }

    fn all_there_is(&self) -> io::Result<Give> {
        let snapshot = self.handle.snapshot();
        let admin = self.interface.duplicates()?;
        let door = self.upgrade.door.as_ref();
        let heartbeats = self.heartbeats.as_ref();
        let gossip = self.gossip.as_ref();
        Ok(Give {
            listeners: self.plans.duplicates()?,
            admin: admin.tcp,
            admin_unix: admin.unix,
            gossip: gossip.map(|door| door.duplicate()).transpose()?,
            heartbeat: heartbeats.map(|door| door.duplicate()).transpose()?,
            door: door.map(Door::duplicate).transpose()?,
            state: State {
                pid: std::process::id(),
                epoch: snapshot.epoch,
                content_hash: snapshot.content_hash(),
                origin: self.health.origin(),
                known: self.health.known(),
            },
        })
    }

    /// Another process serves in place of this one.
    fn given(&mut self, pid: u32) {
        tracing::info!(pid, "handed over");
        self.upgrade.heir = self.upgrade.giving.take().map(Heir::new);
        self.upgrade.door = None;
        self.upgrade.over = true;
        self.heartbeats = None;
        self.gossip = None;
        self.interface.close();
        if self.ending.is_none() {
            self.leave_to_another();
        }
    }

    /// All stays as it was.
    fn not_given(&mut self, why: &str) {
        self.upgrade.giving = None;
        self.upgrade.freezing = None;
        if std::mem::take(&mut self.upgrade.named) {
            self.notifier.main_pid(std::process::id());
        }
        if self.ending.is_some() {
            return;
        }
        self.upgrade_failed(why);
        match self.store {
            Some(_) => self.upgrade.frozen = false,
            None => self.reopen(),
        }
    }

    fn upgrade_failed(&self, why: &str) {
        tracing::error!(why, "upgrade failed; this process goes on");
        // After the reason, so that whoever sees the count finds it in the log.
        self.stats.upgrade_failures.inc();
    }

    /// Opens the store again; until it is open changes are answered with 503.
    fn reopen(&self) {
        let Some(path) = self.started_with.store.clone().map(|store| store.path) else {
            return;
        };
        let steps = self.upgrade.sender.clone();
        tokio::spawn(async move {
            let mut told = false;
            let open = loop {
                match reopened(path.clone()).await {
                    Ok(open) => break open,
                    Err(error) if !told => {
                        told = true;
                        tracing::error!(%error, "the store cannot be opened again yet");
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(REOPEN_AGAIN).await;
            };
            let _ = steps.send(Step::Reopened(open.0, open.1)).await;
        });
    }

    fn reopened(&mut self, store: Arc<dyn Store>, revision: Revision) {
        if revision != self.revision {
            // Changes are refused as conflicts, so that nothing is overwritten.
            tracing::error!(%revision, expected = %self.revision, "the store was changed");
        }
        tracing::info!(%revision, "the store is open again");
        self.store = Some(store);
        self.upgrade.frozen = false;
    }

    /// Every core serves: the process that was taken over from may go.
    pub(super) fn conclude_when_taking(&mut self) {
        let Some(claim) = self.upgrade.claim.take() else {
            return;
        };
        if let Err(error) = conclude(claim, self.upgrade.sender.clone()) {
            // The line is closed without a word, so the other keeps all.
            self.not_taken(error.to_string());
        }
    }

    /// This process is the one from now on.
    fn taken(&mut self, reload: bool) {
        self.upgrade.frozen = false;
        self.upgrade.hears = true;
        self.reload_wanted |= reload;
        tracing::info!(epoch = %self.handle.snapshot().epoch, "taken over");
        self.open_for_all();
    }

    /// The other one keeps all; what has come here meanwhile is finished.
    fn not_taken(&mut self, why: String) {
        tracing::error!(why, "not taken over; the running weir goes on");
        self.upgrade.kept = Some(why);
        if self.ending.is_none() {
            self.leave_to_another();
        }
    }

    /// Finishes what runs and ends, while another process accepts on the same sockets. Nobody has
    /// to go elsewhere, so clients that are idle have all of the time to ask once more.
    fn leave_to_another(&mut self) {
        let within = self.config.shutdown.drain_timeout;
        self.publisher.drain(Drain {
            within,
            idle_grace: within,
        });
        self.ending = Some(Ending {
            deadline: Instant::now() + within + GRACE,
            stopped: false,
            died: Vec::new(),
        });
    }

    /// Tells a process that takes over that nothing comes of it.
    pub(super) fn break_off(&mut self) {
        if let Some(line) = self.upgrade.giving.take()
            && !self.upgrade.named
        {
            line.refuse("it was told to end");
        }
    }
}

async fn reopened(path: PathBuf) -> Result<(Arc<dyn Store>, Revision), StoreError> {
    let store = truth::open_embedded(path).await?;
    let revision = store.load().await?.revision;
    Ok((store, revision))
}
