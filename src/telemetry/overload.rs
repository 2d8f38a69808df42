//! What one core counts of overload: how near each resource is to its end, what it does about it,
//! and whom it sheds.

use crate::telemetry::counter::{Counter, Gauge};

/// What can run out. The order is that of the gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Client connections.
    Connections,
    /// Open descriptors.
    Descriptors,
    /// Memory.
    Memory,
    /// Time in which something waits for memory.
    Stall,
}

impl Resource {
    /// All of them, in order.
    pub const ALL: [Resource; 4] = [
        Resource::Connections,
        Resource::Descriptors,
        Resource::Memory,
        Resource::Stall,
    ];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Resource::Connections => "connections",
            Resource::Descriptors => "descriptors",
            Resource::Memory => "memory",
            Resource::Stall => "stall",
        }
    }
}

/// What is done about it, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answers end their connections.
    StopKeepAlive,
    /// Idle connections are closed, the oldest first.
    CloseIdle,
    /// New connections are refused.
    Refuse,
}

impl Action {
    /// All of them, in order.
    pub const ALL: [Action; 3] = [Action::StopKeepAlive, Action::CloseIdle, Action::Refuse];

    /// The name in metrics and in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Action::StopKeepAlive => "stop_keep_alive",
            Action::CloseIdle => "close_idle",
            Action::Refuse => "refuse",
        }
    }
}

/// What one core counts of overload.
#[derive(Default)]
pub struct OverloadStats {
    /// How near connections, descriptors, memory and stalls were to their ends when it looked
    /// last, in thousandths.
    pub pressures: [Gauge; Resource::ALL.len()],
    /// 1 for each action it takes now: ending keep-alive, closing idle connections, refusing.
    pub on: [Gauge; Action::ALL.len()],
    /// Times each began.
    pub begun: [Counter; Action::ALL.len()],
    /// Connections it shed, by [`Shed`].
    pub shed: [Counter; Shed::ALL.len()],
}

impl OverloadStats {
    /// Whether something is done for want of memory.
    #[must_use]
    pub fn is_short_of_memory(&self) -> bool {
        let pressure = |resource: Resource| self.pressures[resource as usize].read();
        let memory = pressure(Resource::Memory).max(pressure(Resource::Stall));
        let countable = pressure(Resource::Connections).max(pressure(Resource::Descriptors));
        self.on.iter().any(|on| on.read() > 0) && memory >= countable
    }
}

/// How a connection was shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// Answered with 503.
    Answered,
    /// An idle client, or one that was slow to ask, was closed.
    ClosedClient,
    /// A TCP relay nobody spoke on was reset.
    ClosedRelay,
    /// An unused connection to a backend was closed.
    ClosedUpstream,
    /// It ended with its answer although its client would have kept it.
    KeepAlive,
    /// Reset as soon as it was accepted.
    Reset,
}

impl Shed {
    /// All of them, in order.
    pub const ALL: [Shed; 6] = [
        Shed::Answered,
        Shed::ClosedClient,
        Shed::ClosedRelay,
        Shed::ClosedUpstream,
        Shed::KeepAlive,
        Shed::Reset,
    ];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Shed::Answered => "answered",
            Shed::ClosedClient => "closed_client",
            Shed::ClosedRelay => "closed_relay",
            Shed::ClosedUpstream => "closed_upstream",
            Shed::KeepAlive => "keep_alive",
            Shed::Reset => "reset",
        }
    }
}
