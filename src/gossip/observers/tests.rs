//! Nodes that check backends together on a network that loses, delays and parts, and die and come
//! back: who checks what, what all think of it, and how soon.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::super::wire::Reader;
use super::*;

mod agents;

const TICK: Duration = Duration::from_millis(50);
const REPORT: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(2);
const SEEDS: u64 = 8;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn down() -> Finding {
    Finding::Down("refused".into())
}

struct Node {
    observers: Observers,
    member: Member,
    /// By node: when it was last heard, and the version it has reported.
    heard: BTreeMap<usize, (Moment, u64, Member)>,
    /// It finds the contrary of what is so.
    lies: bool,
    checks: u64,
    /// Answers of agents that are on their way to it.
    answers: Vec<agents::Answer>,
    /// It cannot reach any agent.
    is_cut: bool,
    questions: u64,
}

enum Packet {
    Report(u64),
    Words(Vec<u8>),
}

struct World {
    chance: Xoshiro256PlusPlus,
    seats: usize,
    nodes: Vec<Option<Node>>,
    /// What is so of each backend.
    up: Vec<bool>,
    /// What each agent says.
    says: Vec<&'static str>,
    now: Moment,
    ticks: u64,
    lost_percent: u64,
    delay_ms_max: u64,
    sides: Vec<u8>,
    flying: BTreeMap<(Moment, u64), (usize, usize, Member, Packet)>,
    sent: u64,
    bytes: u64,
}

impl World {
    fn new(nodes: usize, backends: usize, seats: usize, seed: u64) -> World {
        World::with_agents(nodes, backends, Vec::new(), seats, seed)
    }

    fn with_agents(
        nodes: usize,
        backends: usize,
        says: Vec<&'static str>,
        seats: usize,
        seed: u64,
    ) -> World {
        let mut world = World {
            chance: Xoshiro256PlusPlus::seed_from_u64(seed),
            seats,
            nodes: (0..nodes).map(|_| None).collect(),
            up: vec![true; backends],
            says,
            now: seconds(100),
            ticks: 0,
            lost_percent: 0,
            delay_ms_max: 2,
            sides: vec![0; nodes],
            flying: BTreeMap::new(),
            sent: 0,
            bytes: 0,
        };
        (0..nodes).for_each(|node| world.start(node, 1));
        world
    }

    fn start(&mut self, node: usize, generation: u64) {
        let name: Arc<str> = format!("n{node}").into();
        let mut observers = Observers::new(Arc::clone(&name), self.seats);
        let backends = (0..self.up.len()).map(key);
        let backends = backends.map(|key| (key, Subject::Backend(PATIENCE)));
        let agents = (0..self.says.len()).map(|agent| (agents::key(agent), Subject::Agent));
        observers.adopt(&backends.chain(agents).collect(), self.now);
        self.nodes[node] = Some(Node {
            observers,
            member: Member {
                name,
                generation,
                address: ([10, 0, 0, 1], 1000 + node as u16).into(),
            },
            heard: BTreeMap::new(),
            lies: false,
            checks: 0,
            answers: Vec::new(),
            is_cut: false,
            questions: 0,
        });
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.chance.next_u64() % below
    }

    fn send(&mut self, from: usize, to: usize, packet: Packet) {
        let Some(node) = &self.nodes[from] else {
            return;
        };
        let member = node.member.clone();
        if self.sides[from] != self.sides[to] || self.draw(100) < self.lost_percent {
            return;
        }
        let delay = Duration::from_millis(1 + self.draw(self.delay_ms_max));
        self.sent += 1;
        if let Packet::Words(bytes) = &packet {
            self.bytes += bytes.len() as u64;
        }
        let at = (self.now + delay, self.sent);
        self.flying.insert(at, (from, to, member, packet));
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.ticks += 1;
        while let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= self.now
        {
            let (from, to, member, packet) = entry.remove();
            self.deliver(from, to, member, packet);
        }
        for node in 0..self.nodes.len() {
            self.live(node);
        }
    }

    fn deliver(&mut self, from: usize, to: usize, member: Member, packet: Packet) {
        let now = self.now;
        let Some(node) = &mut self.nodes[to] else {
            return;
        };
        let known = node.heard.entry(from).or_insert((now, 0, member.clone()));
        if known.2.generation > member.generation {
            return;
        }
        if known.2.generation < member.generation {
            known.1 = 0;
        }
        (known.0, known.2) = (now, member.clone());
        match packet {
            Packet::Report(version) => known.1 = known.1.max(version),
            Packet::Words(bytes) => {
                let words = Words::read(&mut Reader(&bytes)).unwrap();
                node.observers.handle(&member, words, now);
            }
        }
    }

