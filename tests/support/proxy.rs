//! The proxy under test: a process of the real binary with its own directory and ports.
//!
//! Dropping it kills the process and, unless the test fails already, asserts that it said nothing
//! of a panic. When the test fails, what it wrote to its standard error is shown.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::message::Message;
use super::metrics::Metrics;
use super::peer::Peer;
use super::{Client, PATIENCE, Settings, Wire, eventually, observe, port};

/// A running proxy.
pub struct Proxy {
    child: Child,
    /// The process that has taken over from the child, started by it.
    heir: Option<Pid>,
    settings: Settings,
    directory: tempfile::TempDir,
    peer: Peer,
}

impl Settings {
    /// Starts the proxy with these settings and waits until it serves.
    #[track_caller]
    pub fn start(&self) -> Proxy {
        let proxy = self.launch();
        proxy.wait_until_ready();
        proxy
    }

    /// Starts the proxy with these settings without waiting.
    pub fn launch(&self) -> Proxy {
        let peer = Peer::chosen();
        let directory = tempfile::Builder::new()
            .prefix("weir-test-")
            .tempdir()
            .unwrap();
        peer.write(self, directory.path());
        let child = spawn(&mut peer.command(directory.path()), directory.path());
        Proxy {
            child,
            heir: None,
            settings: self.clone(),
            directory,
            peer,
        }
    }
}

fn spawn(command: &mut Command, directory: &Path) -> Child {
    let path = directory.join("stderr");
    let stderr = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path);
    let stderr = stderr.unwrap();
    command
        .stdin(Stdio::null())
        .stdout(stderr.try_clone().unwrap())
        .stderr(stderr);
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

impl Proxy {
    /// Kills it and starts it again by the file and the store it left. The kernel may take its
    /// sockets down only after it is gone: until then it gives them connections.
    #[track_caller]
    pub fn kill_and_start(&mut self) {
        let sockets = observe::listening_of(self.child.id());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        eventually("its sockets are gone", || {
            observe::listening().is_disjoint(&sockets)
        });
        let mut command = self.peer.command(self.directory.path());
        self.child = spawn(&mut command, self.directory.path());
        self.wait_until_ready();
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where its admin interface is.
    pub fn admin_address(&self) -> SocketAddr {
        self.settings.admin.address()
    }

    /// Waits until `/ready` says that all cores serve.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        let admin = self.settings.admin.address();
        let listeners: Vec<_> = self
            .settings
            .listeners
            .iter()
            .map(|l| l.port.address())
            .collect();
        eventually(
            &format!("the proxy is ready; it said: {}", self.stderr()),
            || {
                self.assert_running();
                match self.peer {
                    Peer::Haproxy | Peer::Nginx => listeners.iter().all(|at| port::listens(*at)),
                    Peer::Weir => port::listens(admin) && self.admin("/ready").status() == 200,
                }
            },
        );
    }

    #[track_caller]
    fn assert_running(&self) {
        let state = observe::state(self.pid());
        assert!(
            !matches!(state, None | Some('Z')),
            "the proxy ended: {}",
            self.stderr()
        );
    }

    /// Where its first listener is.
    pub fn address(&self) -> SocketAddr {
        self.settings.listeners[0].port.address()
    }

    /// Where a listener is.
    #[track_caller]
    pub fn address_of(&self, name: &str) -> SocketAddr {
        let listener = self
            .settings
            .listeners
            .iter()
            .find(|listener| listener.name == name);
        listener.expect("a listener of that name").port.address()
    }

