//! Policies that draw or compare: shares within statistics, and load that evens out.

use proptest::prelude::*;

use super::super::least_load::EXACT_MAX;
use super::*;

const DRAWING: [PolicyKind; 3] = [
    PolicyKind::LeastRequest { choices: 2 },
    PolicyKind::PeakEwma,
    PolicyKind::Random,
];

/// Whether counts could come from these weights: chi-square with a bound that is exceeded about
/// once in ten thousand times.
fn fits(counts: &[usize], weights: &[u16]) -> bool {
    let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let drawn: usize = counts.iter().sum();
    let expected = |weight: u16| drawn as f64 * f64::from(weight) / total;
    let statistic: f64 = counts
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight > 0)
        .map(|(count, weight)| (*count as f64 - expected(*weight)).powi(2) / expected(*weight))
        .sum();
    let freedom = weights.iter().filter(|weight| **weight > 0).count() as f64 - 1.0;
    let none_for_nothing = counts
        .iter()
        .zip(weights)
        .all(|(count, weight)| *weight > 0 || *count == 0);
    none_for_nothing && statistic < freedom + 4.0 * (2.0 * freedom).sqrt() + 6.0
}

#[test]
fn idle_backends_are_drawn_by_weight() {
    let ladder: Vec<u16> = (0..50).map(|index| index * index).collect();
    for weights in [vec![3, 1], vec![1, 1, 1], vec![100, 0, 7, 7, 1000], ladder] {
        for kind in DRAWING {
            let group = weighted(kind, &weights);
            for seed in 0..5 {
                let counts = counts(&group, &picks(&group, &mut seeded(seed), 20_000));
                assert!(fits(&counts, &weights), "{kind:?} {weights:?} {counts:?}");
            }
        }
    }
}

#[test]
fn the_test_of_shares_notices_a_wrong_one() {
    assert!(!fits(&[5200, 4800], &[1, 1]));
    assert!(!fits(&[9999, 1], &[1, 0]));
}

/// Requests that stay, one after the other: what each backend ends up with.
fn balls(group: &Group, state: &mut PickState, count: usize) -> Vec<u32> {
    for _ in 0..count {
        let chosen = one(group, state, &Tried::NONE).unwrap();
        group.enter(chosen, CoreId(0));
    }
    let loads = group.backends.iter();
    loads.map(|backend| backend.load.in_flight()).collect()
}

#[test]
fn the_fullest_of_many_bins_is_as_theory_says() {
    let highest = |kind, bins, count, seed| {
        let group = even(kind, bins);
        let full = balls(&group, &mut seeded(seed), count);
        full.into_iter().max().unwrap()
    };
    let two = PolicyKind::LeastRequest { choices: 2 };
    assert!(highest(two, 65_536, 65_536, 1) <= 4);
    assert!((6..=9).contains(&highest(PolicyKind::Random, 65_536, 65_536, 1)));
    for seed in 0..3 {
        assert!(highest(two, 1000, 100_000, seed) <= 103);
        assert!(highest(PolicyKind::Random, 1000, 100_000, seed) > 120);
        let least = PolicyKind::LeastConnections;
        assert!(highest(least, 1000, 100_000, seed) <= 101);
    }
}

#[test]
fn load_that_stays_ends_in_proportion_to_the_weights() {
    let weights = [1, 2, 3, 10];
    for kind in [
        PolicyKind::LeastRequest { choices: 2 },
        PolicyKind::LeastRequest { choices: 16 },
        PolicyKind::WeightedLeastConnections,
    ] {
        let group = weighted(kind, &weights);
        let loads = balls(&group, &mut seeded(1), 1600);
        for (load, weight) in loads.iter().zip(weights) {
            let expected = 100.0 * f64::from(weight);
            let off = (f64::from(*load) - expected).abs();
            assert!(off <= 12.0 + expected * 0.02, "{kind:?}: {loads:?}");
        }
    }
}

#[test]
fn the_least_loaded_of_all_is_found_when_as_many_are_drawn() {
    let group = even(PolicyKind::LeastRequest { choices: 5 }, 5);
    for (backend, in_flight) in [4, 3, 1, 9, 2].into_iter().enumerate() {
        load(&group, backend, in_flight);
    }
    assert_eq!(picks(&group, &mut seeded(1), 3), [2, 2, 2]);
}

#[test]
fn of_two_the_busier_one_is_never_drawn() {
    let group = even(PolicyKind::LeastRequest { choices: 2 }, 2);
    load(&group, 0, 1);
    let chosen = picks(&group, &mut seeded(1), 1000);
    assert!(chosen.iter().all(|index| *index == 1));
}

