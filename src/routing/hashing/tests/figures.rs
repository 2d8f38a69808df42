//! Imbalance and disruption of every placement at 10, 1,000 and 10,000 members, equal and with the
//! weights 1, 2, 5 and 10. Run with `--nocapture` to see the figures; their limits leave a tenth or
//! two for a function that is changed on purpose.

use super::{SEED, members, mixed, ordinals, without};
use crate::routing::hashing::{Algorithm, Member, Placement};

/// Hashes for each member, and at least so many. They are evenly spaced, so that tables and the
/// ring show how uneven they are themselves. Jump and rendezvous among few look at each hash for
/// itself; there the chance of 200 keys for each member remains, which is 7 %.
const HASHES_PER_MEMBER: u32 = 200;
const HASHES_MIN: u32 = 1 << 20;

fn spaced(count: u32) -> impl Iterator<Item = u64> {
    let step = u64::MAX / u64::from(count);
    (0..u64::from(count)).map(move |number| number * step)
}

/// What one placement does, in parts of the whole.
#[derive(Debug)]
struct Figures {
    /// The greatest and the least share, each as a multiple of what it should be.
    most: f64,
    least: f64,
    /// What moves when one of `n` leaves, as a multiple of its share.
    moved: f64,
    /// What of it moves between those who stay, as a part of everything.
    between: f64,
}

fn members_for(algorithm: Algorithm, weights: impl Iterator<Item = u32>) -> Vec<Member> {
    match algorithm {
        Algorithm::Jump => ordinals(weights),
        _ => members(SEED, weights),
    }
}

fn figures(algorithm: Algorithm, weights: &[u32]) -> Figures {
    let given = members_for(algorithm, weights.iter().copied());
    // Some member in the middle, of the second weight.
    let leaving = weights.len() / 2 / 4 * 4 + 1;
    let before = Placement::new(algorithm, &given);
    let after = Placement::new(algorithm, &without(&given, leaving));
    let count = HASHES_PER_MEMBER * u32::try_from(weights.len()).unwrap();
    let count = count.max(HASHES_MIN);
    let mut counts = vec![0_u32; weights.len()];
    let (mut moved, mut between) = (0, 0);
    for hash in spaced(count) {
        let owner = before.lookup(hash).unwrap();
        counts[owner as usize] += 1;
        if after.lookup(hash) != Some(owner) {
            moved += 1;
            between += u32::from(owner as usize != leaving);
        }
    }
    let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let share = |weight: u32| f64::from(weight) / total;
    let ratios = counts.iter().zip(weights);
    let ratios = ratios.map(|(have, weight)| f64::from(*have) / f64::from(count) / share(*weight));
    Figures {
        most: ratios.clone().fold(0.0, f64::max),
        least: ratios.fold(f64::MAX, f64::min),
        moved: f64::from(moved) / f64::from(count) / share(weights[leaving]),
        between: f64::from(between) / f64::from(count),
    }
}

/// Members, whether with weights; then at most, at least, and at most moved between those who
/// stay, in hundredths of everything.
type Limits = (usize, bool, f64, f64, f64);

fn keeps(algorithm: Algorithm, limits: &[Limits]) {
    for (count, weighted, most, least, between) in limits {
        let weights: Vec<u32> = match weighted {
            true => mixed(*count).collect(),
            false => vec![1; *count],
        };
        let found = figures(algorithm, &weights);
        let name = if *weighted { "1,2,5,10" } else { "equal" };
        println!(
            "{algorithm:?}, {count} members, {name}: share {:.3} to {:.3}, moved {:.2} of a share, \
             {:.4} % between those who stay",
            found.least,
            found.most,
            found.moved,
            100.0 * found.between
        );
        assert!(
            found.most <= *most,
            "{algorithm:?}, {count} {name}: {found:?}"
        );
        assert!(
            found.least >= *least,
            "{algorithm:?}, {count} {name}: {found:?}"
        );
        assert!(
            100.0 * found.between <= *between,
            "{algorithm:?}, {count} {name}: {found:?}"
        );
    }
}

/// With different weights a hole shifts the buckets behind it, so some tenth of all keys move.
#[test]
fn jump_keeps_its_limits() {
    keeps(
        Algorithm::Jump,
        &[
            (10, false, 1.02, 0.98, 0.0),
            (1_000, false, 1.2, 0.85, 0.0),
            (10_000, false, 1.4, 0.65, 0.0),
            (10, true, 1.03, 0.97, 13.0),
            (1_000, true, 1.3, 0.75, 13.0),
            (10_000, true, 1.8, 0.4, 13.0),
        ],
    );
}

#[test]
fn maglev_keeps_its_limits() {
    keeps(
        Algorithm::Maglev,
        &[
            (10, false, 1.01, 0.99, 3.5),
            (1_000, false, 1.02, 0.99, 0.7),
            (10_000, false, 1.02, 0.99, 0.1),
            (10, true, 1.02, 0.98, 4.0),
            (1_000, true, 1.03, 0.98, 0.4),
            (10_000, true, 1.03, 0.98, 0.05),
        ],
    );
}

#[test]
fn rendezvous_keeps_its_limits() {
    keeps(
        Algorithm::Rendezvous,
        &[
            (10, false, 1.02, 0.98, 0.0),
            (1_000, false, 1.4, 0.65, 0.0),
            (10_000, false, 1.8, 0.4, 0.0),
            (10, true, 1.03, 0.97, 0.0),
            (1_000, true, 1.9, 0.5, 0.0),
            (10_000, true, 2.4, 0.05, 0.0),
        ],
    );
}

#[test]
fn ring_keeps_its_limits() {
    keeps(
        Algorithm::Ring,
        &[
            (10, false, 1.3, 0.75, 0.0),
            (1_000, false, 1.4, 0.7, 0.0),
            (10_000, false, 1.5, 0.6, 0.0),
            (10, true, 1.3, 0.75, 0.0),
            (1_000, true, 1.45, 0.65, 0.0),
            (10_000, true, 1.9, 0.45, 0.0),
        ],
    );
}
