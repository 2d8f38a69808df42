//! Keeps the health of backends: makes the checks, takes the heartbeats in, and tells the cores
//! through the standings beside the table.
//!
//! Everything runs on the control thread. The keeper is behind a lock because pages are made by
//! tasks of their own; it is never held across an await, so nobody ever waits for it.

mod agents;
mod breakers;
mod checks;
mod counts;
mod door;
mod drains;
mod due;
mod elsewhere;
mod heartbeats;
mod keeper;
mod known;
mod loads;
mod member;
mod observed;
mod overview;
mod pages;
pub(in crate::control) mod reading;
mod returns;
mod rules;
mod weights;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;
use crate::control::breath::breathe;
use crate::control::document::Document;
use crate::control::gossip::Observing;
use crate::control::health::due::{Due, What};
use crate::control::health::keeper::Keeper;
use crate::control::health::loads::Loads;
use crate::health::Moment;
use crate::health::heartbeat::Rejection;
use crate::link::Report;
use crate::routing::table::Table;
use crate::telemetry::stats::ControlStats;

pub(super) use door::Door;
pub(super) use elsewhere::Figures;
pub use heartbeats::{Believed, Claim};
pub use known::Known;
pub use overview::{Brief, Event};

/// A way to the keeper; clones are the same one.
#[derive(Clone)]
pub struct Health(Arc<Shared>);

struct Shared {
    keeper: Mutex<Keeper>,
    /// Something is due earlier than it was.
    changed: Notify,
    /// Checks that nodes share, where there are others.
    observing: Option<Observing>,
    origin: Instant,
    /// The origin, since 1970.
    unix: Duration,
    stats: Arc<ControlStats>,
    loads: Loads,
}

impl Health {
    /// Of no backend yet.
    #[must_use]
    pub fn new(stats: &Arc<ControlStats>) -> Health {
        Health::since(stats, monotonic(), None)
    }

    /// Of no backend yet, by a clock that began at `origin` of the machine's, so that moments of
    /// a process that is taken over from mean the same here. The machine's clock itself begins at
    /// zero, which is nobody's origin.
    #[must_use]
    pub(super) fn since(
        stats: &Arc<ControlStats>,
        origin: Duration,
        observing: Option<Observing>,
    ) -> Health {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let (now, machine) = (Instant::now(), monotonic());
        let age = match origin.is_zero() {
            true => Duration::ZERO,
            false => machine.saturating_sub(origin),
        };
        let origin = now.checked_sub(age).unwrap_or(now);
        let unix = unix.unwrap_or_default().saturating_sub(now - origin);
        Health(Arc::new(Shared {
            keeper: Mutex::new(Keeper::new(Arc::clone(stats), unix, observing.clone())),
            changed: Notify::new(),
            observing,
            origin,
            unix,
            stats: Arc::clone(stats),
            loads: Loads::new(stats),
        }))
    }

    /// When its clock began, by the machine's.
    #[must_use]
    pub fn origin(&self) -> Duration {
        monotonic().saturating_sub(self.now())
    }

    /// What is known of backends, for a process that takes over.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        self.keeper().known()
    }

    /// Goes by what another process knew.
    pub(super) fn recall(&self, known: &[Known]) {
        let now = self.now();
        self.keeper().recall(known, now);
    }

    /// Makes checks and follows time in a task, as long as the runtime lives.
    pub(super) fn start(&self) {
        let health = self.clone();
        tokio::spawn(async move { health.live().await });
        tokio::spawn(self.0.loads.clone().live());
    }

    /// Another table is about to be published: no core has it before this returns.
    pub(super) fn adopt(&self, table: &Arc<Table>, config: &Config, document: &Document) {
        let now = self.now();
        self.keeper()
            .adopt(table, config, document, now, &mut breathe);
        self.0.loads.adopt(table, config);
        self.0.changed.notify_one();
    }

    /// What a core saw of a backend.
    pub(super) fn reported(&self, report: Report) {
        let now = self.now();
        self.keeper().reported(report, now);
        self.0.changed.notify_one();
    }

    /// Somebody outside found a server well.
    pub(super) fn passed(&self, group: &str, id: &str) {
        let now = self.now();
        self.keeper().passed(group, id, now);
    }

    /// A backend says how it is.
    ///
    /// # Errors
    /// Why that is not believed; it is counted.
    pub fn hear(&self, claim: &Claim, sender: Option<IpAddr>) -> Result<Believed, Rejection> {
        let now = self.now();
        let heard = self.keeper().hear(claim, sender, now, self.0.unix + now);
        match &heard {
            Ok(believed) => self.0.stats.health.heard(believed.discounted),
            Err(rejection) => self.refuse(*rejection),
        }
        heard
    }

    /// Counts a report that nobody could take in.
    pub fn refuse(&self, rejection: Rejection) {
        self.0.stats.health.rejected.inc(rejection.name());
        tracing::debug!(reason = rejection.name(), "heartbeat refused");
    }

    async fn live(&self) {
        loop {
            let now = self.now();
            let (checks, next) = {
                let mut keeper = self.keeper();
                (keeper.turn(now), keeper.next())
            };
            for check in checks {
                self.begin(check);
            }
            tokio::select! {
                () = sleep_until(self.0.origin + next) => {}
                () = self.0.changed.notified() => {}
                () = heard_something(self.0.observing.as_ref()) => {}
            }
        }
    }

    fn begin(&self, check: Due) {
        let health = self.clone();
        tokio::spawn(async move {
            let (slot, address, within) = (check.slot, check.address, check.timeout);
            match check.what {
                What::Agent(send) => {
                    let answer = agents::ask(check.asked, send.as_deref(), within).await;
                    let (whom, now) = ((address, check.asked.port()), health.now());
                    health.keeper().answered(slot, whom, answer, now);
                }
                What::Check(ask) => {
                    let result = ask.perform(check.asked, within).await;
                    let now = health.now();
                    health.keeper().checked(slot, address, &result, now);
                }
            }
            health.0.changed.notify_one();
        });
    }

    fn now(&self) -> Moment {
        self.0.origin.elapsed()
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until other nodes have found something.
async fn heard_something(observing: Option<&Observing>) {
    match observing {
        Some(observing) => observing.heard_something().await,
        None => std::future::pending().await,
    }
}

/// The clock of the machine, which all its processes share.
fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}
