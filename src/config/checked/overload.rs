//! What happens when the node runs out of something.

use std::time::Duration;

/// When the node is overloaded, and what it does then. Thresholds are percent of whatever is
/// nearest to its end; `None` never happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Client connections at one time, all listeners and cores together.
    pub connections_max: Option<u32>,
    /// Bytes of memory of the process; the limit of its cgroup counts beside it.
    pub memory_max: Option<u64>,
    /// Percent of time in which something in its cgroup waits for memory.
    pub stall_max: Option<u32>,
    /// From here on answers end their connections.
    pub stop_keep_alive: Option<u32>,
    /// From here on idle connections are closed, the oldest first.
    pub close_idle: Option<u32>,
    /// From here on new connections are refused.
    pub refuse: Option<u32>,
    /// So much less than its threshold ends an action.
    pub hysteresis: u32,
    /// Who was heard less long ago is not idle.
    pub idle_min: Duration,
    /// How new connections are refused.
    pub refuse_with: RefuseWith,
}

/// How a new connection is refused on a listener for HTTP; others are always reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseWith {
    /// It is reset.
    Reset,
    /// Its first request is answered with 503.
    Unavailable,
}
