//! From host and path to a group: the first matching route, in the order of the file, wins.
//!
//! **What is compared.** The host without port and final dot, ASCII case ignored; an IPv6 literal
//! as an address, whatever its spelling. The path without query, normalised: percent-encoded
//! bytes decoded once, then empty segments merged and `.` and `..` resolved, never above the
//! root. A backend will read `/api/../admin`, `//admin` and `/%61dmin` as `/admin`, so a matcher
//! that did not could be talked out of a route. `%2F` is decoded like any other byte (as nginx
//! does): a backend that decodes it would otherwise see a path we did not. Only the comparison
//! uses this view; what is forwarded stays as it was received. What is known to some backends
//! only is left alone: `;` parameters, backslashes, double encoding. Routing picks a group, it
//! does not guard one.
//!
//! **Prefixes** are prefixes of bytes, as in nginx, Envoy and HAProxy: `/api` also takes
//! `/apidocs`. Who means the segment writes `path = "/api"` and `path_prefix = "/api/"`.
//!
//! **How.** Hosts are in a radix tree by their reversed bytes, where `*.example.org` is a prefix;
//! each host leads to a radix tree of paths whose nodes hold the number of the first route that
//! takes them. A lookup walks every host pattern that fits (one for each label at most) and keeps
//! the lowest number, so its cost follows the length of host and path, not the number of routes,
//! and no input makes it degrade as a hash table would. Nothing is allocated; the view of an
//! unusual path is on the stack, in the smallest of three buffers that holds it.

use std::net::Ipv6Addr;
use std::str::FromStr;

use super::radix::{NONE, Tree};
use crate::base::id::GroupIndex;

/// What one route asks of a request. Every host matches an empty `hosts`, every path an empty
/// `paths`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    /// Any of these hosts.
    pub hosts: Vec<HostRule>,
    /// Any of these paths.
    pub paths: Vec<PathRule>,
    /// Where it leads.
    pub group: GroupIndex,
}

/// What the host of a request is compared with, ASCII case ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// Any name below this one, at any depth, but not the name itself.
    Below(String),
    /// This name or address (IPv6 without brackets).
    Exact(String),
}

/// What the normalised path of a request is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// This path.
    Exact(String),
    /// Every path that begins with these bytes.
    Prefix(String),
}

/// The longest path that is normalised, the bound of a request head. A longer one matches only
/// routes without a path.
pub(super) const VIEW_BYTES_MAX: usize = 64 * 1024;

/// The routes of one listener, in order, and the group of what matches none.
#[derive(Debug, Default)]
pub struct RouteSet {
    /// Where requests go that no route takes; `None` answers 404 (HTTP).
    pub default_group: Option<GroupIndex>,
    /// Group of each route.
    groups: Vec<GroupIndex>,
    /// Reversed host names to positions in `paths`.
    names: Tree,
    /// IPv6 hosts to positions in `paths`, sorted.
    addresses: Vec<(Ipv6Addr, u32)>,
    /// What each distinct host pattern leads to; the first is for any host.
    paths: Vec<Tree>,
}

impl RouteSet {
    /// A set of `rules`, tried in this order.
    #[must_use]
    pub fn new(default_group: Option<GroupIndex>, rules: &[RouteRule]) -> Self {
        let mut set = RouteSet {
            default_group,
            groups: rules.iter().map(|rule| rule.group).collect(),
            paths: vec![Tree::default()],
            ..RouteSet::default()
        };
        for (route, rule) in (0..NONE).zip(rules) {
            if rule.hosts.is_empty() {
                insert_paths(&mut set.paths[0], &rule.paths, route);
            }
            for host in &rule.hosts {
                let position = set.position_of(host);
                insert_paths(&mut set.paths[position as usize], &rule.paths, route);
            }
        }
        set
    }

    /// The group for a request: `host` as in the Host field or the target, `path` with or without
    /// its query.
    #[inline]
    #[must_use]
    pub fn route(&self, host: &[u8], path: &[u8]) -> Option<GroupIndex> {
        if self.groups.is_empty() {
            return self.default_group;
        }
        match self.route_index(host, path) {
            Some(index) => self.groups.get(index).copied(),
            None => self.default_group,
        }
    }

    /// Position of the first route that matches.
    #[must_use]
    pub fn route_index(&self, host: &[u8], path: &[u8]) -> Option<usize> {
        if self.groups.is_empty() {
            return None;
        }
        let found = match prepare(path) {
            Prepared::Plain(path) => self.search(host, path),
            Prepared::Unusual(path) if path.len() <= 1024 => self.search_view::<1024>(host, path),
            Prepared::Unusual(path) if path.len() <= 8192 => self.search_view::<8192>(host, path),
            Prepared::Unusual(path) => self.search_view::<VIEW_BYTES_MAX>(host, path),
        };
        (found != NONE).then_some(found as usize)
    }

    /// The number of the first route for a path in normal form.
    fn search(&self, host: &[u8], path: &[u8]) -> u32 {
        let mut first = NONE;
        let mut consider = |position: u32| {
            if let Some(paths) = self.paths.get(position as usize)
                && paths.least() < first
            {
                paths.walk(path.iter().copied(), |route| first = first.min(route));
            }
        };
        match host_of(host) {
            Host::Address(address) => {
                let found = self
                    .addresses
                    .binary_search_by_key(&address, |entry| entry.0);
                if let Ok(found) = found {
                    consider(self.addresses[found].1);
                }
            }
            Host::Name(name) => self.names.walk(reversed(name), &mut consider),
        }
        consider(0);
        first
    }

