//! Agents that nodes ask together: who asks, what all go by, and that it outlives whoever heard it.

use super::*;

/// Between two questions of an asker.
const INTERVAL: u64 = 40;

/// Within that all nodes go by what an agent says: its askers ask, what they hear travels, and
/// what of that is lost is asked for again.
const WITHIN: Duration = Duration::from_secs(6);

/// What an agent has said, on its way to who asked.
pub(super) struct Answer {
    agent: usize,
    /// What was known when it was asked.
    known: Arc<Word>,
    text: &'static str,
}

pub(super) fn key(agent: usize) -> u64 {
    super::key(1_000_000 + agent)
}

impl Node {
    /// Takes in what agents have answered, and asks those that are due; an answer takes a tick.
    pub(super) fn ask(&mut self, says: &[&'static str], ticks: u64, now: Moment) {
        for answer in std::mem::take(&mut self.answers) {
            let before = self.word(answer.agent);
            let said = [Some(answer.text.to_owned()), None, None, None];
            let word = before.after(&answer.known, &said);
            if word != *before {
                let finding = Finding::Said(Arc::new(word));
                self.observers.found(key(answer.agent), finding, now);
            }
        }
        for (agent, text) in says.iter().enumerate() {
            let mine = self.observers.case(key(agent)).unwrap().mine;
            if mine && (ticks + agent as u64).is_multiple_of(INTERVAL) {
                self.questions += 1;
                let known = self.word(agent);
                let answer = Answer { agent, known, text };
                self.answers.extend((!self.is_cut).then_some(answer));
            }
        }
    }

    fn word(&self, agent: usize) -> Arc<Word> {
        let verdict = self.observers.case(key(agent)).unwrap().verdict;
        verdict.word().map(Arc::clone).unwrap_or_default()
    }

    fn goes_by(&self, agent: usize) -> Option<String> {
        let word = self.word(agent);
        word.texts().next().map(str::to_owned)
    }
}

impl World {
    /// Whether all nodes go by what each agent says.
    fn hear_all(&self) -> bool {
        let heard = |node: &Node| {
            let mut agents = self.says.iter().enumerate();
            agents.all(|(agent, text)| node.goes_by(agent).as_deref() == Some(text))
        };
        self.running().all(heard)
    }

    fn questions(&self) -> u64 {
        self.running().map(|node| node.questions).sum()
    }

    /// Nodes that ask an agent.
    fn askers(&self, agent: usize) -> Vec<usize> {
        let nodes = self.nodes.iter().enumerate();
        let asks = |node: &Option<Node>| {
            let node = node.as_ref()?;
            node.observers
                .case(key(agent))
                .filter(|case| case.mine)
                .map(|_| ())
        };
        nodes
            .filter(|(_, node)| asks(node).is_some())
            .map(|(index, _)| index)
            .collect()
    }

