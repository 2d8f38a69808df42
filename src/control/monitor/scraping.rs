//! The adapter for backends that export metrics: reads their pages in the text format of
//! Prometheus, and tells what they come to as if the backend had said it itself.
//!
//! A backend that cannot be read says nothing, which is no failure: checks are there for those.
//! First readings are spread over the interval by the identity of the backend, so that a thousand
//! of them are no burst; at most [`PROBES_MAX`] run at one time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Monitor;
use crate::base::id::BackendSlot;
use crate::base::limits::{PROBES_MAX, SCRAPE_BYTES_MAX};
use crate::config::Config;
use crate::config::checked::Scrape;
use crate::control::health::Figures;
use crate::control::health::reading::fetch;
use crate::gossip::Moment;
use crate::health::metrics::{Names, Readings, is_counter, read};
use crate::routing::table::Table;

/// How often it is looked whether a reading is due, where a group has some.
const TURN: Duration = Duration::from_millis(50);

/// Whom to read, how, and when next.
#[derive(Default)]
pub(super) struct Plan {
    targets: BTreeMap<BackendSlot, Target>,
    due: BTreeSet<(Moment, BackendSlot)>,
    running: usize,
}

struct Target {
    scrape: Arc<Scrape>,
    address: SocketAddr,
    readings: Readings,
}

/// One reading.
struct Due {
    slot: BackendSlot,
    scrape: Arc<Scrape>,
    address: SocketAddr,
}

impl Plan {
    /// Another table: those that stay and are read as before keep their last reading.
    pub(super) fn adopt(&mut self, table: &Arc<Table>, config: &Config, now: Moment) {
        let mut before = std::mem::take(&mut self.targets);
        self.due.clear();
        for (group, meant) in table.groups.iter().zip(&config.groups) {
            let Some(scrape) = &meant.scrape else {
                continue;
            };
            let scrape = Arc::new(scrape.clone());
            for backend in &group.backends {
                let mut address = backend.address;
                if let Some(port) = scrape.port {
                    address.set_port(port);
                }
                let known = before.remove(&backend.slot);
                let same = |known: &Target| known.address == address && *known.scrape == *scrape;
                let readings = known.filter(same).map(|known| known.readings);
                let target = Target {
                    scrape: Arc::clone(&scrape),
                    address,
                    readings: readings.unwrap_or_default(),
                };
                self.targets.insert(backend.slot, target);
                let part = (backend.identity % 1024) as u32;
                self.due
                    .insert((now + scrape.interval * part / 1024, backend.slot));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    fn due(&mut self, now: Moment) -> Vec<Due> {
        let mut all = Vec::new();
        while self.running < PROBES_MAX
            && let Some((at, slot)) = self.due.first().copied()
            && at <= now
        {
            self.due.remove(&(at, slot));
            let Some(target) = self.targets.get(&slot) else {
                continue;
            };
            // From when it was due, so that one that hangs does not slow the pace down.
            let next = (at + target.scrape.interval).max(now);
            self.due.insert((next, slot));
            self.running += 1;
            all.push(Due {
                slot,
                scrape: Arc::clone(&target.scrape),
                address: target.address,
            });
        }
        all
    }

    /// What a page comes to, unless somebody else is asked by now.
    fn take(&mut self, due: &Due, text: &str, now: Moment) -> Option<Figures> {
        let target = self.targets.get_mut(&due.slot)?;
        if target.address != due.address || *target.scrape != *due.scrape {
            return None;
        }
        let scrape = &due.scrape;
        let names = Names {
            active: scrape.active.as_deref(),
            capacity: scrape.capacity.as_deref(),
            cpu: scrape.cpu.as_deref(),
            memory: scrape.memory.as_deref(),
            latency: scrape.latency.as_deref(),
        };
        let counts = scrape.cpu.as_deref().is_some_and(is_counter);
        Some(target.readings.take(read(text, &names), counts, now))
    }
}

/// Reads as long as the runtime lives.
pub(super) async fn live(monitor: Monitor) {
    let mut turn = interval(TURN);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if monitor.state().scraped.is_empty() {
            monitor.0.changed.notified().await;
        }
        turn.tick().await;
        let now = monitor.now();
        let due = monitor.state().scraped.due(now);
        for due in due {
            tokio::spawn(ask(monitor.clone(), due));
        }
    }
}

async fn ask(monitor: Monitor, due: Due) {
    let scrape = &due.scrape;
    let page = fetch(due.address, &scrape.path, scrape.timeout, SCRAPE_BYTES_MAX).await;
    let now = monitor.now();
    let figures = {
        let mut state = monitor.state();
        state.scraped.running -= 1;
        let page = page.as_ref().ok();
        page.and_then(|page| state.scraped.take(&due, page, now))
    };
    monitor
        .0
        .health
        .scraped(due.slot, page.is_ok(), figures, scrape.interval);
}
