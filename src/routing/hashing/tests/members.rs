//! What holds for every algorithm: order, repeats, weights of nothing, candidates.

use proptest::prelude::*;

use super::{ALGORITHMS, SEED, equal, hashes, members};
use crate::routing::hashing::{Algorithm, Member, Placement};

/// Each member is named by its key, whatever its place.
fn keys_of(placement: &Placement, members: &[Member], hash: u64) -> Vec<u64> {
    let candidates = placement.candidates(hash);
    candidates
        .map(|index| members[index as usize].key)
        .collect()
}

fn any_members(most: usize) -> impl Strategy<Value = Vec<Member>> {
    let weight = prop_oneof![Just(0_u32), Just(1), Just(100), 0_u32..20, 1_u32..70_000];
    let member = (0_u64..1_000, weight).prop_map(|(number, weight)| Member {
        key: super::hash_key(SEED, &number.to_le_bytes()),
        weight,
    });
    proptest::collection::vec(member, 0..most)
}

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    proptest::sample::select(ALGORITHMS.to_vec())
}

#[test]
fn without_a_weight_there_is_no_answer() {
    for algorithm in ALGORITHMS {
        for given in [Vec::new(), members(SEED, [0]), members(SEED, [0; 100])] {
            let placement = Placement::new(algorithm, &given);
            for hash in [0, 1, u64::MAX / 3, u64::MAX] {
                assert_eq!(placement.lookup(hash), None);
                assert_eq!(placement.candidates(hash).count(), 0);
            }
        }
    }
}

#[test]
fn the_only_member_has_everything() {
    for algorithm in ALGORITHMS {
        for weight in [1, 7, u32::MAX] {
            let placement = Placement::new(algorithm, &members(SEED, [0, weight, 0]));
            for hash in hashes(1, 100).chain([0, u64::MAX]) {
                assert_eq!(placement.lookup(hash), Some(1));
                assert_eq!(placement.candidates(hash).collect::<Vec<_>>(), [1]);
            }
        }
    }
}

#[test]
fn a_member_given_twice_is_one_and_the_first_counts() {
    let given = equal(SEED, 3);
    let repeated = |weight| {
        let mut repeated = given.clone();
        repeated.push(Member { weight, ..given[1] });
        repeated
    };
    for algorithm in ALGORITHMS {
        let once = Placement::new(algorithm, &given);
        for weight in [0, 1, 50] {
            let twice = Placement::new(algorithm, &repeated(weight));
            for hash in hashes(2, 200) {
                let order: Vec<u32> = once.candidates(hash).collect();
                assert_eq!(twice.candidates(hash).collect::<Vec<_>>(), order);
            }
        }
    }
}

#[test]
fn more_members_than_two_bytes_can_name_are_placed_too() {
    let count = 70_000;
    let mut given = equal(SEED, count);
    for member in &mut given[..66_000] {
        member.weight = 0;
    }
    for algorithm in ALGORITHMS {
        let placement = Placement::new(algorithm, &given);
        let offered: Vec<u32> = hashes(3, 100)
            .filter_map(|hash| placement.lookup(hash))
            .collect();
        assert_eq!(offered.len(), 100);
        assert!(offered.iter().all(|index| *index >= 66_000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_member_with_a_weight_is_offered_once_and_the_order_given_is_nothing(
        algorithm in any_algorithm(),
        given in any_members(90).prop_flat_map(|given| {
            let mut once = given;
            once.sort_by_key(|member| member.key);
            once.dedup_by_key(|member| member.key);
            (Just(once.clone()), Just(once).prop_shuffle())
        }),
        seed in any::<u64>(),
    ) {
        let (given, shuffled) = given;
        let placement = Placement::new(algorithm, &given);
        let other = Placement::new(algorithm, &shuffled);
        let wanted: Vec<u64> = given.iter()
            .filter(|member| member.weight > 0)
            .map(|member| member.key)
            .collect();
        for hash in hashes(seed, 8).chain([0, u64::MAX]) {
            let mut order = keys_of(&placement, &given, hash);
            prop_assert_eq!(&order, &keys_of(&other, &shuffled, hash));
            let first = placement.lookup(hash).map(|index| given[index as usize].key);
            prop_assert_eq!(order.first().copied(), first);
            order.sort_unstable();
            prop_assert_eq!(&order, &wanted);
        }
    }

    #[test]
    fn a_multiple_of_all_weights_places_alike(
        algorithm in proptest::sample::select(vec![
            Algorithm::Jump, Algorithm::Maglev, Algorithm::Ring,
        ]),
        weights in proptest::collection::vec(0_u32..9, 1..20),
        factor in 2_u32..500,
    ) {
        let placement = Placement::new(algorithm, &members(SEED, weights.clone()));
        let multiple = weights.iter().map(|weight| weight * factor);
        let other = Placement::new(algorithm, &members(SEED, multiple));
        for hash in hashes(4, 50) {
            prop_assert_eq!(placement.lookup(hash), other.lookup(hash));
        }
    }
}
