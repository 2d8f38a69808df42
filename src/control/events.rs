//! The control thread from the first plan to the last word.
//!
//! One loop on a tokio current-thread runtime holds all state; everything that takes time (DNS,
//! admin pages) runs as a task beside it and reports back as an event, so an order to stop is
//! never behind a slow lookup. Whatever goes wrong with a change, the present table stays.
//!
//! A core that dies ends the process with a failure after a short drain of the others: a
//! supervisor that restarts it beats serving on with fewer cores and nobody knowing.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep_until};

use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::config::Config;
use crate::control::access_log::LogHandle;
use crate::control::admin::{self, Sources};
use crate::control::core::{ControlSetup, Outcome, Ready};
use crate::control::orders::{Order, Orders};
use crate::control::plans::{Plans, Refused};
use crate::control::publisher::{Cores, Phase, Publisher};
use crate::control::{reload, resolver};
use crate::engine::planner::Resolved;
use crate::runtime::kick_waiter::KickWaiter;
use crate::telemetry::stats::ControlStats;

/// How often the cores are looked at without a kick; a thread that dies may not kick any more.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Time beyond its deadline a core has to end before it counts as stuck.
const GRACE: Duration = Duration::from_secs(2);

/// How long the others may drain when a core died.
const DRAIN_AFTER_DEATH: Duration = Duration::from_secs(5);

/// A publication that some core has not adopted after this time is worth a warning.
const ADOPTION_EXPECTED: Duration = Duration::from_secs(2);

/// A round of lookups under way, and what it is for.
struct Lookup {
    round: JoinHandle<resolver::Round>,
    /// The new configuration the answers are for; `None` when it is only time again.
    reload: Option<Config>,
}

/// Why the end has begun, and when patience ends.
struct Ending {
    deadline: Instant,
    stopped: bool,
    died: Vec<CoreId>,
}

enum Event {
    Deadline,
    Kicked,
    Order(Order),
    RefreshDue,
    Resolved(Option<resolver::Round>),
}

pub(super) struct Control {
    started_with: Config,
    config: Config,
    config_path: PathBuf,
    resolved: Resolved,
    plans: Plans,
    publisher: Publisher,
    kicks: KickWaiter,
    look: Interval,
    refresh: Interval,
    lookup: Option<Lookup>,
    orders: Orders,
    stats: Arc<ControlStats>,
    log: Option<LogHandle>,
    on_ready: Option<Box<dyn FnOnce(Ready)>>,
    admin: Option<SocketAddr>,
    /// An epoch not adopted everywhere yet, and when that is late.
    awaited: Option<(Epoch, Instant)>,
    ending: Option<Ending>,
}

impl Control {
    pub(super) async fn start(setup: ControlSetup) -> io::Result<Self> {
        let orders = Orders::new(setup.signals, setup.orders)?;
        let stats = Arc::new(ControlStats::default());
        let publisher = Publisher::new(setup.ends);
        let plans = Plans::new(publisher.cores());
        let sources = Sources {
            view: plans.view(),
            progress: publisher.watch(),
            cores: setup.core_stats,
            control: Arc::clone(&stats),
            log: setup.access_log.as_ref().map(|log| Arc::clone(log.stats())),
            started: SystemTime::now(),
            config_path: setup.config_path.clone(),
        };
        let admin = match &setup.config.admin {
            Some(admin) => Some(admin::start(admin.address, sources).await?),
            None => None,
        };
        let refresh = ticks(setup.config.dns.refresh);
        let mut control = Control {
            started_with: setup.config.clone(),
            config: setup.config,
            config_path: setup.config_path,
            resolved: Resolved::default(),
            plans,
            publisher,
            kicks: KickWaiter::new(setup.kick)?,
            look: interval(LOOK_EVERY),
            refresh,
            lookup: None,
            orders,
            stats,
            log: setup.access_log,
            on_ready: setup.on_ready,
            admin,
            awaited: None,
            ending: None,
        };
        control
            .look
            .set_missed_tick_behavior(MissedTickBehavior::Delay);
        let round = resolver::resolve(resolver::names(&control.config)).await;
        control.note_failures(&round);
        control.resolved = round.merged(&Resolved::default());
        let first = control.config.clone();
        control
            .advance(&first)
            .map_err(|refused| io::Error::other(refused.to_string()))?;
        Ok(control)
    }

    pub(super) async fn live(mut self) -> io::Result<Outcome> {
        loop {
            match self.next_event().await? {
                Event::Deadline => {
                    if let Some(outcome) = self.deadline_passed() {
                        return Ok(self.end(outcome));
                    }
                }
                Event::Kicked => {}
                Event::Order(order) => self.obey(order),
                Event::RefreshDue => self.look_up(None),
                Event::Resolved(round) => self.resolved(round),
            }
            self.publisher.receive();
            if let Some(outcome) = self.follow() {
                return Ok(self.end(outcome));
            }
        }
    }

    async fn next_event(&mut self) -> io::Result<Event> {
        let deadline = self.ending.as_ref().map(|ending| ending.deadline);
        tokio::select! {
            kicked = self.kicks.kicked() => kicked.map(|()| Event::Kicked),
            _ = self.look.tick() => Ok(Event::Kicked),
            order = self.orders.next() => Ok(Event::Order(order)),
            _ = self.refresh.tick() => Ok(Event::RefreshDue),
            round = finished(&mut self.lookup) => Ok(Event::Resolved(round)),
            () = at(deadline) => Ok(Event::Deadline),
        }
    }

