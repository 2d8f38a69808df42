//! What a worker does when the node runs out of something: it looks how near the node is to its
//! ends, ends keep-alive, closes who is idle, refuses who comes.
//!
//! It looks every [`LOOK_TICKS`] while something happens, and at once when it has accepted or
//! opened as many as there was room for, so a storm between two looks is noticed. Who is idle
//! longest is found by one walk over the connections, which finds enough for many looks: requests
//! pay nothing for it. What was silent is asked again before it is closed.
//!
//! Running out of descriptors all the same (another limit than ours, another program) ends neither
//! accepting nor serving: what waits in the backlog is reset with the help of a spare descriptor,
//! idle connections go, and accepting is tried again at the next look. A backend is not blamed for
//! what this node lacks.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::base::fault::Fault;
use crate::base::id::ListenerSlot;
use crate::base::slab::Key;
use crate::data::adopt::Pinned;
use crate::data::client::{Client, Phase};
use crate::data::conn::{Conn, NEVER, Role};
use crate::data::ticks::{TICK_MILLIS, ticks};
use crate::data::upstream::{Upstream, UpstreamState};
use crate::data::worker::{HOUSEKEEPING_TICKS, Worker};
use crate::routing::overload::{Action, Admission, Overload, Reading, Terms};
use crate::routing::table::{ListenerTimeouts, Table};
use crate::runtime::driver::Driver;
use crate::runtime::net;
use crate::runtime::pressure::Gauges;
use crate::telemetry::overload::{Resource, Shed};

/// Ticks between two looks of a worker that has something to do.
const LOOK_TICKS: u64 = 100 / TICK_MILLIS;

/// Memory is read at every look from this pressure on, in thousandths, else once a second.
const MEMORY_IS_NEAR: u32 = 500;

/// And at the next look with so many more connections: each may take as much as a head is long, and
/// a limit of a few dozen MiB is soon reached.
const MEMORY_CONNECTIONS: usize = 64;

/// Ticks between two words of one worker in the log.
const WORD_TICKS: u64 = 1000 / TICK_MILLIS;

/// Idle connections that one walk finds at most.
const FOUND_MAX: usize = 16_384;

/// Connections of one backlog that are reset at one time when there are no descriptors.
const RESET_MAX: usize = 256;

/// How near the node is to its ends, as this worker sees it.
pub(super) struct Pressed {
    pub(super) now: Overload,
    gauges: Gauges,
    reading: Reading,
    /// When it looks next.
    tick: u64,
    /// When it reads memory next, and with how many connections if that is sooner.
    memory_tick: u64,
    memory_conns: usize,
    /// When it next says something in the log.
    word_tick: u64,
    /// Completions until it looked last.
    completions: u64,
    /// With so many connections it looks at once.
    own_max: usize,
    /// So many are to be closed in any case, because descriptors ran out.
    owed: usize,
    /// Idle connections, the longest idle last.
    idle: Vec<Idle>,
    /// Given away to reset a connection that could not be accepted otherwise.
    spare: Option<OwnedFd>,
}

/// A connection that was found idle, with the tick of its deadline then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Idle {
    /// Unused connections to backends go first, relays last.
    class: u8,
    since: u64,
    deadline: u64,
    index: u32,
    generation: u32,
}

impl Pressed {
    pub(super) fn new() -> Pressed {
        Pressed {
            now: Overload::default(),
            gauges: Gauges::open(),
            reading: Reading::default(),
            tick: 0,
            memory_tick: 0,
            memory_conns: 0,
            word_tick: 0,
            completions: 0,
            own_max: usize::MAX,
            owed: 0,
            idle: Vec::new(),
            spare: net::spare().ok(),
        }
    }
}

/// Whether this node lacks what a call needed, whoever it called.
pub(super) fn is_own_lack(error: Errno) -> bool {
    matches!(
        error,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL
    )
}

impl<D: Driver> Worker<D> {
    /// Looks how near the node is to its ends if it is time to, and sheds.
    pub(super) fn watch_overload(&mut self) {
        let full = self.conns.len() >= self.pressed.own_max;
        if (self.now.tick < self.pressed.tick && !full) || self.draining.is_some() {
            return;
        }
        let Some(table) = self.link.current().map(Pinned::clone) else {
            return;
        };
        let completions = self.stats.completions.read();
        let quiet = std::mem::replace(&mut self.pressed.completions, completions) == completions
            && self.pressed.now == Overload::default();
        let until = if quiet {
            HOUSEKEEPING_TICKS
        } else {
            LOOK_TICKS
        };
        self.pressed.tick = self.now.tick + until;
        self.look(&table);
        let owed = std::mem::take(&mut self.pressed.owed);
        let closes = table.overload.thresholds[Action::CloseIdle as usize].is_some();
        let excess = table.overload.excess(&self.pressed.reading);
        let count = match self.pressed.now.does(Action::CloseIdle) {
            true => excess
                .share(self.cores_of(&table), self.conns.len())
                .max(owed),
            false => owed,
        };
        if count == 0 || !closes {
            self.pressed.idle = Vec::new();
            return;
        }
        let freed = self.close_idle_ones(count, &table.overload);
        // They are as good as gone: by the end of this turn they are.
        let reading = &mut self.pressed.reading;
        reading.descriptors = reading.descriptors.saturating_sub(freed as u64);
        reading.connections = reading.connections.saturating_sub(freed as u64);
        self.judge(&table, freed);
    }

