//! The control plane: plans tables, publishes them to the cores, and tells people what goes on.

pub mod access_log;
#[cfg(test)]
mod fake_worker;
pub mod listen;
pub mod publisher;
