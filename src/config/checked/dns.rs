//! How names of backends are followed, as meant.

use std::net::SocketAddr;
use std::time::Duration;

/// How names of backends are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Who is asked for addresses.
    pub resolver: DnsResolver,
    /// The servers to ask instead of those of /etc/resolv.conf; none when empty.
    pub servers: Vec<SocketAddr>,
    /// The longest a name is not asked for again, whatever its TTL.
    pub refresh: Duration,
    /// The shortest.
    pub min_ttl: Duration,
}

/// Who is asked for addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsResolver {
    /// DNS servers, after /etc/hosts; the TTL of their answers counts.
    Dns,
    /// The system (`getaddrinfo`) with all it is configured for; it tells no TTL.
    System,
}
