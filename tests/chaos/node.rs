//! A weir that is a machine of its own: a process in its network namespace, with a wall clock that
//! can be set. Its admin interface is a unix socket, so that whatever is cut, it can be asked.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::clock::Clock;
use crate::network::Place;
use crate::support::api::{Api, Reply};
use crate::support::{PATIENCE, eventually_within, inside};

/// How long an answer of the admin interface may take before it counts as none.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Where a node takes requests.
pub const HTTP_PORT: u16 = 8080;

/// Where nodes hear each other.
pub const GOSSIP_PORT: u16 = 7946;

/// A node. What it was given stays its own over all its processes.
pub struct Node {
    pub place: Place,
    clock: Clock,
    folder: PathBuf,
    child: Mutex<Option<Child>>,
    /// Odd while something is done to its process; how often that was.
    trouble: AtomicU64,
    /// The newest epoch that any response of it has carried.
    pub newest: AtomicU64,
}

impl Node {
    /// A node with this configuration; it does not run yet.
    pub fn new(place: Place, clock: Clock, folder: PathBuf, toml: &str) -> Node {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("weir.toml"), toml).unwrap();
        Node {
            place,
            clock,
            folder,
            child: Mutex::default(),
            trouble: AtomicU64::new(1),
            newest: AtomicU64::new(0),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// Where it has its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it takes requests.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.place.address, HTTP_PORT))
    }

    /// Starts its process and waits until it serves; answers how long that took.
    #[track_caller]
    pub fn start(&self) -> Duration {
        let begun = Instant::now();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"));
        let log = log.unwrap();
        let mut command = inside(&self.place.space, env!("CARGO_BIN_EXE_weir"));
        self.clock.of(&mut command);
        command
            .args(["run", "-c"])
            .arg(self.folder.join("weir.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().expect("ip is installed (Debian: iproute2)");
        *self.child.lock().unwrap() = Some(child);
        eventually_within(
            PATIENCE,
            &format!("{} serves; {}", self.name(), self.log()),
            || {
                let ready = self.ask("GET", "/ready", None);
                ready.is_ok_and(|ready| ready.status() == 200)
            },
        );
        self.trouble.fetch_add(1, Ordering::SeqCst);
        begun.elapsed()
    }

    /// kill -9.
    pub fn kill(&self) {
        self.trouble.fetch_add(1, Ordering::SeqCst);
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and the end it makes by itself.
    #[track_caller]
    pub fn end(&self) {
        self.trouble.fetch_add(1, Ordering::SeqCst);
        self.signal(Signal::TERM);
        let mut child = self.child.lock().unwrap().take().expect("it runs");
        eventually_within(PATIENCE, "it ends", || child.try_wait().unwrap().is_some());
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.trouble.fetch_add(1, Ordering::SeqCst);
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
        self.trouble.fetch_add(1, Ordering::SeqCst);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap();
        kill_process(Pid::from_child(child.as_ref().expect("it runs")), signal).unwrap();
    }

    /// A number that is the same as long as nothing is done to its process; none meanwhile.
    pub fn undisturbed(&self) -> Option<u64> {
        let trouble = self.trouble.load(Ordering::SeqCst);
        trouble.is_multiple_of(2).then_some(trouble)
    }

    /// Waits until a client has seen a newer epoch of it, but not for longer than this.
    pub fn await_newer(&self, within: Duration) {
        let (begun, before) = (Instant::now(), self.newest.load(Ordering::SeqCst));
        while self.newest.load(Ordering::SeqCst) == before && begun.elapsed() < within {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Sets its wall clock so many seconds ahead of ours, and sees that it goes by that.
    #[track_caller]
    pub fn set_clock(&self, seconds: i64) {
        self.clock.set(seconds);
        let ours = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs() as i64;
        let told = self.page("/v1/overview");
        let theirs = told.map(|told| told["at_ms"].as_i64().unwrap() / 1000);
        let ahead = theirs.expect("it answers") - ours;
        assert!(
            (ahead - seconds).abs() < 10,
            "{} is {ahead} s ahead",
            self.name()
        );
    }

    /// Asks its admin interface.
    pub fn ask(&self, method: &str, target: &str, body: Option<String>) -> std::io::Result<Reply> {
        self.api().try_ask(method, target, body, ANSWERS_WITHIN)
    }

    /// Asks with a condition on the epoch.
    pub fn ask_at(
        &self,
        epoch: u64,
        (method, target, body): (&str, &str, Option<String>),
    ) -> std::io::Result<Reply> {
        let api = self.api().with("If-Match", format!("\"{epoch}\""));
        api.try_ask(method, target, body, ANSWERS_WITHIN)
    }

    fn api(&self) -> Api {
        Api::at_socket(&self.folder.join("admin.sock"))
    }

    /// A page as JSON, if it answers.
    pub fn page(&self, target: &str) -> Option<Value> {
        let reply = self.ask("GET", target, None).ok()?;
        (reply.status() == 200).then(|| reply.json())
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        let log = self.log();
        if std::thread::panicking() {
            let lines: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- {} said at last ---", self.name());
            lines.iter().rev().for_each(|line| eprintln!("{line}"));
        } else {
            assert!(
                !log.contains("panicked at"),
                "{} panicked: {log}",
                self.name()
            );
        }
    }
}
