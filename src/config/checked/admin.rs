//! The admin interface as meant.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The admin interface; it has an address, a unix socket, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens. Other machines reach it only where there is a token.
    pub address: Option<SocketAddr>,
    /// Its unix socket.
    pub unix: Option<PathBuf>,
    /// What a client must show.
    pub token: Option<Token>,
    /// How finely the metrics page tells backends apart.
    pub metrics_detail: MetricsDetail,
}

/// How finely the metrics page tells backends apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsDetail {
    /// Each by itself.
    Backend,
    /// Those of a group added up.
    Group,
    /// Not at all.
    Listener,
}

/// Where the token of the admin interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// The first line of this file.
    File(PathBuf),
    /// In the configuration.
    Text(Secret),
}

/// A text that is not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
