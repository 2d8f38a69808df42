//! What placements promise: stability, balance, little disruption, and the same answer for ever.
//! The acceptance lines A4 to A10 are named where they are tested.

mod bounded;
mod figures;
mod golden;
mod jump;
mod key;
mod log2;
mod maglev;
mod members;
mod rendezvous;
mod ring;

use super::{Algorithm, Member, hash_key};

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Jump,
    Algorithm::Maglev,
    Algorithm::Rendezvous,
    Algorithm::Ring,
];

/// A seed for everything that needs just one.
const SEED: u64 = 0x7765_6972;

/// Members `backend-0`, `backend-1` and so on with the given weights.
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

/// Members with ordinals for keys, as jump wants them.
fn ordinals(weights: impl IntoIterator<Item = u32>) -> Vec<Member> {
    let member = |(key, weight)| Member { key, weight };
    (0..).zip(weights).map(member).collect()
}

/// Hashes of keys as they come.
fn hashes(seed: u64, count: u32) -> impl Iterator<Item = u64> {
    (0..count).map(move |number| hash_key(seed, &number.to_le_bytes()))
}

/// The weights 1, 2, 5 and 10, a quarter of `count` each.
fn mixed(count: usize) -> impl Iterator<Item = u32> {
    [1, 2, 5, 10].into_iter().cycle().take(count)
}

/// The members with one of them at weight 0, everybody's place unchanged.
fn without(members: &[Member], leaving: usize) -> Vec<Member> {
    let mut rest = members.to_vec();
    rest[leaving].weight = 0;
    rest
}

/// The chi-square statistic of counts against shares in proportion to weights, as the number of
/// standard deviations from what is expected (Wilson and Hilferty).
fn chi_square_deviations(counts: &[u32], weights: &[u32]) -> f64 {
    let all: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let term = |(count, weight): (&u32, &u32)| {
        let wanted = all * f64::from(*weight) / total;
        (f64::from(*count) - wanted).powi(2) / wanted
    };
    let statistic: f64 = counts.iter().zip(weights).map(term).sum();
    let degrees = (counts.len() - 1) as f64;
    let spread = 2.0 / (9.0 * degrees);
    ((statistic / degrees).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Deviations that chance passes with probability 0.001.
const DEVIATIONS_MAX: f64 = 3.09;
