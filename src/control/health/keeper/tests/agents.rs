//! What becomes of a backend whose agent nodes ask together: who asks it here, and by whose word.

use super::observed::{node, says};
use super::*;
use crate::gossip::Member as Node;
use crate::gossip::observers::{Finding, Word};

const AGENT: &str = "[group.agent]\nport = 9777\ninterval = \"100ms\"\n";

impl World {
    fn asking(seats: usize) -> (World, Observing) {
        World::sharing_of(seats, &format!("{THREE}{AGENT}"))
    }

    fn member(&self, at: usize) -> &Member {
        &self.keeper.members[&self.group().backends[at].slot]
    }

    fn agent_keys(&self) -> Vec<u64> {
        let seat = |at| self.member(at).agent.as_ref().unwrap().seat;
        (0..3).map(|at| seat(at).unwrap().key).collect()
    }

    fn askers(&self, at: usize) -> serde_json::Value {
        self.keeper.askers(self.member(at).agent.as_ref().unwrap())
    }

    fn statuses(&self) -> [Status; 3] {
        [0, 1, 2].map(|at| self.status(at))
    }
}

/// What another node has heard, as often as it has changed its mind.
fn said(count: u64, text: &str) -> Finding {
    Finding::Said(Arc::new(Word::of([(count, text)])))
}

#[test]
fn alone_all_are_asked_here_and_what_they_say_is_done() {
    let (mut world, _) = World::asking(3);
    world.agents = Some("drain 50%\n");
    world.pass(SECOND, |_| true);
    assert!(world.questions >= 24, "{}", world.questions);
    assert_eq!(world.statuses(), [Status::Drain; 3]);
    world.agents = Some("ready");
    world.pass(SECOND, |_| true);
    assert_eq!(world.statuses(), [Status::Up; 3]);
    assert_eq!(world.member(0).agent_percent(), 50, "it was not taken back");
    let page = world.askers(0);
    assert_eq!(page["items"][0]["node"], "me");
    assert_eq!(
        page["items"][0]["heard"],
        serde_json::json!(["ready", "50%"])
    );
}

#[test]
fn what_others_have_heard_is_done_here_and_who_takes_over_begins_with_it() {
    let (mut world, observing) = World::asking(1);
    let others: Vec<Node> = (0..30).map(|number| node(&format!("n{number}"))).collect();
    let keys = world.agent_keys();
    world.agents = Some("ready\n");
    world.pass(SECOND, |_| true);
    let words: Vec<_> = others
        .iter()
        .map(|_| says(&keys, &said(5, "drain")))
        .collect();
    observing.hear_in_test(&others, &words);
    world.questions = 0;
    world.pass(SECOND, |_| true);
    assert_eq!(world.questions, 0, "one of 30 others has each seat");
    assert_eq!(world.statuses(), [Status::Drain; 3]);
    let page = world.askers(0);
    assert_eq!(page["here"], false);
    assert_eq!(page["items"][0]["heard"], serde_json::json!(["drain"]));
    // Who is alone again asks all within a second; what cannot be reached has not changed its mind.
    observing.hear_in_test(&[], &[]);
    world.agents = None;
    world.pass(SECOND, |_| true);
    assert!(world.questions >= 3, "{}", world.questions);
    assert_eq!(world.statuses(), [Status::Drain; 3]);
    world.agents = Some("ready\n");
    world.pass(SECOND, |_| true);
    assert_eq!(world.statuses(), [Status::Up; 3]);
}

#[test]
fn who_takes_over_asks_within_a_second_however_rarely_it_is_asked() {
    let rarely = AGENT.replace("100ms", "30s");
    let (mut world, observing) = World::sharing_of(1, &format!("{THREE}{rarely}"));
    let others: Vec<Node> = (0..30).map(|number| node(&format!("n{number}"))).collect();
    let keys = world.agent_keys();
    let words: Vec<_> = others
        .iter()
        .map(|_| says(&keys, &said(5, "drain")))
        .collect();
    observing.hear_in_test(&others, &words);
    world.pass(SECOND / 10, |_| true);
    let of_others = world.questions;
    observing.hear_in_test(&[], &[]);
    world.pass(SECOND, |_| true);
    assert_eq!(world.questions - of_others, 3);
    world.pass(20 * SECOND, |_| true);
    assert_eq!(
        world.questions - of_others,
        3,
        "and then as rarely as before"
    );
}

#[test]
fn an_answer_to_a_question_from_before_the_newest_word_does_not_undo_it() {
    let (mut world, observing) = World::asking(3);
    let others = [node("a"), node("b")];
    let keys = world.agent_keys();
    world.agents = Some("ready\n");
    world.pass(SECOND, |_| true);
    // The question is sent, and the answer waits while another node hears something newer.
    world.now = world.keeper.next().max(world.now);
    let due = loop {
        let mut due = world.keeper.turn(world.now);
        match due.pop() {
            Some(due) => break due,
            None => world.now += SECOND / 100,
        }
    };
    let pages = [says(&keys, &said(9, "drain")), says(&[], &Finding::Up)];
    observing.hear_in_test(&others, &pages);
    world.keeper.turn(world.now);
    assert_eq!(world.statuses(), [Status::Drain; 3]);
    let whom = (due.address, due.asked.port());
    let late = Ok(b"ready\n".to_vec());
    world.keeper.answered(due.slot, whom, late, world.now);
    assert_eq!(world.statuses(), [Status::Drain; 3]);
    // The next one counts.
    world.pass(SECOND, |_| true);
    assert_eq!(world.statuses(), [Status::Up; 3]);
}

#[test]
fn another_process_of_the_node_goes_on_with_what_was_said() {
    for shared in [true, false] {
        let group = format!("{THREE}{AGENT}");
        let begin = || match shared {
            true => World::asking(3).0,
            false => World::new(&group),
        };
        let mut world = begin();
        world.agents = Some("drain 30% maxconn:7 down#disk\n");
        world.pass(SECOND, |_| true);
        let known = world.keeper.known();
        let mut next = begin();
        next.keeper.recall(&known, next.now);
        next.pass(SECOND, |_| true);
        assert_eq!(next.statuses(), [Status::Down; 3]);
        let member = next.member(1);
        assert_eq!(
            (member.agent_percent(), member.agent_capacity()),
            (30, Some(7))
        );
        assert_eq!(member.opinions.agent, Opinion::Down("disk".into()));
        // An agent at another port is another one.
        let mut other = begin();
        other.publish(&format!("{THREE}{}", AGENT.replace("9777", "9778")));
        other.keeper.recall(&known, other.now);
        other.pass(SECOND, |_| true);
        assert_eq!(other.member(1).agent_percent(), 100);
    }
}

#[test]
fn one_that_is_sent_something_else_has_said_what_it_said() {
    let (mut world, _) = World::asking(3);
    world.agents = Some("drain\n");
    world.pass(SECOND, |_| true);
    let keys = world.agent_keys();
    world.agents = None;
    world.publish(&format!("{THREE}{AGENT}send = \"who\\n\"\n"));
    assert_ne!(
        world.agent_keys(),
        keys,
        "findings are of the same question only"
    );
    world.pass(SECOND, |_| true);
    assert_eq!(world.statuses(), [Status::Drain; 3]);
    world.publish(&format!("{THREE}{}", AGENT.replace("9777", "9778")));
    world.pass(SECOND, |_| true);
    assert_eq!(world.statuses(), [Status::Up; 3], "it is another agent");
}