    /// A new connection to the first listener.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// A new connection to the first listener, for bytes.
    #[track_caller]
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address())
    }

    /// Asserts that a new connection to the first listener is reset, perhaps so soon that it is
    /// connecting that fails.
    #[track_caller]
    pub fn expect_refusal(&self) {
        match Wire::try_connect(self.address()) {
            Ok(mut wire) => wire.expect_reset(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    /// What the admin API answers to a GET.
    #[track_caller]
    pub fn admin(&self, target: &str) -> Message {
        let mut client = Client::connect(self.settings.admin.address());
        client.ask(format!(
            "GET {target} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"
        ))
    }

    /// All metrics now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let answer = self.admin("/metrics");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        Metrics::parse(&answer.text())
    }

    /// Waits until a sum of metrics has a value.
    #[track_caller]
    pub fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let mut last = None;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            last = self.metrics().sum(name, labels);
            if last == Some(value) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = self.metrics().text().to_owned();
        let near: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
        panic!("{name}{labels:?} is {last:?}, not {value}: {near:#?}");
    }

    /// What `/v1/epoch` says.
    #[track_caller]
    pub fn epochs(&self) -> serde_json::Value {
        let answer = self.admin("/v1/epoch");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The epoch every core serves, or none while a core is behind.
    #[track_caller]
    pub fn epoch(&self) -> Option<u64> {
        let epochs = self.epochs();
        let published = epochs["published"]
            .as_u64()
            .unwrap_or_else(|| panic!("{epochs}"));
        epochs["stragglers"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(published)
    }

    /// Lines of the access log so far.
    pub fn log_lines(&self) -> Vec<String> {
        let path = self.directory.path().join("access.log");
        let bytes = std::fs::read(path).unwrap_or_default();
        let text = String::from_utf8(bytes).expect("the access log is UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    /// The access log once it has `count` lines; fails if there are more.
    #[track_caller]
    pub fn wait_for_log_lines(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} log lines"), || {
            self.log_lines().len() >= count
        });
        let lines = self.log_lines();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// What it wrote to standard error and output.
    pub fn stderr(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        let heir = self
            .heir
            .map(|heir| heir.as_raw_nonzero().get().unsigned_abs());
        heir.unwrap_or_else(|| self.child.id())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self.heir.unwrap_or_else(|| Pid::from_child(&self.child));
        kill_process(pid, signal).unwrap();
    }

    /// Starts it with `program` in place of the binary, and waits until it serves.
    #[track_caller]
    pub fn started_as(settings: &Settings, program: &dyn Fn(&Path) -> Command) -> Proxy {
        let directory = tempfile::Builder::new().prefix("weir-test-").tempdir();
        let directory = directory.unwrap();
        let peer = Peer::Weir;
        peer.write(settings, directory.path());
        let proxy = Proxy {
            child: spawn(&mut program(directory.path()), directory.path()),
            heir: None,
            settings: settings.clone(),
            directory,
            peer,
        };
        proxy.wait_until_ready();
        proxy
    }

    /// Writes new settings without a word to the process.
    pub fn rewrite(&mut self, settings: Settings) {
        self.peer.write(&settings, self.directory.path());
        self.settings = settings;
    }

    /// The process that answers at the admin interface.
    #[track_caller]
    pub fn serving_pid(&self) -> u32 {
        let status = self.admin("/v1/status");
        assert_eq!(status.status(), 200, "{}", status.text());
        let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
        let pid = status["process"]["pid"].as_u64();
        u32::try_from(pid.expect("a process")).unwrap()
    }

    /// Has the process start another one that takes over, and waits until it has.
    #[track_caller]
    pub fn upgrade(&mut self) {
        let before = self.pid();
        self.signal(Signal::USR2);
        eventually("another process has taken over", || {
            self.serving_pid() != before
        });
        self.heir = Pid::from_raw(self.serving_pid().cast_signed());
    }

    /// Starts a process that takes over, waits until it has, and gives the one before.
    #[track_caller]
    pub fn take_over(&mut self) -> Child {
        let mut command = self.peer.command(self.directory.path());
        let child = spawn(command.arg("--takeover"), self.directory.path());
        let pid = child.id();
        let before = std::mem::replace(&mut self.child, child);
        self.heir = None;
        eventually("the other process has taken over", || {
            self.serving_pid() == pid
        });
        before
    }

    /// Writes new settings and asks for a reload; returns once every core serves them.
    #[track_caller]
    pub fn reload(&mut self, settings: Settings) {
        let before = self.epoch().expect("no reload is under way");
        self.peer.write(&settings, self.directory.path());
        self.settings = settings;
        self.signal(Signal::HUP);
        eventually("a newer epoch on every core", || {
            self.epoch() > Some(before)
        });
        self.wait_until_ready();
    }

    /// Replaces the file by any text and asks for a reload, which may well be refused.
    pub fn reload_text(&self, text: &str) {
        std::fs::write(self.directory.path().join("weir.toml"), text).unwrap();
        self.signal(Signal::HUP);
    }

    /// Its settings as text, to be broken by a test.
    pub fn text(&self) -> String {
        self.settings.toml(self.directory.path())
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn wait_for_exit(&mut self, deadline: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < deadline,
                "still running; it said: {}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        match self.peer {
            // Its worker is a process of its own that only the master can end.
            Peer::Nginx => self.signal(Signal::TERM),
            Peer::Haproxy | Peer::Weir => drop(self.child.kill()),
        }
        if let Some(heir) = self.heir {
            let _ = kill_process(heir, Signal::KILL);
        }
        let _ = self.child.wait();
        let said = self.stderr();
        if std::thread::panicking() {
            eprintln!("--- the proxy said ---\n{said}----------------------");
        } else {
            assert!(!said.contains("panicked at"), "the proxy panicked: {said}");
        }
    }
}
