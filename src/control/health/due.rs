//! What is to be asked next: of backends by checks, of their agents.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::id::BackendSlot;
use crate::control::health::checks::Ask;

/// A check to be made, or an agent to be asked.
pub(super) struct Due {
    pub(super) slot: BackendSlot,
    /// Whom: the slot may have changed hands when the result comes.
    pub(super) address: SocketAddr,
    /// Where it is asked.
    pub(super) asked: SocketAddr,
    pub(super) what: What,
    pub(super) timeout: Duration,
}

/// What is asked.
pub(super) enum What {
    /// The agent, after this was sent.
    Agent(Option<Arc<str>>),
    /// The backend itself.
    Check(Arc<Ask>),
}

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whom {
    Agent(BackendSlot),
    Backend(BackendSlot),
}
