//! The world of the simulated nodes: time, the network, the store, and what goes wrong.

mod checks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Tally;
use super::node::{Birth, CHECKED, CORES, Node};
use crate::base::simulated::{Chance, Network, Weather};
use crate::control::document::{Document, Op, Section, split};
use crate::control::store::{Content, Known, Quorum, Revision};

const FILE: &str = "workers = 2\n[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:8080\"\n\
    group = \"app\"\n[[group]]\nname = \"app\"\nbackends = [\"127.0.0.1:9001\", \
    \"127.0.0.1:9002\"]\n";

/// The backend whose weight is changed.
const BACKEND: &str = "groups/app/backends/127.0.0.1:9001";

const CALM: Weather = Weather {
    lost_percent: 0,
    repeated_percent: 0,
    delay_ms_max: 5,
};

/// Nodes look at their slots, their cores and their clocks so often.
const STEP: Duration = Duration::from_millis(50);

/// Requests last at most this, so that none outlives a loan by what lies between the two times.
const LONGEST_MS: u64 = 4000;

/// A machine stands still for at most so long: a loan of which its borrower has not noticed the
/// end is over before its lender takes it back.
const STALL_MS_MAX: u64 = 6000;

/// A place a node lives at, with what survives its death.
struct Place {
    life: Option<Node>,
    disk: Known,
    generation: u64,
    /// When this life began, by the clock of the world.
    begun: Duration,
    /// Thousandths of a second its clock goes on in a second.
    pace: u64,
    stalled_until: Duration,
    /// It cannot reach the store.
    away: bool,
    demand: u64,
}

pub(super) struct World {
    chance: Chance,
    network: Network<Vec<u8>>,
    quorum: Quorum,
    process: Section,
    names: Vec<Arc<str>>,
    max: u32,
    places: Vec<Place>,
    now: Duration,
    /// The hash of each revision that somebody served.
    contents: BTreeMap<u64, u64>,
    /// Revisions whose commit was answered, and the weight they wrote.
    acknowledged: Vec<(Revision, u64)>,
    /// Which of the backends that are checked serve.
    up: Vec<bool>,
    /// Who waits until all serve a revision.
    waiting: Vec<(usize, u64, u64)>,
    tally: Tally,
}

fn address(node: usize) -> SocketAddr {
    ([10, 0, 0, 1], u16::try_from(1000 + node).unwrap()).into()
}

impl World {
    pub(super) fn new(nodes: usize, seed: u64) -> World {
        let whole = split(FILE).unwrap();
        let records = whole.document.records_since(&Document::default());
        let records = records
            .into_iter()
            .filter_map(|(key, record)| Some((key, record?)));
        let content = Content {
            revision: Revision(1),
            records: records.collect(),
        };
        let mut world = World {
            chance: Chance::new(seed),
            network: Network::new(nodes, CALM),
            quorum: Quorum::new(content),
            process: whole.process,
            names: (0..nodes).map(|node| format!("n{node}").into()).collect(),
            max: 9 + 7 * (seed as u32 % 4),
            places: Vec::new(),
            now: Duration::ZERO,
            contents: BTreeMap::new(),
            acknowledged: Vec::new(),
            up: vec![true; CHECKED as usize],
            waiting: Vec::new(),
            tally: Tally::default(),
        };
        for node in 0..nodes {
            let pace = 850 + world.chance.below(300);
            world.places.push(Place {
                life: None,
                disk: Known::default(),
                generation: 1000,
                begun: Duration::ZERO,
                pace,
                stalled_until: Duration::ZERO,
                away: false,
                demand: 0,
            });
            world.start(node);
        }
        world
    }

    /// A node begins another life, with what is on its disk.
    fn start(&mut self, node: usize) {
        let place = &mut self.places[node];
        let birth = Birth {
            name: Arc::clone(&self.names[node]),
            generation: place.generation,
            address: address(node),
            seeds: vec![address(0), address(1)],
            owners: &self.names,
            max: self.max,
            process: &self.process,
            known: place.disk.clone(),
        };
        place.life = Some(Node::new(birth, &mut self.chance));
        place.begun = self.now;
        place.stalled_until = self.now;
        self.note(&[1, node as u64]);
    }

    /// What the clock of a node shows.
    fn clock(&self, node: usize) -> Duration {
        let place = &self.places[node];
        let age = self.now.saturating_sub(place.begun).as_micros() as u64;
        Duration::from_micros(age * place.pace / 1000)
    }

    fn note(&mut self, facts: &[u64]) {
        for fact in facts {
            let at = self.now.as_micros() as u64;
            let bytes = [fact.to_le_bytes(), at.to_le_bytes()].concat();
            self.tally.story = xxh3_64_with_seed(&bytes, self.tally.story);
        }
    }

    /// So many turns of anything, a while apart.
    pub(super) fn storm(&mut self, turns: u32) {
        self.run(Duration::from_secs(21));
        for _ in 0..turns {
            self.turn();
            let busy = self.chance.below(self.places.len() as u64) as usize;
            for node in 0..self.places.len() {
                let little = self.chance.below(2);
                self.places[node].demand = if node == busy { 20 } else { little };
            }
            let time = 300 + self.chance.below(3000);
            self.run(Duration::from_millis(time));
            let part = self.max.div_ceil(self.places.len() as u32);
            let lives = self.places.iter().filter_map(|place| place.life.as_ref());
            self.tally.borrowed += lives.filter(|node| node.backend.limit > part).count() as u64;
        }
    }

