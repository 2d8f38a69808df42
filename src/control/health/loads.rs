//! Probes of load: asks backends what they have under way, and tells the adaptive policy.
//!
//! One task of the control thread asks for the whole node; what comes back lies on the load board,
//! from which each core draws for itself. A probe goes over a connection that is kept for that
//! backend, at most one at a time, and never stands for its health: a backend that does not answer
//! is only known less of. How many are due and whom they ask is [`Asking`]'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderName;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::reading::{Broken, Open, body_of, connect};
use crate::base::id::{BackendIndex, BackendSlot, GroupSlot};
use crate::base::limits::PROBES_MAX;
use crate::config::Config;
use crate::config::checked::LoadProbe;
use crate::health::asking::Asking;
use crate::health::load_report::{LoadReport, REPORT_BYTES_MAX, parse};
use crate::routing::feedback::Said;
use crate::routing::table::{Group, Table};
use crate::telemetry::stats::ControlStats;

/// How often it is looked whether probes are due, where a group has some.
const TURN: Duration = Duration::from_millis(10);

/// The header of a report (ORCA).
const REPORT: &str = "endpoint-load-metrics";

/// The header that says how it is to be written.
const FORMAT: HeaderName = HeaderName::from_static("endpoint-load-metrics-format");

/// A way to it; clones are the same one.
#[derive(Clone)]
pub(super) struct Loads(Arc<Shared>);

struct Shared {
    asked: Mutex<Asked>,
    stats: Arc<ControlStats>,
    origin: Instant,
    /// Another table is published.
    changed: Notify,
}

struct Asked {
    table: Option<Arc<Table>>,
    groups: Vec<Probed>,
    chance: Xoshiro256PlusPlus,
    running: usize,
    lines: BTreeMap<BackendSlot, Line>,
}

/// A group whose backends are probed.
struct Probed {
    slot: GroupSlot,
    index: usize,
    probe: LoadProbe,
    asking: Asking,
}

/// The way to one backend.
#[derive(Default)]
struct Line {
    address: Option<SocketAddr>,
    busy: bool,
    open: Option<Open>,
}

/// One probe.
struct Due {
    table: Arc<Table>,
    group: usize,
    backend: BackendIndex,
    slot: BackendSlot,
    address: SocketAddr,
    probe: LoadProbe,
    open: Option<Open>,
}

