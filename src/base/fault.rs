//! What went wrong in one exchange: a small copyable word, counted and logged, never allocated.
//!
//! One list serves metrics, access log and answers, so that an operator finds the same name in
//! all three. Which status code a fault answers with is decided in one table, [`Fault::status`].

/// Why an exchange or a connection ended other than well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The client closed or reset before its exchange was complete.
    ClientAborted,
    /// The client sent a request that is malformed or ambiguous.
    ClientBadRequest,
    /// The client was too slow to send its head or body.
    ClientTimeout,
    /// No route of the listener matches the request.
    NoRoute,
    /// The group has no backend that could be tried.
    NoBackend,
    /// Every backend that could be tried is at a hard limit.
    GroupFull,
    /// So much of the group failed that its breaker is open.
    BreakerOpen,
    /// As many requests of the group are under way as its breaker allows.
    BreakerOverflow,
    /// Every attempt to connect was refused or unreachable.
    ConnectFailed,
    /// Connecting took longer than the connect timeout.
    ConnectTimeout,
    /// The backend closed or reset before its response was complete.
    UpstreamAborted,
    /// The backend sent something that is not a valid response.
    UpstreamBadResponse,
    /// The backend did not answer in time.
    UpstreamTimeout,
    /// A bound of this node was reached (connections, descriptors, buffers).
    Overload,
    /// The drain deadline passed while the exchange was running.
    Shutdown,
}

impl Fault {
    /// Every fault, in the order of its discriminant.
    pub const ALL: [Fault; 15] = [
        Fault::ClientAborted,
        Fault::ClientBadRequest,
        Fault::ClientTimeout,
        Fault::NoRoute,
        Fault::NoBackend,
        Fault::GroupFull,
        Fault::BreakerOpen,
        Fault::BreakerOverflow,
        Fault::ConnectFailed,
        Fault::ConnectTimeout,
        Fault::UpstreamAborted,
        Fault::UpstreamBadResponse,
        Fault::UpstreamTimeout,
        Fault::Overload,
        Fault::Shutdown,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::ClientAborted => "client_aborted",
            Fault::ClientBadRequest => "client_bad_request",
            Fault::ClientTimeout => "client_timeout",
            Fault::NoRoute => "no_route",
            Fault::NoBackend => "no_backend",
            Fault::GroupFull => "group_full",
            Fault::BreakerOpen => "breaker_open",
            Fault::BreakerOverflow => "breaker_overflow",
            Fault::ConnectFailed => "connect_failed",
            Fault::ConnectTimeout => "connect_timeout",
            Fault::UpstreamAborted => "upstream_aborted",
            Fault::UpstreamBadResponse => "upstream_bad_response",
            Fault::UpstreamTimeout => "upstream_timeout",
            Fault::Overload => "overload",
            Fault::Shutdown => "shutdown",
        }
    }

    /// The status a client sees for this fault (RFC 9110 section 15), if it can still be told.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Fault::ClientAborted => 499,
            Fault::ClientBadRequest => 400,
            Fault::ClientTimeout => 408,
            Fault::NoRoute => 404,
            Fault::NoBackend
            | Fault::GroupFull
            | Fault::BreakerOpen
            | Fault::BreakerOverflow
            | Fault::Overload
            | Fault::Shutdown => 503,
            Fault::ConnectFailed | Fault::UpstreamAborted | Fault::UpstreamBadResponse => 502,
            Fault::ConnectTimeout | Fault::UpstreamTimeout => 504,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discriminants_follow_the_order_of_all() {
        for (position, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, position);
        }
    }
}