    fn live(&mut self, index: usize) {
        let (now, ticks) = (self.now, self.ticks);
        let (up, says) = (self.up.clone(), self.says.clone());
        let all = self.nodes.len();
        let chance = self.draw(u64::MAX);
        let Some(node) = &mut self.nodes[index] else {
            return;
        };
        let there = node.heard.values().map(|(at, version, member)| Present {
            member,
            heard: Some(*at),
            serves: true,
            version: *version,
        });
        node.observers
            .look_around(&there.collect::<Vec<_>>(), true, now);
        while node.observers.poll_change().is_some() {}
        for (backend, up) in up.iter().enumerate() {
            // About one check in half a second.
            let due = (chance.rotate_left(backend as u32) ^ backend as u64).is_multiple_of(10);
            let case = node.observers.case(key(backend)).unwrap();
            if due && case.mine {
                node.checks += 1;
                let finding = if *up != node.lies {
                    Finding::Up
                } else {
                    down()
                };
                node.observers.found(key(backend), finding, now);
            }
        }
        node.ask(&says, ticks + 7 * index as u64, now);
        node.observers.step(now);
        node.observers.check();
        let version = node.observers.version();
        let said: Vec<_> = std::iter::from_fn(|| node.observers.poll_output()).collect();
        let reports = (ticks + index as u64).is_multiple_of(REPORT);
        for other in (0..all).filter(|other| *other != index) {
            if reports {
                self.send(index, other, Packet::Report(version));
            }
            for (to, bytes) in &said {
                if to.as_ref().is_none_or(|to| **to == *format!("n{other}")) {
                    self.send(index, other, Packet::Words(bytes.clone()));
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
        }
    }

    fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().flatten()
    }

    fn verdicts(&self, backend: usize) -> Vec<Finding> {
        let cases = self.running().map(|node| node.observers.case(key(backend)));
        cases.map(|case| case.unwrap().verdict).collect()
    }

    /// Whether all know what is so.
    fn know(&self) -> bool {
        self.up.iter().enumerate().all(|(backend, up)| {
            let verdicts = self.verdicts(backend);
            let mut verdicts = verdicts.iter();
            verdicts.all(|verdict| *verdict != Finding::Unknown && verdict.is_down() != *up)
        })
    }

    /// Nodes that check a backend.
    fn holders(&self, backend: usize) -> usize {
        let mine = |node: &&Node| node.observers.case(key(backend)).unwrap().mine;
        self.running().filter(mine).count()
    }

    #[track_caller]
    fn until(&mut self, what: &str, within: Duration, holds: impl Fn(&World) -> bool) -> Duration {
        let begun = self.now;
        while !holds(self) {
            assert!(self.now < begun + within, "not {what} within {within:?}");
            self.tick();
        }
        self.now - begun
    }
}

fn key(backend: usize) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&backend.to_le_bytes())
}

fn for_seeds(run: impl Fn(u64)) {
    for seed in 0..SEEDS {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
        if let Err(why) = caught {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(why);
        }
    }
}

#[test]
fn one_node_alone_checks_everything_and_is_believed_at_once() {
    let mut world = World::new(1, 5, 3, 1);
    assert!((0..5).all(|backend| world.holders(backend) == 1));
    world.until("known", seconds(10), World::know);
    world.up[2] = false;
    world.until("found", seconds(10), World::know);
    assert_eq!(world.verdicts(2), [down()]);
}

#[test]
fn each_backend_is_checked_by_as_many_nodes_however_many_there_are() {
    for (nodes, seats) in [(2, 3), (5, 2), (5, 5), (20, 3)] {
        let mut world = World::new(nodes, 40, seats, 2);
        let held = seats.min(nodes);
        let settled = |world: &World| (0..40).all(|backend| world.holders(backend) == held);
        world.until("settled", seconds(5), settled);
        world.until("known", seconds(20), World::know);
        let before: u64 = world.running().map(|node| node.checks).sum();
        world.run(seconds(10));
        let after: u64 = world.running().map(|node| node.checks).sum();
        // Each seat checks twice a second.
        let expected = (40 * held * 20) as f64;
        let ratio = (after - before) as f64 / expected;
        assert!((0.8..1.2).contains(&ratio), "{nodes} nodes: {ratio}");
    }
}

#[test]
fn all_come_to_know_what_is_so_whatever_the_network_does() {
    for_seeds(|seed| {
        let mut world = World::new(5, 30, 3, seed);
        (world.lost_percent, world.delay_ms_max) = (20, 400);
        world.until("known", seconds(60), World::know);
        for round in 0..6 {
            for backend in 0..30 {
                world.up[backend] = world.draw(2) == 0;
            }
            let node = world.draw(5) as usize;
            match round % 3 {
                0 => world.nodes[node] = None,
                1 => world.sides = (0..5).map(|node| u8::from(node < 2)).collect(),
                _ => {}
            }
            world.run(seconds(8));
            (world.lost_percent, world.sides) = (0, vec![0; 5]);
            for node in 0..5 {
                if world.nodes[node].is_none() {
                    world.start(node, 10 + round);
                }
            }
            let same =
                |world: &World| world.know() && (0..30).all(|backend| world.holders(backend) == 3);
            world.until("known again", seconds(15), same);
            world.lost_percent = 20;
        }
    });
}

