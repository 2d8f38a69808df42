//! What is thought of a backend, as machines that are told what happened and when.
//!
//! Nothing here opens a socket or reads a clock: checks, heartbeats and counters are brought by
//! the control plane, with the moment they belong to, so every rule can be tried in a test. Each
//! source of knowledge is a machine of its own ([`probe`], [`agent`], [`heartbeat`], [`outlier`]);
//! [`asking`] says whom probes of load ask, and when;
//! [`rotation`] joins [`breaker`] and [`ejection`]; [`verdict`] says what all come to together, and
//! keeps what changed and why.

pub mod agent;
pub mod asking;
pub mod breaker;
pub mod drain;
pub mod ejection;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod heartbeat;
pub mod load_report;
pub mod metrics;
pub mod outlier;
pub mod panic;
pub mod portion;
pub mod probe;
pub mod ramp;
pub mod replay;
pub mod rotation;
pub mod verdict;

use std::time::Duration;

/// A moment: time since an origin that whoever calls has chosen once. Moments never fall.
pub type Moment = Duration;

/// Numbers that look drawn and are the same on every run: where in its interval a check stands,
/// and how much it wavers. (SplitMix64: one step, full avalanche.)
fn scattered(seed: u64, count: u64) -> u64 {
    let mut mixed = seed.wrapping_add(count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The same as a share: at least 0, below 1.
fn share(seed: u64, count: u64) -> f64 {
    (scattered(seed, count) >> 11) as f64 / (1_u64 << 53) as f64
}
