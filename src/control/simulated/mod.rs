//! Deterministic simulation of the control plane: nodes that gossip, follow a store, publish to
//! their cores and lend slots, on a network that loses, delays, repeats and parts, with members of
//! the store that are behind, away or broken, with restarts (some from a past), machines that
//! stand still, and clocks of different pace. One seed decides all of it.
//!
//! After every event these hold:
//!
//! * epochs: no core ever serves by an older table than before; a node never says more than its
//!   cores do; two nodes that serve a revision serve the same content; what was acknowledged is
//!   there for good; and when a node finds that nobody is missing (`?wait=cluster`), nobody is;
//! * leases: all nodes together never have more under way than the maximum;
//! * health: what a node keeps of its seats and of what others found is sound.
//!
//! And when everything is well again for a while, all nodes see each other, serve the newest
//! revision on every core, and own all slots between them; each backend is checked by as many
//! nodes as it is to be, and all of them think of it what is so.
//!
//! `WEIR_SEEDS=1000 cargo test --release --lib control::simulated` runs more seeds than the few of
//! every test run; a seed that fails is printed with how to run it again.

mod node;
mod world;

use std::cell::Cell;

use self::world::World;
use crate::base::simulated::for_seeds;

const NAME: &str = "control::simulated";

/// What has happened in a run, to see that something has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    commits: u64,
    conflicts: u64,
    restarts: u64,
    splits: u64,
    stalls: u64,
    waited: u64,
    borrowed: u64,
    refused_reads: u64,
    /// Of everything that happened, in its order.
    story: u64,
}

fn storm(seed: u64) -> Tally {
    let mut world = World::new(3 + seed as usize % 3, seed);
    world.storm(40);
    world.settle();
    world.tally()
}

#[test]
fn the_control_plane_keeps_its_promises_whatever_happens() {
    let sum = Cell::new(Tally::default());
    for_seeds(NAME, 6, |seed| {
        let (one, all) = (storm(seed), sum.get());
        sum.set(Tally {
            commits: all.commits + one.commits,
            conflicts: all.conflicts + one.conflicts,
            restarts: all.restarts + one.restarts,
            splits: all.splits + one.splits,
            stalls: all.stalls + one.stalls,
            waited: all.waited + one.waited,
            borrowed: all.borrowed + one.borrowed,
            refused_reads: all.refused_reads + one.refused_reads,
            story: 0,
        });
    });
    let all = sum.get();
    eprintln!("{all:?}");
    // A test in which nothing happens would always pass.
    if std::env::var("WEIR_SEED").is_err() {
        assert!(
            all.commits > 15 && all.waited > 8 && all.restarts > 10,
            "{all:?}"
        );
        assert!(
            all.splits > 10 && all.stalls > 3 && all.borrowed > 15,
            "{all:?}"
        );
        assert!(all.refused_reads > 5, "{all:?}");
    }
}

#[test]
fn a_seed_is_the_whole_story() {
    let told = storm(3);
    assert_eq!(told, storm(3));
    assert_ne!(told.story, storm(4).story);
}
