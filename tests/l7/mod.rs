//! The HTTP/1.1 reverse proxy.

mod adaptive;
mod bodies;
mod bulk;
mod decisions;
mod early;
mod expect;
mod fields;
mod forwarding;
mod hedging;
mod hostile;
mod limits;
mod persistence;
mod placing;
mod policies;
mod pooling;
mod queue;
mod refusals;
mod requiring;
mod retries;
mod routing;
mod sharding;
mod sticky;
mod timeouts;
mod upgrade;
mod vanishing;
