//! Nodes on a network that loses, delays, repeats and parts: seeds decide what happens, and a
//! failing one is printed.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Circle, Keys, Member, Moment, Peer, Phase, Rejection, Setting, Standing, State};
use crate::base::epoch::Epoch;
use crate::base::simulated::{Chance, Network, Weather, for_seeds};

const SEEDS: u64 = 6;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

struct World {
    chance: Chance,
    now: Moment,
    nodes: Vec<Option<Circle>>,
    network: Network<Vec<u8>>,
    replayed: u64,
}

fn address(node: usize) -> SocketAddr {
    ([10, 0, 0, 1], u16::try_from(1000 + node).unwrap()).into()
}

fn name(node: usize) -> String {
    format!("n{node}")
}

impl World {
    /// So many nodes, each of which knows the address of the first.
    fn new(nodes: usize, weather: Weather, seed: u64) -> World {
        let mut world = World {
            chance: Chance::new(seed),
            now: Duration::ZERO,
            nodes: (0..nodes).map(|_| None).collect(),
            network: Network::new(nodes, weather),
            replayed: 0,
        };
        for node in 0..nodes {
            world.start(node, 1000);
        }
        world
    }

    fn start(&mut self, node: usize, generation: u64) {
        let setting = Setting {
            me: Member {
                name: name(node).into(),
                generation,
                address: address(node),
            },
            keys: Keys::parse(&"0f".repeat(32), "test").unwrap(),
            nonce: self.chance.bytes(),
            seed: self.chance.bytes(),
        };
        let mut circle = Circle::new(setting, self.now);
        circle.change_seeds(vec![address(0), address(1)], self.now);
        self.nodes[node] = Some(circle);
    }

    fn send_all(&mut self, node: usize) {
        let Some(circle) = &mut self.nodes[node] else {
            return;
        };
        let output: Vec<_> = std::iter::from_fn(|| circle.poll_output()).collect();
        for (to, datagram) in output {
            let to = usize::from(to.port() - 1000);
            let ends = (node, to);
            self.network
                .send(&mut self.chance, ends, datagram, self.now);
        }
    }

    /// Lets so much time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let deadlines = self.nodes.iter().enumerate();
            let deadlines = deadlines
                .filter_map(|(node, circle)| Some((circle.as_ref()?.next_deadline(), node)));
            let due = deadlines.min();
            let flying = self.network.next();
            let at = due.map(|(at, _)| at).into_iter().chain(flying).min();
            let Some(at) = at.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            let node = if let Some((to, datagram)) = self.network.arrived(self.now) {
                self.deliver(to, &datagram);
                to
            } else {
                let node = due.unwrap().1;
                self.nodes[node].as_mut().unwrap().handle_deadline(self.now);
                node
            };
            self.send_all(node);
        }
        self.now = end;
    }

    fn deliver(&mut self, to: usize, datagram: &[u8]) {
        let now = self.now;
        let Some(circle) = &mut self.nodes[to] else {
            return;
        };
        match circle.handle(datagram, now) {
            Ok(()) | Err(Rejection::Stale) => {}
            Err(Rejection::Replayed) => self.replayed += 1,
            Err(other) => panic!("{other:?}"),
        }
        circle.check();
    }

    fn say(&mut self, node: usize, epoch: u64) {
        let state = State {
            phase: Phase::Serving,
            epoch: Epoch::of(epoch),
            cores: vec![Epoch::of(epoch); 2],
            ..State::default()
        };
        let now = self.now;
        self.nodes[node].as_mut().unwrap().tell(state, now);
        self.send_all(node);
    }

    /// How `node` sees `other`.
    fn sees(&self, node: usize, other: usize) -> Option<Peer> {
        let circle = self.nodes[node].as_ref().unwrap();
        circle
            .peers()
            .find(|peer| *peer.member.name == name(other))
            .cloned()
    }

    /// Lets time pass until all who run see each other so; fails after `within`.
    #[track_caller]
    fn until(&mut self, what: &str, within: Duration, holds: impl Fn(&World) -> bool) -> Duration {
        let begun = self.now;
        while !holds(self) {
            assert!(self.now < begun + within, "not {what} within {within:?}");
            self.run(Duration::from_millis(10));
        }
        self.now - begun
    }

    fn running(&self) -> Vec<usize> {
        let running = |node: &usize| self.nodes[*node].is_some();
        (0..self.nodes.len()).filter(running).collect()
    }

    /// Whether all who run and are on one side see each other alive.
    fn is_whole(&self) -> bool {
        let running = self.running();
        running.iter().all(|node| {
            running.iter().all(|other| {
                node == other
                    || !self.network.are_together(*node, *other)
                    || self.sees(*node, *other).is_some_and(|peer| {
                        let current = self.nodes[*other].as_ref().unwrap().me();
                        peer.standing == Standing::Alive && peer.member == *current
                    })
            })
        })
    }

    fn all_see(&self, other: usize, standing: Standing) -> bool {
        let seen = |node: usize| self.sees(node, other).map(|peer| peer.standing);
        let mut others = self.running().into_iter().filter(|node| *node != other);
        others.all(|node| seen(node) == Some(standing))
    }
}

