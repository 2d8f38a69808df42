//! A client that asks when a request is due and not when the one before it was answered, so that
//! whoever is slow is not asked less: one thread, one epoll, as many connections as it takes.
//!
//! Every request is written down: when it was due, when it ended, how, and who answered it.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::support::PATIENCE;
use crate::support::message::{Framing, Head};
use crate::support::wire::find;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// More are not opened; what is due waits and its time counts.
const CONNECTIONS_MAX: usize = 4096;

/// One request. Times are since the start of the load.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// When it was due.
    pub due: Duration,
    /// When its answer was complete, or it was lost.
    pub done: Duration,
    /// The status, or 0 if there was no answer.
    pub status: u16,
    /// The number in the id of the backend that answered.
    pub by: Option<u16>,
    /// What the answer said where no backend gave it.
    pub why: &'static str,
}

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Whom.
    pub address: SocketAddr,
    /// Requests a second.
    pub rate: u64,
    /// Whether every request has a connection of its own.
    pub fresh: bool,
}

/// A load under way.
pub struct Running {
    start: Instant,
    shared: Arc<Shared>,
    thread: JoinHandle<Vec<Record>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
}

impl Load {
    /// Begins.
    pub fn start(self) -> Running {
        let shared = Arc::new(Shared::default());
        let (start, seen) = (Instant::now(), Arc::clone(&shared));
        let thread = std::thread::spawn(move || Asker::new(self, start, seen).run());
        Running {
            start,
            shared,
            thread,
        }
    }
}

impl Running {
    /// How long it has been going on.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Answers so far, of whatever status.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Relaxed)
    }

    /// Ends it; every request that was sent is waited for.
    pub fn stop(self) -> Vec<Record> {
        self.shared.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// When the request that is under way here was due.
    due: Option<Duration>,
}

struct Asker {
    load: Load,
    start: Instant,
    shared: Arc<Shared>,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    idle: Vec<usize>,
    free: Vec<usize>,
    waiting: VecDeque<Duration>,
    records: Vec<Record>,
    reasons: Reasons,
}

impl Asker {
    fn new(load: Load, start: Instant, shared: Arc<Shared>) -> Asker {
        Asker {
            load,
            start,
            shared,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
            connections: Vec::new(),
            idle: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            records: Vec::new(),
            reasons: Reasons::default(),
        }
    }

    fn run(mut self) -> Vec<Record> {
        let mut events = Vec::with_capacity(512);
        let mut issued = 0_u64;
        let mut stopped = None;
        loop {
            let now = self.start.elapsed();
            if stopped.is_none() && self.shared.stop.load(Relaxed) {
                stopped = Some(now);
            }
            let mut wait = Duration::from_millis(50);
            if stopped.is_none() {
                let due =
                    |number: u64| Duration::from_nanos(number * 1_000_000_000 / self.load.rate);
                while due(issued) <= now {
                    self.waiting.push_back(due(issued));
                    issued += 1;
                }
                wait = wait.min(due(issued) - now);
            }
            while let Some(due) = self.waiting.front().copied()
                && self.send(due)
            {
                self.waiting.pop_front();
            }
            let under_way = self
                .connections
                .iter()
                .flatten()
                .any(|one| one.due.is_some());
            if let Some(since) = stopped {
                if !under_way && self.waiting.is_empty() {
                    return self.records;
                }
                if now > since + PATIENCE {
                    self.give_up(now);
                }
            }
            let wait = Timespec::try_from(wait).unwrap();
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            if let Err(error) = epoll::wait(&self.epoll, room, Some(&wait)) {
                assert_eq!(error, rustix::io::Errno::INTR);
            }
            for event in &events {
                self.receive(usize::try_from(event.data.u64()).unwrap());
            }
        }
    }

