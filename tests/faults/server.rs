//! A backend as a process of its own, so that kill -9 and SIGSTOP are what they are elsewhere.
//!
//! The process is this test binary again, told by its environment to be a [`Backend`]. It takes
//! orders on its standard input, and ends when that does: no backend outlives its test, however
//! the test ended. What it found wrong in the requests it got fails the test at its end.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::backend::{Backend, Orders};
use crate::support::port::{Port, listens};
use crate::support::{PATIENCE, eventually_within};

const ADDRESS: &str = "WEIR_FAULT_BACKEND_ADDRESS";
const ID: &str = "WEIR_FAULT_BACKEND_ID";

/// A backend, running or not.
pub struct Server {
    id: String,
    port: Port,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Child,
    orders: ChildStdin,
}

impl Server {
    /// Starts one on a port of its own.
    pub fn start(id: &str) -> Server {
        let server = Server {
            id: id.to_owned(),
            port: Port::fresh(),
            running: Mutex::default(),
        };
        server.revive();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Starts it again where it was, unless it runs; returns when it listens.
    pub fn revive(&self) {
        let mut place = self.running.lock().unwrap();
        if place.is_some() {
            return;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "server::the_process_of_a_backend"])
            .args(["--ignored", "--nocapture"])
            .env(ADDRESS, self.address().to_string())
            .env(ID, &self.id)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        *place = Some(Running { child, orders });
        // A machine that is busy with other programs is slow to start another one.
        eventually_within(4 * PATIENCE, "the backend listens", || {
            listens(self.address())
        });
    }

    /// kill -9.
    pub fn kill(&self) {
        if let Some(mut running) = self.take() {
            running.child.kill().unwrap();
            running.child.wait().unwrap();
        }
    }

    /// As a deploy ends it: by itself, once nobody needs it.
    pub fn end(&self) {
        if let Some(Running { mut child, orders }) = self.take() {
            drop(orders);
            let status = child.wait().unwrap();
            assert!(status.success(), "{}: {status}", self.id);
        }
    }

    /// SIGSTOP: its kernel still accepts, and nobody answers.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Answers everything with this status from now on.
    pub fn answer_with(&self, status: u16) {
        self.order(&format!("status {status}"));
    }

    /// Takes so long for every answer from now on.
    pub fn take_time(&self, delay: Duration) {
        self.order(&format!("delay {}", delay.as_millis()));
    }

    fn take(&self) -> Option<Running> {
        // Also of one that did not come up, which the test ends with.
        let running = self.running.lock();
        running.unwrap_or_else(PoisonError::into_inner).take()
    }

    fn order(&self, order: &str) {
        let mut place = self.running.lock().unwrap();
        let running = place.as_mut().expect("it runs");
        writeln!(running.orders, "{order}").unwrap();
    }

    fn signal(&self, signal: Signal) {
        let place = self.running.lock().unwrap();
        let running = place.as_ref().expect("it runs");
        kill_process(Pid::from_child(&running.child), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => self.kill(),
            false => self.end(),
        }
    }
}

#[test]
#[ignore = "the process of a backend: the others start it"]
fn the_process_of_a_backend() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let id = std::env::var(ID).unwrap();
    let address = address.parse().unwrap();
    let _kept = Port::at(address).expect("its port is kept for it");
    let orders = Orders {
        status: AtomicU64::new(200),
        delay: AtomicU64::new(0),
        end: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| obey(&orders));
        Backend::at(address, &id, &orders).run();
    });
}

/// Takes orders until there can be none any more, which is the order to end.
fn obey(orders: &Orders) {
    for order in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (what, value) = order.split_once(' ').unwrap();
        let value = value.parse().unwrap();
        match what {
            "status" => orders.status.store(value, Relaxed),
            "delay" => orders.delay.store(value, Relaxed),
            other => panic!("no such order: {other}"),
        }
    }
    orders.end.store(true, Relaxed);
}
