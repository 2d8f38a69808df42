//! An address that moves to another node when its own is gone, by the keepalived of
//! tuning/takeover: what clients of that address see of it, and what those of other nodes do not.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::load::Asker;
use crate::network::Place;
use crate::node::{HTTP_PORT, Node};
use crate::stage::Stage;
use crate::support::{Ending, PATIENCE, eventually, eventually_within, inside};

/// What the example calls the addresses, and what they are here.
const ADDRESSES: [(&str, [u8; 4]); 2] = [
    ("10.0.0.101", [10, 77, 0, 101]),
    ("10.0.0.102", [10, 77, 0, 102]),
];

/// Who comes first, second and third for each address, node by node.
const PRIORITIES: [[&str; 2]; 3] = [["150", "120"], ["100", "150"], ["120", "100"]];

/// How soon clients are served again.
const AGAIN_WITHIN: Duration = Duration::from_millis(500);

/// How long a client that can go elsewhere waits for an answer, and for a connection.
const IMPATIENT: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(50)];

/// Clients of each address.
const CLIENTS: usize = 5;

/// A keepalived; it ends by being told to.
struct Keepalived {
    child: Child,
    ended: PathBuf,
}

impl Keepalived {
    /// The example as this node has it.
    fn start(number: usize, node: &Node) -> Keepalived {
        let example = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tuning/takeover/keepalived.conf"
        );
        let mut text = std::fs::read_to_string(example).unwrap();
        let folder = node.folder();
        let ended = folder.join("ended");
        let socket = folder.join("admin.sock");
        let [first, second] = PRIORITIES[number];
        let ready = format!("--unix-socket {} http://weir/ready", socket.display());
        for (old, new) in [
            ("router_id node-1", &*format!("router_id {}", node.name())),
            ("http://127.0.0.1:9901/ready", &ready),
            ("\"/run/weir/ended\"", &format!("{ended:?}")),
            ("priority 150", &format!("priority  {first}")),
            ("priority 120", &format!("priority  {second}")),
            ("10.0.0.10", "10.77.0.10"),
        ] {
            assert!(text.contains(old), "the example has {old}");
            text = text.replace(old, new);
        }
        let path = folder.join("keepalived.conf");
        std::fs::write(&path, text).unwrap();
        std::fs::write(&ended, "0\n").unwrap();
        let mut command = inside(&node.place.space, "keepalived");
        command
            .args(["--dont-fork", "--log-console", "--vrrp", "--use-file"])
            .arg(&path);
        for (option, name) in [("--pid", "keepalived.pid"), ("--vrrp_pid", "vrrp.pid")] {
            command.arg(option).arg(folder.join(name));
        }
        let log = std::fs::File::create(folder.join("keepalived.log")).unwrap();
        command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().expect("ip is installed (Debian: iproute2)");
        Keepalived { child, ended }
    }

    /// What systemd does when weir has ended, or serves.
    fn note(&self, ended: bool) {
        std::fs::write(&self.ended, if ended { "1\n" } else { "0\n" }).unwrap();
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// What a client has seen.
#[derive(Debug, Default)]
struct Story {
    answers: u64,
    /// Connections that ended while they were in use.
    broken: u64,
    /// The longest time between two answers.
    gap: Duration,
}

/// Asks, and goes on after whatever happens, until told to stop.
fn client(address: SocketAddr, [answer, connect]: [Duration; 2], stop: &AtomicBool) -> Story {
    let mut story = Story::default();
    let mut asker = Asker::new(address, connect, answer);
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // An address that nobody has, or somebody has who does not listen, breaks no connection.
        if !asker.is_connected() && asker.connect().is_err() {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        match asker.ask(0) {
            Ok(_) => {
                story.answers += 1;
                story.gap = story.gap.max(last.elapsed());
                last = Instant::now();
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(_) => story.broken += 1,
        }
    }
    story
}

/// What becomes of clients while something is done: those of the addresses, one after the other,
/// and those of a node's own.
fn during(own: SocketAddr, what: impl FnOnce()) -> [Vec<Story>; 3] {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = Ending(&stop);
        let moving = ADDRESSES.map(|(_, address)| SocketAddr::from((address, HTTP_PORT)));
        let all = [
            (moving[0], IMPATIENT),
            (moving[1], IMPATIENT),
            (own, [PATIENCE; 2]),
        ];
        let clients = all.map(|(address, patience)| {
            let stop = &stop;
            let start = |_| scope.spawn(move || client(address, patience, stop));
            (0..CLIENTS).map(start).collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_millis(300));
        what();
        std::thread::sleep(Duration::from_millis(300));
        drop(end);
        clients.map(|clients| clients.into_iter().map(|one| one.join().unwrap()).collect())
    })
}

fn has(place: &Place, address: [u8; 4]) -> bool {
    let mut ip = Command::new("ip");
    ip.args([
        "-netns",
        &place.space,
        "-oneline",
        "address",
        "show",
        "eth0",
    ]);
    let said = String::from_utf8(ip.output().unwrap().stdout).unwrap();
    said.contains(&format!(" {}/", IpAddr::from(address)))
}

fn are_at(stage: &Stage, nodes: [usize; 2]) -> bool {
    let there = |(number, (_, address)): (usize, &(&str, [u8; 4]))| {
        let holders = stage.nodes.iter().filter(|node| has(&node.place, *address));
        let holders: Vec<&str> = holders.map(Node::name).collect();
        holders == [stage.nodes[nodes[number]].name()]
    };
    ADDRESSES.iter().enumerate().all(there)
}

/// Asserts what a move may cost, and shows what it did.
#[track_caller]
fn judge(what: &str, stories: &[Story]) -> Duration {
    let gap = stories
        .iter()
        .map(|story| story.gap)
        .max()
        .unwrap_or_default();
    let broken: u64 = stories.iter().map(|story| story.broken).sum();
    let answers: u64 = stories.iter().map(|story| story.answers).sum();
    eprintln!("{what}: longest without an answer {gap:.2?}, {broken} broken, {answers} answers");
    assert!(
        stories.iter().all(|story| story.broken <= 1),
        "{what}: {stories:?}"
    );
    gap
}

#[track_caller]
fn untouched(what: &str, stories: &[Story]) {
    let touched = |story: &&Story| story.broken > 0 || story.answers == 0;
    assert_eq!(
        stories.iter().filter(touched).count(),
        0,
        "{what}: {stories:?}"
    );
}

#[test]
fn an_address_moves_with_one_broken_connection_for_each_of_its_clients() {
    let stage = Stage::start(3);
    let mut beside: Vec<Keepalived> = Vec::new();
    for (number, node) in stage.nodes.iter().enumerate() {
        beside.push(Keepalived::start(number, node));
    }
    eventually("each address is at its first choice", || {
        are_at(&stage, [0, 1])
    });
    let mut gaps = Vec::new();
    for round in 0..3 {
        // The machine of the first address is gone: its cable, and all that runs there.
        let node = &stage.nodes[0];
        let [first, second, own] = during(stage.nodes[1].address(), || {
            stage.network.unplug(node.name());
            node.kill();
            let there = || has(&stage.nodes[2].place, ADDRESSES[0].1);
            eventually_within(PATIENCE, "another node has it", there);
        });
        gaps.push(judge(&format!("round {round}, a machine is gone"), &first));
        untouched("the other address", &second);
        untouched("a node that is left", &own);
        stage.network.plug(node.name());
        node.start();
        eventually("it is back", || are_at(&stage, [0, 1]));
        // The weir of the second address alone is gone.
        let node = &stage.nodes[1];
        let [first, second, own] = during(stage.nodes[2].address(), || {
            node.kill();
            beside[1].note(true);
            let there = || has(&stage.nodes[0].place, ADDRESSES[1].1);
            eventually_within(PATIENCE, "another node has it", there);
        });
        untouched("the other address", &first);
        gaps.push(judge(&format!("round {round}, a process is gone"), &second));
        untouched("a node that is left", &own);
        // It comes back: a move that was wanted breaks what was open, once, and nothing else.
        let [first, second, own] = during(stage.nodes[2].address(), || {
            node.start();
            beside[1].note(false);
            eventually("it is back", || are_at(&stage, [0, 1]));
        });
        untouched("the other address", &first);
        judge(&format!("round {round}, the process is back"), &second);
        untouched("a node that is left", &own);
    }
    // A busy machine is late now and then, and never six times in a row.
    let fast = gaps.iter().filter(|gap| **gap <= AGAIN_WITHIN).count();
    assert!(fast > 0, "{gaps:?}");
    drop(beside);
}
