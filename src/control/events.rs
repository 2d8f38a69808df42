//! The control thread from the first plan to the last word.
//!
//! One loop on a tokio current-thread runtime holds all state; everything that takes time (DNS,
//! the store, admin pages) runs as a task beside it and reports back as an event, so an order to
//! stop is never behind a slow lookup or a slow disk. Changes are made one after the other, in
//! `changing`. Whatever goes wrong with one, the present table stays.
//!
//! A core that dies ends the process with a failure after a short drain of the others: a
//! supervisor that restarts it beats serving on with fewer cores and nobody knowing.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, sleep_until, timeout};

use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::config::{Config, Members};
use crate::control::access_log::LogHandle;
use crate::control::admin::Interface;
use crate::control::breath::breathe;
use crate::control::change::Change;
use crate::control::core::{Outcome, Ready};
use crate::control::document::{Document, Section};
use crate::control::files::{Files, Reading, Stamp};
use crate::control::gossip;
use crate::control::handle::Handle;
use crate::control::health::{Door, Health};
use crate::control::look::Looked;
use crate::control::monitor::Monitor;
use crate::control::notify::Notifier;
use crate::control::orders::{Order, Orders};
use crate::control::plans::Plans;
use crate::control::publisher::{Phase, Progress, Publisher};
use crate::control::resolver::{self, Follower};
use crate::control::store::{Revision, Store, StoreError};
use crate::control::takeover::Step;
use crate::engine::planner::Resolved;
use crate::link::Drain;
use crate::link::control_side::Cores;
use crate::runtime::kick_waiter::KickWaiter;
use crate::runtime::memory;
use crate::telemetry::stats::{ControlStats, CoreStats};

mod changing;
mod counting;
mod finding;
mod following;
mod starting;
mod upgrading;

use changing::{Underway, progressed};
use following::Others;
use upgrading::Upgrade;

/// How often the cores are looked at without a kick; a thread that dies may not kick any more.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Time beyond its deadline a core has to end before it counts as stuck.
const GRACE: Duration = Duration::from_secs(2);

/// Time the last spans have to reach the collector of traces.
const SPANS_WITHIN: Duration = Duration::from_secs(1);

/// How long the admin interface may take to finish what is asked there, once another process has
/// taken over. Answers need no time, but who has just connected on a busy machine may need some to
/// say what is wanted.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the others may drain when a core died.
const DRAIN_AFTER_DEATH: Duration = Duration::from_secs(5);

/// Time from a change until the memory it left free is given back. Changes that come in between
/// share it.
const TRIM_AFTER: Duration = Duration::from_secs(5);

/// A publication that some core has not adopted after this time is worth a warning.
const ADOPTION_EXPECTED: Duration = Duration::from_secs(2);

/// Why the end has begun, and when patience ends.
struct Ending {
    deadline: Instant,
    stopped: bool,
    died: Vec<CoreId>,
}

/// An epoch that is on its way to the cores.
#[derive(Clone, Copy)]
struct Awaited {
    epoch: Epoch,
    published: Instant,
    /// When it is late.
    late: Instant,
}

enum Event {
    Change(Change),
    Committed(Result<Revision, StoreError>),
    Deadline,
    Found(resolver::Round),
    FileRead(Reading),
    Kicked,
    Order(Order),
    Stored,
    Looked(Option<Box<Looked>>),
    Unpublished,
    Upgrade(Step),
}

pub(super) struct Control {
    started_with: Config,
    config: Config,
    config_path: PathBuf,
    /// Closed while another process takes over.
    store: Option<Arc<dyn Store>>,
    /// Whether the store outlives the process, and the file is read for the process alone.
    lasting: bool,
    revision: Revision,
    process: Section,
    document: Document,
    handle: Handle,
    changes: mpsc::Receiver<Change>,
    /// The change that is being made; others wait.
    underway: Option<Underway>,
    others: Others,
    /// The file is to be read when the change under way is made.
    reload_wanted: bool,
    /// What is known of backends beside the configuration.
    resolved: Resolved,
    members: Members,
    /// The configuration with the members of its files.
    merged: Config,
    files: Files,
    stamps: BTreeMap<PathBuf, Stamp>,
    plans: Plans,
    health: Health,
    monitor: Monitor,
    publisher: Publisher,
    kicks: KickWaiter,
    look: Interval,
    follower: Follower,
    /// When to try again to publish what is known and could not be published.
    unpublished: Option<Instant>,
    orders: Orders,
    stats: Arc<ControlStats>,
    log: Option<LogHandle>,
    /// Sends spans of traces, as long as there may be some.
    collector: Option<JoinHandle<()>>,
    on_ready: Option<Box<dyn FnOnce(Ready)>>,
    interface: Interface,
    heartbeats: Option<Door>,
    /// Its place among other nodes.
    gossip: Option<gossip::Door>,
    upgrade: Upgrade,
    notifier: Notifier,
    /// A reload the supervisor was told of.
    reloading: bool,
    /// Every core has served.
    serves: bool,
    core_stats: Vec<Arc<CoreStats>>,
    /// An epoch not adopted everywhere yet.
    awaited: Option<Awaited>,
    /// When to give back memory that changes left free.
    trim_at: Option<Instant>,
    /// How often cores had given back the memory of many connections.
    released: u64,
    ending: Option<Ending>,
}

