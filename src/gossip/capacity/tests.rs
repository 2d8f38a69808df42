//! Nodes that share a maximum on a network that loses, delays and parts, and die and come back:
//! what is under way on all of them is counted at every moment.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::super::wire::Reader;
use super::counted::Backend;
use super::*;
use crate::base::simulated::{Chance, Network, Weather, for_seeds};

const KEY: u64 = 7;
const TICK: Duration = Duration::from_millis(50);

/// Hardly any weather.
const CALM: Weather = Weather {
    lost_percent: 0,
    repeated_percent: 0,
    delay_ms_max: 5,
};

/// Requests last at most this, so that none outlives a loan by what lies between the two times.
const LONGEST: Duration = Duration::from_secs(5);

/// When nodes that begin together have all that is theirs: promises are made, and have come.
const READY_AFTER: Duration = Duration::from_secs(PROMISED_FOR.as_secs() + 2);

struct Node {
    capacity: Capacity,
    backend: Backend,
    member: Member,
    /// Requests that come in a tick.
    demand: u64,
}

struct World {
    chance: Chance,
    max: u32,
    owners: Vec<Arc<str>>,
    nodes: Vec<Option<Node>>,
    now: Moment,
    network: Network<(Member, Vec<u8>)>,
    /// Nodes that are there and that others take for gone, a bit for each.
    missed: u64,
    refused: u64,
}

impl World {
    fn new(count: usize, max: u32, seed: u64) -> World {
        let owners = (0..count).map(|node| Arc::from(format!("n{node}")));
        let mut world = World {
            chance: Chance::new(seed),
            max,
            owners: owners.collect(),
            nodes: (0..count).map(|_| None).collect(),
            now: Duration::ZERO,
            network: Network::new(count, CALM),
            missed: 0,
            refused: 0,
        };
        for node in 0..count {
            world.start(node, 1);
        }
        world
    }

    fn start(&mut self, node: usize, generation: u64) {
        let name = Arc::clone(&self.owners[node]);
        let owners = Owners::new(&self.owners, &name);
        let mut backend = Backend::default();
        let mut capacity = Capacity::new(owners, self.now);
        let maxima = [(KEY, self.max)].into_iter().collect();
        capacity.adopt(&maxima, self.now, &mut backend);
        self.nodes[node] = Some(Node {
            capacity,
            backend,
            member: Member {
                name,
                generation,
                address: ([127, 0, 0, 1], 1).into(),
            },
            demand: 0,
        });
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.chance.below(below)
    }

    fn tick(&mut self) {
        self.now += TICK;
        while let Some((to, (from, bytes))) = self.network.arrived(self.now) {
            if let Some(node) = &mut self.nodes[to] {
                let words = Words::read(&mut Reader(&bytes)).unwrap();
                let Node {
                    capacity, backend, ..
                } = node;
                capacity.handle(&from, words, self.now, backend);
            }
            self.count();
        }
        for node in 0..self.nodes.len() {
            self.live(node);
            self.count();
        }
    }

    /// Requests end and begin, and the node looks at its slots and speaks.
    fn live(&mut self, index: usize) {
        let names = self.owners.clone();
        let now = self.now;
        let lasts = Duration::from_millis(self.draw(LONGEST.as_millis() as u64));
        let short = Duration::from_millis(20 + self.draw(200));
        let there = self.seen_by(index);
        let Some(node) = &mut self.nodes[index] else {
            return;
        };
        node.backend.under_way.retain(|end| *end > now);
        for request in 0..node.demand {
            if node.backend.taken(KEY) < node.backend.limit {
                let time = if request % 4 == 0 { lasts } else { short };
                node.backend.under_way.push(now + time);
            } else {
                node.backend.short = true;
                self.refused += 1;
            }
        }
        node.capacity.step(&there, now, &mut node.backend);
        node.capacity.check();
        let mut said = Vec::new();
        while let Some((to, bytes)) = node.capacity.poll_output() {
            said.push((to, bytes));
        }
        let from = node.member.clone();
        for (to, bytes) in said {
            let to = names.iter().position(|name| *name == to).unwrap();
            let message = (from.clone(), bytes);
            self.network
                .send(&mut self.chance, (index, to), message, now);
        }
    }

