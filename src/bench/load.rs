//! One thread of the generator: its connections, the requests on them, and its way from connecting
//! to the end.
//!
//! It speaks to the kernel by the same driver as a worker (io_uring). A position of `conns` is a
//! connection, or the place of one: it is opened again for the next request where each has its own,
//! or after a failure. A place is used again only when the kernel holds nothing of the one before.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::base::slab::Key;
use crate::bench::answers::{Answer, Expected};
use crate::bench::report::Counts;
use crate::bench::schedule::Schedule;
use crate::routing::sources::Sources;
use crate::runtime::driver::{Driver, Readiness, Receive};
use crate::runtime::net;

/// Longest sleep in the kernel: also how late an order may be noticed.
const SLEEP_MAX: Duration = Duration::from_millis(10);

/// How long a place rests after it could not be opened.
const REST_NANOS: u64 = 10_000_000;

/// How often it is looked who waits too long.
const LOOK_NANOS: u64 = 100_000_000;

/// Where requests go, and what they are.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Where.
    pub(super) address: SocketAddr,
    /// The bytes of one.
    pub(super) request: Vec<u8>,
}

/// What one thread is to do.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    /// Connections go to these in turn.
    pub(super) targets: Arc<[Target]>,
    /// What answers a request.
    pub(super) expected: Expected,
    /// A connection for each request.
    pub(super) close: bool,
    /// Connections.
    pub(super) connections: usize,
    /// So many of them are asked on.
    pub(super) active: usize,
    /// Its place among the threads.
    pub(super) place: (usize, usize),
    /// Requests a second of all threads: open loop.
    pub(super) rate: Option<f64>,
    /// Nanoseconds of the run, and how many at its beginning do not count.
    pub(super) duration: u64,
    /// See there.
    pub(super) warmup: u64,
    /// Connections a second at the beginning, of this thread.
    pub(super) connect_rate: Option<f64>,
    /// Connections being established at one time.
    pub(super) connect_burst: usize,
    /// Addresses connections come from.
    pub(super) sources: Sources,
    /// Nanoseconds nobody waits longer than.
    pub(super) timeout: u64,
}

/// Where a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No connection.
    Closed,
    /// Being established.
    Connecting,
    /// Nothing is asked.
    Idle,
    /// An answer is waited for.
    Busy,
    /// Being closed: the kernel still has something of it.
    Closing,
}

/// The place of a connection.
pub(super) struct Place {
    pub(super) fd: Option<OwnedFd>,
    pub(super) generation: u32,
    pub(super) state: State,
    pub(super) receiving: bool,
    pub(super) sending: bool,
    pub(super) polling: bool,
    /// It is to be handed out again once it is closed.
    pub(super) returns: bool,
    /// When the request under way, or to come once connected, was due.
    pub(super) due: Option<u64>,
    /// When it was sent, or the connection begun.
    pub(super) began: u64,
    pub(super) answer: Answer,
}

impl Place {
    fn new() -> Place {
        Place {
            fd: None,
            generation: 0,
            state: State::Closed,
            receiving: false,
            sending: false,
            polling: false,
            returns: false,
            due: None,
            began: 0,
            answer: Answer::default(),
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        !(self.receiving || self.sending || self.polling)
    }
}

/// One thread of the generator.
pub(super) struct Loader<D> {
    pub(super) driver: D,
    pub(super) orders: Orders,
    pub(super) places: Vec<Place>,
    /// Places that can take a request.
    pub(super) free: VecDeque<u32>,
    /// When requests were due that found no place.
    waiting: VecDeque<u64>,
    /// Places that could not be opened, and until when they rest.
    resting: VecDeque<(u64, u32)>,
    schedule: Option<Schedule>,
    source_turn: u32,
    pub(super) connecting: usize,
    /// Connections are being made for the first time.
    pub(super) setting_up: bool,
    /// Requests are made.
    running: bool,
    /// From here on, and until then, what is due counts.
    counting: (u64, u64),
    started: Instant,
    pub(super) now: u64,
    next_look: u64,
    pub(super) counts: Counts,
}

impl<D: Driver> Loader<D> {
    pub(super) fn new(driver: D, orders: Orders, started: Instant) -> Loader<D> {
        let places = (0..orders.connections).map(|_| Place::new()).collect();
        Loader {
            driver,
            places,
            free: VecDeque::new(),
            waiting: VecDeque::new(),
            resting: VecDeque::new(),
            schedule: None,
            // Threads begin at different addresses.
            source_turn: (orders.place.0 as u32).wrapping_mul(0x9e37_79b9),
            orders,
            connecting: 0,
            setting_up: false,
            running: false,
            counting: (0, 0),
            started,
            now: 0,
            next_look: 0,
            counts: Counts::default(),
        }
    }

