//! The logarithm of a uniform number, in integers.
//!
//! Weighted rendezvous needs exponential variates, `-log(u) / weight`, and every node must get the
//! same ones. `f64::ln` may differ in its last bit between two libraries, so this is a table of
//! 1025 values with interpolation between them. The table is computed by the compiler, bit by bit
//! through squaring. What is close to 0 decides who wins, so the error has to be small in
//! proportion there too: it is at most one part in 4000, the same for every member, and the
//! answer never falls as the number falls.

/// Bits behind the point of an answer.
const FRACTION_BITS: u32 = 48;

/// Segments of the table, as a power of two.
const SEGMENTS_LOG: u32 = 10;
const SEGMENTS: usize = 1 << SEGMENTS_LOG;
const REST_BITS: u32 = 63 - SEGMENTS_LOG;

/// `-log2(1 - i / 2048)`.
static TABLE: [u64; SEGMENTS + 1] = table();

/// `-log2(number / 2^64)` in units of 2^-48, with the lowest bit of the number counted as set, so
/// that 0 has an answer; less than `65 * 2^48`.
#[inline]
pub(super) fn minus_log2(number: u64) -> u64 {
    let number = number | 1;
    let halvings = number.leading_zeros();
    // What is missing from 1 after the halvings, at most a half.
    let missing = !(number << halvings);
    let segment = (missing >> REST_BITS) as usize;
    let rest = missing & ((1 << REST_BITS) - 1);
    let (low, high) = (TABLE[segment], TABLE[segment + 1]);
    let between = (u128::from(high - low) * u128::from(rest)) >> REST_BITS;
    (u64::from(halvings) << FRACTION_BITS) + low + between as u64
}

const fn table() -> [u64; SEGMENTS + 1] {
    let mut table = [0; SEGMENTS + 1];
    let mut segment = 1;
    while segment <= SEGMENTS {
        // Twice the argument, which lies in [1, 2), with 63 bits behind the point.
        let twice = (2 * SEGMENTS as u64 - segment as u64) << REST_BITS;
        table[segment] = (1 << FRACTION_BITS) - log2(twice);
        segment += 1;
    }
    table
}

/// `log2(value / 2^63)` of a value in [1, 2): squaring doubles the logarithm, and what passes 2 is
/// its next bit.
const fn log2(value: u64) -> u64 {
    let mut value = value as u128;
    let mut logarithm = 0;
    let mut bit = 0;
    while bit < FRACTION_BITS {
        value = (value * value) >> 63;
        logarithm <<= 1;
        if value >> 64 != 0 {
            value >>= 1;
            logarithm |= 1;
        }
        bit += 1;
    }
    logarithm
}
