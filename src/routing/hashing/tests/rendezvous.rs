//! Stability and proportion of rendezvous, in both of its forms.

use proptest::prelude::*;

use super::{DEVIATIONS_MAX, SEED, chi_square_deviations, equal, hashes, members, mixed, without};
use crate::routing::hashing::{Member, Rendezvous};

fn counts(rendezvous: &Rendezvous, members: usize, hashes: impl Iterator<Item = u64>) -> Vec<u32> {
    let mut counts = vec![0; members];
    for hash in hashes {
        counts[rendezvous.lookup(hash).unwrap() as usize] += 1;
    }
    counts
}

/// One hash for each row of a table.
fn row_hashes(rows_log: u32) -> impl Iterator<Item = u64> {
    (0..1_u64 << rows_log).map(move |row| row << (64 - rows_log))
}

/// Acceptance A9: a million keys, p > 0.001.
#[test]
fn shares_of_a_million_keys_are_in_proportion_to_weights() {
    let cases: [&[u32]; 4] = [
        &[1, 2, 5, 10],
        &[1; 10],
        &[3, 1000, 40, 7, 7, 65_535],
        &[100; 64],
    ];
    for (seed, weights) in (0..).zip(cases) {
        let rendezvous = Rendezvous::new(&members(seed, weights.iter().copied()));
        let counts = counts(&rendezvous, weights.len(), hashes(seed, 1_000_000));
        let deviations = chi_square_deviations(&counts, weights);
        println!(
            "rendezvous, {} members: chi-square {deviations:+.2} sd",
            weights.len()
        );
        assert!(deviations < DEVIATIONS_MAX, "{weights:?}: {counts:?}");
    }
}

/// Rows are settled like keys: the chi-square over them is that of chance.
#[test]
fn rows_are_in_proportion_to_weights() {
    for seed in 0..6 {
        for weights in [
            vec![1; 100],
            mixed(100).collect(),
            vec![1, 2, 5, 10, 60_000],
        ] {
            let table = Rendezvous::with_rows(&members(seed, weights.clone()), 16);
            let counts = counts(&table, weights.len(), row_hashes(16));
            let deviations = chi_square_deviations(&counts, &weights);
            assert!(deviations < DEVIATIONS_MAX, "seed {seed}: {deviations} sd");
        }
    }
}

/// Acceptance A9, second part.
#[test]
fn a_weight_that_doubles_only_attracts() {
    for rows_log in [None, Some(16)] {
        let make = |members: &[Member]| match rows_log {
            None => Rendezvous::new(members),
            Some(rows_log) => Rendezvous::with_rows(members, rows_log),
        };
        for seed in 0..5 {
            for weights in [vec![1; 20], mixed(20).collect()] {
                let given = members(seed, weights);
                let mut heavier = given.clone();
                heavier[7].weight *= 2;
                let (before, after) = (make(&given), make(&heavier));
                let moves = hashes(seed, 10_000)
                    .map(|hash| (before.lookup(hash), after.lookup(hash)))
                    .filter(|(from, to)| from != to);
                let moves: Vec<_> = moves.collect();
                assert!(!moves.is_empty());
                assert!(moves.iter().all(|(_, to)| *to == Some(7)));
            }
        }
    }
}

#[test]
fn more_members_than_are_asked_directly_have_a_table() {
    let direct = Rendezvous::new(&equal(SEED, 64)).memory_bytes();
    assert!(direct < 1_000, "{direct}");
    let weighted = Rendezvous::new(&members(SEED, mixed(64))).memory_bytes();
    assert!(weighted < 1_500, "{weighted}");
    for (count, rows_log) in [(65, 16), (1_000, 16), (1_024, 16), (1_025, 17), (2_049, 18)] {
        let bytes = Rendezvous::new(&equal(SEED, count)).memory_bytes();
        let rows = 2 << rows_log;
        assert!(
            (rows..rows + 4 * count + 200).contains(&bytes),
            "{count}: {bytes}"
        );
    }
    let largest = Rendezvous::new(&equal(SEED, 10_000)).memory_bytes();
    assert!(largest < 600_000, "{largest}");
}

/// A visitor's order passes every row once: alone it gets them all, whatever the number.
#[test]
fn every_row_is_settled() {
    for rows_log in [8, 9, 12, 16, 17, 18] {
        for seed in 0..3 {
            let alone = Rendezvous::with_rows(&equal(seed, 1), rows_log);
            let counts = counts(&alone, 1, row_hashes(rows_log));
            assert_eq!(counts, [1 << rows_log]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Acceptance A7. Read backwards it is what happens when a member joins.
    #[test]
    fn no_key_moves_between_members_that_stay(
        weights in proptest::collection::vec(prop_oneof![Just(1_u32), 1..70_000_u32], 2..40),
        leaving in any::<prop::sample::Index>(),
        seed in any::<u64>(),
        table in any::<bool>(),
    ) {
        let leaving = leaving.index(weights.len());
        let given = members(seed, weights);
        let make = |members: &[Member]| match table {
            true => Rendezvous::with_rows(members, 10),
            false => Rendezvous::new(members),
        };
        let (before, after) = (make(&given), make(&without(&given, leaving)));
        for hash in hashes(seed, 1_000) {
            let owner = before.lookup(hash);
            if owner != Some(leaving as u32) {
                prop_assert_eq!(owner, after.lookup(hash));
            } else if !table {
                prop_assert_eq!(before.candidates(hash).nth(1), after.lookup(hash));
            }
        }
    }

    /// Candidates asked directly are those who would win one after the other.
    #[test]
    fn candidates_are_the_winners_without_those_before(
        weights in proptest::collection::vec(1_u32..10, 1..12),
        hash in any::<u64>(),
    ) {
        let mut left = members(SEED, weights);
        let order: Vec<u32> = Rendezvous::new(&left).candidates(hash).collect();
        for candidate in order {
            prop_assert_eq!(Rendezvous::new(&left).lookup(hash), Some(candidate));
            left[candidate as usize].weight = 0;
        }
    }
}

/// The first different weight switches from hashes to logarithms, and moves nothing else.
#[test]
fn a_weight_that_becomes_different_moves_only_its_own_keys() {
    let given = members(SEED, [6; 30]);
    let mut lighter = given.clone();
    lighter[3].weight = 5;
    let (before, after) = (Rendezvous::new(&given), Rendezvous::new(&lighter));
    for hash in hashes(9, 100_000) {
        let owner = before.lookup(hash);
        assert!(owner == Some(3) || owner == after.lookup(hash));
    }
}
