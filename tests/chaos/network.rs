//! A network of its own for one test: a namespace with a bridge, to which every machine is
//! connected that has a namespace of its own.
//!
//! The thread that makes it moves in, and with it every thread and process it starts: clients and
//! backends are where the bridge is. What passes between two machines is decided there, frame by
//! frame, so that nobody at the ends sees more than silence, as with a cable that is broken.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where namespaces with names are.
const SPACES: &str = "/run/netns";

/// What the names of ours begin with; the process they belong to comes next.
const PREFIX: &str = "weir-chaos-";

/// The bridge; this is also where clients and backends are.
pub struct Network {
    name: String,
    places: Vec<String>,
    /// How often each pair was cut.
    cuts: Mutex<BTreeMap<(String, String), u32>>,
    _alone: MutexGuard<'static, ()>,
}

/// A machine on it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its name, and that of its port of the bridge.
    pub name: String,
    /// Its namespace.
    pub space: String,
    /// Its address.
    pub address: IpAddr,
}

impl Network {
    /// A bridge with nobody on it. The calling thread is there from now on.
    pub fn new() -> Network {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // One at a time: what is timed is not to be held up by what another test does.
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        remove_left_over();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        ip(&["netns", "add", &name]);
        enter(&name);
        ip(&["link", "set", "lo", "up"]);
        ip(&["link", "add", "bridge", "type", "bridge"]);
        ip(&[
            "address",
            "add",
            &format!("{}/24", address(1)),
            "dev",
            "bridge",
        ]);
        ip(&["link", "set", "bridge", "up"]);
        nft("table bridge weir {
                set cut { type ifname . ifname; }
                chain between {
                    type filter hook forward priority 0; policy accept;
                    meta iifname . meta oifname @cut drop
                }
            }");
        Network {
            name,
            places: Vec::new(),
            cuts: Mutex::default(),
            _alone: alone,
        }
    }

    /// Where clients and backends are.
    pub fn own_address(&self) -> IpAddr {
        address(1)
    }

    /// A further address of our own.
    pub fn add_address(&self, host: u8) -> IpAddr {
        let address = address(host);
        ip(&["address", "add", &format!("{address}/24"), "dev", "bridge"]);
        address
    }

    /// A machine more. Its address ends with `host`.
    pub fn place(&mut self, name: &str, host: u8) -> Place {
        let space = format!("{}-{name}", self.name);
        ip(&["netns", "add", &space]);
        self.places.push(space.clone());
        ip(&[
            "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", &space,
        ]);
        ip(&["link", "set", name, "master", "bridge", "up"]);
        let address = address(host);
        let within = ["-netns", &space];
        for words in [
            &["link", "set", "lo", "up"][..],
            &["address", "add", &format!("{address}/24"), "dev", "eth0"],
            &["link", "set", "eth0", "up"],
        ] {
            ip(&[&within, words].concat());
        }
        Place {
            name: name.to_owned(),
            space,
            address,
        }
    }

    /// Takes the cable out of a machine.
    pub fn unplug(&self, name: &str) {
        ip(&["link", "set", name, "down"]);
    }

    /// Puts it in again.
    pub fn plug(&self, name: &str) {
        ip(&["link", "set", name, "up"]);
    }

    /// From now on nothing passes from one machine to another.
    pub fn cut(&self, from: &str, to: &str) {
        let mut cuts = self.cuts.lock().unwrap();
        let times = cuts.entry((from.to_owned(), to.to_owned())).or_insert(0);
        *times += 1;
        if *times == 1 {
            nft(&format!("add element bridge weir cut {{ {from} . {to} }}"));
        }
    }

    /// It passes again, unless it was cut more often.
    pub fn mend(&self, from: &str, to: &str) {
        let mut cuts = self.cuts.lock().unwrap();
        let times = cuts.get_mut(&(from.to_owned(), to.to_owned()));
        let times = times.expect("it was cut");
        *times -= 1;
        if *times == 0 {
            cuts.remove(&(from.to_owned(), to.to_owned()));
            nft(&format!(
                "delete element bridge weir cut {{ {from} . {to} }}"
            ));
        }
    }
}

impl Place {
    /// Does something there; what it opens stays there.
    pub fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let there = || {
            enter(&self.space);
            what()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }
}

/// Moves the calling thread into a namespace.
fn enter(space: &str) {
    let space = File::open(Path::new(SPACES).join(space)).unwrap();
    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

impl Drop for Network {
    fn drop(&mut self) {
        for space in self.places.iter().chain([&self.name]) {
            let _ = Command::new("ip").args(["netns", "delete", space]).status();
        }
    }
}

fn address(host: u8) -> IpAddr {
    IpAddr::from([10, 77, 0, host])
}

#[track_caller]
fn ip(words: &[&str]) {
    run(Command::new("ip").args(words));
}

#[track_caller]
fn nft(rules: &str) {
    run(Command::new("nft").arg(rules));
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Namespaces of tests that were killed.
fn remove_left_over() {
    let spaces = std::fs::read_dir(SPACES).into_iter().flatten().flatten();
    for name in spaces.filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}

#[test]
fn what_is_cut_is_cut_in_that_direction_alone() {
    let mut network = Network::new();
    let sockets = [("one", 11), ("two", 12)].map(|(name, host)| {
        let place = network.place(name, host);
        let socket = place.within(|| UdpSocket::bind((place.address, 9)).unwrap());
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        socket
    });
    let [one, two] = &sockets;
    let number = Cell::new(0_u32);
    // Each is told from those before it, which may come late.
    let arrives = |from: &UdpSocket, to: &UdpSocket| {
        number.set(number.get() + 1);
        let sent = number.get().to_be_bytes();
        from.send_to(&sent, to.local_addr().unwrap()).unwrap();
        let mut received = [0; 4];
        while to.recv(&mut received).is_ok() {
            if received == sent {
                return true;
            }
        }
        false
    };
    // A bridge that was made just now, on a busy machine, may lose the first ones.
    let gets_through = |from, to| (0..20).any(|_| arrives(from, to));
    assert!(gets_through(one, two) && gets_through(two, one));
    network.cut("one", "two");
    network.cut("one", "two");
    network.mend("one", "two");
    assert!(!arrives(one, two) && gets_through(two, one));
    network.mend("one", "two");
    assert!(gets_through(one, two) && gets_through(two, one));
}
