//! Policies that take turns: exact order, exact shares.

use proptest::prelude::*;

use super::*;

#[test]
fn an_idle_group_is_served_in_order() {
    for kind in [PolicyKind::LeastConnections, PolicyKind::RoundRobin] {
        let group = even(kind, 3);
        let mut state = PickState::default();
        assert_eq!(picks(&group, &mut state, 7), [0, 1, 2, 0, 1, 2, 0]);
    }
}

#[test]
fn weighted_turns_are_those_of_nginx_from_any_place_on() {
    for (weights, cycle) in [
        (vec![5, 1, 1], vec![0, 0, 1, 0, 2, 0, 0]),
        (vec![4, 2, 1], vec![0, 1, 0, 2, 0, 1, 0]),
        (vec![1, 2, 3], vec![2, 1, 0, 2, 1, 2]),
    ] {
        for kind in [
            PolicyKind::WeightedRoundRobin,
            PolicyKind::WeightedLeastConnections,
        ] {
            let group = weighted(kind, &weights);
            assert_eq!(picks(&group, &mut PickState::default(), cycle.len()), cycle);
            let turned = picks(&group, &mut seeded(5), 2 * cycle.len());
            let endless = cycle.repeat(4);
            assert!(
                endless.windows(turned.len()).any(|part| part == turned),
                "{turned:?}"
            );
        }
    }
}

#[test]
fn a_second_pick_for_one_exchange_is_no_turn() {
    for kind in [PolicyKind::RoundRobin, PolicyKind::WeightedRoundRobin] {
        let group = even(kind, 2);
        let mut state = seeded(1);
        let mut firsts = [0; 2];
        for _ in 0..20 {
            let first = one(&group, &mut state, &Tried::NONE).unwrap();
            firsts[first.index()] += 1;
            let (mut tried, before) = (Tried::NONE, state);
            tried.insert(first);
            assert_ne!(one(&group, &mut state, &tried).unwrap(), first);
            state.return_turn(before);
        }
        assert_eq!(firsts, [10, 10], "{kind:?}");
    }
}

#[test]
fn turns_pass_over_what_was_tried() {
    let group = even(PolicyKind::RoundRobin, 4);
    let mut state = PickState::default();
    let mut tried = Tried::NONE;
    tried.insert(BackendIndex(0));
    tried.insert(BackendIndex(1));
    assert_eq!(one(&group, &mut state, &tried), Ok(BackendIndex(2)));
    assert_eq!(picks(&group, &mut state, 3), [3, 0, 1]);
}

#[test]
fn round_robin_asks_of_a_weight_only_whether_there_is_one() {
    let group = weighted(PolicyKind::RoundRobin, &[9, 0, 1]);
    assert_eq!(picks(&group, &mut PickState::default(), 5), [0, 2, 0, 2, 0]);
}

#[test]
fn weights_that_had_to_be_scaled_are_known() {
    let scaled = |weights: &[u16]| {
        weighted(PolicyKind::WeightedRoundRobin, weights)
            .policy
            .has_scaled_weights()
    };
    assert!(scaled(&[65535, 2]));
    assert!(!scaled(&[60000, 30000, 10000]));
}

#[test]
fn a_new_policy_goes_on_with_the_state_of_the_old_one() {
    let mut state = seeded(3);
    for kind in POLICIES.into_iter().chain(POLICIES.into_iter().rev()) {
        for backends in [100, 2, 7] {
            let group = even(kind, backends);
            let chosen = picks(&group, &mut state, 20);
            assert!(chosen.iter().all(|index| (*index as usize) < backends));
        }
    }
}

#[test]
fn cores_groups_and_nodes_begin_at_different_backends() {
    let begin = |seed, core, slot| PickState::new(seed, CoreId(core), GroupSlot(slot)).start(1000);
    let mut begins: Vec<u32> = (0..4)
        .flat_map(|seed| (0..4).flat_map(move |core| (0..4).map(move |slot| (seed, core, slot))))
        .map(|(seed, core, slot)| begin(seed, core, slot))
        .collect();
    begins.sort_unstable();
    begins.dedup();
    assert!(begins.len() > 55, "{} of 64 differ", begins.len());
    assert_eq!(begin(1, 2, 3), begin(1, 2, 3));
}

proptest! {
    #[test]
    fn any_window_of_one_cycle_serves_each_exactly_by_weight(
        weights in proptest::collection::vec(1_u16..20, 1..30),
        skip in 0_usize..300,
        seed in any::<u64>(),
    ) {
        for kind in [PolicyKind::WeightedRoundRobin, PolicyKind::RoundRobin] {
            let group = weighted(kind, &weights);
            let mut state = seeded(seed);
            let _ = picks(&group, &mut state, skip);
            let share = |weight: u16| match kind {
                PolicyKind::RoundRobin => 1,
                _ => usize::from(weight),
            };
            let total = weights.iter().map(|weight| share(*weight)).sum();
            let counts = counts(&group, &picks(&group, &mut state, total));
            let expected: Vec<usize> = weights.iter().map(|weight| share(*weight)).collect();
            prop_assert_eq!(counts, expected);
        }
    }
}
