//! What is learnt by probes and by gossip: the same for the same seed, and worth it.

use super::*;

/// Nodes that each see little of what a fleet of unequal backends has to do.
fn many_nodes(more: &str) -> Scenario {
    load(&format!(
        "warmup = \"3s\"\nduration = \"6s\"\n\
         [nodes]\ncount = 12\n{more}\n\
         [traffic]\nload = 0.85\n\
         [work]\ndistribution = \"normal\"\nmean = \"80ms\"\nsd = \"80ms\"\nmin = \"1ms\"\n\
         [[backends]]\ncount = 12\ncapacity = 4\n\
         [[backends]]\ncount = 4\ncapacity = 4\nspeed = 0.5\nroom = 0.5\n"
    ))
}

fn adaptive_with(scenario: &Scenario, keys: &str) -> Entrant {
    let mut entrant = weir(scenario, "adaptive");
    entrant.group.extend(keys.parse::<toml::Table>().unwrap());
    entrant
}

#[test]
fn the_same_seed_gives_the_same_with_probes_and_gossip() {
    let scenario = many_nodes("gossip = \"100ms\"\ndelay = \"2ms\"");
    let entrant = adaptive_with(&scenario, "probe = { rate = 0.5 }");
    let first = seen(&scenario, &entrant, 5).1;
    assert!(first.len() > 1000, "{}", first.len());
    assert_eq!(first, seen(&scenario, &entrant, 5).1);
    let without = adaptive_with(&scenario, "");
    assert_ne!(
        first,
        seen(&scenario, &without, 5).1,
        "it makes a difference"
    );
}

#[test]
fn probes_shorten_the_tail_where_nodes_see_little() {
    let mut scenario = load(include_str!("../../../config/sim/probes.toml"));
    (scenario.warmup, scenario.duration) = (4.0, 3.0);
    let tail = |name: &str| {
        let mut entrants = scenario.entrants.iter();
        let entrant = entrants.find(|entrant| entrant.name == name).unwrap();
        run(&scenario, entrant, scenario.seed).quantile(0.99)
    };
    let (without, with) = (tail("adaptive"), tail("adaptive, probes"));
    assert!(
        with < 0.9 * without,
        "{with} s with probes, {without} s without"
    );
}