    /// Sends the request that was due then; false if there is no connection to be had.
    fn send(&mut self, due: Duration) -> bool {
        let idle = (!self.load.fresh).then(|| self.idle.pop()).flatten();
        let Some(at) = idle.or_else(|| self.connect(due)) else {
            return self.connections.len() - self.free.len() < CONNECTIONS_MAX;
        };
        let connection = self.connections[at].as_mut().expect("it is idle");
        connection.due = Some(due);
        let request = if self.load.fresh {
            LAST_REQUEST
        } else {
            REQUEST
        };
        if connection.stream.write(request).ok() != Some(request.len()) {
            self.lose(at);
        }
        true
    }

    /// A new connection; none if there are too many, or if this one is lost with its request.
    fn connect(&mut self, due: Duration) -> Option<usize> {
        if self.connections.len() - self.free.len() >= CONNECTIONS_MAX {
            return None;
        }
        let Ok(stream) = TcpStream::connect_timeout(&self.load.address, PATIENCE) else {
            self.note(due, (0, None, "not connected"));
            return None;
        };
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let at = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let (data, flags) = (epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN);
        epoll::add(&self.epoll, &stream, data, flags).unwrap();
        self.connections[at] = Some(Connection {
            stream,
            buffer: Vec::new(),
            due: None,
        });
        Some(at)
    }

    fn receive(&mut self, at: usize) {
        let Some(connection) = self.connections[at].as_mut() else {
            return;
        };
        let mut chunk = [0; 4096];
        match connection.stream.read(&mut chunk) {
            Ok(count) if count > 0 => connection.buffer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            _ => return self.lose(at),
        }
        let Some((status, body, closes)) = answer(&connection.buffer) else {
            return;
        };
        let by = number_of(body);
        let why = match by {
            Some(_) => "",
            None => self.reasons.of(body),
        };
        connection.buffer.clear();
        let due = connection
            .due
            .take()
            .expect("nobody answers who was not asked");
        self.shared.answered.fetch_add(1, Relaxed);
        self.note(due, (status, by, why));
        match closes || self.load.fresh {
            true => self.lose(at),
            false => self.idle.push(at),
        }
    }

    /// A connection is over, and with it the request that was under way.
    fn lose(&mut self, at: usize) {
        let gone = self.connections[at].take().expect("it is open");
        self.idle.retain(|idle| *idle != at);
        self.free.push(at);
        if let Some(due) = gone.due {
            self.note(due, (0, None, "closed"));
        }
    }

    fn give_up(&mut self, now: Duration) {
        for at in 0..self.connections.len() {
            if self.connections[at].is_some() {
                self.lose(at);
            }
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.records.extend(waiting.into_iter().map(|due| Record {
            due,
            done: now,
            status: 0,
            by: None,
            why: "never sent",
        }));
    }

    fn note(&mut self, due: Duration, (status, by, why): (u16, Option<u16>, &'static str)) {
        let done = self.start.elapsed();
        self.records.push(Record {
            due,
            done,
            status,
            by,
            why,
        });
    }
}

/// What proxies say when they answer themselves: a few sentences, each kept once.
#[derive(Default)]
struct Reasons(Vec<&'static str>);

impl Reasons {
    fn of(&mut self, body: &[u8]) -> &'static str {
        let said = String::from_utf8_lossy(body).trim().to_owned();
        if let Some(known) = self.0.iter().find(|known| **known == said) {
            return known;
        }
        let said: &'static str = said.leak();
        self.0.push(said);
        said
    }
}

/// The number in the id of a backend, if that is what it says.
fn number_of(body: &[u8]) -> Option<u16> {
    let id = std::str::from_utf8(body).ok()?;
    id.strip_prefix('b')?.parse().ok()
}

/// The status of a complete answer, its body, and whether it is the last.
fn answer(bytes: &[u8]) -> Option<(u16, &[u8], bool)> {
    let end = find(bytes, b"\r\n\r\n")? + 4;
    let head = Head::parse(bytes[..end].to_vec()).unwrap();
    let length = match head.response_framing("GET").unwrap() {
        Framing::Length(length) => usize::try_from(length).unwrap(),
        Framing::None => 0,
        other => panic!("{other:?}: {head:?}"),
    };
    let body = bytes.get(end..end + length)?;
    Some((head.status(), body, head.connection("close")))
}
