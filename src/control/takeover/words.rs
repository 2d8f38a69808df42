//! What the two processes say to each other, as JSON: either may be older than the other, and
//! what one does not know it ignores.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::epoch::Epoch;
use crate::control::health::Known;
use crate::telemetry::totals::Totals;

/// Rises when a word changes its meaning; the old process refuses a number it does not know.
pub(super) const PROTOCOL: u32 = 1;

/// One word.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// The new process is ready to take over.
    Ask {
        /// Its [`PROTOCOL`].
        protocol: u32,
        /// Its process id.
        pid: u32,
        /// Its version.
        version: String,
    },
    /// What the old process has counted so far, again and again while it drains, after
    /// [`Word::Yours`].
    Counted(Box<Totals>),
    /// The old process goes on; the new one is to end.
    Keep {
        /// Why.
        why: String,
    },
    /// Every core of the new process serves.
    Serving,
    /// Sockets; their descriptors come with the word, in this order.
    Sockets(Vec<Place>),
    /// All the rest; nothing more comes before [`Word::Yours`].
    State(Box<State>),
    /// The new process is the one from now on.
    Yours {
        /// It is to read its configuration again, because the old one was told to meanwhile.
        reload: bool,
    },
}

/// Which socket one is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// The admin interface.
    Admin(SocketAddr),
    /// Its unix socket.
    AdminUnix(PathBuf),
    /// Where the next process takes over.
    Door(PathBuf),
    /// Where other nodes are heard.
    Gossip(SocketAddr),
    /// Where heartbeats arrive.
    Heartbeat(SocketAddr),
    /// A listener; those of one address come in the order of cores.
    Listener(SocketAddr),
}

/// What is handed over beside sockets.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The old process.
    pub pid: u32,
    /// The epoch it serves.
    #[serde(with = "number")]
    pub epoch: Epoch,
    /// The hash of its configuration's content.
    pub content_hash: u64,
    /// When its clock of health began, by the clock of the machine.
    pub origin: Duration,
    /// What is known of backends.
    pub known: Vec<Known>,
}

/// An epoch is its number.
mod number {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::base::epoch::Epoch;

    pub(super) fn serialize<S: Serializer>(epoch: &Epoch, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(epoch.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Epoch, D::Error> {
        u64::deserialize(from).map(Epoch)
    }
}