    fn obey(&mut self, order: Order) {
        tracing::info!(?order, "order");
        match order {
            Order::Drain if self.ending.is_none() => {
                let within = self.config.shutdown.drain_timeout;
                self.begin_end(within, Vec::new());
            }
            Order::Drain | Order::Stop => self.stop_now(),
            Order::Reload => {
                self.reopen_logs();
                if self.ending.is_some() {
                    return;
                }
                match reload::read(&self.config_path) {
                    Some(config) => self.look_up(Some(config)),
                    None => self.stats.reload_failures.inc(),
                }
            }
            Order::ReopenLogs => self.reopen_logs(),
        }
    }

    fn reopen_logs(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// Asks DNS for the names of the new configuration, or of the present one again. A reload
    /// replaces what is under way, a mere refresh waits for its next turn.
    fn look_up(&mut self, reload: Option<Config>) {
        if self.ending.is_some() || (reload.is_none() && self.lookup.is_some()) {
            return;
        }
        let names = resolver::names(reload.as_ref().unwrap_or(&self.config));
        if names.is_empty() && reload.is_none() {
            return;
        }
        if let Some(lookup) = self.lookup.take() {
            lookup.round.abort();
        }
        let round = tokio::spawn(resolver::resolve(names));
        self.lookup = Some(Lookup { round, reload });
    }

    fn resolved(&mut self, round: Option<resolver::Round>) {
        let Some(lookup) = self.lookup.take() else {
            return;
        };
        let Some(round) = round else {
            tracing::error!("lookup failed");
            return;
        };
        if self.ending.is_some() {
            return;
        }
        self.note_failures(&round);
        let resolved = round.merged(&self.resolved);
        match lookup.reload {
            None if resolved == self.resolved => {}
            None => {
                let before = std::mem::replace(&mut self.resolved, resolved);
                let config = self.config.clone();
                if let Err(refused) = self.advance(&config) {
                    // The next round finds the same difference and tries again.
                    self.resolved = before;
                    tracing::error!(%refused, "new addresses not published");
                }
            }
            Some(config) => self.change_to(config, resolved),
        }
    }

    fn change_to(&mut self, config: Config, resolved: Resolved) {
        let before = std::mem::replace(&mut self.resolved, resolved);
        match self.advance(&config) {
            Ok(epoch) => {
                self.stats.reloads.inc();
                let restart = reload::needs_restart(&self.started_with, &config);
                if !restart.is_empty() {
                    tracing::warn!(settings = restart.join(" "), "restart needed");
                }
                if config.dns.refresh != self.config.dns.refresh {
                    self.refresh = ticks(config.dns.refresh);
                }
                self.config = config;
                tracing::info!(epoch = epoch.0, "reloaded");
            }
            Err(refused) => {
                self.resolved = before;
                self.stats.reload_failures.inc();
                tracing::error!(%refused, "reload refused");
            }
        }
    }

    fn advance(&mut self, config: &Config) -> Result<Epoch, Refused> {
        let log = self.log.as_ref();
        let epoch = self
            .plans
            .advance(config, &self.resolved, &mut self.publisher, log)?;
        self.stats.published.inc();
        self.awaited = Some((epoch, Instant::now() + ADOPTION_EXPECTED));
        tracing::info!(epoch = epoch.0, "published");
        Ok(epoch)
    }

    fn note_failures(&self, round: &resolver::Round) {
        for ((host, port), error) in round.failures() {
            self.stats.resolve_failures.inc();
            tracing::warn!(host = &**host, port, error, "name not resolved");
        }
    }

    /// Draws the consequences of what the cores have told. Answers how it all ended, once it has.
    fn follow(&mut self) -> Option<Outcome> {
        let progress = self.publisher.watch().borrow().clone();
        if progress.phase == Phase::Serving
            && let Some(on_ready) = self.on_ready.take()
        {
            on_ready(Ready {
                listeners: self.plans.listening(),
                admin: self.admin,
            });
        }
        if let Some((epoch, late)) = self.awaited {
            let stragglers = progress.stragglers(epoch);
            if stragglers.is_empty() {
                self.awaited = None;
                tracing::info!(epoch = epoch.0, "adopted");
            } else if Instant::now() >= late && self.ending.is_none() {
                self.awaited = Some((epoch, Instant::now() + 10 * ADOPTION_EXPECTED));
                tracing::warn!(epoch = epoch.0, cores = %Cores(&stragglers), "not adopted");
            }
        }
        let died = progress.died();
        match &mut self.ending {
            Some(ending) => ending.died = died,
            None if !died.is_empty() => {
                tracing::error!(cores = %Cores(&died), "core died");
                self.begin_end(DRAIN_AFTER_DEATH, died);
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
        if !progress.running().is_empty() {
            return None;
        }
        Some(if ending.died.is_empty() {
            Outcome::Ended {
                cut: progress.cut(),
            }
        } else {
            Outcome::Died(ending.died.clone())
        })
    }

    fn begin_end(&mut self, within: Duration, died: Vec<CoreId>) {
        self.publisher.drain(within);
        self.ending = Some(Ending {
            deadline: Instant::now() + within + GRACE,
            stopped: false,
            died,
        });
    }

    fn stop_now(&mut self) {
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

    fn end(self, outcome: Outcome) -> Outcome {
        if let Some(log) = self.log
            && !log.finish(GRACE)
        {
            tracing::warn!("access log not finished");
        }
        tracing::info!(?outcome, "ended");
        outcome
    }
}

/// Ticks every `period`, the first after one period.
fn ticks(period: Duration) -> Interval {
    let period = period.max(Duration::from_secs(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The answers of the lookup under way; waits for ever when there is none.
async fn finished(lookup: &mut Option<Lookup>) -> Option<resolver::Round> {
    match lookup {
        Some(lookup) => (&mut lookup.round).await.ok(),
        None => pending().await,
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
