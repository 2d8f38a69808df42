//! Faults: ten backends that are processes of their own, killed, stopped, reset, slowed down and
//! deployed under a load that comes when it is due, with every request accounted for.
//!
//! `cargo test` runs every scenario small, at a few hundred requests a second, with bounds that a
//! busy machine keeps. By hand:
//!
//! ```sh
//! WEIR_FAULT_RATE=20000 cargo test --release --test faults -- --test-threads 1 --nocapture
//! WEIR_FAULT_MINUTES=30 cargo test --release --test faults -- schedule --nocapture
//! ```
//!
//! From 5,000 requests a second on the bounds are those of an operator: passive detection within
//! 100 ms. `WEIR_FAULT_SEED` chooses another schedule; the same seed is the same schedule.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers of tests included"
)]
#![allow(
    unreachable_pub,
    reason = "everything in a test binary is unreachable from outside"
)]

mod backend;
mod between;
mod broken;
mod flapping;
mod fleet;
mod load;
mod one_of_ten;
mod outage;
mod relay;
mod schedule;
mod server;
/// The whole-proxy tests have the same.
#[allow(dead_code, unused_imports, reason = "they use more of it")]
#[path = "../support/mod.rs"]
mod support;
mod tally;