    fn cut(&mut self, node: usize, is_cut: bool) {
        self.nodes[node].as_mut().unwrap().is_cut = is_cut;
    }
}

#[test]
fn an_agent_is_asked_as_often_by_fifty_nodes_as_by_three() {
    for (nodes, seats) in [(1, 3), (3, 3), (5, 3), (50, 3), (50, 1)] {
        let mut world = World::with_agents(nodes, 0, vec!["ready"; 20], seats, 1);
        world.until("heard", seconds(20), World::hear_all);
        world.run(seconds(5));
        let before = world.questions();
        world.run(seconds(20));
        let asked = world.questions() - before;
        let expected = (20 * seats.min(nodes) * 10) as u64;
        assert_eq!(asked, expected, "{nodes} nodes");
        let sums = world.running().map(|node| node.observers.sums(world.now));
        let (asked, held) = sums.fold((0, 0), |all, sums| (all.0 + sums.asked, all.1 + sums.held));
        assert_eq!((asked, held), (20 * seats.min(nodes) as u64, 0));
    }
}

#[test]
fn all_go_by_what_an_agent_says_whatever_the_network_does() {
    for_seeds(|seed| {
        let mut world = World::with_agents(7, 3, vec!["ready"; 10], 2, seed);
        (world.lost_percent, world.delay_ms_max) = (20, 400);
        world.until("heard", seconds(20), World::hear_all);
        for round in 0..8 {
            for agent in 0..10 {
                world.says[agent] = ["ready", "drain", "maint"][world.draw(3) as usize];
            }
            let node = world.draw(7) as usize;
            match round % 4 {
                0 => world.nodes[node] = None,
                1 => world.sides = (0..7).map(|node| u8::from(node < 3)).collect(),
                _ => {}
            }
            world.run(seconds(7));
            world.sides = vec![0; 7];
            for node in 0..7 {
                if world.nodes[node].is_none() {
                    world.start(node, 10 + round);
                }
            }
            world.until("heard again", 2 * WITHIN, World::hear_all);
        }
        world.lost_percent = 0;
        world.delay_ms_max = 2;
        world.run(seconds(5));
        world.says[4] = "down#disk full";
        let took = world.until("heard at once", seconds(4), World::hear_all);
        // The interval, a tick until the answer is there, and what it takes to be told.
        assert!(took <= seconds(2) + 5 * TICK, "{took:?}");
    });
}

/// Nobody reaches the agent any more, and all who heard it end one after the other.
#[test]
fn what_an_agent_has_said_outlives_whoever_heard_it() {
    for_seeds(|seed| {
        for seats in [1, 2, 5] {
            let mut world = World::with_agents(5, 0, vec!["ready"], seats, seed);
            world.until("heard", seconds(20), World::hear_all);
            world.run(seconds(4));
            world.says[0] = "drain";
            world.until("heard", WITHIN, World::hear_all);
            world.run(seconds(1));
            for round in 0..8 {
                (0..5).for_each(|node| world.cut(node, true));
                let askers = world.askers(0);
                let dies = askers[round as usize % askers.len()];
                world.nodes[dies] = None;
                let died = world.now;
                while world.askers(0).len() < seats.min(4) {
                    world.tick();
                    assert!(world.hear_all(), "nobody forgets it");
                    let bound = SILENT_AFTER + 3 * TICK;
                    assert!(world.now <= died + bound, "not taken over within {bound:?}");
                }
                world.start(dies, 2 + round);
                world.cut(dies, true);
                world.until("the new one knows it", seconds(3), World::hear_all);
            }
        }
    });
}

#[test]
fn an_asker_that_is_cut_off_from_the_agent_keeps_nobody_from_its_newest_word() {
    for_seeds(|seed| {
        let mut world = World::with_agents(5, 0, vec!["ready"], 3, seed);
        world.until("heard", seconds(20), World::hear_all);
        world.run(seconds(4));
        let askers = world.askers(0);
        for text in ["drain", "maint", "ready", "drain"] {
            world.cut(askers[0], true);
            world.cut(askers[1], true);
            world.says[0] = text;
            world.until("heard by all", WITHIN, World::hear_all);
            // Who reaches it again finds nothing else.
            world.cut(askers[0], false);
            world.run(seconds(4));
            assert!(world.hear_all());
        }
    });
}

/// The part that reaches the agent hears it change once, the other one changes its own word often
/// before: higher counts there, which hold until the next answer.
#[test]
fn parts_of_a_network_that_heard_different_things_come_to_what_is_so() {
    for_seeds(|seed| {
        let mut world = World::with_agents(6, 0, vec!["ready"], 3, seed);
        world.until("heard", seconds(20), World::hear_all);
        world.sides = (0..6).map(|node| u8::from(node < 3)).collect();
        world.run(seconds(5));
        let cut = |world: &mut World, nodes: std::ops::Range<usize>, is_cut| {
            nodes.for_each(|node| world.cut(node, is_cut));
        };
        cut(&mut world, 0..3, true);
        for text in ["drain", "maint", "ready", "maint"] {
            world.says[0] = text;
            world.run(seconds(4));
        }
        cut(&mut world, 0..3, false);
        cut(&mut world, 3..6, true);
        world.says[0] = "drain";
        world.run(seconds(4));
        world.sides = vec![0; 6];
        cut(&mut world, 3..6, false);
        world.until("all go by what is so", seconds(2) + WITHIN, World::hear_all);
    });
}

#[test]
fn a_process_that_takes_over_alone_goes_on_with_what_was_said() {
    let mut world = World::with_agents(1, 0, vec!["drain"], 3, 1);
    world.until("heard", seconds(5), World::hear_all);
    let known = world.nodes[0].as_ref().unwrap().word(0);
    world.start(0, 2);
    world.cut(0, true);
    world.run(seconds(5));
    assert!(!world.hear_all(), "nobody has told it");
    let now = world.now;
    let node = world.nodes[0].as_mut().unwrap();
    node.observers.recall(key(0), Finding::Said(known), now);
    assert!(world.hear_all());
    // What is recalled late does not undo what was heard since.
    let old = Finding::Said(Arc::new(Word::of([(0, "")])));
    let node = world.nodes[0].as_mut().unwrap();
    node.observers.recall(key(0), old, now);
    assert!(world.hear_all());
}
