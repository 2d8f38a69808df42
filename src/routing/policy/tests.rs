//! Fairness, order and the promise never to choose what was tried.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::id::BackendSlot;
use crate::routing::table::{Backend, BackendState, GroupTimeouts};
use crate::telemetry::stats::PerCore;

const CORES: usize = 2;
const POLICIES: [PolicyKind; 2] = [PolicyKind::LeastConnections, PolicyKind::RoundRobin];

fn group(policy: PolicyKind, backends: u32) -> Group {
    let second = Duration::from_secs(1);
    let backend = |index: u32| Backend {
        slot: BackendSlot(index),
        id: Arc::from(format!("b{index}")),
        weight: 1,
        state: BackendState::Ready,
        labels: Vec::new(),
        connections_max: None,
        requests_max: None,
        address: ([127, 0, 0, 1], 9000).into(),
        stats: PerCore::new(CORES),
    };
    Group {
        slot: GroupSlot(0),
        name: Arc::from("app"),
        policy,
        backends: (0..backends).map(backend).collect(),
        timeouts: GroupTimeouts {
            connect: second,
            response: second,
            idle: second,
            tunnel: second,
        },
        retries_max: 2,
        idle_connections_max: 8,
        head_bytes_max: 16384,
    }
}

/// Sets the load of a backend, spread over the cores.
fn load(group: &Group, backend: usize, in_flight: u32) {
    let stats = &group.backends[backend].stats;
    stats.of(CoreId(0)).in_flight.set(in_flight / 2);
    stats.of(CoreId(1)).in_flight.set(in_flight - in_flight / 2);
}

fn picks(group: &Group, state: &mut PickState, count: usize) -> Vec<u32> {
    (0..count)
        .map(|_| pick(group, state, &Tried::NONE).unwrap().0)
        .collect()
}

#[test]
fn an_idle_group_is_served_in_order_by_every_policy() {
    for policy in POLICIES {
        let group = group(policy, 3);
        let mut state = PickState::default();
        assert_eq!(picks(&group, &mut state, 7), [0, 1, 2, 0, 1, 2, 0]);
    }
}

#[test]
fn least_connections_sees_the_load_of_all_cores() {
    let group = group(PolicyKind::LeastConnections, 3);
    load(&group, 0, 5);
    load(&group, 1, 2);
    load(&group, 2, 2);
    let mut state = PickState::default();
    assert_eq!(picks(&group, &mut state, 4), [1, 2, 1, 2]);
    load(&group, 1, 9);
    assert_eq!(picks(&group, &mut state, 2), [2, 2]);
    let mut tried = Tried::NONE;
    tried.insert(BackendIndex(2));
    assert_eq!(pick(&group, &mut state, &tried), Some(BackendIndex(0)));
}

#[test]
fn in_a_large_group_the_one_idle_backend_is_found_soon() {
    let group = group(PolicyKind::LeastConnections, 1000);
    for index in 0..1000 {
        load(&group, index, if index == 777 { 0 } else { 3 });
    }
    for seed in 0..20 {
        let mut state = PickState::new(seed, CoreId(0), GroupSlot(0));
        let found = (0..1000).any(|_| pick(&group, &mut state, &Tried::NONE).unwrap().0 == 777);
        assert!(found, "seed {seed}");
    }
}

#[test]
fn round_robin_passes_over_what_was_tried() {
    let group = group(PolicyKind::RoundRobin, 4);
    let mut state = PickState::default();
    let mut tried = Tried::NONE;
    tried.insert(BackendIndex(0));
    tried.insert(BackendIndex(1));
    assert_eq!(pick(&group, &mut state, &tried), Some(BackendIndex(2)));
    assert_eq!(picks(&group, &mut state, 3), [3, 0, 1]);
}

#[test]
fn nobody_is_chosen_from_nobody() {
    for policy in POLICIES {
        let mut state = PickState::default();
        assert_eq!(pick(&group(policy, 0), &mut state, &Tried::NONE), None);
        let mut tried = Tried::NONE;
        tried.insert(BackendIndex(0));
        assert_eq!(pick(&group(policy, 1), &mut state, &tried), None);
    }
}

#[test]
fn an_exchange_tries_a_bounded_number_of_backends() {
    for policy in POLICIES {
        let group = group(policy, 100);
        let mut state = PickState::new(1, CoreId(0), GroupSlot(0));
        let mut tried = Tried::NONE;
        while let Some(backend) = pick(&group, &mut state, &tried) {
            assert!(!tried.contains(backend));
            tried.insert(backend);
        }
        assert_eq!(tried.len(), TRIED_MAX);
        tried.insert(BackendIndex(1000));
        assert_eq!(tried.len(), TRIED_MAX);
    }
}

#[test]
fn a_group_that_shrinks_keeps_its_cursor_in_range() {
    for policy in POLICIES {
        let mut state = PickState::new(3, CoreId(1), GroupSlot(4));
        let _ = picks(&group(policy, 100), &mut state, 99);
        assert!(
            picks(&group(policy, 2), &mut state, 4)
                .iter()
                .all(|index| *index < 2)
        );
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
    fn round_robin_is_exactly_fair(
        backends in 1_u32..70,
        rounds in 1_usize..5,
        seed in any::<u64>(),
    ) {
        let group = group(PolicyKind::RoundRobin, backends);
        let mut state = PickState::new(seed, CoreId(0), GroupSlot(0));
        let picks = picks(&group, &mut state, rounds * backends as usize);
        for backend in 0..backends {
            let count = picks.iter().filter(|index| **index == backend).count();
            prop_assert_eq!(count, rounds);
        }
    }

    #[test]
    fn least_connections_chooses_a_least_loaded_one(
        loads in proptest::collection::vec(0_u32..6, 1..=least_load::CANDIDATES_MAX),
        seed in any::<u64>(),
        tried_indices in proptest::collection::vec(0_u32..80, 0..10),
    ) {
        let group = group(PolicyKind::LeastConnections, u32::try_from(loads.len()).unwrap());
        let mut tried = Tried::NONE;
        for index in tried_indices {
            tried.insert(BackendIndex(index));
        }
        for (index, in_flight) in loads.iter().enumerate() {
            load(&group, index, *in_flight);
        }
        let left = loads.iter().enumerate().filter(|(index, _)| {
            !tried.contains(BackendIndex(u32::try_from(*index).unwrap()))
        });
        let least = left.map(|(_, load)| *load).min();
        let mut state = PickState::new(seed, CoreId(0), GroupSlot(0));
        let chosen = pick(&group, &mut state, &tried);
        prop_assert_eq!(chosen.map(|index| loads[index.index()]), least);
        if let Some(chosen) = chosen {
            prop_assert!(!tried.contains(chosen));
        }
    }

    #[test]
    fn every_backend_is_tried_once_before_giving_up(
        policy in proptest::sample::select(POLICIES.to_vec()),
        backends in 0_u32..12,
        seed in any::<u64>(),
    ) {
        let group = group(policy, backends);
        let mut state = PickState::new(seed, CoreId(0), GroupSlot(0));
        let mut tried = Tried::NONE;
        while let Some(backend) = pick(&group, &mut state, &tried) {
            prop_assert!(!tried.contains(backend));
            tried.insert(backend);
        }
        prop_assert_eq!(tried.len(), backends as usize);
    }
}
