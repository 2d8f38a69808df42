//! What is done to a cluster, drawn from a seed: in each round something is done to nodes and
//! something to etcd or the network, at the same time, and then all of it is undone.
//!
//! Kinds come in turn, in an order that is drawn anew each time, so that a short schedule has
//! everything in it and a long one meets them in many pairs.

use std::time::Duration;

use crate::support::bulk::Dice;

/// What is done to a node, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToNode {
    /// Its wall clock is an hour ahead, and then right again.
    ClockAhead,
    /// Its wall clock goes a day back, and then it is killed and started.
    ClockBack,
    /// SIGTERM; it is started when the round is over.
    End,
    /// kill -9; it is started when the round is over.
    Kill,
    /// kill -9, and it is started at once, whatever else is broken.
    KillAndStart,
    /// kill -9 in the moment a client sees a newer epoch; it is started at once, cut off from etcd.
    KillAtChange,
    /// SIGSTOP, and SIGCONT when the round is over.
    Pause,
}

/// What is done to etcd, by the number of a member, or to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Between {
    /// What a node sends does not reach etcd.
    Asks,
    /// What etcd sends does not reach a node: requests arrive, and answers are lost.
    Answers,
    /// Nothing passes between the leader and the other members; clients still reach it.
    CutLeader,
    /// Nothing passes between two nodes.
    CutNodes,
    /// What one node sends does not reach another.
    CutOneWay,
    /// Nothing passes between a node and all others, etcd included.
    CutOff,
    /// kill -9 of the member that leads.
    KillLeader,
    /// kill -9 of a member.
    KillMember,
    /// kill -9 of two of three members.
    KillMost,
    /// SIGSTOP of the member that leads.
    PauseLeader,
    /// SIGSTOP of a member.
    PauseMember,
}

const TO_NODES: [ToNode; 7] = [
    ToNode::ClockAhead,
    ToNode::ClockBack,
    ToNode::End,
    ToNode::Kill,
    ToNode::KillAndStart,
    ToNode::KillAtChange,
    ToNode::Pause,
];

const BETWEEN: [Between; 11] = [
    Between::Asks,
    Between::Answers,
    Between::CutLeader,
    Between::CutNodes,
    Between::CutOneWay,
    Between::CutOff,
    Between::KillLeader,
    Between::KillMember,
    Between::KillMost,
    Between::PauseLeader,
    Between::PauseMember,
];

/// How many rounds have everything in them.
pub const ROUNDS: usize = BETWEEN.len();

/// A round. Moments are since it began; numbers are taken by whoever knows how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    pub to_node: (ToNode, Duration),
    pub between: (Between, Duration),
    /// When all of it is undone.
    pub lasts: Duration,
    /// Which node, which one the other is, and which member.
    pub numbers: [usize; 4],
}

/// Rounds without an end.
pub struct Schedule {
    dice: Dice,
    to_nodes: Vec<ToNode>,
    between: Vec<Between>,
}

impl Schedule {
    /// The same seed is the same schedule.
    pub fn new(seed: u64) -> Schedule {
        Schedule {
            dice: Dice::new(seed),
            to_nodes: Vec::new(),
            between: Vec::new(),
        }
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.dice.below(to - from))
    }
}

impl Iterator for Schedule {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        let to_node = draw(&mut self.dice, &mut self.to_nodes, &TO_NODES);
        let between = draw(&mut self.dice, &mut self.between, &BETWEEN);
        Some(Round {
            to_node: (to_node, self.millis(0, 1500)),
            between: (between, self.millis(0, 1500)),
            lasts: self.millis(2500, 5500),
            numbers: std::array::from_fn(|_| self.dice.roll() as usize >> 8),
        })
    }
}

/// The next of a deck, which is filled and shuffled when it is empty.
fn draw<T: Copy>(dice: &mut Dice, deck: &mut Vec<T>, all: &[T]) -> T {
    if deck.is_empty() {
        deck.extend_from_slice(all);
        for last in (1..deck.len()).rev() {
            deck.swap(last, dice.below(last as u64 + 1) as usize);
        }
    }
    deck.pop().expect("it was filled")
}

#[test]
fn the_same_seed_is_the_same_schedule_and_a_short_one_has_everything_in_it() {
    let rounds = |seed| Schedule::new(seed).take(ROUNDS).collect::<Vec<_>>();
    assert_eq!(rounds(7), rounds(7));
    assert_ne!(rounds(7), rounds(8));
    for seed in 0..20 {
        let rounds = rounds(seed);
        for what in BETWEEN {
            assert!(
                rounds.iter().any(|round| round.between.0 == what),
                "{what:?}"
            );
        }
        for what in TO_NODES {
            assert!(
                rounds.iter().any(|round| round.to_node.0 == what),
                "{what:?}"
            );
        }
    }
}