    /// Makes all connections, unless each request has its own.
    ///
    /// # Errors
    /// When the ring is broken.
    pub(super) fn connect_all(&mut self) -> std::io::Result<()> {
        if self.orders.close {
            return Ok(());
        }
        self.read_clock();
        let began = self.now;
        self.setting_up = true;
        let mut next = 0;
        while next < self.places.len() || self.connecting > 0 {
            let allowed = match self.orders.connect_rate {
                Some(rate) => ((self.now - began) as f64 / 1e9 * rate) as usize + 1,
                None => usize::MAX,
            };
            let most = allowed.min(self.places.len());
            while next < most && self.connecting < self.orders.connect_burst {
                self.open(next as u32);
                next += 1;
            }
            self.turn(self.now + 1_000_000)?;
        }
        self.setting_up = false;
        self.counts.setup_nanos = self.now - began;
        Ok(())
    }

    /// Makes requests for as long as was ordered, then waits for what is under way.
    ///
    /// # Errors
    /// When the ring is broken.
    pub(super) fn run(&mut self) -> std::io::Result<()> {
        self.read_clock();
        let began = self.now;
        let end = began + self.orders.duration;
        self.counting = (began + self.orders.warmup, end);
        let place = self.orders.place;
        let schedule = |rate| Schedule::new(rate, place, self.orders.duration);
        self.schedule = self.orders.rate.map(schedule);
        self.running = true;
        for index in 0..self.orders.active as u32 {
            let state = self.places[index as usize].state;
            if state == State::Idle || state == State::Closed {
                self.hand_out(index);
            }
        }
        while self.now < end {
            let due = self.schedule.as_ref().map(Schedule::next);
            let until = match due {
                Some(Some(at)) => (began + at).min(end),
                Some(None) | None => end,
            };
            let has_work = self.schedule.is_none() && !self.free.is_empty();
            self.turn(if has_work { self.now } else { until })?;
            self.ask(began);
        }
        self.running = false;
        self.count_unsent(end);
        let patience = end + self.orders.timeout;
        while self.now < patience && self.places.iter().any(|it| it.state == State::Busy) {
            self.turn(patience)?;
        }
        self.count_unfinished();
        Ok(())
    }

    /// Holds its connections until `is_over`.
    ///
    /// # Errors
    /// When the ring is broken.
    pub(super) fn hold(&mut self, is_over: impl Fn() -> bool) -> std::io::Result<()> {
        while !is_over() {
            self.turn(u64::MAX)?;
        }
        Ok(())
    }

    /// Closes everything and waits until the kernel has nothing of it.
    ///
    /// # Errors
    /// When the ring is broken.
    pub(super) fn close_all(&mut self) -> std::io::Result<()> {
        for index in 0..self.places.len() as u32 {
            self.places[index as usize].due = None;
            self.shut(index, false);
        }
        let patience = self.now + self.orders.timeout;
        while self.now < patience && self.places.iter().any(|it| it.fd.is_some()) {
            self.turn(patience)?;
        }
        // Closing is asked for, and done by the next turn.
        self.turn(self.now + 1_000_000)
    }

    /// One wait in the kernel, until then at most, and what it brought.
    fn turn(&mut self, until: u64) -> std::io::Result<()> {
        let sleep = Duration::from_nanos(until.saturating_sub(self.now)).min(SLEEP_MAX);
        self.driver.wait(sleep)?;
        self.read_clock();
        while let Some(event) = self.driver.next() {
            self.handle(event);
        }
        while let Some((_, index)) = self.resting.pop_front_if(|(until, _)| *until <= self.now) {
            self.hand_out(index);
        }
        if self.now >= self.next_look {
            self.next_look = self.now + LOOK_NANOS;
            self.give_up_waiting();
        }
        Ok(())
    }

    fn read_clock(&mut self) {
        self.now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    }

    /// Starts what is due as far as there are places.
    fn ask(&mut self, began: u64) {
        let Some(schedule) = &mut self.schedule else {
            // Each free place asks once more.
            for _ in 0..self.free.len() {
                if let Some(index) = self.free.pop_front() {
                    self.start(index, self.now);
                }
            }
            return;
        };
        while let Some(at) = schedule.take(self.now.saturating_sub(began)) {
            self.waiting.push_back(began + at);
        }
        while let (Some(&at), Some(&index)) = (self.waiting.front(), self.free.front()) {
            self.waiting.pop_front();
            self.free.pop_front();
            self.start(index, at);
        }
    }

    /// A place can take a request, if it is one that is asked on.
    pub(super) fn hand_out(&mut self, index: u32) {
        if self.running && (index as usize) < self.orders.active {
            self.free.push_back(index);
        }
    }

    fn start(&mut self, index: u32, due: u64) {
        let place = &mut self.places[index as usize];
        place.due = Some(due);
        match place.state {
            State::Idle => self.send(index),
            State::Closed => {
                if !self.orders.close {
                    self.counts.reconnects += 1;
                }
                self.open(index);
            }
            // It was closed meanwhile, and is handed out again with that.
            State::Closing | State::Connecting | State::Busy => {
                place.due = None;
                place.returns = true;
                if self.schedule.is_some() {
                    self.waiting.push_front(due);
                }
            }
        }
    }

