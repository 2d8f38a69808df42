//! One worker core: its state, the turn of its loop, and who handles which completion.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use crate::base::id::{BackendIndex, CoreId, GroupIndex};
use crate::base::slab::{Key, Slab};
use crate::base::wheel::Wheel;
use crate::data::WorkerSetup;
use crate::data::adopt::{ListenerState, Socket};
use crate::data::bulk::Pipes;
use crate::data::client::Client;
use crate::data::conn::{Conn, Role};
use crate::data::hedge::Hedges;
use crate::data::overload::Pressed;
use crate::data::queue::{self, Queues};
use crate::data::spare::Spares;
use crate::data::ticks::TICK_MILLIS;
use crate::data::trace::Traces;
use crate::data::upstream::Pool;
use crate::link::ToWorker;
use crate::link::survey::Respondent;
use crate::link::worker_side::WorkerSide;
use crate::routing::policy::{PickState, ShadowState};
use crate::routing::retry::Budget;
use crate::runtime::buffers::Segment;
use crate::runtime::driver::{Driver, Event};
use crate::runtime::executor::Turn;
use crate::telemetry::access_log::AccessLogSender;
use crate::telemetry::stats::{BackendStats, CoreStats, PerCore};

/// Longest sleep: also the upper bound on noticing a control message whose kick was lost.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Ticks between two rounds of housekeeping.
pub(super) const HOUSEKEEPING_TICKS: u64 = 100;

/// The time of the present turn.
#[derive(Clone, Copy)]
pub(super) struct Now {
    /// Ticks since the worker started.
    pub(super) tick: u64,
    /// Microseconds since the worker started.
    pub(super) micros: u64,
    /// Wall clock at the worker's start.
    pub(super) unix_base_micros: u64,
}

impl Now {
    /// Seconds since the worker started.
    pub(super) fn second(&self) -> u64 {
        self.micros / 1_000_000
    }

    pub(super) fn unix_micros(&self) -> u64 {
        self.unix_base_micros + self.micros
    }
}

/// The end of a worker's life.
pub(super) struct Draining {
    pub(super) deadline_tick: u64,
    /// From when on nobody idle is let ask once more.
    pub(super) idle_tick: u64,
    /// Those who were idle then have been closed.
    pub(super) idle_closed: bool,
}

/// One core's data plane over a driver.
pub(super) struct Worker<D> {
    pub(super) core: CoreId,
    pub(super) seed: u64,
    pub(super) driver: D,
    pub(super) conns: Slab<Conn>,
    pub(super) wheel: Wheel,
    pub(super) now: Now,
    pub(super) link: WorkerSide,
    pub(super) survey: Respondent,
    pub(super) log: Option<AccessLogSender>,
    pub(super) traces: Option<Traces>,
    pub(super) stats: Arc<CoreStats>,
    /// By listener slot.
    pub(super) listeners: Vec<Option<ListenerState>>,
    /// What is accepted on.
    pub(super) sockets: Vec<Socket>,
    /// By group slot, as those after it.
    pub(super) picks: Vec<PickState>,
    /// By group slot, whose turn it is of the group's own addresses.
    pub(super) source_turns: Vec<u32>,
    pub(super) shadows: Vec<ShadowState>,
    pub(super) budgets: Vec<Budget>,
    /// By backend slot.
    pub(super) pools: Vec<Pool>,
    /// How many there were in each pool when that was last told.
    pub(super) pools_told: Vec<u32>,
    /// By backend slot.
    pub(super) backend_stats: Vec<Option<PerCore<BackendStats>>>,
    /// The backends of the present table that have a limit.
    pub(super) limited: Vec<(GroupIndex, BackendIndex)>,
    /// Requests for which no backend has room.
    pub(super) queues: Queues,
    /// Second copies of requests that take long.
    pub(super) hedges: Hedges,
    pub(super) pipes: Pipes,
    /// Heads and transcoded bodies are built here.
    pub(super) scratch: Vec<u8>,
    /// Exchanges for requests to come.
    pub(super) spares: Spares,
    pub(super) draining: Option<Draining>,
    pub(super) pressed: Pressed,
    /// Accepting waits until then, because it failed.
    pub(super) accept_paused: Option<u64>,
    pub(super) date_second: u64,
    pub(super) date_text: [u8; 29],
    started: Instant,
    due: Vec<(u64, Key)>,
    pub(super) housekeeping_tick: u64,
    requests: u64,
    pub(super) stopped: bool,
}

