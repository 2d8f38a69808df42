//! What fifty nodes with a thousand backends say to each other, counted on the wire: real circles
//! and real observers, every datagram sealed, on a network that takes 1 to 3 ms.
//!
//! `cargo test --lib fifty_nodes_with -- --nocapture` prints the figures of DESIGN.md.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::observers::{Finding, Observers, Present, Subject};
use super::{Circle, Keys, Member, Moment, Phase, Setting, Standing, State};
use crate::base::epoch::Epoch;

const NODES: usize = 50;
const BACKENDS: u64 = 1000;

/// Observers of each backend.
const SEATS: usize = 3;

/// One of so many backends flaps.
const FLAPS_ONE_OF: u64 = 10;

/// How long one that flaps is up, and how long it is down.
const FLAPS_EVERY: Duration = Duration::from_secs(2);

/// How often a node looks at what it has found.
const TICK: Duration = Duration::from_millis(50);

/// A datagram more on the wire: IPv4 and UDP.
const HEADERS: u64 = 28;

struct Node {
    circle: Circle,
    observers: Observers,
    /// Backends it checks.
    mine: BTreeSet<u64>,
}

struct Fleet {
    nodes: Vec<Node>,
    now: Moment,
    flying: BTreeMap<(Moment, u64), (usize, Vec<u8>)>,
    datagrams: u64,
    bytes: u64,
    flaps: bool,
}

fn address(node: usize) -> SocketAddr {
    ([10, 0, 0, 1], 1000 + node as u16).into()
}

impl Fleet {
    fn new() -> Fleet {
        let keys: BTreeMap<u64, Subject> = (0..BACKENDS)
            .map(|key| (key, Subject::Backend(Duration::from_secs(2))))
            .collect();
        let node = |node: usize| {
            let name: Arc<str> = format!("n{node}").into();
            let setting = Setting {
                me: Member {
                    name: Arc::clone(&name),
                    generation: 1,
                    address: address(node),
                },
                keys: Keys::parse(&"0f".repeat(32), "test").unwrap(),
                nonce: [node as u8; 16],
                seed: [node as u8; 32],
            };
            let mut circle = Circle::new(setting, Duration::ZERO);
            circle.change_seeds(vec![address(0), address(1)], Duration::ZERO);
            let mut observers = Observers::new(name, SEATS);
            observers.adopt(&keys, Duration::ZERO);
            Node {
                circle,
                observers,
                mine: BTreeSet::new(),
            }
        };
        Fleet {
            nodes: (0..NODES).map(node).collect(),
            now: Duration::ZERO,
            flying: BTreeMap::new(),
            datagrams: 0,
            bytes: 0,
            flaps: false,
        }
    }

    fn is_up(&self, backend: u64) -> bool {
        let turns = self.now.as_millis() as u64 / FLAPS_EVERY.as_millis() as u64;
        !self.flaps || !backend.is_multiple_of(FLAPS_ONE_OF) || (turns + backend).is_multiple_of(2)
    }

    fn send_all(&mut self, node: usize) {
        while let Some((to, datagram)) = self.nodes[node].circle.poll_output() {
            self.datagrams += 1;
            self.bytes += datagram.len() as u64 + HEADERS;
            let to = usize::from(to.port() - 1000);
            let delay = Duration::from_millis(1 + self.datagrams % 3);
            self.flying
                .insert((self.now + delay, self.datagrams), (to, datagram));
        }
    }

    /// All that happens until then.
    fn run_until(&mut self, end: Moment) {
        loop {
            let deadlines = self.nodes.iter().map(|node| node.circle.next_deadline());
            let due = deadlines.enumerate().map(|(node, at)| (at, node)).min();
            let (due, node) = due.expect("there are nodes");
            let flying = self
                .flying
                .keys()
                .next()
                .map_or(Duration::MAX, |(at, _)| *at);
            self.now = self.now.max(due.min(flying));
            if self.now > end {
                self.now = end;
                return;
            }
            let node = match flying <= due {
                true => {
                    let (_, (to, datagram)) = self.flying.pop_first().unwrap();
                    self.deliver(to, &datagram);
                    to
                }
                false => {
                    self.nodes[node].circle.handle_deadline(self.now);
                    node
                }
            };
            self.send_all(node);
        }
    }

    fn deliver(&mut self, to: usize, datagram: &[u8]) {
        let (now, node) = (self.now, &mut self.nodes[to]);
        let _ = node.circle.handle(datagram, now);
        while let Some((from, words)) = node.circle.poll_findings() {
            node.observers.handle(&from, words, now);
        }
    }

