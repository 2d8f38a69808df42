//! What a supervisor is told, by a socket that stands for systemd's.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{PATIENCE, Proxy, Settings, Upstream};

/// Where weir tells how it is.
struct Supervisor {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Supervisor {
    fn new() -> Supervisor {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Supervisor { socket, directory }
    }

    /// Starts weir under it, which is to give a sign of life within `watchdog` if there is one.
    fn start(&self, settings: &Settings, watchdog: Option<Duration>) -> Proxy {
        let notify = self.directory.path().join("notify");
        Proxy::started_as(settings, &move |directory: &Path| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
            command
                .arg("run")
                .arg("-c")
                .arg(directory.join("weir.toml"));
            command.env("NOTIFY_SOCKET", &notify);
            if let Some(watchdog) = watchdog {
                command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
            }
            command
        })
    }

    /// The next message, by its lines.
    fn next(&self) -> Vec<String> {
        let mut room = [0; 4096];
        let length = self.socket.recv(&mut room).expect("a message in time");
        let text = std::str::from_utf8(&room[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Throws away what was told so far.
    fn forget(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 256]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

#[test]
fn a_supervisor_hears_of_the_start_reloads_upgrades_and_the_end() {
    let supervisor = Supervisor::new();
    let upstream = Upstream::named("b");
    let settings = Settings::http_to(&[&upstream]);
    let mut proxy = supervisor.start(&settings, None);
    assert_eq!(supervisor.next(), ["READY=1", "STATUS=serving, epoch 1"]);

    proxy.signal(Signal::HUP);
    let reloading = supervisor.next();
    assert_eq!(reloading[0], "RELOADING=1");
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let told: i64 = reloading[1]
        .strip_prefix("MONOTONIC_USEC=")
        .unwrap()
        .parse()
        .unwrap();
    let now = monotonic.tv_sec * 1_000_000 + monotonic.tv_nsec / 1000;
    assert!((now - 60_000_000..=now).contains(&told), "{told} at {now}");
    assert_eq!(supervisor.next()[0], "READY=1");
    proxy.reload_text("nonsense");
    assert_eq!(supervisor.next()[0], "RELOADING=1");
    assert_eq!(
        supervisor.next()[0],
        "READY=1",
        "the old configuration serves"
    );

    let first = proxy.pid();
    proxy.rewrite(settings);
    proxy.upgrade();
    assert_ne!(proxy.pid(), first);
    assert_eq!(supervisor.next(), [format!("MAINPID={}", proxy.pid())]);
    assert_eq!(supervisor.next()[0], "READY=1");
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));

    proxy.signal(Signal::TERM);
    assert_eq!(
        supervisor.next()[0],
        "STOPPING=1",
        "and nothing of the first one's end"
    );
}

#[test]
fn signs_of_life_come_in_time_also_from_the_process_that_takes_over() {
    let limit = Duration::from_millis(1500);
    let supervisor = Supervisor::new();
    let upstream = Upstream::named("b");
    let settings = Settings::http_to(&[&upstream]).workers("2");
    let mut proxy = supervisor.start(&settings, Some(limit));
    let signs = || {
        // Before those that wait already are thrown away: the others are sent after this moment.
        let start = Instant::now();
        supervisor.forget();
        let mut signs = 0;
        while signs < 4 {
            if supervisor.next() == ["WATCHDOG=1"] {
                signs += 1;
            }
        }
        // A busy machine may be late, but they come again and again, and not all at once.
        assert!(start.elapsed() > limit / 3, "{:?}", start.elapsed());
    };
    signs();
    proxy.upgrade();
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
    signs();
}
