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
//! and no input makes it degrade as a hash table would. Routes that ask for a method, headers or
//! an expression as well stand in the trees by their host and path; where several have the same
//! pair they form a chain, which is tried in order and ends with the first that asks for nothing
//! more. Expressions for paths are tried at every path. Nothing is allocated; the view of an
//! unusual path is on the stack, in the smallest of three buffers that holds it.

use std::net::Ipv6Addr;
use std::str::FromStr;

use super::conditions::{Conditions, HeaderRule};
use super::radix::{NONE, Tree};
use super::shard::key::RequestView;
use crate::base::id::{GroupIndex, ShardIndex};

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To this group.
    Group(GroupIndex),
    /// Where this rule says.
    Shard(ShardIndex),
}

/// What one route asks of a request. Every host matches an empty `hosts`, every path an empty
/// `paths`, every method an empty `methods`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    /// Any of these hosts.
    pub hosts: Vec<HostRule>,
    /// Any of these paths.
    pub paths: Vec<PathRule>,
    /// Any of these methods.
    pub methods: Vec<Box<str>>,
    /// All of these headers.
    pub headers: Vec<HeaderRule>,
    /// Where it leads.
    pub destination: Destination,
}

impl RouteRule {
    /// A rule that takes everything.
    #[must_use]
    pub fn to(destination: Destination) -> Self {
        RouteRule {
            hosts: Vec::new(),
            paths: Vec::new(),
            methods: Vec::new(),
            headers: Vec::new(),
            destination,
        }
    }
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
    /// Every path that this expression matches as a whole.
    Regex(String),
}

/// The longest path that is normalised, the bound of a request head. A longer one matches only
/// routes without a path.
pub(super) const VIEW_BYTES_MAX: usize = 64 * 1024;

/// The routes of one listener, in order, and where everything else goes.
#[derive(Debug, Default)]
pub struct RouteSet {
    /// Where requests go that no route takes; `None` answers 404 (HTTP).
    pub default: Option<Destination>,
    /// Where each route leads.
    destinations: Vec<Destination>,
    /// What the trees lead to, in the order of the routes.
    entries: Vec<Entry>,
    /// Of the entries that ask for more than host and path.
    conditions: Vec<Conditions>,
    /// Reversed host names to positions in `paths`.
    names: Tree,
    /// IPv6 hosts to positions in `paths`, sorted.
    addresses: Vec<(Ipv6Addr, u32)>,
    /// What each distinct host pattern leads to; the first is for any host.
    paths: Vec<Tree>,
}

/// One route at one pair of host and path pattern. Entries at the same pair are a chain, which
/// ends with the first of them that asks for nothing more.
#[derive(Debug)]
struct Entry {
    route: u32,
    /// Position in `RouteSet::conditions`, or [`NONE`].
    conditions: u32,
    /// The next entry of the chain, or [`NONE`].
    next: u32,
}

impl RouteSet {
    /// A set of `rules`, tried in this order.
    #[must_use]
    pub fn new(default: Option<Destination>, rules: &[RouteRule]) -> Self {
        let mut builder = Builder {
            set: RouteSet {
                default,
                destinations: rules.iter().map(|rule| rule.destination).collect(),
                paths: vec![Tree::default()],
                ..RouteSet::default()
            },
            ends: Vec::new(),
        };
        for (route, rule) in (0..NONE).zip(rules) {
            builder.add(route, rule);
        }
        builder.set
    }

    /// Where a request goes.
    #[inline]
    #[must_use]
    pub fn route<R: RequestView>(&self, request: &R) -> Option<Destination> {
        self.choose(request).1
    }

    /// The position of the route that takes a request, if one does, and where the request goes.
    #[inline]
    #[must_use]
    pub fn choose<R: RequestView>(&self, request: &R) -> (Option<usize>, Option<Destination>) {
        if self.destinations.is_empty() {
            return (None, self.default);
        }
        match self.route_index(request) {
            Some(index) => (Some(index), self.destinations.get(index).copied()),
            None => (None, self.default),
        }
    }

