//! One node of a simulated cluster: the parts of the product that decide, and nothing of its edge.
//!
//! Membership and reports (`gossip::Circle`), lent slots (`gossip::capacity`), who checks which
//! backend and what that comes to (`gossip::observers`), what is believed of the store, the
//! document and its table (`judge`, `plan`), and the protocol between the control thread and the
//! cores (`link`), each on this node's own clock.

use std::sync::Arc;
use std::time::Duration;

use crate::base::epoch::Epoch;
use crate::base::simulated::Chance;
use crate::control::document::{Document, Section, judge};
use crate::control::gossip::Roll;
use crate::control::store::{Known, Read, Revision};
use crate::engine::planner::{Resolved, plan};
use crate::engine::registry::Registry;
use crate::gossip::capacity::counted::Backend;
use crate::gossip::capacity::{Capacity, Owners, Slots};
use crate::gossip::observers::{Finding, Observers, Present, Subject};
use crate::gossip::{Circle, Keys, Member, Moment, Phase, Setting, State};
use crate::link::ToWorker;
use crate::link::control_side::ControlSide;
use crate::link::worker_side::{Pinned, WorkerSide};
use crate::routing::table::Table;
use crate::runtime::kick::Kick;

/// Cores of each node.
pub(super) const CORES: usize = 2;

/// The backend whose requests are limited over all nodes.
pub(super) const KEY: u64 = 7;

/// Backends that are checked, and by how many nodes each.
pub(super) const CHECKED: u64 = 6;
pub(super) const SEATS: usize = 2;

/// A core, which takes its time.
pub(super) struct Core {
    side: WorkerSide,
    /// Tables that requests are still served by.
    pins: Vec<Pinned<Arc<Table>>>,
    /// The newest epoch it has served by.
    served: Epoch,
}

/// One life of a node.
pub(super) struct Node {
    pub(super) circle: Circle,
    pub(super) capacity: Capacity,
    pub(super) backend: Backend,
    pub(super) observers: Observers,
    pub(super) known: Known,
    process: Section,
    registry: Registry,
    control: ControlSide,
    cores: Vec<Core>,
    /// What it serves by, and the hash of the document.
    epoch: Epoch,
    hash: u64,
}

/// What a node begins with.
pub(super) struct Birth<'b> {
    pub(super) name: Arc<str>,
    pub(super) generation: u64,
    pub(super) address: std::net::SocketAddr,
    pub(super) seeds: Vec<std::net::SocketAddr>,
    pub(super) owners: &'b [Arc<str>],
    pub(super) max: u32,
    pub(super) process: &'b Section,
    /// What is on its disk.
    pub(super) known: Known,
}

/// The agent of a backend.
pub(super) const fn agent_of(backend: u64) -> u64 {
    backend + CHECKED
}

/// What the agent of a backend says that is up or not.
pub(super) const fn agent_says(up: bool) -> &'static str {
    if up { "ready" } else { "drain" }
}

impl Node {
    pub(super) fn new(birth: Birth<'_>, chance: &mut Chance) -> Node {
        let keys = Keys::parse(&"0f".repeat(32), "test").unwrap();
        let setting = Setting {
            me: Member {
                name: Arc::clone(&birth.name),
                generation: birth.generation,
                address: birth.address,
            },
            keys,
            nonce: chance.bytes(),
            seed: chance.bytes(),
        };
        let mut circle = Circle::new(setting, Moment::ZERO);
        circle.change_seeds(birth.seeds, Moment::ZERO);
        let mut backend = Backend::default();
        let owners = Owners::new(birth.owners, &birth.name);
        let mut capacity = Capacity::new(owners, Moment::ZERO);
        let maxima = [(KEY, birth.max)].into_iter().collect();
        capacity.adopt(&maxima, Moment::ZERO, &mut backend);
        let mut observers = Observers::new(Arc::clone(&birth.name), SEATS);
        let checked = (0..CHECKED).map(|key| (key, Subject::Backend(Duration::from_secs(2))));
        let asked = (0..CHECKED).map(|key| (agent_of(key), Subject::Agent));
        observers.adopt(&checked.chain(asked).collect(), Moment::ZERO);
        let kick = Kick::new().unwrap();
        let links = (0..CORES).map(|_| crate::link::link(&kick).unwrap());
        let (ends, workers): (Vec<_>, Vec<_>) = links.unzip();
        let core = |end| Core {
            side: WorkerSide::new(end),
            pins: Vec::new(),
            served: Epoch(0),
        };
        Node {
            circle,
            capacity,
            backend,
            observers,
            known: birth.known,
            process: birth.process.clone(),
            registry: Registry::new(CORES),
            control: ControlSide::new(ends),
            cores: workers.into_iter().map(core).collect(),
            epoch: Epoch(0),
            hash: 0,
        }
    }

    /// Serves what it knows, unless it does already or a core has not answered. A core that is slow
    /// makes it wait, and never drift apart.
    pub(super) fn serve(&mut self) {
        let content = Arc::clone(self.known.content());
        let epoch = content.revision.epoch();
        if epoch <= self.epoch || self.control.check_room().is_err() {
            return;
        }
        let records = content.records.iter();
        let records = records.map(|(key, record)| (&**key, &**record));
        let document = Document::from_records(records).unwrap();
        let config = judge(&self.process, &document).unwrap();
        let plan = plan(&config, &Resolved::default(), epoch, &mut self.registry);
        let table = Arc::new(Arc::into_inner(plan.table).unwrap());
        let sockets = (0..CORES).map(|_| Vec::new()).collect();
        self.control.publish(&table, sockets).unwrap();
        (self.epoch, self.hash) = (epoch, document.content_hash());
    }