    /// Who is there, as one of them sees it.
    fn seen_by(&self, index: usize) -> Vec<Arc<str>> {
        let is_there = |other: &usize| {
            let alive = self.nodes[*other].is_some() && self.missed >> other & 1 == 0;
            alive && *other != index && self.network.are_together(index, *other)
        };
        let there = (0..self.nodes.len()).filter(is_there);
        there.map(|other| Arc::clone(&self.owners[other])).collect()
    }

    fn count(&self) {
        let all = self.nodes.iter().flatten();
        let under_way: u32 = all.map(|node| node.backend.taken(KEY)).sum();
        let limits: Vec<u32> = self
            .nodes
            .iter()
            .flatten()
            .map(|node| node.backend.limit)
            .collect();
        assert!(
            under_way <= self.max,
            "{under_way} of {} at {:?}, limits {limits:?}",
            self.max,
            self.now
        );
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
        }
    }

    fn limit(&self, node: usize) -> u32 {
        self.nodes[node].as_ref().unwrap().backend.limit
    }

    fn demand(&mut self, node: usize, demand: u64) {
        if let Some(node) = &mut self.nodes[node] {
            node.demand = demand;
        }
    }
}

#[test]
fn what_one_needs_and_others_do_not_moves_and_comes_back() {
    let mut world = World::new(3, 60, 1);
    assert_eq!(
        (0..3).map(|node| world.limit(node)).sum::<u32>(),
        30,
        "half at first"
    );
    world.run(READY_AFTER);
    assert_eq!(
        (0..3).map(|node| world.limit(node)).collect::<Vec<_>>(),
        [20; 3]
    );
    world.demand(0, 20);
    world.run(Duration::from_secs(5));
    assert!(world.limit(0) >= 36, "{}", world.limit(0));
    world.demand(0, 0);
    for node in [1, 2] {
        world.demand(node, 20);
    }
    world.run(Duration::from_secs(10));
    assert!(world.limit(1) >= 18 && world.limit(2) >= 18);
    let sum: u32 = (0..3).map(|node| world.limit(node)).sum();
    assert!((58..=60).contains(&sum), "{sum}");
}

#[test]
fn a_lender_that_is_short_gets_back_what_is_its_own() {
    let mut world = World::new(2, 40, 3);
    world.run(RECLAIM_AFTER);
    world.demand(0, 20);
    world.run(Duration::from_secs(5));
    assert!(world.limit(0) > 25);
    world.demand(1, 20);
    world.run(Duration::from_secs(30));
    assert!(world.limit(1) >= 17, "{}", world.limit(1));
}

#[test]
fn there_are_never_more_than_the_maximum_whatever_happens() {
    let (all, seeds) = (Cell::new(Seen::default()), Cell::new(0));
    for_seeds("gossip::capacity", 24, |seed| {
        let (one, before) = (storm(seed), all.get());
        all.set(Seen {
            borrowed: before.borrowed + one.borrowed,
            taken_over: before.taken_over + one.taken_over,
        });
        seeds.set(seeds.get() + 1);
    });
    let (
        Seen {
            borrowed,
            taken_over,
        },
        seeds,
    ) = (all.get(), seeds.get());
    eprintln!("more than the own part {borrowed} times, a dead one's {taken_over} times");
    assert!(borrowed > 5 * seeds, "{borrowed} in {seeds} seeds");
    assert!(taken_over > seeds, "{taken_over} in {seeds} seeds");
}

