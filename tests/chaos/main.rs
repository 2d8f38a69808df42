//! A cluster as it is operated: weir and etcd as processes, each in a network namespace of its own,
//! on a bridge that cuts whoever is to be cut off from whomever, in one direction or both.
//!
//! `cargo test` runs a bounded form. By hand, five nodes for half an hour:
//!
//! ```sh
//! WEIR_CHAOS_NODES=5 WEIR_CHAOS_MINUTES=30 cargo test --test chaos -- faults --nocapture
//! ```
//!
//! `WEIR_CHAOS_SEED` chooses another schedule; the same seed is the same schedule. It needs root,
//! `ip`, `nft`, etcd, keepalived and a C compiler.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers of tests included"
)]
#![allow(
    unreachable_pub,
    reason = "everything in a test binary is unreachable from outside"
)]

mod alike;
mod author;
mod backends;
mod clock;
mod faults;
mod judge;
mod load;
/// The test of changes at one node has the same.
#[allow(dead_code, reason = "it uses more of it")]
#[path = "../changes/model.rs"]
mod model;
mod network;
mod node;
mod schedule;
mod stage;
/// The whole-proxy tests have the same.
#[allow(dead_code, unused_imports, reason = "they use more of it")]
#[path = "../support/mod.rs"]
mod support;
mod takeover;