impl<D: Driver> Worker<D> {
    pub(super) fn new(setup: WorkerSetup, driver: D) -> Worker<D> {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let unix_base_micros = u64::try_from(unix.as_micros()).unwrap_or(0);
        let thread = rustix::thread::gettid().as_raw_pid();
        setup.stats.thread.set(thread.unsigned_abs());
        Worker {
            core: setup.core,
            seed: setup.seed,
            driver,
            conns: Slab::default(),
            wheel: Wheel::new(0),
            now: Now {
                tick: 0,
                micros: 0,
                unix_base_micros,
            },
            link: WorkerSide::new(setup.link),
            survey: setup.survey,
            log: setup.access_log,
            traces: setup.traces.map(|sample| Traces::new(setup.seed, sample)),
            stats: setup.stats,
            listeners: Vec::new(),
            sockets: Vec::new(),
            picks: Vec::new(),
            source_turns: Vec::new(),
            shadows: Vec::new(),
            budgets: Vec::new(),
            pools: Vec::new(),
            pools_told: Vec::new(),
            backend_stats: Vec::new(),
            limited: Vec::new(),
            queues: Queues::default(),
            hedges: Hedges::default(),
            pipes: Pipes::default(),
            scratch: Vec::new(),
            spares: Spares::default(),
            draining: None,
            pressed: Pressed::new(),
            accept_paused: None,
            date_second: 0,
            date_text: [b' '; 29],
            started: Instant::now(),
            due: Vec::new(),
            housekeeping_tick: 0,
            requests: 0,
            stopped: false,
        }
    }

    /// A number for a request, unique on this node and hard to guess across restarts.
    pub(super) fn next_request_number(&mut self) -> u64 {
        self.requests += 1;
        // An odd multiplier makes this a bijection of the counter.
        self.seed
            .wrapping_add(self.requests.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Accepted { listener, fd } => self.accepted(listener as usize, fd),
            Event::AcceptEnded { listener, error } => self.accept_ended(listener as usize, error),
            Event::Kicked => {}
            Event::Received { key, result, more } => self.received(key, result, more),
            Event::Sent {
                key,
                segment,
                result,
            } => self.sent(key, segment, result),
            Event::Ready { key, readiness } => self.ready(key, readiness),
        }
    }

    fn received(&mut self, key: Key, result: Result<Option<Segment>, Errno>, more: bool) {
        let Some(conn) = self.conns.at_mut(key) else {
            if let Ok(Some(segment)) = result {
                self.driver.buffers().give(segment);
            }
            return;
        };
        conn.ops.receiving = more;
        if conn.dying {
            if let Ok(Some(segment)) = result {
                self.received_too_late(key, segment);
            }
            return self.bury(key);
        }
        if result.is_ok() && !conn.established {
            self.establish(key);
        }
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        match result {
            Ok(Some(segment)) => match conn.role {
                Role::Client(_) => self.client_bytes(key, segment),
                Role::Upstream(_) => self.upstream_bytes(key, segment),
                Role::RelayDown(_) | Role::RelayUp(_) => self.relay_bytes(key, segment),
            },
            Ok(None) => self.received_end(key),
            Err(Errno::CANCELED) => {}
            Err(Errno::NOBUFS) => self.stats.buffer_starved.inc(),
            Err(error) => self.receive_failed(key, error),
        }
        if !more {
            self.after_receive(key);
        }
    }

    /// The other end has answered or taken bytes, so the handshake is done.
    pub(super) fn establish(&mut self, key: Key) {
        let fresh = |conn: &&mut Conn| !conn.established;
        let Some(conn) = self.conns.at_mut(key).filter(fresh) else {
            return;
        };
        conn.established = true;
        let client = conn.peer;
        let slot = match &conn.role {
            Role::Upstream(upstream) => upstream.slot,
            Role::RelayUp(relay) => relay.slot,
            Role::Client(_) | Role::RelayDown(_) => return,
        };
        if let Some(stats) = self
            .backend_stats
            .get(slot.index())
            .and_then(Option::as_ref)
        {
            stats.of(self.core).connects.inc();
        }
        let now = self.now.micros;
        match client
            .and_then(|client| self.conns.at_mut(client))
            .map(|conn| &mut conn.role)
        {
            Some(Role::Client(Client {
                exchange: Some(exchange),
                ..
            })) => {
                exchange.connected(key, now);
            }
            Some(Role::RelayDown(relay)) => {
                relay.connect_micros = Some(now.saturating_sub(relay.started_micros));
            }
            _ => {}
        }
        self.observe_connected(key);
    }

    /// The receive is over: go on with whatever waited for that.
    fn after_receive(&mut self, key: Key) {
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        if conn.dying {
            return self.bury(key);
        }
        if conn.failed.is_some() {
            return self.settle(key);
        }
        if conn.bulk.is_some() {
            return self.begin_bulk_when_ready(key);
        }
        self.receive_more(key);
    }

