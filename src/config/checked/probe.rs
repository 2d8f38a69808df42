//! How backends are asked whether they are well, as meant: checks, agents and heartbeats.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Secret;

/// How the backends of a group are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked; nothing when `None`.
    pub kind: Option<CheckKind>,
    /// Which port; that of the backend when `None`.
    pub port: Option<u16>,
    /// Between two checks of a backend that is well.
    pub interval: Duration,
    /// Between two checks while something is being found out.
    pub interval_fast: Duration,
    /// Between two checks of one that has long been steady.
    pub interval_stable: Duration,
    /// The longest between two checks of one that is down.
    pub interval_down_max: Duration,
    /// By how much of it a wait between two checks may be shorter, in percent.
    pub jitter_percent: u32,
    /// How long a check may take.
    pub timeout: Duration,
    /// Passes in a row that bring one back.
    pub rise: u32,
    /// Failures in a row that take one out.
    pub fall: u32,
    /// How long one that came back takes to its whole share.
    pub slow_start: Duration,
    /// One that sends heartbeats and sent none for so long has failed.
    pub heartbeat_timeout: Duration,
    /// One that never sent a heartbeat has failed too.
    pub heartbeat_required: bool,
}

/// How the agents of a group are asked; those of backends without a port are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Where they listen, unless a backend says another port.
    pub port: Option<u16>,
    /// Between two questions.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// What is sent first.
    pub send: Option<Arc<str>>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A request, and what its answer must be.
    Http(HttpCheck),
    /// A connection.
    Tcp,
}

/// A request, and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its host; the address when `None`.
    pub host: Option<Arc<str>>,
    /// Statuses that pass, from the first to the last of each pair.
    pub expect: Vec<(u16, u16)>,
    /// An expression that must match in the body.
    pub body: Option<String>,
}

/// Where heartbeats arrive beside the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatDoor {
    /// The address of datagrams.
    pub udp: SocketAddr,
    /// What each must show.
    pub token: Option<Secret>,
}
