//! Who changes the configuration, and knows for every epoch what it must hold.
//!
//! A change is made at any node on the condition that nothing has changed since (`If-Match`), so
//! it makes the epoch after that one or none. Where the answer is lost or refuses, the
//! configuration is read back: what stands there says which. So each epoch of the history is
//! known for certain, though etcd, the network and the nodes fail meanwhile. Others count numbers
//! up at the same time, so that nodes are in each other's way: one with such a condition, whose
//! number may not fall, and one without, whose changes are judged anew where another was first,
//! and may come late.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use serde_json::json;

use crate::model::{GROUPS, History, World};
use crate::node::Node;
use crate::stage::{COUNTERS, Stage};
use crate::support::bulk::Dice;

/// How long whoever was refused waits.
const PAUSE: Duration = Duration::from_millis(50);

/// How long between two changes.
const BETWEEN: Duration = Duration::from_millis(10);

/// What has been written, for all who look.
pub struct Record {
    /// What each epoch must hold.
    pub history: Mutex<History>,
    /// The newest epoch that was acknowledged.
    pub acknowledged: AtomicU64,
    /// What the number that may not fall was last acknowledged at.
    counted: AtomicU64,
    /// Held by whoever writes; taken by whoever wants quiet.
    pub gate: RwLock<()>,
    /// How changes went.
    pub outcomes: Mutex<BTreeMap<String, u64>>,
}

/// A configuration as a node tells it.
#[derive(Debug)]
pub struct Told {
    pub epoch: u64,
    pub world: World,
    counter: u64,
}

/// The one who writes what requests depend on.
pub struct Author<'a> {
    stage: &'a Stage,
    record: &'a Record,
    dice: Dice,
    /// What the newest epoch known to it holds.
    world: World,
    epoch: u64,
}

impl Record {
    /// Of a store that was just filled.
    pub fn new(epoch: u64) -> Record {
        Record {
            history: Mutex::new(History::new(epoch, World::first())),
            acknowledged: AtomicU64::new(epoch),
            counted: AtomicU64::new(0),
            gate: RwLock::default(),
            outcomes: Mutex::default(),
        }
    }

    fn note(&self, outcome: &str) {
        let mut outcomes = self.outcomes.lock().unwrap();
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    /// Panics unless a configuration holds what must be there at its epoch.
    #[track_caller]
    pub fn check(&self, node: &Node, told: &Told) {
        let name = node.name();
        let history = self.history.lock().unwrap();
        assert_eq!(
            Some(&told.world),
            history.at(told.epoch),
            "{name} at {}",
            told.epoch
        );
        let acknowledged = self.counted.load(Ordering::SeqCst);
        assert!(
            told.counter >= acknowledged,
            "{name}: {}, not {acknowledged}",
            told.counter
        );
    }
}

impl<'a> Author<'a> {
    /// Begins with the first world.
    pub fn new(stage: &'a Stage, record: &'a Record, epoch: u64, seed: u64) -> Author<'a> {
        Author {
            stage,
            record,
            dice: Dice::new(seed),
            world: World::first(),
            epoch,
        }
    }