    /// Sends the request of a place.
    pub(super) fn send(&mut self, index: u32) {
        let key = self.key(index);
        let mut segment = self.driver.buffers().empty();
        segment.append(&self.target(index).request);
        let place = &mut self.places[index as usize];
        let Some(fd) = &place.fd else {
            return self.driver.buffers().give(segment);
        };
        place.state = State::Busy;
        place.sending = true;
        place.began = self.now;
        self.counts.sent += 1;
        self.driver.send(key, fd.as_raw_fd(), segment);
    }

    /// Begins the connection of a place.
    fn open(&mut self, index: u32) {
        let address = self.target(index).address;
        let place = &mut self.places[index as usize];
        place.generation = (place.generation + 1) & 0x00ff_ffff;
        place.began = self.now;
        match connect(&address, &self.orders.sources, &mut self.source_turn) {
            Ok(fd) => {
                let raw = fd.as_raw_fd();
                place.fd = Some(fd);
                place.state = State::Connecting;
                place.polling = true;
                self.connecting += 1;
                let key = self.key(index);
                self.driver.poll(key, raw, Readiness::Writable);
            }
            Err(error) => self.not_connected(index, error),
        }
    }

    /// A place could not be connected, and has no descriptor.
    pub(super) fn not_connected(&mut self, index: u32, error: Errno) {
        let counts = match self.setting_up {
            true => &mut self.counts.connect_errors,
            false => &mut self.counts.errors,
        };
        *counts.entry(format!("connect: {error}")).or_default() += 1;
        self.places[index as usize].due = None;
        self.rest(index);
    }

    /// A place is handed out again a little later.
    pub(super) fn rest(&mut self, index: u32) {
        if self.running {
            self.resting.push_back((self.now + REST_NANOS, index));
        }
    }

    /// The handshake of a place is over, well or not.
    pub(super) fn connected(&mut self, index: u32) {
        self.connecting -= 1;
        let place = &mut self.places[index as usize];
        let Some(fd) = &place.fd else {
            return;
        };
        if !net::is_connected(fd.as_fd()) {
            let error = net::pending_error(fd.as_fd()).unwrap_or(Errno::CONNREFUSED);
            self.shut(index, false);
            return self.not_connected(index, error);
        }
        let took = (self.now - place.began).max(1);
        place.state = State::Idle;
        place.receiving = true;
        let raw = fd.as_raw_fd();
        let key = self.key(index);
        self.driver.receive(key, raw, Receive::Continuous);
        self.counts.connect.saturating_record(took);
        self.counts.established += u64::from(self.setting_up);
        if self.places[index as usize].due.is_some() {
            self.send(index);
        }
    }

    fn target(&self, index: u32) -> &Target {
        let targets = &self.orders.targets;
        &targets[index as usize % targets.len()]
    }

    pub(super) fn key(&self, index: u32) -> Key {
        Key {
            index,
            generation: self.places[index as usize].generation,
        }
    }

    /// Counts a request that was due `at` and answered now, if it is of those that count.
    pub(super) fn count_answer(&mut self, due: u64, began: u64) {
        self.counts.answered += 1;
        if due >= self.counting.0 && due < self.counting.1 {
            self.counts.counted += 1;
            self.counts
                .latency
                .saturating_record((self.now - due).max(1));
            self.counts
                .service
                .saturating_record((self.now - began).max(1));
        }
    }

    /// What was due and not sent has waited as long as this, at least.
    fn count_unsent(&mut self, end: u64) {
        while let Some(due) = self.waiting.pop_front() {
            self.counts.unsent += 1;
            if due >= self.counting.0 {
                self.counts.latency.saturating_record((end - due).max(1));
            }
        }
    }

    fn count_unfinished(&mut self) {
        for place in &self.places {
            if let (State::Busy, Some(due)) = (place.state, place.due) {
                self.counts.unfinished += 1;
                if due >= self.counting.0 {
                    self.counts
                        .latency
                        .saturating_record((self.now - due).max(1));
                }
            }
        }
    }
}

/// Starts a connection from the next address that has a port left.
fn connect(address: &SocketAddr, sources: &Sources, turn: &mut u32) -> Result<OwnedFd, Errno> {
    let is_v4 = address.is_ipv4();
    let count = sources.count(is_v4);
    for _ in 0..count.min(16) {
        let source = sources.at(is_v4, *turn % count);
        *turn = turn.wrapping_add(1);
        match net::connect(address, source) {
            Err(Errno::ADDRNOTAVAIL) => {}
            outcome => return outcome,
        }
    }
    match count {
        0 => net::connect(address, None),
        _ => Err(Errno::ADDRNOTAVAIL),
    }
}