impl Control {
    pub(super) async fn live(mut self) -> io::Result<Outcome> {
        loop {
            if let Some(outcome) = self.step().await? {
                return Ok(self.end(outcome).await);
            }
        }
    }

    /// Takes one event; answers how it all ended, once it has.
    async fn step(&mut self) -> io::Result<Option<Outcome>> {
        match self.next_event().await? {
            Event::Change(change) => self.wanted(change),
            Event::Committed(revision) => self.committed(revision),
            Event::Deadline => {
                if let Some(outcome) = self.deadline_passed() {
                    return Ok(Some(outcome));
                }
            }
            Event::FileRead(reading) => self.file_read(reading),
            Event::Found(round) => self.found(&round),
            Event::Kicked => {}
            Event::Order(order) => self.obey(order),
            Event::Looked(looked) => self.looked(looked.map(|looked| *looked)),
            Event::Stored => self.stored(),
            Event::Unpublished => self.publish_facts(),
            Event::Upgrade(step) => self.step_upgrade(step),
        }
        self.take_turn();
        self.reload_when_due();
        self.freeze_when_idle();
        breathe();
        // What comes back from the cores may be the last of a large table.
        self.publisher.receive();
        breathe();
        for report in self.publisher.take_reports() {
            self.health.reported(report);
        }
        self.trim_when_due();
        let turns = self.core_stats.iter().map(|core| core.turns.read());
        self.notifier.alive(Instant::now(), turns);
        self.tell_when_due().await;
        Ok(self.follow())
    }

    async fn next_event(&mut self) -> io::Result<Event> {
        let deadline = self.ending.as_ref().map(|ending| ending.deadline);
        let idle = self.underway.is_none();
        let waited = self.others.is_waited_for();
        // What waits for the store has the next epoch.
        let has_epoch = self.underway.as_ref().is_some_and(Underway::has_epoch);
        let free = !has_epoch && !self.upgrade.is_frozen();
        tokio::select! {
            kicked = self.kicks.kicked() => kicked.map(|()| Event::Kicked),
            _ = self.look.tick() => Ok(Event::Kicked),
            order = self.orders.next() => Ok(Event::Order(order)),
            Some(change) = self.changes.recv(), if idle && !waited => Ok(Event::Change(change)),
            () = self.others.changed(), if idle && free => Ok(Event::Stored),
            round = self.follower.next(&self.resolved), if free => Ok(Event::Found(round)),
            reading = self.files.next(), if idle && free => Ok(Event::FileRead(reading)),
            () = at(self.unpublished), if free => Ok(Event::Unpublished),
            event = progressed(&mut self.underway) => Ok(event),
            Some(step) = self.upgrade.next() => Ok(Event::Upgrade(step)),
            () = at(deadline) => Ok(Event::Deadline),
        }
    }

    fn obey(&mut self, order: Order) {
        tracing::info!(?order, "order");
        match order {
            Order::Drain if self.ending.is_none() => {
                let shutdown = &self.config.shutdown;
                let how = Drain {
                    within: shutdown.drain_timeout,
                    idle_grace: shutdown.idle_grace,
                };
                self.begin_end(how, Vec::new());
            }
            Order::Drain | Order::Stop => self.stop_now(),
            Order::Reload => {
                self.reopen_logs();
                if self.ending.is_some() {
                    return;
                }
                self.reloading = true;
                self.notifier.reloading();
                self.reload();
            }
            Order::ReopenLogs => self.reopen_logs(),
            Order::Upgrade => self.upgrade(),
        }
    }

    /// Reads the file again if that had to wait, and says when a reload is over.
    fn reload_when_due(&mut self) {
        if self.underway.is_some() || self.upgrade.is_frozen() {
            return;
        }
        if std::mem::take(&mut self.reload_wanted) {
            self.reload();
        }
        if self.underway.is_none() && std::mem::take(&mut self.reloading) {
            self.notifier.ready(self.handle.snapshot().epoch);
        }
    }

