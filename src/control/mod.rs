//! The control plane: plans tables, publishes them to the cores, and tells people what goes on.

pub mod access_log;
