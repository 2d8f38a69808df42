//! The control plane: plans tables, publishes them to the cores, and tells people what goes on.
//!
//! It never touches a request. Cores hear from it through their links only, and what they count
//! is read without asking them.

pub mod access_log;
pub mod admin;
mod breath;
pub mod change;
mod clock;
pub mod collector;
pub mod core;
pub mod document;
mod events;
pub mod export;
#[cfg(test)]
mod fake_worker;
pub mod files;
pub mod gossip;
pub mod handle;
pub mod health;
pub mod listen;
pub mod log_names;
mod look;
mod monitor;
mod notify;
pub mod orders;
pub mod plans;
pub mod process;
pub mod publisher;
pub mod reload;
pub mod resolver;
pub mod servers;
#[cfg(test)]
mod simulated;
pub mod store;
pub mod takeover;
pub mod truth;
mod verdicts;
pub mod view;
