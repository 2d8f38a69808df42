//! What becomes of a backend that nodes check together: who checks it here, and by whose word.

use super::*;
use crate::control::gossip::Observing;
use crate::gossip::Member as Node;
use crate::gossip::observers::{Finding, Words};

const CHECK: &str = "[group.check]\nkind = \"tcp\"\ninterval = \"100ms\"\ntimeout = \"100ms\"\n";

impl World {
    /// A node `me` that shares checks, with so many observers for each backend.
    fn sharing(seats: usize) -> (World, Observing) {
        World::sharing_of(seats, &format!("{THREE}{CHECK}"))
    }

    /// The same with a group of these lines.
    pub(super) fn sharing_of(seats: usize, group: &str) -> (World, Observing) {
        let observing = Observing::new(&Arc::from("me"), seats);
        let mut world = World::new(group);
        world.keeper = Keeper::new(Arc::default(), UNIX, Some(observing.clone()));
        world.publish(group);
        (world, observing)
    }

    fn keys(&self) -> Vec<u64> {
        let backends = self.group().backends.iter();
        let seat = |slot| self.keeper.members[&slot].seat.unwrap().key;
        backends.map(|backend| seat(backend.slot)).collect()
    }

    fn page(&self, at: usize) -> serde_json::Value {
        let member = &self.keeper.members[&self.group().backends[at].slot];
        self.keeper.observers(member)
    }
}

pub(super) fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        generation: 1,
        address: ([127, 0, 0, 1], 7946).into(),
    }
}

/// What a node says of the backends of these keys, first of all.
pub(super) fn says(keys: &[u64], finding: &Finding) -> Words {
    Words::Page {
        from: 0,
        to: keys.len() as u64,
        entries: keys
            .iter()
            .map(|key| (*key, Some(finding.clone())))
            .collect(),
    }
}

#[test]
fn alone_all_is_checked_here_and_its_own_word_counts() {
    let (mut world, _) = World::sharing(3);
    world.pass(3 * SECOND, |address| !is_second(address));
    assert_eq!(world.status(0), Status::Up);
    assert_eq!(world.status(1), Status::Down);
    let reason = world.keeper.members[&world.group().backends[1].slot]
        .record
        .judgement();
    assert_eq!(reason.reason, "connection refused");
    assert_eq!(world.page(1)["quorum"], 1);
    assert_eq!(world.page(1)["items"][0]["node"], "me");
    world.pass(40 * SECOND, |_| true);
    assert_eq!(world.status(1), Status::Up);
}

#[test]
fn the_word_of_most_observers_counts_and_who_contradicts_them_is_flagged() {
    let (mut world, observing) = World::sharing(3);
    let others = [node("a"), node("b")];
    let keys = world.keys();
    world.pass(SECOND, |_| true);
    let refused = Finding::Down("refused".into());
    observing.hear_in_test(
        &others,
        &[says(&keys[..1], &refused), says(&keys, &Finding::Up)],
    );
    world.pass(SECOND, |_| true);
    assert_eq!(world.status(0), Status::Up, "two of three found it well");
    let page = world.page(0);
    assert_eq!((&page["quorum"], &page["here"]), (&2.into(), &true.into()));
    let flagged = |page: &serde_json::Value| -> Vec<String> {
        let seats = page["items"].as_array().unwrap().iter();
        let seats = seats.filter(|seat| seat["contradicts"] == true);
        seats.map(|seat| seat["node"].to_string()).collect()
    };
    let begun = std::time::Instant::now();
    while flagged(&world.page(0)).is_empty() {
        assert!(begun.elapsed() < 10 * SECOND, "{}", world.page(0));
        std::thread::sleep(SECOND / 50);
    }
    assert_eq!(flagged(&world.page(0)), ["\"a\""]);
    assert!(flagged(&world.page(1)).is_empty());
    // Another one finds the same, and it is out although its check here passes.
    let more = Words::Page {
        from: 3,
        to: 4,
        entries: vec![(keys[0], Some(refused))],
    };
    observing.hear_in_test(&others, &[Words::Pull { since: 9 }, more]);
    world.pass(SECOND, |_| true);
    assert_eq!(world.status(0), Status::Down);
    let judged = world.keeper.members[&world.group().backends[0].slot]
        .record
        .judgement();
    assert_eq!(judged.reason, "refused (2 of 3 observers)");
}

#[test]
fn what_others_check_is_not_asked_here_and_known_all_the_same() {
    let (mut world, observing) = World::sharing(1);
    let others: Vec<Node> = (0..30).map(|number| node(&format!("n{number}"))).collect();
    let keys = world.keys();
    let refused = Finding::Down("refused".into());
    let words: Vec<Words> = others.iter().map(|_| says(&keys, &refused)).collect();
    observing.hear_in_test(&others, &words);
    let mine = world.keys().len();
    assert_eq!(
        world.pass(3 * SECOND, |_| true),
        0,
        "one of {mine} nodes is asked"
    );
    for at in 0..3 {
        assert_eq!(world.status(at), Status::Down);
        assert_eq!(world.page(at)["here"], false);
    }
    // Who is alone again checks all, and believes what was known until it has found out.
    observing.hear_in_test(&[], &[]);
    world.pass(SECOND / 20, |_| true);
    assert_eq!(world.status(0), Status::Down);
    assert!(world.pass(10 * SECOND, |_| true) > 10);
    assert_eq!(world.status(0), Status::Up);
}

#[test]
fn another_process_of_the_node_goes_on_with_the_verdict() {
    let (mut world, _) = World::sharing(3);
    world.pass(3 * SECOND, |address| !is_second(address));
    let known = world.keeper.known();
    let (mut next, _) = World::sharing(3);
    next.keeper.recall(&known, next.now);
    assert_eq!(next.status(1), Status::Down);
    next.pass(SECOND, |address| !is_second(address));
    assert_eq!(next.status(1), Status::Down);
    next.pass(40 * SECOND, |_| true);
    assert_eq!(next.status(1), Status::Up);
}
