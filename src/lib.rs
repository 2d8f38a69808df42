//! weir: a distributed load balancer, thread per core, io_uring, no lock on the hot path.
//! The modules in layer order; a module imports only from layers above it in this list.

pub mod base;
pub mod config;
pub mod control;
pub mod data;
pub mod engine;
pub mod link;
pub mod routing;
pub mod runtime;
pub mod telemetry;