#[test]
fn a_slow_backend_gets_next_to_nothing_until_its_peak_is_forgotten() {
    let group = even(PolicyKind::PeakEwma, 10);
    let second = 1_000_000;
    let share = |state: &mut PickState, now| {
        let ask = Ask::new(&Tried::NONE, now);
        let chosen = (0..10_000).map(|_| pick(&group, state, &ask).unwrap().0);
        chosen.filter(|index| *index == 3).count()
    };
    let mut state = seeded(1);
    let fair = share(&mut state, second);
    assert!((900..1100).contains(&fair), "{fair}: nothing is known yet");
    for (index, backend) in group.backends.iter().enumerate() {
        let took = if index == 3 { 400_000 } else { 20_000 };
        backend.load.observe(CoreId(1), took, second);
    }
    let slow = share(&mut state, second);
    assert!(slow <= 2, "{slow}: drawn with another, it loses");
    for round in 2..60 {
        for backend in &group.backends {
            backend.load.observe(CoreId(1), 20_000, round * second);
        }
    }
    let cost = group.backends[3].load.cost(60 * second).unwrap();
    assert!(cost < 22_000.0, "{cost}: the peak is forgotten");
}

#[test]
fn a_backend_without_history_is_taken_to_be_like_the_others() {
    let group = even(PolicyKind::PeakEwma, 3);
    let now = 1_000_000;
    for index in [0, 1] {
        group.backends[index].load.observe(CoreId(0), 500, now);
    }
    let mut state = seeded(2);
    let ask = Ask::new(&Tried::NONE, now);
    let chosen: Vec<u32> = (0..9000)
        .map(|_| pick(&group, &mut state, &ask).unwrap().0)
        .collect();
    let counts = counts(&group, &chosen);
    assert!(counts.iter().all(|count| *count > 2000), "{counts:?}");
}

#[test]
fn as_much_time_with_more_in_front_is_worse() {
    let group = even(PolicyKind::PeakEwma, 2);
    for backend in &group.backends {
        backend.load.observe(CoreId(0), 1000, 1_000_000);
    }
    load(&group, 0, 3);
    let ask = Ask::new(&Tried::NONE, 1_000_000);
    let mut state = seeded(1);
    for _ in 0..100 {
        assert_eq!(pick(&group, &mut state, &ask), Ok(BackendIndex(1)));
    }
}

#[test]
fn in_a_large_group_the_one_idle_backend_is_found_soon() {
    for kind in [
        PolicyKind::LeastConnections,
        PolicyKind::WeightedLeastConnections,
    ] {
        let group = even(kind, 1000);
        for index in 0..1000 {
            load(&group, index, if index == 777 { 0 } else { 3 });
        }
        for seed in 0..20 {
            let mut state = seeded(seed);
            let found = picks(&group, &mut state, 1000).contains(&777);
            assert!(found, "seed {seed}");
        }
    }
}

/// Those of one kind often stand together in the list. A look at neighbours alone took a third of
/// all requests to the busy ones here.
#[test]
fn in_a_large_group_busy_neighbours_are_left_alone() {
    for kind in [
        PolicyKind::LeastConnections,
        PolicyKind::WeightedLeastConnections,
    ] {
        let group = even(kind, 100);
        for index in 0..100 {
            load(&group, index, if index < 50 { 9 } else { 3 });
        }
        for seed in 0..20 {
            let picks = picks(&group, &mut seeded(seed), 1000);
            let busy = picks.iter().filter(|index| **index < 50).count();
            assert!(busy <= 20, "{kind:?}: {busy} of 1000, seed {seed}");
        }
    }
}

proptest! {
    #[test]
    fn least_connections_chooses_a_least_loaded_one(
        backends in proptest::collection::vec((0_u32..6, 1_u16..5), 1..=EXACT_MAX),
        seed in any::<u64>(),
        tried_indices in proptest::collection::vec(0_u32..20, 0..10),
    ) {
        let mut tried = Tried::NONE;
        for index in tried_indices {
            tried.insert(BackendIndex(index));
        }
        let weights: Vec<u16> = backends.iter().map(|(_, weight)| *weight).collect();
        for kind in [PolicyKind::LeastConnections, PolicyKind::WeightedLeastConnections] {
            let group = weighted(kind, &weights);
            for (index, (in_flight, _)) in backends.iter().enumerate() {
                load(&group, index, *in_flight);
            }
            let measure = |index: usize| match (kind, backends[index]) {
                (_, (0, _)) => 0.0,
                (PolicyKind::LeastConnections, (some, _)) => f64::from(some),
                (_, (some, weight)) => f64::from(some + 1) / f64::from(weight),
            };
            let left = (0..backends.len())
                .filter(|index| !tried.contains(BackendIndex(*index as u32)));
            let least = left.map(measure).reduce(f64::min);
            let chosen = one(&group, &mut seeded(seed), &tried);
            prop_assert_eq!(chosen.ok().map(|index| measure(index.index())), least);
            if let Ok(chosen) = chosen {
                prop_assert!(!tried.contains(chosen));
            }
        }
    }
}