    /// Where its routes lead, in their order.
    pub fn of_routes(&self) -> impl Iterator<Item = Destination> + '_ {
        self.destinations.iter().copied()
    }

    /// Where its routes lead, and its default.
    pub fn destinations(&self) -> impl Iterator<Item = Destination> + '_ {
        self.of_routes().chain(self.default)
    }

    /// Position of the first route that matches.
    #[must_use]
    pub fn route_index<R: RequestView>(&self, request: &R) -> Option<usize> {
        if self.destinations.is_empty() {
            return None;
        }
        let found = match prepare(request.path()) {
            Prepared::Plain(path) => self.search(request, path),
            Prepared::Unusual(path) if path.len() <= 1024 => {
                self.search_view::<1024, R>(request, path)
            }
            Prepared::Unusual(path) if path.len() <= 8192 => {
                self.search_view::<8192, R>(request, path)
            }
            Prepared::Unusual(path) => self.search_view::<VIEW_BYTES_MAX, R>(request, path),
        };
        let entry = self.entries.get(found as usize)?;
        Some(entry.route as usize)
    }

    /// The number of the first entry for a path in normal form.
    fn search<R: RequestView>(&self, request: &R, path: &[u8]) -> u32 {
        let mut first = NONE;
        let mut consider = |position: u32| {
            if let Some(paths) = self.paths.get(position as usize)
                && paths.least() < first
            {
                paths.walk(path.iter().copied(), |entry| {
                    first = self.first_of(entry, first, request, path);
                });
            }
        };
        match host_of(request.host()) {
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

    /// The first entry of a chain that takes the request, or `before`, whichever is less.
    #[inline]
    fn first_of<R: RequestView>(&self, chain: u32, before: u32, request: &R, path: &[u8]) -> u32 {
        let mut number = chain;
        while number < before {
            let entry = &self.entries[number as usize];
            let conditions = self.conditions.get(entry.conditions as usize);
            if conditions.is_none_or(|conditions| conditions.hold(request, path)) {
                return number;
            }
            number = entry.next;
        }
        before
    }

    #[inline(never)]
    fn search_view<const BYTES: usize, R: RequestView>(&self, request: &R, path: &[u8]) -> u32 {
        let mut view = [0; BYTES];
        match normalise(path, &mut view) {
            Some(path) => self.search(request, path),
            None => self.search(request, b""),
        }
    }
}

/// A set that is being made.
struct Builder {
    set: RouteSet,
    /// The last entry of the chain that begins with each entry.
    ends: Vec<u32>,
}

impl Builder {
    fn add(&mut self, route: u32, rule: &RouteRule) {
        let expressions = rule.paths.iter().filter_map(|path| match path {
            PathRule::Regex(text) => Some(text.as_str()),
            _ => None,
        });
        let by_tree = rule
            .paths
            .iter()
            .any(|path| !matches!(path, PathRule::Regex(_)));
        let by_expression = Conditions::new(&rule.methods, &rule.headers, expressions);
        // A route with both matches either; the expressions are no condition of its other paths.
        let plain = Conditions::new(&rule.methods, &rule.headers, std::iter::empty());
        let all = by_expression.has_paths() || !by_tree;
        let plain = self.keep(plain);
        let by_expression = self.keep(by_expression);
        let positions: Vec<u32> = match rule.hosts.as_slice() {
            [] => vec![0],
            hosts => hosts.iter().map(|host| self.position_of(host)).collect(),
        };
        for position in positions {
            for path in &rule.paths {
                let new = self.next_entry();
                let paths = &mut self.set.paths[position as usize];
                let chain = match path {
                    PathRule::Exact(path) => paths.insert_exact(path.bytes(), new),
                    PathRule::Prefix(path) => paths.insert_prefix(path.bytes(), new),
                    PathRule::Regex(_) => continue,
                };
                self.append(chain, route, plain);
            }
            if all {
                let new = self.next_entry();
                let paths = &mut self.set.paths[position as usize];
                let chain = paths.insert_prefix(std::iter::empty(), new);
                self.append(chain, route, by_expression);
            }
        }
    }

    /// The position of some conditions, [`NONE`] if they ask for nothing.
    fn keep(&mut self, conditions: Conditions) -> u32 {
        if conditions.is_empty() {
            return NONE;
        }
        self.set.conditions.push(conditions);
        length(&self.set.conditions) - 1
    }

    fn next_entry(&self) -> u32 {
        length(&self.set.entries)
    }

    /// Adds an entry to a chain, unless an earlier one takes everything.
    fn append(&mut self, chain: u32, route: u32, conditions: u32) {
        let new = self.next_entry();
        if chain != new {
            let end = self.ends[chain as usize];
            let last = &mut self.set.entries[end as usize];
            if last.conditions == NONE {
                return;
            }
            last.next = new;
            self.ends[chain as usize] = new;
        }
        self.ends.push(new);
        self.set.entries.push(Entry {
            route,
            conditions,
            next: NONE,
        });
    }

    /// Where the paths of a host pattern are, a new place if it is new.
    fn position_of(&mut self, host: &HostRule) -> u32 {
        let new = length(&self.set.paths);
        let position = match host {
            HostRule::Below(name) => {
                let below = [b".", name.as_bytes()].concat();
                self.set.names.insert_prefix(reversed(&below), new)
            }
            HostRule::Exact(name) => match Ipv6Addr::from_str(name) {
                Ok(address) => self.position_of_address(address, new),
                Err(_) => self.set.names.insert_exact(reversed(name.as_bytes()), new),
            },
        };
        if position == new {
            self.set.paths.push(Tree::default());
        }
        position
    }

    fn position_of_address(&mut self, address: Ipv6Addr, new: u32) -> u32 {
        let addresses = &mut self.set.addresses;
        match addresses.binary_search_by_key(&address, |entry| entry.0) {
            Ok(found) => addresses[found].1,
            Err(place) => {
                addresses.insert(place, (address, new));
                new
            }
        }
    }
}

/// The number of elements; a table is bounded far below [`NONE`].
fn length<T>(elements: &[T]) -> u32 {
    u32::try_from(elements.len()).unwrap_or(NONE)
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
