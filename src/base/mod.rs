//! Layer 0: the vocabulary every other module speaks. Knows no clock, no socket, nothing of ours.

pub mod date;
pub mod decision;
pub mod drain;
pub mod epoch;
pub mod fault;
pub mod hex;
pub mod id;
pub mod limits;
#[cfg(test)]
pub(crate) mod simulated;
pub mod slab;
pub mod trace;
pub mod wheel;
pub mod window;