#[test]
fn nodes_find_each_other_and_hear_what_each_serves() {
    for_seeds("gossip::simulated", SEEDS, |seed| {
        let mut world = World::new(5, Weather::FOUL, seed);
        world.until("found", seconds(20), World::is_whole);
        world.say(3, 7);
        let knows = |world: &World| {
            (0..5).filter(|node| *node != 3).all(|node| {
                let state = world.sees(node, 3).and_then(|peer| peer.state);
                state.is_some_and(|state| state.adopted() == Epoch::of(7))
            })
        };
        world.until("told", seconds(5), knows);
        assert!(world.replayed > 0, "repeated datagrams are noticed");
    });
}

#[test]
fn news_arrives_at_once_on_a_fair_network() {
    let mut world = World::new(5, Weather::FAIR, 1);
    world.until("found", seconds(10), World::is_whole);
    world.run(seconds(10));
    world.say(0, 3);
    world.run(Duration::from_millis(5));
    for node in 1..5 {
        let state = world.sees(node, 0).unwrap().state.unwrap();
        assert_eq!(state.epoch, Epoch::of(3));
    }
}

#[test]
fn the_dead_are_found_and_come_back_as_another_life() {
    for_seeds("gossip::simulated", SEEDS, |seed| {
        let mut world = World::new(5, Weather::FOUL, seed);
        world.until("found", seconds(20), World::is_whole);
        world.nodes[2] = None;
        world.until("missed", seconds(40), |world| {
            world.all_see(2, Standing::Dead)
        });
        world.start(2, 2000);
        world.until("back", seconds(40), World::is_whole);
        assert!(world.sees(0, 2).unwrap().member.generation >= 2000);
        // One whose clock went back begins below what others know, and still comes back.
        world.nodes[4] = None;
        world.start(4, 3);
        world.until("back from the past", seconds(60), World::is_whole);
        assert!(world.sees(0, 4).unwrap().member.generation > 1000);
    });
}

#[test]
fn a_split_heals_by_itself() {
    for_seeds("gossip::simulated", SEEDS, |seed| {
        let mut world = World::new(5, Weather::FOUL, seed);
        world.until("found", seconds(20), World::is_whole);
        world.network.part(vec![0, 0, 1, 1, 1]);
        let split = |world: &World| {
            let seen = |node, other| world.sees(node, other).map(|peer| peer.standing);
            (2..5).all(|other| seen(0, other) == Some(Standing::Dead))
                && (0..2).all(|other| seen(4, other) == Some(Standing::Dead))
        };
        world.until("split", seconds(60), split);
        world.network.heal();
        world.until("whole", seconds(60), World::is_whole);
    });
}

#[test]
fn who_leaves_has_left_and_is_not_dead() {
    for_seeds("gossip::simulated", SEEDS, |seed| {
        let mut world = World::new(4, Weather::FAIR, seed);
        world.until("found", seconds(20), World::is_whole);
        let now = world.now;
        world.nodes[1].as_mut().unwrap().leave(now);
        world.send_all(1);
        world.nodes[1] = None;
        world.until("left", seconds(1), |world| world.all_see(1, Standing::Left));
        world.run(seconds(30));
        assert!(world.all_see(1, Standing::Left));
        world.start(1, 5000);
        world.until("back", seconds(40), World::is_whole);
    });
}

#[test]
fn fifty_nodes_are_one_circle_for_little() {
    let mut world = World::new(50, Weather::FAIR, 5);
    let took = world.until("found", seconds(30), World::is_whole);
    world.run(seconds(3));
    let before = world.network.sent;
    world.run(seconds(3));
    let each = (world.network.sent - before) / 3 / 50;
    eprintln!("50 nodes found each other in {took:?}; {each} datagrams a second each");
    assert!(each < 150, "{each} datagrams a second from each node");
    world.say(7, 2);
    world.run(Duration::from_millis(5));
    for node in (0..50).filter(|node| *node != 7) {
        assert_eq!(
            world.sees(node, 7).unwrap().state.unwrap().epoch,
            Epoch::of(2)
        );
    }
}
