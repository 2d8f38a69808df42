//! Counting and telling: per-core counters, histograms, exposition and the access log. Pure.

pub mod access_log;
pub mod batches;
pub mod by_route;
pub mod cluster;
pub mod counter;
pub mod decisions;
pub mod exemplars;
pub mod exposition;
pub mod health;
pub mod histogram;
pub mod overload;
pub mod quantiles;
pub mod spans;
pub mod stats;
pub mod totals;
