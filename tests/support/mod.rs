//! What the whole-proxy tests are built from: a proxy process, upstream servers in threads and
//! raw clients, so that a test reads as sentences and every byte on the wire is its own choice.
//!
//! Waiting is always for a condition with a generous deadline ([`eventually`]), never for a time
//! to pass, except where the absence of something is the point ([`Wire::stays_silent`]).

pub mod agent;
pub mod api;
pub mod bulk;
/// The judge the unit tests and the fuzz targets use as well.
#[allow(dead_code, reason = "they use more of it")]
#[path = "../../src/http/canon.rs"]
pub mod canon;
pub mod client;
pub mod ctl;
pub mod dns;
#[allow(dead_code, reason = "tests/chaos uses more of it")]
pub mod etcd;
pub mod handover;
pub mod message;
pub mod metrics;
pub mod nodes;
pub mod observe;
pub mod peer;
pub mod port;
pub mod proxy;
pub mod settings;
pub mod tool;
pub mod upstream;
pub mod websocket;
pub mod wire;

pub use agent::Agent;
pub use api::{Api, Reply};
pub use client::Client;
pub use dns::Dns;
pub use etcd::Etcd;
pub use message::{Framing, Message};
pub use nodes::Nodes;
pub use port::{closed_port, full_backlog};
pub use proxy::Proxy;
pub use settings::Settings;
pub use upstream::{Answer, Upstream};
pub use wire::{Broken, Wire};

use std::process::Command;
use std::time::{Duration, Instant};

/// The longest any single step of a test may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls `condition` until it holds; panics with `what` after [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, condition);
}

/// Polls `condition` until it holds; panics with `what` after `deadline`.
#[track_caller]
pub fn eventually_within(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sets its word when it is dropped, so that threads which go on until then end also when a test
/// fails.
pub struct Ending<'a>(pub &'a std::sync::atomic::AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A program that is to run in a network namespace; it is the very process that is spawned.
pub fn inside(space: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", space, program]);
    command
}

/// A number from the environment, for the sizes that CI keeps small.
pub fn from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}
