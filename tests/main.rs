//! Whole-proxy tests: the real binary as a process, real sockets, and backends of our own.
//!
//! One test binary, because linking the proxy's dependencies dozens of times is what would make
//! the suite slow. `WEIR_TEST_PROXY=haproxy` or `nginx` points the same tests at another proxy
//! (support/peer.rs), to try the tests themselves.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers of tests included"
)]
#![allow(
    unreachable_pub,
    reason = "everything in a test binary is unreachable from outside"
)]

mod api;
mod bench;
mod changes;
mod cluster;
mod dashboard;
mod discovery;
mod health;
mod kernel;
mod l4;
mod l7;
mod observability;
mod overload;
mod reload;
mod soak;
mod support;
mod tools;
mod tuning;
mod upgrade;
mod vectors_replay;
