//! Nodes that know each other: who is there, and what each says of itself. Pure: datagrams and
//! moments in, datagrams out.
//!
//! Membership is SWIM, by `foca`; around it lies what it leaves open. Every datagram is sealed with
//! a key all nodes have (`seal`), carries its sender and a number that is taken once (`window`),
//! and is for SWIM, or says what the sender serves and how much it has to do (`state`). Nodes find
//! each other by asking addresses that were given (`Hello`), and ask again until all are known.
//!
//! Reports go from each node to each: up to [`NODES_MAX`] nodes that is one hop, a datagram a
//! second to everybody, and no question of how news spreads. Nothing here goes through the store.

pub mod capacity;
mod circle;
mod figures;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod member;
pub mod observers;
mod peers;
mod seal;
#[cfg(test)]
mod simulated;
mod state;
mod swim;
mod window;
mod wire;

use std::time::Duration;

pub use circle::{Circle, Setting};
pub use figures::{BACKENDS_MAX, BackendFigures, Claimed, Figures, NodeFigures};
pub use member::Member;
pub use peers::{Peer, Standing};
pub use seal::{KEYS_MAX, KeyMistake, Keys};
pub use state::{Load, Phase, State};

/// Time since some moment nobody needs to know.
pub type Moment = Duration;

/// Nodes of one cluster. Each sends to all others, so work grows with the square.
pub const NODES_MAX: usize = 64;

/// Bytes of one datagram: what every path carries in one piece.
pub const DATAGRAM_BYTES_MAX: usize = 1400;

/// Bytes of a node's name and of a cluster's.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a datagram is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// There are nodes enough.
    Crowded,
    /// It is not of this cluster, or was changed on its way: no key opens it.
    Foreign,
    /// It opens, and means nothing.
    Malformed,
    /// It was taken in before.
    Replayed,
    /// Its sender has begun another life since.
    Stale,
}

impl Rejection {
    /// Its word in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Rejection::Crowded => "crowded",
            Rejection::Foreign => "foreign",
            Rejection::Malformed => "malformed",
            Rejection::Replayed => "replayed",
            Rejection::Stale => "stale",
        }
    }

    /// All of them.
    pub const ALL: [Rejection; 5] = [
        Rejection::Crowded,
        Rejection::Foreign,
        Rejection::Malformed,
        Rejection::Replayed,
        Rejection::Stale,
    ];
}
