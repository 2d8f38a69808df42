//! Layer 3: the only door to the kernel, and the only place for `unsafe`.

pub mod cores;
pub mod kick;
pub mod kick_waiter;
pub mod limits;
pub mod probe;
mod probe_ring;
