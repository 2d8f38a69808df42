//! What placements promise: stability, balance, little disruption, and the same answer for ever.

mod key;
mod maglev;

use super::{Member, hash_key};

/// A seed for everything that needs just one.
const SEED: u64 = 0x7765_6972;

/// Members `prefix-0`, `prefix-1` and so on with the given weights.
fn members(seed: u64, weights: impl IntoIterator<Item = u32>) -> Vec<Member> {
    let weights = (0_u32..).zip(weights);
    let member = |(number, weight)| Member {
        key: hash_key(seed, format!("backend-{number}").as_bytes()),
        weight,
    };
    weights.map(member).collect()
}

fn equal(seed: u64, count: usize) -> Vec<Member> {
    members(seed, std::iter::repeat_n(1, count))
}

/// Hashes of keys as they come.
fn hashes(seed: u64, count: u32) -> impl Iterator<Item = u64> {
    (0..count).map(move |number| hash_key(seed, &number.to_le_bytes()))
}
