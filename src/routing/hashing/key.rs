//! The keyed hash behind every placement.
//!
//! XXH3 with 64 bits and a seed: published, the same on every architecture, toolchain and build,
//! and pinned by vectors that a second implementation computed (`tests.rs`). The seed belongs to
//! the cluster; without one a client could compute keys that all meet on one backend. Rejected:
//! the hasher of the standard library, which promises nothing from one release to the next.
//!
//! Each level of a decision needs a seed of its own, such as `hash_key(seed, b"group/app")`: a
//! group chosen by maglev and a backend chosen by maglev from the same hash would see only the
//! rows of each other, and some backends would get nothing.

/// The hash of `bytes` under `seed`.
#[inline]
#[must_use]
pub fn hash_key(seed: u64, bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed)
}

/// The step between the values of a sequence; odd, and the golden ratio of 2^64.
pub(super) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finisher of splitmix64: a bijection in which every bit of the input moves every bit of the
/// output.
#[inline]
pub(super) const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// `hash` as a place among `places`, in proportion; less than `places` unless that is zero.
#[inline]
pub(super) const fn scale(hash: u64, places: u32) -> u32 {
    ((hash as u128 * places as u128) >> 64) as u32
}
