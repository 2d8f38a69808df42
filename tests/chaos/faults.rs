//! Faults under load, and what must hold all the same.
//!
//! * No response contradicts the epoch it carries.
//! * Epochs never go back on a node, over all its processes.
//! * When all is whole again, every node serves the newest epoch and has the same hash within 2 s.
//! * What was acknowledged is never lost.
//! * A node nobody did anything to answers every request, whatever is broken around it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::author::{Author, Record, Told, count};
use crate::judge::Verdict;
use crate::load::{Seen, load};
use crate::node::Node;
use crate::schedule::{Between, ROUNDS, Round, Schedule, ToNode};
use crate::stage::{COUNTERS, Stage};
use crate::support::{Ending, PATIENCE, eventually_within, from_env};

/// Clients of each node.
const CLIENTS: u64 = 2;

/// How soon nodes are one again once etcd and the network are.
const WHOLE_WITHIN: Duration = Duration::from_secs(2);

/// How long a change is waited for.
const CHANGES_WITHIN: Duration = Duration::from_secs(1);

/// In seconds.
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// How long it took after each round.
#[derive(Default)]
struct Healing {
    etcd: Vec<Duration>,
    newest: Vec<Duration>,
    hashes: Vec<Duration>,
}

impl Stage {
    fn node(&self, number: usize) -> &Node {
        &self.nodes[number % self.nodes.len()]
    }

