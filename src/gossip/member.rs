//! A node as others know it: its name, which life of it this is, and where it hears datagrams.
//!
//! The name is who it is, so that a node may come back elsewhere; of two lives of one name the
//! later one counts. A node that was declared dead and is not begins another life at once, without
//! a new process.

use std::net::SocketAddr;
use std::sync::Arc;

use foca::Identity;

/// One life of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub name: Arc<str>,
    /// Which life; later ones are greater.
    pub generation: u64,
    /// Where it hears datagrams.
    pub address: SocketAddr,
}

impl Identity for Member {
    type Addr = Arc<str>;

    fn renew(&self) -> Option<Self> {
        Some(self.after(self.generation))
    }

    fn addr(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        (self.generation, self.address) > (other.generation, other.address)
    }
}

impl Member {
    /// The same node in a life after `generation`.
    pub(super) fn after(&self, generation: u64) -> Member {
        Member {
            generation: generation.saturating_add(1),
            ..self.clone()
        }
    }
}
