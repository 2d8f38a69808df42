//! One process takes over from another: the listening sockets themselves, the store, and what is
//! known of backends, without a connection refused or a request failed.
//!
//! A listening socket that is closed resets what waits in its accept queue, and of sockets that
//! share an address by SO_REUSEPORT each has a queue of its own. So a new process must not open
//! its own: it gets the very sockets, over a unix socket (SCM_RIGHTS). Both ways of taking over
//! speak the same words over it: SIGUSR2 makes the old process start the new one with one end of
//! a pair as its standard input; `weir run --takeover` connects to `upgrade.socket`. Rejected:
//! inherited descriptors and their numbers in the environment, which only a child can have, and
//! which would leave the store and the answer "now it is yours" to a second channel anyway.
//!
//! 1. The new process reads its configuration, probes the machine and says `Ask`.
//! 2. The old one finishes the change under way, answers further ones with 503, closes the store,
//!    and says `Sockets`, as often as needed, and `State`.
//! 3. The new one opens the store, plans, adopts on all cores and says `Serving`: both serve.
//! 4. The old one says `Yours`, accepts nothing more, drains and ends. Meanwhile it says `Counted`
//!    once a second, and once more when its last connection has ended.
//! 5. The new one opens the admin interface and the door for heartbeats on the old one's sockets
//!    and allows changes.
//!
//! `Yours` is the point of no return. Until then whatever goes wrong leaves the old process as it
//! was: it says `Keep` if it can, opens its store again and goes on; the new one ends. A line
//! that breaks without `Keep` means that the old process died, so the new one goes on.

mod door;
mod giving;
mod line;
mod taking;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

pub use door::{Door, spawn};
pub use giving::{Give, Step, give};
pub use line::Line;
pub use taking::{Claim, NotTaken, claim, conclude};
pub use words::State;

/// What a process takes over, ready to be used.
#[derive(Debug, Default)]
pub struct Handed {
    /// Listening sockets by address, of all cores in order.
    pub listeners: BTreeMap<SocketAddr, Vec<OwnedFd>>,
    /// The admin interface's.
    pub admin: Option<(SocketAddr, OwnedFd)>,
    /// The admin interface's unix socket.
    pub admin_unix: Option<(PathBuf, OwnedFd)>,
    /// Where other nodes are heard.
    pub gossip: Option<(SocketAddr, OwnedFd)>,
    /// Where heartbeats arrive.
    pub heartbeat: Option<(SocketAddr, OwnedFd)>,
    /// Where the next process takes over.
    pub door: Option<(PathBuf, OwnedFd)>,
    /// What is no socket.
    pub state: State,
}