    /// The other end will send nothing more.
    pub(super) fn received_end(&mut self, key: Key) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        conn.ended = true;
        match conn.role {
            Role::Client(_) => self.client_end(key),
            Role::Upstream(_) => self.upstream_end(key),
            Role::RelayDown(_) | Role::RelayUp(_) => self.relay_end(key),
        }
    }

    /// Receiving failed for good.
    pub(super) fn receive_failed(&mut self, key: Key, error: Errno) {
        let Some(conn) = self.conns.at_mut(key) else {
            return;
        };
        conn.ended = true;
        match conn.role {
            Role::Client(_) => self.client_failed(key, error),
            Role::Upstream(_) => self.upstream_failed(key, error),
            Role::RelayDown(_) | Role::RelayUp(_) => self.relay_failed(key, error),
        }
    }

    fn sent(&mut self, key: Key, mut segment: Segment, result: Result<usize, Errno>) {
        let Some(conn) = self.conns.at_mut(key) else {
            return self.driver.buffers().give(segment);
        };
        conn.ops.sending = false;
        if conn.dying {
            self.driver.buffers().give(segment);
            return self.bury(key);
        }
        match result {
            Ok(count) => {
                let first = match &mut conn.role {
                    Role::Upstream(upstream) => {
                        let stats = self.backend_stats.get(upstream.slot.index());
                        if let Some(stats) = stats.and_then(Option::as_ref) {
                            stats.of(self.core).bytes_sent.add(count as u64);
                        }
                        std::mem::replace(&mut upstream.untouched, false)
                    }
                    _ => false,
                };
                if count < segment.len() {
                    segment.advance(count);
                    conn.out.push_front(segment);
                } else if first {
                    self.keep_for_replay(key, segment);
                } else {
                    self.driver.buffers().give(segment);
                }
                self.establish(key);
            }
            Err(error) => {
                conn.out.push_front(segment);
                if error != Errno::CANCELED {
                    self.send_failed(key, error);
                }
            }
        }
        self.after_send(key);
    }

    /// The send is over: the next one, or whatever waited for that.
    fn after_send(&mut self, key: Key) {
        let Some(conn) = self.conns.at(key) else {
            return;
        };
        if conn.dying {
            return self.bury(key);
        }
        if conn.failed.is_some() {
            return self.settle(key);
        }
        self.send_next(key);
        if self.conns.at(key).is_some_and(Conn::is_flushed) {
            self.flushed(key);
        }
    }

    /// Everything queued for `key` has been sent.
    fn flushed(&mut self, key: Key) {
        match self.conns.at(key).map(|conn| &conn.role) {
            Some(Role::Client(_)) => self.client_flushed(key),
            Some(Role::Upstream(_)) => self.upstream_flushed(key),
            Some(Role::RelayDown(_) | Role::RelayUp(_)) => self.relay_flushed(key),
            None => {}
        }
    }

    /// Sending failed for good.
    pub(super) fn send_failed(&mut self, key: Key, error: Errno) {
        match self.conns.at(key).map(|conn| &conn.role) {
            Some(Role::Client(_)) => self.client_failed(key, error),
            Some(Role::Upstream(_)) => self.upstream_send_failed(key, error),
            Some(Role::RelayDown(_) | Role::RelayUp(_)) => self.relay_failed(key, error),
            None => {}
        }
    }

    fn fire(&mut self, tick: u64, key: Key) {
        if !self.is_due(tick, key) {
            return;
        }
        match self.conns.at(key).map(|conn| &conn.role) {
            Some(Role::Client(_)) => self.client_due(key),
            Some(Role::Upstream(_)) => self.upstream_due(key),
            Some(Role::RelayDown(_)) => self.relay_down_due(key),
            Some(Role::RelayUp(_)) => self.relay_up_due(key),
            None => {}
        }
    }

    fn take_messages(&mut self) {
        while let Some(message) = self.link.next_message() {
            match message {
                ToWorker::Adopt { table, sockets } => self.adopt(table, sockets),
                ToWorker::Drain(how) => self.drain(how),
                ToWorker::Stop => self.stop(),
            }
        }
    }
}

impl<D: Driver> Turn for Worker<D> {
    fn turn(&mut self) -> bool {
        let sleep_max = match self.queues.is_empty() {
            true => SLEEP_MAX,
            false => queue::LOOK_EVERY,
        };
        let sleep_max = self.sleep_before_deadlines(sleep_max);
        let sleep_max = self.sleep_before_hedges(sleep_max);
        if let Err(error) = self.driver.wait(sleep_max) {
            tracing::error!(%error, core = self.core.0, "ring failed");
            return false;
        }
        self.now.micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.now.tick = self.now.micros / (TICK_MILLIS * 1000);
        let mut completions = 0;
        while let Some(event) = self.driver.next() {
            completions += 1;
            self.handle(event);
        }
        self.stats.turns.inc();
        self.stats.completions.add(completions);
        self.stats.batches.record(completions);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(self.now.tick, &mut due);
        for (tick, key) in due.drain(..) {
            self.fire(tick, key);
        }
        self.due = due;
        if !self.queues.is_empty() {
            self.serve_waiting();
        }
        self.send_hedges();
        self.take_messages();
        self.watch_overload();
        self.housekeeping();
        self.finish_drain();
        !self.stopped
    }
}