    /// A core looks for messages, and may go on with a table for requests that run.
    pub(super) fn core_turns(&mut self, core: usize, chance: &mut Chance) {
        let core = &mut self.cores[core];
        if chance.percent(30) {
            core.pins.clear();
        }
        while let Some(message) = core.side.next_message() {
            if let ToWorker::Adopt { table, .. } = message
                && let Some(table) = core.side.admit(table)
            {
                assert!(table.epoch > core.served, "a core never goes back");
                core.served = table.epoch;
                if chance.percent(40) {
                    core.pins.push(Pinned::clone(&table));
                }
                core.side.adopt(table);
            }
        }
        core.side.give_back();
        assert_eq!(core.side.epoch(), core.served);
    }

    /// What it says of itself.
    pub(super) fn state(&mut self) -> State {
        self.control.receive();
        let cores = self.control.cores();
        let told = cores.iter().map(|core| core.adopted);
        for (told, core) in told.clone().zip(&self.cores) {
            assert!(told <= core.served, "it never says more than a core does");
        }
        let cores: Vec<Epoch> = told.collect();
        State {
            phase: match cores.contains(&Epoch(0)) {
                true => Phase::Starting,
                false => Phase::Serving,
            },
            epoch: self.epoch,
            hash: self.hash,
            cores,
            ..State::default()
        }
    }

    /// The oldest epoch a core really serves by.
    pub(super) fn served(&self) -> Epoch {
        let cores = self.cores.iter().map(|core| core.served);
        cores.min().unwrap_or_default()
    }

    /// The hash of what it serves, and of which revision.
    pub(super) fn serves(&self) -> (u64, u64) {
        (self.epoch.revision(), self.hash)
    }

    /// Who is there, as it sees it.
    pub(super) fn roll(&mut self) -> Roll {
        Roll {
            me: self.circle.me().clone(),
            state: self.state(),
            peers: self.circle.peers().cloned().collect(),
        }
    }

    /// Takes in what was read from the store.
    pub(super) fn hear_of_store(&mut self, read: &Read) {
        let before = self.known.content().revision;
        // What is refused changes nothing.
        let taken = self.known.take(read).unwrap_or(false);
        let after = self.known.content().revision;
        assert!(after >= before, "what is known is never taken back");
        assert_eq!(taken, after > before);
    }

    /// Looks at its slots: what has ended, what is asked for; what is to be said, and to whom.
    pub(super) fn share(&mut self, wanted: u64, ends: &[Duration], now: Moment) {
        let Node {
            circle,
            capacity,
            backend,
            ..
        } = self;
        let there = circle.peers().filter(|peer| peer.standing.is_there());
        let there: Vec<Arc<str>> = there.map(|peer| Arc::clone(&peer.member.name)).collect();
        capacity.step(&there, now, backend);
        capacity.check();
        for end in ends.iter().take(wanted as usize) {
            if backend.taken(KEY) < backend.limit {
                backend.under_way.push(*end);
            } else {
                backend.short = true;
            }
        }
        while let Some((to, bytes)) = capacity.poll_output() {
            circle.say_slots(&to, &bytes);
        }
    }

    /// Checks the backends it has seats of, and talks of what it finds.
    pub(super) fn observe(&mut self, up: &[bool], now: Moment) {
        let there = self.circle.peers();
        let there = there.filter(|peer| peer.standing.is_there());
        let there: Vec<Present<'_>> = there
            .map(|peer| {
                let state = peer.state.as_ref();
                Present {
                    member: &peer.member,
                    heard: peer.heard,
                    serves: state.is_some_and(|state| state.phase == Phase::Serving),
                    version: state.map_or(0, |state| state.findings),
                }
            })
            .collect();
        let serves = self.circle.state().phase == Phase::Serving;
        self.observers.look_around(&there, serves, now);
        for (key, up) in (0..).zip(up) {
            if self.checks(key) {
                let found = match up {
                    true => Finding::Up,
                    false => Finding::Down("refused".into()),
                };
                self.observers.found(key, found, now);
            }
            if self.checks(agent_of(key)) {
                let before = self.thinks(agent_of(key));
                let before = before.word().map(Arc::clone).unwrap_or_default();
                let said = [Some(agent_says(*up).to_owned()), None, None, None];
                let word = Arc::new(before.after(&before, &said));
                self.observers
                    .found(agent_of(key), Finding::Said(word), now);
            }
        }
        self.observers.step(now);
        while let Some((to, words)) = self.observers.poll_output() {
            self.circle.say_findings(to.as_deref(), &words);
        }
        self.circle.found(self.observers.version());
        self.observers.check();
    }

    /// Whether it checks a backend, or asks an agent.
    pub(super) fn checks(&self, key: u64) -> bool {
        self.observers.case(key).is_some_and(|case| case.mine)
    }

    /// What it thinks of a backend, by what all who check it have found, or what it goes by of what
    /// an agent has said.
    pub(super) fn thinks(&self, key: u64) -> Finding {
        let case = self.observers.case(key);
        case.map(|case| case.verdict).unwrap_or_default()
    }

    /// Takes in a datagram.
    pub(super) fn hear(&mut self, datagram: &[u8], now: Moment) {
        // Stale and repeated ones are refused, which is their end.
        let _ = self.circle.handle(datagram, now);
        self.circle.check();
        while let Some((from, words)) = self.circle.poll_findings() {
            self.observers.handle(&from, words, now);
        }
        while let Some((from, words)) = self.circle.poll_heard() {
            self.capacity.handle(&from, words, now, &mut self.backend);
        }
        while let Some((to, bytes)) = self.capacity.poll_output() {
            self.circle.say_slots(&to, &bytes);
        }
    }

    /// The revision it would change.
    pub(super) fn revision(&self) -> Revision {
        self.known.content().revision
    }
}