    /// Reads the gauges and judges by them.
    fn look(&mut self, table: &Table) {
        let terms = &table.overload;
        let conns = self.conns.len();
        let pressed = &mut self.pressed;
        let memory_is_due = self.now.tick >= pressed.memory_tick || conns >= pressed.memory_conns;
        let (descriptors, descriptors_max) = pressed.gauges.descriptors();
        pressed.reading.descriptors = descriptors;
        pressed.reading.descriptors_max = descriptors_max;
        if terms.connections_max.is_some() {
            pressed.reading.connections = connections_of(table);
        }
        if memory_is_due {
            let memory = pressed.gauges.memory();
            pressed.reading.memory = memory.resident;
            pressed.reading.cgroup = memory.cgroup;
            pressed.reading.stall = memory.stall;
        }
        let pressures = terms.pressures(&pressed.reading);
        let memory = pressures[Resource::Memory as usize].max(pressures[Resource::Stall as usize]);
        if memory_is_due {
            let near = memory >= MEMORY_IS_NEAR;
            let until = if near { LOOK_TICKS } else { HOUSEKEEPING_TICKS };
            pressed.memory_tick = self.now.tick + until;
            pressed.memory_conns = conns + MEMORY_CONNECTIONS;
        }
        self.judge(table, 0);
    }

    /// Judges by what was read; `leaving` connections of this core are on their way out.
    fn judge(&mut self, table: &Table, leaving: usize) {
        let terms = &table.overload;
        let pressed = &mut self.pressed;
        let pressures = terms.pressures(&pressed.reading);
        let begun = pressed.now.judge(terms, &pressures);
        let room = terms.room(&pressed.reading, pressed.now.admission());
        let room = room / self.cores_of(table).max(1) as u64;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let own = self.conns.len().saturating_sub(leaving).max(1);
        self.pressed.own_max = own.saturating_add(room);
        self.tell_overload(&pressures, begun);
    }

    fn tell_overload(&mut self, pressures: &[u32; 4], begun: [bool; 3]) {
        let stats = &self.stats.overload;
        for (gauge, pressure) in stats.pressures.iter().zip(pressures) {
            gauge.set(*pressure);
        }
        for (action, begun) in Action::ALL.into_iter().zip(begun) {
            let on = self.pressed.now.does(action);
            stats.on[action as usize].set(u32::from(on));
            if begun {
                stats.begun[action as usize].inc();
            }
            if begun && self.now.tick >= self.pressed.word_tick {
                self.pressed.word_tick = self.now.tick + WORD_TICKS;
                let (core, action) = (self.core.0, action.name());
                tracing::warn!(core, action, ?pressures, "overload");
            }
        }
    }

    fn cores_of(&self, table: &Table) -> usize {
        let first = table.listeners.iter().flatten().next();
        first.map_or(1, |listener| listener.stats.cores())
    }

    /// How a connection that comes in now is treated.
    pub(super) fn admission(&mut self) -> Admission {
        if self.conns.len() >= self.pressed.own_max {
            self.watch_overload();
        }
        self.pressed.now.admission()
    }

    /// Whether answers end their connections.
    pub(super) fn ends_keep_alive(&self) -> bool {
        self.pressed.now.does(Action::StopKeepAlive)
    }

    /// Counts a connection that is shed.
    pub(super) fn count_shed(&self, how: Shed) {
        self.stats.overload.shed[how as usize].inc();
    }

    /// Neither accepting nor connecting got a descriptor; says so now and then.
    pub(super) fn ran_out(&mut self, error: Errno) {
        /// Closed at the next look, whatever that finds.
        const OWED: usize = 64;
        if self.now.tick >= self.pressed.word_tick {
            self.pressed.word_tick = self.now.tick + WORD_TICKS;
            tracing::warn!(core = self.core.0, %error, "no descriptor, memory or port");
        }
        self.pressed.owed = OWED;
        self.pressed.tick = self.pressed.tick.min(self.now.tick + 1);
    }

    /// Resets what waits for a listener, for whom there are no descriptors.
    pub(super) fn reset_backlog(&mut self, at: usize) {
        let never = |worker: &Self| {
            let table = worker.link.current();
            table.is_none_or(|table| table.overload.thresholds[Action::Refuse as usize].is_none())
        };
        if never(self) {
            return;
        }
        let Some(socket) = self.sockets.get(at).and_then(|socket| socket.fd.clone()) else {
            return;
        };
        let slot = self.sockets[at].listener;
        for _ in 0..RESET_MAX {
            self.pressed.spare = None;
            let Ok(fd) = net::accept(&socket) else {
                break;
            };
            self.refuse(slot, fd);
        }
        self.pressed.spare = net::spare().ok();
    }