impl Loads {
    pub(super) fn new(stats: &Arc<ControlStats>) -> Loads {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH);
        let seed = seed.unwrap_or_default().as_nanos() as u64;
        Loads(Arc::new(Shared {
            asked: Mutex::new(Asked {
                table: None,
                groups: Vec::new(),
                chance: Xoshiro256PlusPlus::seed_from_u64(seed),
                running: 0,
                lines: BTreeMap::new(),
            }),
            stats: Arc::clone(stats),
            origin: Instant::now(),
            changed: Notify::new(),
        }))
    }

    /// Another table is published. Groups that are asked as before go on.
    pub(super) fn adopt(&self, table: &Arc<Table>, config: &Config) {
        let mut asked = self.asked();
        let mut before = std::mem::take(&mut asked.groups);
        for (index, (group, meant)) in table.groups.iter().zip(&config.groups).enumerate() {
            let Some(probe) = &meant.probe else {
                continue;
            };
            let same = |old: &Probed| old.slot == group.slot && old.probe == *probe;
            let known = before.iter().position(same);
            let asking = match known.map(|at| before.swap_remove(at)) {
                Some(known) => known.asking,
                None => {
                    let rate = f64::from(probe.rate_percent) / 100.0;
                    Asking::new(rate, f64::from(probe.rate_max))
                }
            };
            asked.groups.push(Probed {
                slot: group.slot,
                index,
                probe: probe.clone(),
                asking,
            });
        }
        let groups = asked
            .groups
            .iter()
            .map(|probed| &table.groups[probed.index]);
        let slots = groups.flat_map(|group| group.backends.iter().map(|backend| backend.slot));
        let slots: std::collections::BTreeSet<BackendSlot> = slots.collect();
        asked.lines.retain(|slot, _| slots.contains(slot));
        asked.table = Some(Arc::clone(table));
        drop(asked);
        self.0.changed.notify_one();
    }

    /// Probes as long as the runtime lives.
    pub(super) async fn live(self) {
        let mut turn = interval(TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.asked().groups.is_empty() {
                self.0.changed.notified().await;
            }
            turn.tick().await;
            for due in self.due() {
                tokio::spawn(self.clone().ask(due));
            }
        }
    }

    fn due(&self) -> Vec<Due> {
        let now = self.0.origin.elapsed();
        let mut asked = self.asked();
        let Asked {
            table,
            groups,
            chance,
            running,
            lines,
        } = &mut *asked;
        let Some(table) = table else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for probed in groups {
            let group = &table.groups[probed.index];
            let due = probed.asking.due(group.norm.answers(), now);
            let count = group.backends.len();
            for _ in 0..(due as usize).min(count).min(PROBES_MAX - *running) {
                let Some(at) = probed.asking.next(count, || chance.next_u64()) else {
                    break;
                };
                let backend = &group.backends[at as usize];
                let mut address = backend.address;
                if let Some(port) = probed.probe.port {
                    address.set_port(port);
                }
                let line = lines.entry(backend.slot).or_default();
                if line.busy {
                    continue;
                }
                if line.address != Some(address) {
                    line.open = None;
                }
                line.address = Some(address);
                line.busy = true;
                *running += 1;
                all.push(Due {
                    table: Arc::clone(table),
                    group: probed.index,
                    backend: BackendIndex(at),
                    slot: backend.slot,
                    address,
                    probe: probed.probe.clone(),
                    open: line.open.take(),
                });
            }
        }
        all
    }

    async fn ask(self, mut due: Due) {
        let began = Instant::now();
        let answer = timeout(due.probe.timeout, converse(&mut due)).await;
        let took = began.elapsed();
        let result = match answer {
            Ok(Ok(text)) => match parse(&text) {
                Ok(report) => {
                    self.tell(&due, report, took);
                    "answered"
                }
                Err(_) => "not_understood",
            },
            Ok(Err(Broken)) | Err(_) => {
                due.open = None;
                "unreachable"
            }
        };
        self.0.stats.health.load_probes.inc(result);
        let mut asked = self.asked();
        asked.running -= 1;
        if let Some(line) = asked.lines.get_mut(&due.slot) {
            line.busy = false;
            if line.address == Some(due.address) {
                line.open = due.open.take();
            }
        }
    }

    /// The way to a backend and back is a part of what a request takes: `took` is that of an answer
    /// nobody has to work for.
    fn tell(&self, due: &Due, report: LoadReport, took: Duration) {
        let group: &Group = &due.table.groups[due.group];
        let Some(in_flight) = report.in_flight else {
            return;
        };
        let latency = report.latency_ms.filter(|latency| *latency > 0.0);
        let said = Said {
            in_flight,
            latency_micros: latency
                .map(|latency| (latency * 1000.0) as u64)
                .map(|micros| micros + u64::try_from(took.as_micros()).unwrap_or(0)),
        };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = u64::try_from(unix.unwrap_or_default().as_micros()).unwrap_or(0);
        group.told(due.backend, said, micros);
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the question, over the kept connection if it still serves, and reads the report.
async fn converse(due: &mut Due) -> Result<String, Broken> {
    if due.open.as_ref().is_none_or(|open| open.sender.is_closed()) {
        due.open = Some(connect(due.address).await?);
    }
    let open = due.open.as_mut().ok_or(Broken)?;
    open.sender.ready().await.map_err(|_| Broken)?;
    let response = open
        .ask((due.address, &due.probe.path), &[(FORMAT, "TEXT")])
        .await?;
    let said = response.headers().get(REPORT);
    let said = said.and_then(|said| Some(said.to_str().ok()?.to_owned()));
    // It is read to its end in any case, or the connection could not be used again.
    let body = body_of(response.into_body(), REPORT_BYTES_MAX).await?;
    Ok(said.unwrap_or(body))
}
