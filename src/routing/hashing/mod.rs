//! Placement: from the hash of a key to a member, the same on every node, build and run.
//!
//! A placement is a pure function of the keys and weights of its members and of nothing else, not
//! even of their order, so nodes that learn of changes in different orders still agree. For the
//! same reason there is no floating point in it, and no hasher of the standard library. It is made
//! on the control thread and looked up in by every core; looking up allocates nothing.
//!
//! Each offers, besides its first choice, all members in the order in which they stand in for each
//! other, so that every node passes over a member that is full, drained or was tried in the same
//! way.

pub mod bounded;
mod jump;
mod key;
mod log2;
mod maglev;
mod members;
mod placement;
mod rendezvous;
mod ring;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod walk;

pub use jump::Jump;
pub use key::hash_key;
pub use maglev::Maglev;
pub use members::Member;
pub use placement::{Algorithm, Candidates, Placement};
pub use rendezvous::Rendezvous;
pub use ring::Ring;