    /// Resets a connection that has just come in.
    pub(super) fn refuse(&mut self, slot: ListenerSlot, fd: OwnedFd) {
        use std::os::fd::AsFd;
        net::reset_on_close(fd.as_fd());
        // Not by the ring: the descriptor is needed at once.
        drop(fd);
        self.count_shed(Shed::Reset);
        let core = self.core;
        if let Some(state) = self.listener(slot)
            && let Some(listener) = state.table.listener(slot)
        {
            let stats = listener.stats.of(core);
            stats.connections.inc();
            stats.faults[Fault::Overload as usize].inc();
        }
    }

    /// Closes so many idle connections, those that were idle longest first; returns how many
    /// descriptors that frees.
    fn close_idle_ones(&mut self, count: usize, terms: &Terms) -> usize {
        let mut walked = false;
        let mut freed = 0;
        while freed < count {
            let Some(idle) = self.pressed.idle.pop() else {
                if std::mem::replace(&mut walked, true) {
                    return freed;
                }
                self.find_idle(terms);
                continue;
            };
            let key = Key {
                index: idle.index,
                generation: idle.generation,
            };
            let is_idle = self
                .conns
                .at(key)
                .is_some_and(|conn| conn.deadline == idle.deadline && class_of(conn).is_some());
            if is_idle {
                freed += self.close_idle_one(key);
            }
        }
        freed
    }

    /// Closes one; returns how many descriptors that frees.
    fn close_idle_one(&mut self, key: Key) -> usize {
        match self.conns.at(key).map(|conn| &conn.role) {
            Some(Role::Client(_)) => {
                self.count_shed(Shed::ClosedClient);
                self.close_client(key, Some(Fault::Overload));
                1
            }
            Some(Role::RelayDown(_)) => {
                self.count_shed(Shed::ClosedRelay);
                self.reset_relay(key, Fault::Overload);
                2
            }
            Some(Role::Upstream(_)) => {
                self.count_shed(Shed::ClosedUpstream);
                self.close_idle(key);
                1
            }
            Some(Role::RelayUp(_)) | None => 0,
        }
    }

    /// Walks over all connections for those that are idle longest.
    fn find_idle(&mut self, terms: &Terms) {
        let latest = self.now.tick.saturating_sub(ticks(terms.idle_min) - 1);
        let mut found = std::mem::take(&mut self.pressed.idle);
        let all = self.conns.keys().filter_map(|key| {
            let conn = self.conns.at(key)?;
            let class = class_of(conn)?;
            let since = self.idle_since(conn)?;
            (since <= latest).then_some(Idle {
                class,
                since,
                deadline: conn.deadline,
                index: key.index,
                generation: key.generation,
            })
        });
        found.extend(all);
        if found.len() > FOUND_MAX {
            found.select_nth_unstable(FOUND_MAX);
            found.truncate(FOUND_MAX);
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        self.pressed.idle = found;
    }

    /// The tick at which a connection that is idle was last heard, by its deadline.
    fn idle_since(&self, conn: &Conn) -> Option<u64> {
        if conn.deadline == NEVER {
            return None;
        }
        let timeout = match &conn.role {
            Role::RelayDown(relay) => relay.idle(),
            Role::Client(client) => {
                let listener = self.listener(client.listener)?;
                let timeouts = listener.table.listener(client.listener)?.timeouts;
                ticks(client.silence_max(&timeouts))
            }
            // Their own order is enough.
            Role::Upstream(_) | Role::RelayUp(_) => return Some(conn.deadline.min(self.now.tick)),
        };
        Some(conn.deadline.saturating_sub(timeout))
    }
}

impl Client {
    /// How long it may be silent where it stands, if no exchange is under way.
    fn silence_max(&self, timeouts: &ListenerTimeouts) -> std::time::Duration {
        match self.stash.is_empty() {
            false => timeouts.head,
            true if self.requests == 0 => timeouts.head.min(timeouts.idle),
            true => timeouts.idle,
        }
    }
}

/// Which idle connections go before which; `None` for one that has something to do.
fn class_of(conn: &Conn) -> Option<u8> {
    if conn.dying || conn.failed.is_some() || !conn.out.is_empty() || conn.ops.sending {
        return None;
    }
    match &conn.role {
        Role::Upstream(Upstream {
            state: UpstreamState::Idle,
            ..
        }) => Some(0),
        Role::Client(client) if client.phase == Phase::Head && client.gather.is_none() => Some(1),
        Role::RelayDown(relay) if relay.exchange.is_none() && conn.bulk.is_none() => Some(2),
        _ => None,
    }
}

/// Client connections of all cores.
fn connections_of(table: &Table) -> u64 {
    let listeners = table.listeners.iter().flatten();
    let each = listeners.flat_map(|listener| listener.stats.iter());
    each.map(|stats| u64::from(stats.connections_open.read()))
        .sum()
}
