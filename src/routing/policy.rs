//! Policies inside a group.

/// Which policy a group uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// The backend with the fewest requests in flight, all cores of the node together.
    LeastConnections,
    /// One after the other.
    RoundRobin,
}
