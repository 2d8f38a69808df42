//! Routes, as meant.

use std::sync::Arc;

use super::Destination;

/// A rule from request to destination: all of its conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name, if it has one; unique in its listener.
    pub name: Option<Arc<str>>,
    /// Any of these hosts; every host when empty.
    pub hosts: Vec<HostPattern>,
    /// Any of these paths; every path when empty. Exact ones come first, expressions last.
    pub paths: Vec<PathPattern>,
    /// Any of these methods; every method when empty.
    pub methods: Vec<Arc<str>>,
    /// All of these.
    pub headers: Vec<HeaderCondition>,
    /// Where it leads.
    pub destination: Destination,
    /// Labels a backend of that group must have to be given its requests, sorted.
    pub require: Vec<Arc<str>>,
}

impl Route {
    /// Whether every request matches.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.hosts.is_empty()
            && self.paths.is_empty()
            && self.methods.is_empty()
            && self.headers.is_empty()
    }
}

/// What the host of a request is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name (lower case, no final dot) or address (IPv6 without brackets).
    Exact(String),
    /// Any name below this one: `example.org` was written `*.example.org`.
    Wildcard(String),
}

/// What the path of a request is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// This path.
    Exact(String),
    /// Every path that begins with these bytes.
    Prefix(String),
    /// Every path that matches this expression as a whole.
    Regex(String),
}

/// What a header of a request must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderCondition {
    /// Its name, in lower case.
    pub name: Arc<str>,
    /// What holds for one of its values at least, or for none.
    pub test: HeaderTest,
}

/// What is asked of a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HeaderTest {
    /// It is not there.
    Absent,
    /// A value begins with these bytes.
    Prefix(String),
    /// It is there, whatever its value.
    Present,
    /// A value matches this expression as a whole.
    Regex(String),
    /// A value is this one.
    Value(String),
}
