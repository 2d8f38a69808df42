//! Balance and disruption of maglev.

use super::{SEED, equal, hashes, members};
use crate::routing::hashing::{Maglev, Member};

/// Rows of each member.
fn shares(maglev: &Maglev, members: usize) -> Vec<u32> {
    let mut shares = vec![0; members];
    for owner in owners(maglev) {
        shares[owner as usize] += 1;
    }
    shares
}

/// The owner of each row, found as a request finds it.
fn owners(maglev: &Maglev) -> Vec<u32> {
    let size = u64::from(maglev.size());
    let hash = |row: u64| u64::try_from((u128::from(row) << 64).div_ceil(u128::from(size)));
    let hashes = (0..size).map(|row| hash(row).unwrap());
    hashes.map(|hash| maglev.lookup(hash).unwrap()).collect()
}

#[test]
fn the_size_is_a_prime_that_gives_everybody_a_hundred_rows() {
    let sizes = [
        (1, 1_009),
        (10, 1_009),
        (11, 5_003),
        (50, 5_003),
        (51, 65_537),
        (655, 65_537),
        (656, 131_101),
        (1_000, 131_101),
        (10_000, 1_000_003),
        (50_000, 5_000_011),
        (60_000, 5_000_011),
    ];
    for (count, size) in sizes {
        assert_eq!(super::super::maglev::size_for(count), size, "{count}");
        assert!(
            (2..size)
                .take_while(|p| p * p <= size)
                .all(|p| size % p != 0)
        );
    }
}

/// Acceptance A4.
#[test]
fn a_thousand_equal_members_have_65_or_66_rows_each() {
    for seed in 0..5 {
        let maglev = Maglev::with_size(&equal(seed, 1000), 65_537);
        let shares = shares(&maglev, 1000);
        assert!(shares.iter().all(|share| (65..=66).contains(share)));
        assert_eq!(shares.iter().sum::<u32>(), 65_537);
    }
}

#[test]
fn nobody_with_a_weight_is_without_a_row_and_nobody_without_has_one() {
    let weights = [1, 0, 65_535, 1, 4_000_000_000, 7, 0];
    let maglev = Maglev::new(&members(SEED, weights));
    for (share, weight) in shares(&maglev, 7).iter().zip(weights) {
        assert_eq!(*share > 0, weight > 0);
    }
    let heavy = std::iter::repeat_n(1, 9_999).chain([u32::MAX]);
    let maglev = Maglev::new(&members(SEED, heavy));
    assert!(shares(&maglev, 10_000).iter().all(|share| *share > 0));
}

#[test]
fn every_member_is_a_candidate_once() {
    for count in [1, 2, 16, 17, 300] {
        let weights = (0..count).map(|number| number % 4);
        let given = members(SEED, weights);
        let maglev = Maglev::new(&given);
        for hash in hashes(1, 20) {
            let mut candidates: Vec<u32> = maglev.candidates(hash).collect();
            assert_eq!(candidates.first().copied(), maglev.lookup(hash));
            candidates.sort_unstable();
            let wanted: Vec<u32> = (0..count).filter(|number| number % 4 > 0).collect();
            assert_eq!(candidates, wanted);
        }
    }
    let none: [Member; 0] = [];
    assert_eq!(Maglev::new(&none).lookup(1), None);
    assert_eq!(Maglev::new(&none).candidates(1).count(), 0);
}