/// The bound that DESIGN.md states: after the last that was heard of it.
#[test]
fn the_checks_of_a_node_that_dies_are_taken_over_in_time_and_no_verdict_changes_meanwhile() {
    for_seeds(|seed| {
        for seats in [1, 2, 3] {
            let mut world = World::new(4, 40, seats, seed);
            world.until("known", seconds(30), World::know);
            world.up[7] = false;
            world.until("known", seconds(30), World::know);
            world.run(seconds(2));
            world.nodes[0] = None;
            let died = world.now;
            let taken =
                |world: &World| (0..40).all(|backend| world.holders(backend) == seats.min(3));
            while !taken(&world) {
                world.tick();
                assert!(world.know(), "verdicts stay");
                let bound = SILENT_AFTER + 3 * TICK;
                assert!(world.now <= died + bound, "not taken over within {bound:?}");
            }
        }
    });
}

#[test]
fn one_liar_takes_nobody_out_and_is_flagged() {
    for_seeds(|seed| {
        let mut world = World::new(5, 30, 3, seed);
        world.until("known", seconds(20), World::know);
        world.nodes[2].as_mut().unwrap().lies = true;
        world.run(PATIENCE + seconds(5));
        assert!(world.know(), "the others are more");
        let now = world.now;
        let node = world.nodes[0].as_ref().unwrap();
        let sums = node.observers.sums(now);
        let flagged: Vec<&str> = sums.contradicting.keys().map(|name| &**name).collect();
        assert_eq!(flagged, ["n2"]);
        let observers = (0..30).flat_map(|backend| node.observers.observers(key(backend), now));
        let of_liar: Vec<Observer> = observers.filter(|seat| &*seat.node == "n2").collect();
        assert_eq!(of_liar.len() as u64, sums.contradicting["n2"]);
        assert!(
            of_liar
                .iter()
                .all(|seat| seat.contradicts && seat.finding.is_down())
        );
        world.nodes[2].as_mut().unwrap().lies = false;
        world.run(seconds(5));
        let sums = world.nodes[0].as_ref().unwrap().observers.sums(world.now);
        assert!(sums.contradicting.is_empty(), "{sums:?}");
    });
}

#[test]
fn who_does_not_know_a_backend_is_passed_over() {
    let mut world = World::new(4, 30, 2, 3);
    world.nodes[3]
        .as_mut()
        .unwrap()
        .observers
        .adopt(&BTreeMap::new(), seconds(100));
    world.up.truncate(30);
    let holders = |world: &World, backend: usize| {
        let knowing = world.nodes[..3].iter().flatten();
        let mine = |node: &&Node| node.observers.case(key(backend)).unwrap().mine;
        knowing.filter(mine).count()
    };
    for _ in 0..200 {
        world.now += TICK;
        world.ticks += 1;
        while let Some(entry) = world.flying.first_entry()
            && entry.key().0 <= world.now
        {
            let (from, to, member, packet) = entry.remove();
            world.deliver(from, to, member, packet);
        }
        (0..3).for_each(|node| world.live(node));
        (0..3).for_each(|to| world.send(3, to, Packet::Report(0)));
    }
    assert!((0..30).all(|backend| holders(&world, backend) == 2));
}

#[test]
fn who_was_stopped_itself_does_not_think_that_it_is_alone() {
    let mut world = World::new(3, 30, 1, 4);
    world.until("known", seconds(20), World::know);
    let before: Vec<usize> = (0..30).map(|backend| world.holders(backend)).collect();
    assert!(before.iter().all(|holders| *holders == 1));
    let mut stopped = world.nodes[1].take().unwrap();
    world.run(seconds(20));
    let there = stopped.heard.values().map(|(at, version, member)| Present {
        member,
        heard: Some(*at),
        serves: true,
        version: *version,
    });
    let there: Vec<Present<'_>> = there.collect();
    let held = stopped.observers.sums(world.now).held;
    stopped.observers.look_around(&there, true, world.now);
    assert_eq!(stopped.observers.sums(world.now).held, held);
    // Three seconds more without a word, and it is.
    for tenth in 0..=31 {
        let now = world.now + Duration::from_millis(100 * tenth);
        stopped.observers.look_around(&there, true, now);
    }
    assert_eq!(stopped.observers.sums(world.now).held, 30);
}
