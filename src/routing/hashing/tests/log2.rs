//! The integer logarithm against the one of the floating point unit.

use super::hashes;
use crate::routing::hashing::log2::minus_log2;

fn exact(number: u64) -> f64 {
    // Near 2^64 the difference is what counts, and only it is exact.
    let missing = (!number) as f64 / 2.0_f64.powi(64);
    match missing < 0.5 {
        true => -(-missing).ln_1p() / 2.0_f64.ln(),
        false => 64.0 - (number as f64).log2(),
    }
}

#[test]
fn it_is_close_to_the_logarithm_everywhere() {
    let small = (1..64)
        .flat_map(|bits| [1 << bits, (1 << bits) + (1 << bits) / 3])
        .map(|number: u64| number | 1);
    let near_one = (20..64).map(|bits| !(1 << bits));
    for number in hashes(7, 20_000).chain(small).chain(near_one) {
        let found = minus_log2(number) as f64 / 2.0_f64.powi(48);
        let wanted = exact(number);
        // One part in 4000, and one unit of the answer.
        let allowed = wanted / 4000.0 + 2.0_f64.powi(-48);
        assert!(
            (found - wanted).abs() <= allowed,
            "{number:#x}: {found}, not {wanted}"
        );
    }
}

#[test]
fn ends_and_powers_of_two_are_exact() {
    assert_eq!(minus_log2(u64::MAX), 0);
    for halvings in 0..63_u64 {
        let all_ones = u64::MAX >> halvings;
        // Halvings of all ones are filled up with zeros, so one unit may be missing.
        let found = minus_log2(all_ones);
        assert!((halvings << 48..=(halvings << 48) + (2 << halvings)).contains(&found));
    }
    assert_eq!(minus_log2(0), minus_log2(1));
    assert!(minus_log2(0) < 65 << 48);
}

#[test]
fn it_never_rises_with_the_number() {
    let mut numbers: Vec<u64> = hashes(8, 20_000).collect();
    let edges = (0..2048_u64).map(|segment| segment << 53);
    numbers.extend(edges.flat_map(|edge| [edge.wrapping_sub(1), edge, edge + 1]));
    numbers.sort_unstable();
    for pair in numbers.windows(2) {
        assert!(minus_log2(pair[0]) >= minus_log2(pair[1]), "{pair:x?}");
    }
}