    /// Writes until told to stop.
    pub fn write(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            {
                let _open = self.record.gate.read().unwrap();
                self.change();
            }
            std::thread::sleep(BETWEEN);
        }
    }

    fn node(&mut self) -> &'a Node {
        &self.stage.nodes[self.dice.below(self.stage.nodes.len() as u64) as usize]
    }

    /// Makes one change, however long it takes.
    fn change(&mut self) {
        let numbers = std::array::from_fn(|_| self.dice.roll() as usize >> 8);
        let Some(change) = self.world.change(numbers) else {
            return;
        };
        let address = |backend: usize| self.stage.backends[backend].to_string();
        let (method, target, body) = change.request(&self.world, &address);
        let body = body.map(|body| body.to_string());
        let after = self.world.after(&change);
        loop {
            let wait = match self.dice.below(4) {
                0 => "?wait=cluster&timeout=2",
                _ => "",
            };
            let target = format!("{target}{wait}");
            let node = self.node();
            let asked = node.ask_at(self.epoch, (method, &target, body.clone()));
            let status = asked.as_ref().map_or(0, |reply| reply.status());
            self.record.note(&outcome(status));
            // 504: it is made, and not yet served by all.
            if let Ok(reply) = asked
                && matches!(status, 200 | 201 | 504)
            {
                let epoch = reply.json()["epoch"].as_u64().expect("an epoch");
                return self.made(node, epoch, after);
            }
            std::thread::sleep(PAUSE);
            if self.look(&after) {
                return;
            }
        }
    }

    /// A change was acknowledged.
    fn made(&mut self, node: &Node, epoch: u64, after: World) {
        // What changes nothing makes no epoch.
        let next = self.epoch + 1;
        assert!(
            epoch == next || epoch == self.epoch,
            "{}: {epoch}, not {next}",
            node.name()
        );
        if epoch == next {
            self.record
                .history
                .lock()
                .unwrap()
                .add(epoch, after.clone());
        }
        self.record.acknowledged.fetch_max(epoch, Ordering::SeqCst);
        (self.epoch, self.world) = (epoch, after);
    }

    /// Finds out whether a change was made whose answer did not say so.
    fn look(&mut self, after: &World) -> bool {
        let told = loop {
            let node = self.node();
            match Told::by(node).filter(|told| told.epoch >= self.epoch) {
                Some(told) => break told,
                None => std::thread::sleep(PAUSE),
            }
        };
        let was_made = told.epoch > self.epoch && told.world == *after;
        assert!(
            was_made || told.world == self.world,
            "epoch {} holds {:?}, and neither {:?} of epoch {} nor {after:?}",
            told.epoch,
            told.world,
            self.world,
            self.epoch
        );
        if was_made {
            self.record.note("made, without an answer that says so");
            let mut history = self.record.history.lock().unwrap();
            history.add(self.epoch + 1, after.clone());
            self.world = after.clone();
        }
        self.epoch = told.epoch;
        was_made
    }
}

impl Told {
    /// What a node serves, if it can be read at one epoch.
    pub fn by(node: &Node) -> Option<Told> {
        let epoch = || node.page("/v1/epoch")?["published"].as_u64();
        let before = epoch()?;
        let export = node.ask("GET", "/v1/export", None).ok()?;
        if export.status() != 200 || epoch()? != before {
            return None;
        }
        let config: toml::Table = export.text.parse().unwrap();
        let groups = config["group"].as_array().unwrap();
        let named = |name: &str| {
            groups
                .iter()
                .find(|group| group["name"].as_str() == Some(name))
        };
        let worlds = GROUPS.map(|name| named(name).unwrap_or_else(|| panic!("{config}")));
        let counter = &named(COUNTERS[0]).expect("it is there")["backend"][0];
        Some(Told {
            epoch: before,
            world: World::told(&config["shard"][0], worlds),
            counter: counter["requests_max"].as_integer().expect("a number") as u64,
        })
    }
}

/// Counts one number up until told to stop, at every node in turn.
pub fn count(stage: &Stage, record: &Record, counter: usize, stop: &AtomicBool) {
    let target = format!("/v1/groups/{}/backends/x", COUNTERS[counter]);
    let nodes = stage.nodes.iter().cycle().skip(counter);
    for (number, node) in (2_u64..).zip(nodes) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let open = record.gate.read().unwrap();
        let body = Some(json!({"requests_max": number}).to_string());
        let asked = match counter {
            0 => node.page("/v1/epoch").and_then(|epochs| {
                let epoch = epochs["published"].as_u64()?;
                node.ask_at(epoch, ("PATCH", &target, body)).ok()
            }),
            _ => node.ask("PATCH", &target, body).ok(),
        };
        let made = asked.is_some_and(|reply| reply.status() == 200);
        if made && counter == 0 {
            record.counted.store(number, Ordering::SeqCst);
        }
        drop(open);
        std::thread::sleep(if made { 10 * BETWEEN } else { PAUSE });
    }
}

fn outcome(status: u16) -> String {
    match status {
        0 => "no answer".to_owned(),
        200 | 201 => "acknowledged".to_owned(),
        504 => "acknowledged, and not served by all in time".to_owned(),
        other => other.to_string(),
    }
}
