//! Jump over ordinals.

use proptest::prelude::*;

use super::{DEVIATIONS_MAX, chi_square_deviations, hashes, mixed, ordinals, without};
use crate::routing::hashing::Jump;
use crate::routing::hashing::jump::bucket_of;

/// The function as published, in floating point.
fn published(mut key: u64, buckets: i32) -> i32 {
    let (mut chosen, mut next) = (-1_i64, 0_i64);
    while next < i64::from(buckets) {
        chosen = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let part = f64::from(1_u32 << 31) / ((key >> 33) + 1) as f64;
        next = ((chosen + 1) as f64 * part) as i64;
    }
    i32::try_from(chosen).unwrap()
}

#[test]
fn buckets_are_those_of_the_published_function() {
    let known = [
        (1, 1, 0),
        (42, 57, 43),
        (0xDEAD_10CC, 1, 0),
        (0xDEAD_10CC, 666, 361),
        (256, 1024, 520),
    ];
    for (hash, buckets, bucket) in known {
        assert_eq!(bucket_of(hash, buckets), bucket);
    }
    for hash in hashes(10, 20_000) {
        for buckets in [1, 2, 10, 1000, 1_000_000] {
            let wanted = published(hash, i32::try_from(buckets).unwrap());
            assert_eq!(i64::from(bucket_of(hash, buckets)), i64::from(wanted));
        }
    }
}

#[test]
fn shares_are_in_proportion_also_around_holes() {
    let holes = |number: u32| number % 3 * 2;
    let cases: [Vec<u32>; 4] = [
        vec![1; 10],
        mixed(12).collect(),
        (0..40).map(holes).collect(),
        vec![7; 1000],
    ];
    for (seed, weights) in (20..).zip(cases) {
        let jump = Jump::new(&ordinals(weights.iter().copied()));
        let mut counts = vec![0; weights.len()];
        for hash in hashes(seed, 300_000) {
            counts[jump.lookup(hash).unwrap() as usize] += 1;
        }
        let weighted = || {
            counts
                .iter()
                .zip(&weights)
                .filter(|(_, weight)| **weight > 0)
        };
        let (counts, weights): (Vec<u32>, Vec<u32>) = weighted().map(|(c, w)| (*c, *w)).unzip();
        let deviations = chi_square_deviations(&counts, &weights);
        assert!(deviations < DEVIATIONS_MAX, "{weights:?}: {deviations} sd");
    }
}

#[test]
fn buckets_are_bounded() {
    let jump = Jump::new(&ordinals([u32::MAX, 1, 2]));
    assert!(jump.memory_bytes() < 5 << 20);
    assert_eq!(jump.candidates(1).count(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn one_that_joins_at_the_end_only_attracts(
        // A first weight of 1 keeps the divisor.
        weights in proptest::collection::vec(0_u32..4, 0..40),
        joining in 1_u32..4,
        seed in any::<u64>(),
    ) {
        let mut weights = weights;
        weights.insert(0, 1);
        let before = Jump::new(&ordinals(weights.clone()));
        weights.push(joining);
        let after = Jump::new(&ordinals(weights.clone()));
        let last = u32::try_from(weights.len() - 1).ok();
        for hash in hashes(seed, 1_000) {
            let owner = after.lookup(hash);
            prop_assert!(owner == last || owner == before.lookup(hash));
        }
    }

    #[test]
    fn one_that_becomes_a_hole_moves_only_its_own_keys(
        weights in proptest::collection::vec(0_u32..2, 2..40),
        leaving in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let leaving = leaving.index(weights.len());
        let mut weights = weights;
        // At least half have a weight, so that no key runs out of draws.
        for weight in weights.iter_mut().step_by(2) {
            *weight = 1;
        }
        let given = ordinals(weights);
        let (before, after) = (Jump::new(&given), Jump::new(&without(&given, leaving)));
        for hash in hashes(seed, 1_000) {
            let owner = before.lookup(hash);
            if owner == Some(leaving as u32) {
                prop_assert_eq!(before.candidates(hash).nth(1), after.lookup(hash));
            } else {
                prop_assert_eq!(owner, after.lookup(hash));
            }
        }
    }
}