    /// One thing happens.
    fn turn(&mut self) {
        let node = self.chance.below(self.places.len() as u64) as usize;
        match self.chance.below(16) {
            0 => self.network.weather.lost_percent = self.chance.below(50),
            1 => self.network.weather.delay_ms_max = 5 + self.chance.below(1000),
            2 => self.network.weather.repeated_percent = self.chance.below(50),
            3 | 4 => {
                let sides = self.places.iter().map(|_| self.chance.below(2) as u8);
                let sides = sides.collect();
                self.network.part(sides);
                self.tally.splits += 1;
            }
            5..=7 => {
                self.network.heal();
                self.network.weather = CALM;
            }
            8 => {
                self.places[node].away ^= true;
                let backend = self.chance.below(CHECKED) as usize;
                self.up[backend] ^= true;
            }
            9 => {
                let time = Duration::from_millis(self.chance.below(STALL_MS_MAX));
                self.places[node].stalled_until = self.now + time;
                self.tally.stalls += 1;
            }
            10 | 11 => self.restart(node),
            _ => self.change(node),
        }
    }

    /// A node dies, or comes back: mostly as a later life, sometimes with a clock that went back.
    fn restart(&mut self, node: usize) {
        self.tally.restarts += 1;
        if self.places[node].life.take().is_some() && self.chance.percent(50) {
            return;
        }
        let late = self.chance.percent(75);
        let generation = &mut self.places[node].generation;
        *generation = match late {
            true => *generation + 10,
            false => generation.saturating_sub(5).max(1),
        };
        self.start(node);
    }

    /// A node changes a weight, if it can.
    fn change(&mut self, node: usize) {
        let weight = 1 + self.chance.below(100);
        let place = &self.places[node];
        let (Some(life), false) = (&place.life, place.away) else {
            return;
        };
        let content = life.known.content();
        if content.records.is_empty() {
            return;
        }
        let records = content.records.iter();
        let records = records.map(|(key, record)| (&**key, &**record));
        let before = Document::from_records(records).unwrap();
        let value = serde_json::json!({"weight": weight});
        let patch = Op::Patch {
            path: BACKEND.parse().unwrap(),
            value: value.as_object().unwrap().clone(),
        };
        let after = before.apply(&[patch]).unwrap();
        let expected = life.revision();
        let done = self.quorum.commit(expected, &after.records_since(&before));
        match done {
            Ok(revision) => {
                self.tally.commits += 1;
                self.note(&[2, node as u64, revision.0]);
                // An answer that is lost is one nobody has heard.
                if self.chance.percent(80) {
                    self.acknowledged.push((revision, weight));
                    let hash = after.content_hash();
                    self.waiting.push((node, revision.0, hash));
                }
            }
            Err(_) => self.tally.conflicts += 1,
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            while let Some((to, datagram)) = self.network.arrived(self.now) {
                self.deliver(to, &datagram);
            }
            for node in 0..self.places.len() {
                self.live(node);
                self.check();
            }
        }
    }

    fn deliver(&mut self, to: usize, datagram: &[u8]) {
        let clock = self.clock(to);
        // What comes to one that stands still is dropped when its buffers are full: at once.
        if self.places[to].stalled_until > self.now {
            return;
        }
        if let Some(life) = &mut self.places[to].life {
            life.hear(datagram, clock);
        }
        self.send_all(to);
        self.check();
    }

    /// One step of a node.
    fn live(&mut self, node: usize) {
        let (now, clock) = (self.now, self.clock(node));
        for place in &mut self.places {
            if let Some(life) = &mut place.life {
                life.backend.under_way.retain(|end| *end > now);
            }
        }
        if self.places[node].stalled_until > now || self.places[node].life.is_none() {
            return;
        }
        self.read_store(node);
        let ends: Vec<Duration> = (0..20)
            .map(|_| now + Duration::from_millis(20 + self.chance.below(LONGEST_MS)))
            .collect();
        let core = self.chance.below(2 * CORES as u64) as usize;
        let Place { life, demand, .. } = &mut self.places[node];
        let Some(life) = life else { return };
        life.observe(&self.up, clock);
        life.serve();
        if core < CORES {
            life.core_turns(core, &mut self.chance);
        }
        let state = life.state();
        life.circle.tell(state, clock);
        while life.circle.next_deadline() <= clock {
            life.circle.handle_deadline(clock);
        }
        life.share(*demand, &ends, clock);
        self.send_all(node);
        self.wait_for_all(node);
    }

    fn read_store(&mut self, node: usize) {
        if self.places[node].away || !self.chance.percent(20) {
            return;
        }
        let behind = match self.chance.percent(15) {
            true => self.chance.below(4) as usize,
            false => 0,
        };
        let broken = self.chance.percent(3);
        let read = self.quorum.read(behind, broken);
        let keep = self.chance.percent(80);
        let Place { life, disk, .. } = &mut self.places[node];
        let Some(life) = life else { return };
        let before = life.revision();
        life.hear_of_store(&read);
        self.tally.refused_reads += u64::from((behind > 0 || broken) && life.revision() == before);
        // A copy that could not be written is written again with the next look.
        if keep {
            *disk = life.known.clone();
        }
        let revision = life.revision().0;
        if revision > before.0 {
            self.note(&[3, node as u64, revision]);
        }
    }

    fn send_all(&mut self, node: usize) {
        let Some(life) = &mut self.places[node].life else {
            return;
        };
        while let Some((to, datagram)) = life.circle.poll_output() {
            let to = usize::from(to.port() - 1000);
            let ends = (node, to);
            self.network
                .send(&mut self.chance, ends, datagram, self.now);
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }
}
