//! weir: a distributed load balancer, thread per core, io_uring, no lock on the hot path.
//! A module imports only from layers below its own; `tests/tidy` holds the table.

pub mod base;
pub mod bench;
pub mod cli;
pub mod config;
pub mod control;
pub mod ctl;
pub mod data;
pub mod demo;
pub mod engine;
pub mod gossip;
pub mod health;
pub mod http;
pub mod link;
pub mod node;
pub mod routing;
pub mod runtime;
pub mod sim;
pub mod simulate;
pub mod telemetry;
