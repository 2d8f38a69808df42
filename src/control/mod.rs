//! The control plane: plans tables, publishes them to the cores, and tells people what goes on.

pub mod access_log;
pub mod admin;
pub mod core;
#[cfg(test)]
mod fake_worker;
pub mod listen;
pub mod orders;
pub mod plans;
pub mod process;
pub mod publisher;
pub mod reload;
pub mod resolver;
pub mod view;
