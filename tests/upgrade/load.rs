//! Clients that ask without a pause, over kept connections and over one connection for each
//! request, and count what goes wrong.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{Scope, sleep};
use std::time::Duration;

use crate::support::{Client, Ending, Wire};

/// What clients have seen so far.
#[derive(Default)]
pub struct Load {
    stop: AtomicBool,
    /// Requests answered as they should be.
    pub served: AtomicU64,
    /// Connections opened.
    pub connections: AtomicU64,
    /// What went wrong, each in words.
    pub failures: Mutex<Vec<String>>,
}

/// How a client uses connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Keeps,
    OpensEach,
}

impl Load {
    /// Starts so many clients of each kind, which ask until what is returned is dropped.
    #[must_use]
    pub fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        address: SocketAddr,
        (keeping, opening): (usize, usize),
    ) -> Ending<'scope> {
        let keeping = std::iter::repeat_n(Habit::Keeps, keeping);
        let habits = keeping.chain(std::iter::repeat_n(Habit::OpensEach, opening));
        for habit in habits {
            scope.spawn(move || self.ask_on(address, habit));
        }
        Ending(&self.stop)
    }

    /// Waits until so many requests were served, or something has gone wrong.
    pub fn wait_for(&self, count: u64) {
        while self.served.load(Relaxed) < count && self.failures.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(5));
        }
    }

    /// Asserts that nothing went wrong, and says what was done.
    #[track_caller]
    pub fn assert_clean(&self, what: &str) {
        let failures = self.failures.lock().unwrap();
        let (served, opened) = (self.served.load(Relaxed), self.connections.load(Relaxed));
        println!(
            "{what}: {served} requests over {opened} connections, {} failed",
            failures.len()
        );
        assert!(failures.is_empty(), "{what}: {failures:#?}");
    }

    fn ask_on(&self, address: SocketAddr, habit: Habit) {
        let mut kept: Option<Client> = None;
        while !self.stop.load(Relaxed) {
            let client = match kept.take() {
                Some(client) => Ok(client),
                None => {
                    self.connections.fetch_add(1, Relaxed);
                    Wire::try_connect(address).map(Client::on)
                }
            };
            match client {
                Ok(client) => kept = self.ask(client, habit),
                Err(error) => self.fail(format!("connect: {error}")),
            }
        }
    }

    /// Asks once; gives the connection back if it may be used again.
    fn ask(&self, mut client: Client, habit: Habit) -> Option<Client> {
        let close = match habit {
            Habit::Keeps => "",
            Habit::OpensEach => "Connection: close\r\n",
        };
        if !client.try_send(format!("GET / HTTP/1.1\r\nHost: a\r\n{close}\r\n")) {
            self.fail("not taken".into());
            return None;
        }
        match client.try_response() {
            Ok(answer) if answer.status() == 200 => {
                self.served.fetch_add(1, Relaxed);
                let closes = answer.field("connection") == Some("close");
                (habit == Habit::Keeps && !closes).then_some(client)
            }
            Ok(answer) => {
                self.fail(format!("status {}", answer.status()));
                None
            }
            Err(broken) => {
                self.fail(format!("{broken:?}"));
                None
            }
        }
    }

    fn fail(&self, what: String) {
        let mut failures = self.failures.lock().unwrap();
        if failures.len() < 1000 {
            failures.push(what);
        }
    }
}
