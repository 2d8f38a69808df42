//! The backend itself: one thread, one epoll, whatever the number of connections.
//!
//! At 20,000 requests a second the load, ten backends and weir share two cores. A thread for each
//! connection, as the other tests have it, costs more than weir does, and then the machine is what
//! fails. Requests here have no body and come one at a time on a connection.

use std::collections::{BTreeSet, HashMap};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::support::canon;
use crate::support::upstream::listen;

/// The listener's number among those of connections, which begin with 1.
const LISTENER: u64 = 0;

/// The first request of a connection is judged, and every so many of all.
const JUDGED: u64 = 64;

/// How it is told to behave while it runs.
#[derive(Debug)]
pub struct Orders {
    /// The status of every answer.
    pub status: AtomicU64,
    /// Milliseconds that every answer takes.
    pub delay: AtomicU64,
    /// Whether it is to end.
    pub end: AtomicBool,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// A request was received and is not answered yet.
    asked: bool,
    asked_before: bool,
}

/// A backend that answers everything with its id.
pub struct Backend<'a> {
    id: &'a str,
    orders: &'a Orders,
    listener: TcpListener,
    epoll: OwnedFd,
    connections: HashMap<u64, Connection>,
    accepted: u64,
    requests: u64,
    /// Answers that take time: when they are due, and on which connection.
    late: BTreeSet<(Instant, u64)>,
    complaints: Vec<String>,
}

impl Backend<'_> {
    /// Listens at `address`.
    pub fn at<'a>(address: SocketAddr, id: &'a str, orders: &'a Orders) -> Backend<'a> {
        let listener = listen(address);
        listener.set_nonblocking(true).unwrap();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let data = epoll::EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, data, epoll::EventFlags::IN).unwrap();
        Backend {
            id,
            orders,
            listener,
            epoll,
            connections: HashMap::new(),
            accepted: 0,
            requests: 0,
            late: BTreeSet::new(),
            complaints: Vec::new(),
        }
    }

    /// Serves until it is told to end; what was wrong with the requests it got is a panic then.
    pub fn run(mut self) {
        let mut events = Vec::with_capacity(512);
        while !self.orders.end.load(Relaxed) {
            let wait = self.until_next().min(Duration::from_millis(20));
            let wait = Timespec::try_from(wait).unwrap();
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            if let Err(error) = epoll::wait(&self.epoll, room, Some(&wait)) {
                assert_eq!(error, rustix::io::Errno::INTR);
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    number => self.receive(number),
                }
            }
            self.answer_late();
        }
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }

    fn until_next(&self) -> Duration {
        self.late.first().map_or(Duration::MAX, |(due, _)| {
            due.saturating_duration_since(Instant::now())
        })
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            self.accepted += 1;
            let data = epoll::EventData::new_u64(self.accepted);
            epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN).unwrap();
            let connection = Connection {
                stream,
                received: Vec::new(),
                asked: false,
                asked_before: false,
            };
            self.connections.insert(self.accepted, connection);
        }
    }

    fn receive(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let mut chunk = [0; 4096];
        match connection.stream.read(&mut chunk) {
            Ok(count) if count > 0 => connection.received.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            _ => {
                self.connections.remove(&number);
                return;
            }
        }
        if connection.received.ends_with(b"\r\n\r\n") && !connection.asked {
            self.take_request(number);
        }
    }

    fn take_request(&mut self, number: u64) {
        let connection = self.connections.get_mut(&number).expect("it has asked");
        if !connection.asked_before || self.requests.is_multiple_of(JUDGED) {
            let verdict = canon::judge(&connection.received);
            if !verdict.violations.is_empty() || verdict.messages.len() != 1 {
                self.complaints.push(format!("{verdict:?}"));
            }
        }
        self.requests += 1;
        connection.received.clear();
        (connection.asked, connection.asked_before) = (true, true);
        match self.orders.delay.load(Relaxed) {
            0 => self.answer(number),
            delay => {
                let due = Instant::now() + Duration::from_millis(delay);
                self.late.insert((due, number));
            }
        }
    }

    fn answer_late(&mut self) {
        let now = Instant::now();
        while self.late.first().is_some_and(|(due, _)| *due <= now) {
            let (_, number) = self.late.pop_first().expect("there is a first");
            self.answer(number);
        }
    }

    fn answer(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.asked = false;
        let (status, id) = (self.orders.status.load(Relaxed), self.id);
        let length = id.len();
        let bytes = format!("HTTP/1.1 {status} Any\r\nContent-Length: {length}\r\n\r\n{id}");
        if connection.stream.write(bytes.as_bytes()).ok() != Some(bytes.len()) {
            self.connections.remove(&number);
        }
    }
}
