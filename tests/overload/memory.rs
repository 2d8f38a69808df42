//! Out of memory, by our own limit and by that of a cgroup: what comes is shed, what is there goes
//! on, and it ends when the memory is free again.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{shed, wait_for_action};
use crate::support::{Proxy, Settings, Upstream, Wire, eventually, observe};

fn echo() -> Upstream {
    Upstream::scripted(|mut connection| {
        while let Ok(bytes) = connection.read_some() {
            if bytes.is_empty() || !connection.try_send(bytes) {
                return;
            }
        }
    })
}

/// A listener to talk over, and one to fill memory by: whoever does not finish a long head there
/// costs as much as it is long.
fn settings(upstream: &Upstream, overload: &str) -> Settings {
    Settings::tcp_to(&[upstream])
        .listener("fill", "http")
        .timeout("head", "120s")
        .limit("head_bytes", "\"64KiB\"")
        .to("app")
        .section(overload)
}

/// Some 60 KB of a head that does not end.
fn beginning() -> String {
    let mut text = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    for number in 0..60 {
        text.push_str(&format!("X-{number}: {}\r\n", "x".repeat(990)));
    }
    text
}

/// Fills the proxy's memory until it refuses, then gives the memory back.
fn fill_and_drain(proxy: &Proxy) {
    let mut talking = proxy.connect();
    talking.send("a");
    assert_eq!(talking.read_exactly(1), b"a");
    let (beginning, mut filling) = (beginning(), Vec::new());
    eventually("new connections are refused", || {
        for _ in 0..10 {
            if let Ok(mut wire) = Wire::try_connect(proxy.address_of("fill")) {
                wire.try_send(&beginning);
                filling.push(wire);
            }
        }
        shed(proxy, "answered") + shed(proxy, "reset") >= 1.0
            || proxy
                .metrics()
                .count("weir_overload_actions_total", &[("action", "refuse")])
                >= 1.0
    });
    let full = observe::resident_bytes(proxy.pid());
    for _ in 0..20 {
        talking.send("b");
        assert_eq!(talking.read_exactly(1), b"b");
    }
    proxy.expect_refusal();
    drop(filling);
    wait_for_action(proxy, "refuse", 0.0);
    let mut fresh = proxy.connect();
    fresh.send("c");
    assert_eq!(fresh.read_exactly(1), b"c");
    talking.send("d");
    assert_eq!(talking.read_exactly(1), b"d");
    let now = observe::resident_bytes(proxy.pid());
    assert!(now < full, "{now} bytes, {full} before");
}

#[test]
fn at_its_own_limit_it_sheds_and_recovers() {
    let upstream = echo();
    let overload = "[overload]\nclose_idle = \"never\"\nrefuse = 90\nmemory_max = \"64MiB\"";
    let proxy = settings(&upstream, overload).start();
    fill_and_drain(&proxy);
}

#[test]
fn at_the_limit_of_its_cgroup_too() {
    let upstream = echo();
    let overload = "[overload]\nclose_idle = \"never\"\nrefuse = 80";
    let settings = settings(&upstream, overload);
    let Some(group) = Group::make("weir-test-memory", 80 << 20) else {
        // Only where nobody may make one (a container): then the limit is read from files in the
        // unit tests of `runtime::pressure`, and kept by the test above.
        // Said past the capture of tests, so that nobody takes it for tried.
        let said = "overload::memory: NOT TRIED, no memory cgroup can be made here";
        std::io::Write::write_all(&mut std::io::stderr(), format!("{said}\n").as_bytes()).unwrap();
        return;
    };
    let proxy = Proxy::started_as(&settings, &|directory| group.command(directory));
    fill_and_drain(&proxy);
    drop(proxy);
}

/// A cgroup with a limit of memory, of either version.
struct Group(PathBuf);

impl Group {
    fn make(name: &str, bytes: u64) -> Option<Group> {
        let name = format!("{name}-{}", std::process::id());
        for (root, limit) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ] {
            let folder = Path::new(root).join(&name);
            // What is a folder of another kind of file system has no such file.
            if !Path::new(root).join("cgroup.procs").exists() {
                continue;
            }
            if std::fs::create_dir(&folder).is_ok() {
                let group = Group(folder);
                if std::fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }

    /// The proxy, started inside.
    fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new("sh");
        let enter = "echo $$ > \"$1/cgroup.procs\" && exec \"$2\" run -c \"$3\"";
        command.args(["-c", enter, "sh"]);
        command.arg(&self.0).arg(env!("CARGO_BIN_EXE_weir"));
        command.arg(directory.join("weir.toml"));
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It empties when the process in it is reaped.
        for _ in 0..200 {
            if std::fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