    /// Lets time pass, and every node check what it checks: each backend once a second.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.run_until(self.now + TICK);
            for number in 0..NODES {
                self.look(number);
                self.send_all(number);
            }
        }
    }

    fn look(&mut self, number: usize) {
        let now = self.now;
        let ticks = (now.as_millis() / TICK.as_millis()) as u64;
        let due: Vec<(u64, bool)> = self.nodes[number]
            .mine
            .iter()
            .copied()
            .filter(|backend| (backend + ticks + number as u64).is_multiple_of(20))
            .map(|backend| (backend, self.is_up(backend)))
            .collect();
        let Node {
            circle,
            observers,
            mine,
        } = &mut self.nodes[number];
        let there = circle.peers().filter(|peer| peer.standing.is_there());
        let there = there.map(|peer| Present {
            member: &peer.member,
            heard: peer.heard,
            serves: true,
            version: peer.state.as_ref().map_or(0, |state| state.findings),
        });
        observers.look_around(&there.collect::<Vec<_>>(), true, now);
        while let Some((backend, case)) = observers.poll_change() {
            match case.mine {
                true => mine.insert(backend),
                false => mine.remove(&backend),
            };
        }
        for (backend, up) in due {
            let finding = match up {
                true => Finding::Up,
                false => Finding::Down("refused".into()),
            };
            observers.found(backend, finding, now);
        }
        observers.step(now);
        while let Some((to, words)) = observers.poll_output() {
            circle.say_findings(to.as_deref(), &words);
        }
        circle.found(observers.version());
    }

    /// Datagrams and bytes a second of each node, over so many seconds.
    fn rates(&mut self, seconds: u64) -> (u64, u64) {
        let before = (self.datagrams, self.bytes);
        self.run(Duration::from_secs(seconds));
        let per = |count: u64| count / seconds / NODES as u64;
        (per(self.datagrams - before.0), per(self.bytes - before.1))
    }

    #[track_caller]
    fn until(&mut self, what: &str, within: u64, holds: impl Fn(&Fleet) -> bool) -> Duration {
        let begun = self.now;
        while !holds(self) {
            assert!(self.now < begun + Duration::from_secs(within), "not {what}");
            self.run(TICK);
        }
        self.now - begun
    }

    fn is_whole(&self) -> bool {
        self.nodes.iter().all(|node| {
            let peers = node.circle.peers();
            peers
                .filter(|peer| peer.standing == Standing::Alive)
                .count()
                == NODES - 1
        })
    }

    /// Whether every node thinks of every backend what is so.
    fn all_know(&self) -> bool {
        self.nodes.iter().all(|node| {
            (0..BACKENDS).all(|backend| {
                let verdict = node.observers.case(backend).unwrap().verdict;
                verdict != Finding::Unknown && verdict.is_down() != self.is_up(backend)
            })
        })
    }

    fn say(&mut self, node: usize, revision: u64) {
        let state = State {
            phase: Phase::Serving,
            epoch: Epoch::of(revision),
            cores: vec![Epoch::of(revision); 2],
            ..State::default()
        };
        self.nodes[node].circle.tell(state, self.now);
        self.send_all(node);
    }

    /// Whether all others have heard it.
    fn heard(&self, node: usize, revision: u64) -> bool {
        let name = format!("n{node}");
        self.nodes
            .iter()
            .filter(|other| *other.circle.me().name != *name)
            .all(|other| {
                let mut peers = other.circle.peers();
                let peer = peers.find(|peer| *peer.member.name == *name);
                let state = peer.and_then(|peer| peer.state.as_ref());
                state.is_some_and(|state| state.epoch == Epoch::of(revision))
            })
    }
}

#[test]
fn fifty_nodes_with_a_thousand_backends_say_little() {
    let mut fleet = Fleet::new();
    let found = fleet.until("found", 30, Fleet::is_whole);
    let known = fleet.until("known", 60, Fleet::all_know);
    fleet.run(Duration::from_secs(3));
    let (datagrams, bytes) = fleet.rates(3);
    eprintln!(
        "50 nodes, 1,000 backends: found each other in {found:?}, knew all backends {known:?} \
         later; each sends {datagrams} datagrams and {bytes} bytes a second"
    );
    assert!(
        bytes < 50_000,
        "{bytes} bytes a second of each node at rest"
    );
    fleet.say(7, 2);
    let begun = fleet.now;
    while !fleet.heard(7, 2) {
        fleet.run_until(fleet.now + Duration::from_millis(1));
        assert!(
            fleet.now < begun + Duration::from_secs(1),
            "a new epoch is heard"
        );
    }
    let heard = fleet.now - begun;
    fleet.flaps = true;
    fleet.run(Duration::from_secs(2));
    let (datagrams, bytes) = fleet.rates(3);
    eprintln!(
        "an epoch of one is heard by all in {heard:?}; while 100 backends change every 2 s each \
         sends {datagrams} datagrams and {bytes} bytes a second"
    );
    assert!(bytes < 1_000_000, "{bytes} bytes a second of each node");
    fleet.flaps = false;
    let again = fleet.until("known again", 10, Fleet::all_know);
    eprintln!("all nodes agree on all backends {again:?} after that has ended");
}
