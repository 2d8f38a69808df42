//! From host and path to a group: the first matching route wins.

use crate::base::id::GroupIndex;

/// The routes of one listener, in order, and the group of what matches none.
#[derive(Debug, Default)]
pub struct RouteSet {
    /// Where requests go that no route takes; `None` answers 404 (HTTP).
    pub default_group: Option<GroupIndex>,
}

impl RouteSet {
    /// The group for a request.
    #[must_use]
    pub fn route(&self, _host: &[u8], _path: &[u8]) -> Option<GroupIndex> {
        self.default_group
    }
}
