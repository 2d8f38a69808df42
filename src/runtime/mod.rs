//! Layer 3: the only door to the kernel, and the only place for `unsafe`.

pub mod kick;
pub mod kick_waiter;
