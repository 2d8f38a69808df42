//! Why a request went where it went: a word for each reason and policy, in one list for whoever
//! logs it and whoever reads the log.

/// The policies by their numbers in logs. A new one comes at the end: numbers keep their meaning.
pub const POLICIES: [&str; 11] = [
    "adaptive",
    "least_connections",
    "least_request",
    "maglev",
    "peak_ewma",
    "random",
    "rendezvous",
    "ring_hash",
    "round_robin",
    "weighted_least_connections",
    "weighted_round_robin",
];

/// What chose the backend a request was with last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Nobody: it had no backend.
    #[default]
    Nobody,
    /// The policy of the group, by load, weight or turn.
    Policy,
    /// The policy of the group, by the key of the request.
    Key,
    /// The client stays with it.
    Sticky,
    /// The one before it failed, and the policy chose again.
    Retry,
    /// It had stood aside, and this is how it is tried.
    Trial,
    /// It answered a second copy of the request before the first one was answered.
    Hedge,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Reason; 7] = [
        Reason::Nobody,
        Reason::Policy,
        Reason::Key,
        Reason::Sticky,
        Reason::Retry,
        Reason::Trial,
        Reason::Hedge,
    ];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Nobody => "nobody",
            Reason::Policy => "policy",
            Reason::Key => "key",
            Reason::Sticky => "sticky",
            Reason::Retry => "retry",
            Reason::Trial => "trial",
            Reason::Hedge => "hedge",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_all() {
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position);
            assert!(!reason.name().is_empty());
        }
    }
}