#[test]
fn half_of_the_part_of_one_that_is_gone_is_used_by_another_until_it_is_back() {
    let mut world = World::new(3, 60, 5);
    world.run(READY_AFTER);
    world.nodes[2] = None;
    let limits = |world: &World| [world.limit(0), world.limit(1)];
    world.run(PROMISED_FOR - Duration::from_secs(2));
    assert_eq!(limits(&world), [20, 20], "it may only be cut off");
    world.run(Duration::from_secs(4));
    assert_eq!(limits(&world), [30, 20], "and is not");
    // What was taken over is lent like what is owned.
    world.demand(1, 20);
    world.run(Duration::from_secs(10));
    assert!(world.limit(1) >= 36, "{}", world.limit(1));
    world.demand(1, 0);
    world.start(2, 2);
    world.run(Duration::from_secs(1));
    assert!(world.limit(0) <= 20 && world.limit(2) == 10);
    world.run(READY_AFTER + RECLAIM_AFTER);
    assert_eq!((0..3).map(|node| world.limit(node)).sum::<u32>(), 60);
    assert_eq!(world.limit(2), 20);
}

#[test]
fn who_is_cut_off_from_most_keeps_half_and_the_others_have_the_rest() {
    let mut world = World::new(3, 60, 7);
    world.run(READY_AFTER);
    world.network.part(vec![0, 0, 1]);
    world.run(HOLD_FOR + RENEW_EVERY);
    assert_eq!(world.limit(2), 10);
    assert_eq!(world.limit(0), 20, "not yet");
    world.run(PROMISED_FOR);
    assert_eq!((0..3).map(|node| world.limit(node)).sum::<u32>(), 60);
    world.network.heal();
    world.run(READY_AFTER);
    assert_eq!(
        (0..3).map(|node| world.limit(node)).collect::<Vec<_>>(),
        [20; 3]
    );
}

/// How often a node was seen to have more than its own part, and what was a dead one's.
#[derive(Clone, Copy, Default)]
struct Seen {
    borrowed: usize,
    taken_over: usize,
}

/// Eight minutes of everything: one node is busy at a time, so that slots move, and then another.
fn storm(seed: u64) -> Seen {
    let count = 2 + seed as usize % 4;
    let mut world = World::new(count, 7 + 13 * (seed as u32 % 5), seed);
    let mut generation = 1;
    world.run(READY_AFTER);
    let mut seen = Seen::default();
    for _ in 0..100 {
        match world.draw(12) {
            0 => world.network.weather.lost_percent = world.draw(60),
            1 => world.network.weather.delay_ms_max = 5 + world.draw(1500),
            2 | 3 => {
                let sides = (0..count).map(|_| world.draw(2) as u8).collect();
                world.network.part(sides);
            }
            4..7 => {
                world.network.heal();
                (world.network.weather, world.missed) = (CALM, 0);
            }
            7 => {
                let node = world.draw(count as u64) as usize;
                generation += 1;
                match world.nodes[node].is_some() && world.draw(2) == 0 {
                    true => world.nodes[node] = None,
                    false => world.start(node, generation),
                }
            }
            8 => world.missed = world.draw(1 << count),
            _ => {}
        }
        let busy = world.draw(count as u64) as usize;
        for node in 0..count {
            let demand = if node == busy { 30 } else { world.draw(2) };
            world.demand(node, demand);
        }
        // Now and then so long that what was promised ends.
        let long = PROMISED_FOR.as_millis() as u64 * u64::from(world.draw(16) == 0);
        let time = Duration::from_millis(500 + world.draw(5000) + long);
        world.run(time);
        let part = world.max.div_ceil(count as u32);
        let more = |node: &usize| world.nodes[*node].is_some() && world.limit(*node) > part;
        seen.borrowed += (0..count).filter(more).count();
        let lives = world.nodes.iter().flatten();
        let taken = lives.filter(|node| node.capacity.sums().taken_over > 0);
        seen.taken_over += taken.count();
    }
    assert!(world.refused > 0, "there was more demand than there may be");
    seen
}
