//! How another process takes over, as meant.

use std::path::PathBuf;
use std::time::Duration;

/// How another process takes over from this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// Where `weir run --takeover` finds it; SIGUSR2 needs none.
    pub socket: Option<PathBuf>,
    /// How long the other may take to serve, before this one goes on as if nothing had been.
    pub timeout: Duration,
}