    #[inline(never)]
    fn search_view<const BYTES: usize>(&self, host: &[u8], path: &[u8]) -> u32 {
        let mut view = [0; BYTES];
        match normalise(path, &mut view) {
            Some(path) => self.search(host, path),
            None => self.search(host, b""),
        }
    }

    /// Where the paths of a host pattern are, a new place if it is new.
    fn position_of(&mut self, host: &HostRule) -> u32 {
        let new = u32::try_from(self.paths.len()).unwrap_or(NONE);
        let position = match host {
            HostRule::Below(name) => {
                let below = [b".", name.as_bytes()].concat();
                self.names.insert_prefix(reversed(&below), new)
            }
            HostRule::Exact(name) => match Ipv6Addr::from_str(name) {
                Ok(address) => self.position_of_address(address, new),
                Err(_) => self.names.insert_exact(reversed(name.as_bytes()), new),
            },
        };
        if position == new {
            self.paths.push(Tree::default());
        }
        position
    }

    fn position_of_address(&mut self, address: Ipv6Addr, new: u32) -> u32 {
        match self
            .addresses
            .binary_search_by_key(&address, |entry| entry.0)
        {
            Ok(found) => self.addresses[found].1,
            Err(place) => {
                self.addresses.insert(place, (address, new));
                new
            }
        }
    }
}

fn insert_paths(paths: &mut Tree, rules: &[PathRule], route: u32) {
    if rules.is_empty() {
        paths.insert_prefix(std::iter::empty(), route);
    }
    for rule in rules {
        match rule {
            PathRule::Exact(path) => paths.insert_exact(path.bytes(), route),
            PathRule::Prefix(path) => paths.insert_prefix(path.bytes(), route),
        };
    }
}

pub(super) enum Host<'h> {
    Address(Ipv6Addr),
    Name(&'h [u8]),
}

/// The host without port and final dot.
pub(super) fn host_of(host: &[u8]) -> Host<'_> {
    if let Some(rest) = host.strip_prefix(b"[") {
        let end = memchr::memchr(b']', rest).unwrap_or(rest.len());
        if let Some(address) = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|text| Ipv6Addr::from_str(text).ok())
        {
            return Host::Address(address);
        }
    }
    let end = memchr::memchr(b':', host).unwrap_or(host.len());
    let name = &host[..end];
    if name.starts_with(b".") {
        // Below a name means: with a label before the dot.
        return Host::Name(b"");
    }
    Host::Name(name.strip_suffix(b".").unwrap_or(name))
}

fn reversed(name: &[u8]) -> impl Iterator<Item = u8> + '_ {
    name.iter().rev().map(u8::to_ascii_lowercase)
}

pub(super) enum Prepared<'p> {
    /// In normal form already.
    Plain(&'p [u8]),
    /// To be normalised first.
    Unusual(&'p [u8]),
}

/// Cuts the query off and tells whether normalising could change what is left.
pub(super) fn prepare(path: &[u8]) -> Prepared<'_> {
    let mut unusual = false;
    let mut before = 0_u8;
    let mut end = path.len();
    for (at, byte) in path.iter().enumerate() {
        match byte {
            b'?' | b'#' => {
                end = at;
                break;
            }
            b'%' => unusual = true,
            b'/' | b'.' if before == b'/' => unusual = true,
            _ => {}
        }
        before = *byte;
    }
    let path = &path[..end];
    if unusual && path.starts_with(b"/") {
        Prepared::Unusual(path)
    } else {
        Prepared::Plain(path)
    }
}

/// The normal form of a path that begins with `/`; `None` if it does not fit into `view`. It is
/// never longer than the path.
pub(super) fn normalise<'v>(path: &[u8], view: &'v mut [u8]) -> Option<&'v [u8]> {
    let mut length = 0;
    let mut rest = path;
    while let Some((byte, after)) = decode_first(rest) {
        rest = after;
        if byte == b'/' {
            length = close_segment(view, length);
            if length > 0 && view[length - 1] == b'/' {
                continue;
            }
        }
        *view.get_mut(length)? = byte;
        length += 1;
    }
    length = close_segment(view, length);
    Some(&view[..length])
}

/// The first byte of a path, decoded if it is percent-encoded, and what follows it. A `%` without
/// two hexadecimal digits stands for itself.
pub(super) fn decode_first(path: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, rest @ ..] = path
        && let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low))
    {
        return Some((high << 4 | low, rest));
    }
    let (first, rest) = path.split_first()?;
    Some((*first, rest))
}

/// Length of the view after its last segment is complete: `.` is dropped, `..` takes the segment
/// before it along; the slash before what was dropped stays.
fn close_segment(view: &[u8], length: usize) -> usize {
    let written = &view[..length];
    if written.ends_with(b"/.") {
        return length - 1;
    }
    if !written.ends_with(b"/..") {
        return length;
    }
    let parent = &written[..length - 3];
    memchr::memrchr(b'/', parent).map_or(1, |slash| slash + 1)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