    fn reopen_logs(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// Draws the consequences of what the cores have told. Answers how it all ended, once it has.
    fn follow(&mut self) -> Option<Outcome> {
        let progress = self.publisher.watch().borrow().clone();
        if progress.phase == Phase::Serving && !std::mem::replace(&mut self.serves, true) {
            match self.upgrade.is_taking() {
                true => self.conclude_when_taking(),
                false => self.open_for_all(),
            }
        }
        self.follow_epoch(&progress);
        let died = progress.died();
        match &mut self.ending {
            Some(ending) => ending.died = died,
            None if !died.is_empty() => {
                tracing::error!(cores = %Cores(&died), "core died");
                let how = Drain {
                    within: DRAIN_AFTER_DEATH,
                    idle_grace: self.config.shutdown.idle_grace,
                };
                self.begin_end(how, died);
            }
            None if progress.running().is_empty() => {
                // Nobody told them to; there is nothing left to serve with.
                return Some(Outcome::Died(
                    (0_u16..).map(CoreId).take(progress.cores.len()).collect(),
                ));
            }
            None => {}
        }
        let ending = self.ending.as_ref()?;
        let owes = self.upgrade.owes_counts() && !ending.stopped;
        if !progress.running().is_empty() || owes {
            return None;
        }
        Some(match (&self.upgrade.kept, &ending.died[..]) {
            (Some(why), []) => Outcome::Kept(why.clone()),
            (None, []) => Outcome::Ended {
                cut: progress.cut(),
            },
            (_, died) => Outcome::Died(died.to_vec()),
        })
    }

    /// Notes when every core serves by the newest epoch, and warns where that takes long.
    fn follow_epoch(&mut self, progress: &Progress) {
        let Some(awaited) = self.awaited else {
            return;
        };
        let Awaited {
            epoch, published, ..
        } = awaited;
        let stragglers = progress.stragglers(epoch);
        if stragglers.is_empty() {
            self.awaited = None;
            let micros = u64::try_from(published.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.stats.adoption.record_micros(micros);
            tracing::info!(%epoch, "adopted");
            self.trim_at.get_or_insert(Instant::now() + TRIM_AFTER);
        } else if Instant::now() >= awaited.late && self.ending.is_none() {
            let late = Instant::now() + 10 * ADOPTION_EXPECTED;
            self.awaited = Some(Awaited { late, ..awaited });
            tracing::warn!(%epoch, cores = %Cores(&stragglers), "not adopted");
        }
    }

    fn trim_when_due(&mut self) {
        let presses = |core: &Arc<CoreStats>| core.overload.is_short_of_memory();
        let released = self
            .core_stats
            .iter()
            .map(|core| core.released.read())
            .sum();
        let is_left = std::mem::replace(&mut self.released, released) != released;
        if is_left || self.core_stats.iter().any(presses) {
            self.trim_at.get_or_insert(Instant::now() + TRIM_AFTER);
        }
        if self.trim_at.is_some_and(|at| Instant::now() >= at) {
            self.trim_at = None;
            tokio::task::spawn_blocking(memory::trim);
        }
    }

    fn begin_end(&mut self, how: Drain, died: Vec<CoreId>) {
        self.break_off();
        self.notifier.stopping();
        self.publisher.drain(how);
        self.ending = Some(Ending {
            deadline: Instant::now() + how.within + GRACE,
            stopped: false,
            died,
        });
    }

    fn stop_now(&mut self) {
        self.break_off();
        self.publisher.stop();
        let died = self.publisher.watch().borrow().died();
        self.ending = Some(Ending {
            deadline: Instant::now() + GRACE,
            stopped: true,
            died,
        });
    }

    /// First the drain's time is up, then that of the order to stop.
    fn deadline_passed(&mut self) -> Option<Outcome> {
        let running = self.publisher.watch().borrow().running();
        if self.ending.as_ref().is_some_and(|ending| ending.stopped) {
            tracing::error!(cores = %Cores(&running), "cores stuck");
            return Some(Outcome::Stuck(running));
        }
        tracing::warn!(cores = %Cores(&running), "drain overran");
        self.stop_now();
        None
    }

    async fn end(mut self, outcome: Outcome) -> Outcome {
        // First: whoever waits for a change is on a connection that is waited for below.
        self.refuse_all();
        self.tell_at_last().await;
        if self.upgrade.is_over() {
            self.interface.finish(ANSWER_WITHIN).await;
        }
        if let Some(gossip) = self.gossip {
            gossip.leave().await;
        }
        if let Some(log) = self.log
            && !log.finish(GRACE)
        {
            tracing::warn!("access log not finished");
        }
        if let Some(collector) = self.collector {
            let _ = timeout(SPANS_WITHIN, collector).await;
        }
        tracing::info!(?outcome, "ended");
        outcome
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
