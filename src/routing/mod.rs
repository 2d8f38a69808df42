//! Routing, pure: from what a request says to the backend that serves it.

pub mod breaker;
pub mod conditions;
pub mod elsewhere;
pub mod feedback;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod hashing;
pub mod latency;
pub mod limit;
pub mod load;
pub mod matcher;
pub mod outlier;
pub mod policy;
mod radix;
pub mod retry;
pub mod retry_after;
pub mod shard;
pub mod sni;
pub mod standing;
pub mod sticky;
pub mod table;
