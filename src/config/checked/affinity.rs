//! Sticky sessions and the queue of a group, as meant.

use std::time::Duration;

use super::Secret;

/// How clients stay with the backend that served them first, and for how long while it drains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// What they are known by.
    pub by: StickyBy,
    /// How long they stay with a backend that drains; `None` for as long as it does.
    pub drain_timeout: Option<Duration>,
}

/// What clients that stay with a backend are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickyBy {
    /// By a signed cookie.
    Cookie(StickyCookie),
    /// By their address.
    Source,
}

/// A signed cookie that names a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyCookie {
    /// Its name.
    pub name: String,
    /// Signs it; the same on all nodes.
    pub secret: Secret,
    /// How long a browser keeps it; as long as it runs when `None`.
    pub ttl: Option<Duration>,
    /// Sent over HTTPS only.
    pub secure: bool,
    /// Which requests of other sites carry it.
    pub same_site: SameSite,
}

/// Which requests of other sites carry a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Those that follow a link.
    Lax,
    /// All; browsers demand `secure` with it.
    None,
    /// None.
    Strict,
}

impl SameSite {
    /// The word of the file.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            SameSite::Lax => "lax",
            SameSite::None => "none",
            SameSite::Strict => "strict",
        }
    }
}

/// Where requests wait while every backend is at a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Requests that may wait at one time over all cores.
    pub requests_max: u32,
    /// How long each may wait.
    pub timeout: Duration,
}