    /// Does a round, and undoes it.
    fn play(&self, round: &Round) {
        let begun = Instant::now();
        let until = |at: Duration| std::thread::sleep(at.saturating_sub(begun.elapsed()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (what, at) = round.to_node;
                until(at);
                let node = self.node(round.numbers[0]);
                self.do_to(node, what);
                until(round.lasts);
                self.undo_to(node, what);
            });
            let (what, at) = round.between;
            until(at);
            self.break_and_mend(what, round, || until(round.lasts));
        });
    }

    fn do_to(&self, node: &Node, what: ToNode) {
        match what {
            ToNode::ClockAhead => node.set_clock(HOUR),
            ToNode::ClockBack => {
                node.set_clock(-DAY);
                node.kill();
                node.start();
            }
            ToNode::End => node.end(),
            ToNode::Kill => node.kill(),
            ToNode::KillAndStart => {
                node.kill();
                node.start();
            }
            ToNode::KillAtChange => {
                node.await_newer(CHANGES_WITHIN);
                node.kill();
                self.cut_from_store(node, |from, to| self.network.cut(from, to));
                node.start();
            }
            ToNode::Pause => node.pause(),
        }
    }

    fn undo_to(&self, node: &Node, what: ToNode) {
        match what {
            ToNode::ClockAhead | ToNode::ClockBack => node.set_clock(0),
            ToNode::End | ToNode::Kill => drop(node.start()),
            ToNode::KillAndStart => {}
            ToNode::KillAtChange => {
                self.cut_from_store(node, |from, to| self.network.mend(from, to));
            }
            ToNode::Pause => node.go_on(),
        }
    }

    fn cut_from_store(&self, node: &Node, cut: impl Fn(&str, &str)) {
        let members = (0..self.etcd().len()).map(Stage::member);
        for member in members {
            cut(node.name(), &member);
            cut(&member, node.name());
        }
    }

    fn break_and_mend(&self, what: Between, round: &Round, wait: impl FnOnce()) {
        let member = round.numbers[2] % self.etcd().len();
        match what {
            Between::KillMember => self.without(&[member], wait),
            Between::KillLeader => {
                let leader = self.etcd().leader().unwrap_or(member);
                self.without(&[leader], wait);
            }
            Between::KillMost => {
                let other = (member + 1) % self.etcd().len();
                self.without(&[member, other], wait);
            }
            Between::PauseMember => self.paused(member, wait),
            Between::PauseLeader => {
                let leader = self.etcd().leader().unwrap_or(member);
                self.paused(leader, wait);
            }
            _ => {
                let cuts = self.cuts(what, round);
                cuts.iter()
                    .for_each(|(from, to)| self.network.cut(from, to));
                wait();
                cuts.iter()
                    .for_each(|(from, to)| self.network.mend(from, to));
            }
        }
    }

    fn without(&self, members: &[usize], wait: impl FnOnce()) {
        members.iter().for_each(|member| self.etcd().kill(*member));
        wait();
        members.iter().for_each(|member| self.etcd().run(*member));
    }

    fn paused(&self, member: usize, wait: impl FnOnce()) {
        self.etcd().signal(member, Signal::STOP);
        wait();
        self.etcd().signal(member, Signal::CONT);
    }

    /// Who does not reach whom.
    fn cuts(&self, what: Between, round: &Round) -> Vec<(String, String)> {
        let node = self.node(round.numbers[1]);
        let name = |node: &Node| node.name().to_owned();
        let members: Vec<String> = (0..self.etcd().len()).map(Stage::member).collect();
        let others = self
            .nodes
            .iter()
            .filter(|other| other.name() != node.name());
        let others: Vec<String> = others.map(name).collect();
        let other = others[round.numbers[3] % others.len()].clone();
        let both = |all: Vec<(String, String)>| {
            let back = all.clone().into_iter().map(|(from, to)| (to, from));
            all.into_iter().chain(back).collect()
        };
        let from_it = |to: Vec<String>| to.into_iter().map(|to| (name(node), to)).collect();
        match what {
            Between::Asks => from_it(members),
            Between::Answers => members.into_iter().map(|from| (from, name(node))).collect(),
            Between::CutNodes => both(from_it(vec![other])),
            Between::CutOneWay => from_it(vec![other]),
            Between::CutOff => both(from_it([members, others].concat())),
            Between::CutLeader => {
                let leader = self
                    .etcd()
                    .leader()
                    .unwrap_or(round.numbers[2] % members.len());
                let leader = members[leader].clone();
                let rest = members.into_iter().filter(|member| *member != leader);
                both(rest.map(|to| (leader.clone(), to)).collect())
            }
            other => panic!("{other:?} cuts nothing"),
        }
    }

    /// Waits until every node serves the newest epoch that was acknowledged.
    fn until_newest(&self, epoch: u64) -> Duration {
        let begun = Instant::now();
        eventually_within(PATIENCE, "every node serves the newest epoch", || {
            let adopted = |node: &Node| {
                let epochs = node.page("/v1/epoch")?;
                let cores = epochs["stragglers"].as_array()?.is_empty();
                cores.then_some(epochs["published"].as_u64()?)
            };
            self.nodes.iter().all(|node| adopted(node) >= Some(epoch))
        });
        begun.elapsed()
    }

    /// Waits until every node has the same hash, and says so of the others.
    pub fn until_same(&self) -> Duration {
        let begun = Instant::now();
        let mut last = Vec::new();
        while begun.elapsed() < PATIENCE {
            last = self
                .nodes
                .iter()
                .map(|node| node.page("/v1/epoch"))
                .collect();
            if are_same(&last) {
                return begun.elapsed();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("not the same within {PATIENCE:?}: {last:#?}");
    }

    /// After a round, while clients and writers go on: how long until all are one again.
    fn heal(&self, record: &Record, healing: &mut Healing) {
        healing.etcd.push(self.etcd().until_whole(PATIENCE));
        let newest = record.acknowledged.load(Ordering::SeqCst);
        healing.newest.push(self.until_newest(newest));
        let quiet = record.gate.write().unwrap();
        healing.hashes.push(self.until_same());
        for node in &self.nodes {
            let told = Told::by(node).expect("nothing changes");
            record.check(node, &told);
        }
        drop(quiet);
    }
}

fn are_same(pages: &[Option<Value>]) -> bool {
    let seen = |page: &Option<Value>| {
        let page = page.as_ref()?;
        let nobody = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
        let quiet =
            nobody(&page["cluster"]["stragglers"]) && nobody(&page["cluster"]["mismatches"]);
        let hash = page["configuration"]["hash"].clone();
        quiet.then_some((page["published"].as_u64()?, hash.to_string()))
    };
    let first = seen(&pages[0]);
    first.is_some() && pages.iter().all(|page| seen(page) == first)
}

/// Nodes, rounds or a time, the seed, and requests a second.
fn wanted() -> (usize, Duration, u64, u64) {
    (
        from_env("WEIR_CHAOS_NODES", 3) as usize,
        Duration::from_secs(60 * from_env("WEIR_CHAOS_MINUTES", 0)),
        from_env("WEIR_CHAOS_SEED", 1),
        from_env("WEIR_CHAOS_RATE", 600),
    )
}

#[test]
fn faults_of_nodes_etcd_and_network_contradict_lose_and_take_back_nothing() {
    let (count_of_nodes, span, seed, rate) = wanted();
    let stage = Stage::start(count_of_nodes);
    stage.until_same();
    let epoch = stage.nodes[0].page("/v1/epoch").unwrap()["published"]
        .as_u64()
        .unwrap();
    let record = Record::new(epoch);
    let (stop, begun) = (AtomicBool::new(false), Instant::now());
    let pause = Duration::from_micros(1_000_000 * count_of_nodes as u64 * CLIENTS / rate);
    let mut healing = Healing::default();
    let mut rounds = BTreeMap::new();
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let end = Ending(&stop);
        let clients: Vec<_> = (0..CLIENTS)
            .flat_map(|client| stage.nodes.iter().map(move |node| (client, node)))
            .zip(1..)
            .map(|((_, node), number)| {
                let stop = &stop;
                scope.spawn(move || load(node, seed * 1000 + number, pause, stop))
            })
            .collect();
        let author = Author::new(&stage, &record, epoch, seed);
        scope.spawn(|| author.write(&stop));
        for counter in 0..COUNTERS.len() {
            let (stage, record, stop) = (&stage, &record, &stop);
            scope.spawn(move || count(stage, record, counter, stop));
        }
        for (number, round) in Schedule::new(seed).enumerate() {
            if number >= ROUNDS && begun.elapsed() >= span {
                break;
            }
            stage.play(&round);
            stage.heal(&record, &mut healing);
            *rounds.entry(format!("{:?}", round.to_node.0)).or_insert(0) += 1;
            *rounds.entry(format!("{:?}", round.between.0)).or_insert(0) += 1;
            eprintln!(
                "{}",
                healing.line(number, &round, stage.node(round.numbers[0]))
            );
        }
        drop(end);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let history = record.history.lock().unwrap();
    let verdict = Verdict::of(seen, &history);
    eprintln!(
        "{count_of_nodes} nodes, {:.0} s, seed {seed}: {} responses of {} epochs, {} requests lost \
         with a process; changes {:?}; {rounds:?}; {healing}",
        begun.elapsed().as_secs_f64(),
        verdict.answers,
        verdict.epochs,
        verdict.excused,
        record.outcomes.lock().unwrap(),
    );
    assert_eq!(verdict.contradicting, [""; 0]);
    assert!(verdict.went_back.is_empty(), "{:#?}", verdict.went_back);
    assert!(verdict.lost.is_empty(), "{:#?}", verdict.lost);
    assert!(verdict.answers > 1000 && verdict.epochs > 50, "{verdict:?}");
    healing.judge();
}

impl Healing {
    fn line(&self, number: usize, round: &Round, node: &Node) -> String {
        let last = |times: &[Duration]| times.last().copied().unwrap_or_default();
        format!(
            "round {number}: {:?} {} and {:?}, {:.1?}: etcd whole after {:.2?}, nodes {:.2?} \
             later, one hash {:.2?} after the last change",
            round.to_node.0,
            node.name(),
            round.between.0,
            round.lasts,
            last(&self.etcd),
            last(&self.newest),
            last(&self.hashes),
        )
    }

    #[track_caller]
    fn judge(&self) {
        for times in [&self.newest, &self.hashes] {
            assert!(times.iter().all(|time| *time <= WHOLE_WITHIN), "{times:?}");
        }
    }
}

impl std::fmt::Display for Healing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let most = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
        write!(
            out,
            "longest until etcd is whole {:.2?}, nodes serve the newest epoch {:.2?} later, have \
             one hash {:.2?} after the last change",
            most(&self.etcd),
            most(&self.newest),
            most(&self.hashes),
        )
    }
}
