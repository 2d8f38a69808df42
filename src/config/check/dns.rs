//! `[dns]`: who is asked for backends given by name, and how often.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::checked::{Dns, DnsResolver};
use super::super::problem::Problems;
use super::super::raw;
use super::super::reader::Written;
use super::values::{choice, duration};

/// Servers that may be named; more than a few are never asked.
const SERVERS_MAX: usize = 8;

/// Where DNS servers listen.
const PORT: u16 = 53;

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn check(raw: &raw::Dns, problems: &mut Problems<'_>) -> Dns {
    let dns = Dns {
        resolver: choice(&raw.resolver, DnsResolver::Dns, &RESOLVERS, problems),
        servers: check_servers(raw, problems),
        refresh: duration(&raw.refresh, 30 * SECOND, SECOND, problems),
        min_ttl: duration(&raw.min_ttl, SECOND, SECOND / 10, problems),
    };
    if dns.min_ttl > dns.refresh
        && let Some(at) = raw
            .min_ttl
            .as_ref()
            .or(raw.refresh.as_ref())
            .map(|text| &text.at)
    {
        let fix = "write a refresh that is not shorter than min_ttl (1s unless written)";
        problems.error(at, "min_ttl is longer than refresh", fix);
    }
    if let (DnsResolver::System, Some(servers)) = (dns.resolver, &raw.servers) {
        let fix = "remove it, or write resolver = \"dns\"";
        problems.error(&servers.at, "the system has its own servers", fix);
    }
    dns
}

fn check_servers(raw: &raw::Dns, problems: &mut Problems<'_>) -> Vec<SocketAddr> {
    let Some(Written { value, at }) = &raw.servers else {
        return Vec::new();
    };
    if value.is_empty() && !problems.noted(at) {
        let fix = "name one, or remove the key to use those of /etc/resolv.conf";
        problems.error(at, "no server is left to ask", fix);
    }
    if value.len() > SERVERS_MAX {
        let what = format!("{} servers are too many", value.len());
        problems.error(at, what, format!("write at most {SERVERS_MAX}"));
    }
    let mut servers = Vec::new();
    for Written { value, at } in value {
        let ip = value.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
        match ip.or_else(|_| value.parse::<SocketAddr>()) {
            Ok(server) if server.port() == 0 || server.ip().is_unspecified() => {
                let fix = "write where the server is, such as \"127.0.0.1:53\"";
                problems.error(at, format!("{value:?} cannot be asked"), fix);
            }
            Ok(server) if servers.contains(&server) => {
                problems.error(at, format!("{server} is there twice"), "remove one");
            }
            Ok(server) => servers.push(server),
            Err(_) => {
                let fix = "write an IP address, with a port unless it is 53: \"127.0.0.1:5353\"";
                problems.error(at, format!("{value:?} is not the address of a server"), fix);
            }
        }
    }
    servers
}

/// The words of `dns.resolver`.
pub(in super::super) const RESOLVERS: [(&str, DnsResolver); 2] =
    [("dns", DnsResolver::Dns), ("system", DnsResolver::System)];
