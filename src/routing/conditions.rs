//! What a route asks of a request besides its host and a plain path: a method, headers, and
//! expressions for the path.
//!
//! They are tested after the trees of the matcher found the route, in order, and only for routes
//! that have some. Expressions are bounded in size and take time in proportion to their input
//! (crate `regex`); they are compared as a whole, so `/v[0-9]+` does not take `/v1/x`.

use regex::bytes::{Regex, RegexBuilder};

use crate::base::limits::{REGEX_BYTES_MAX, whole_pattern};
use crate::routing::shard::key::RequestView;

/// What is asked of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// Its name; letter case is ignored.
    pub name: Box<str>,
    /// What is asked of it.
    pub test: HeaderTest,
}

/// What is asked of a header; where it has several values, one of them is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderTest {
    /// It is not there.
    Absent,
    /// A value begins with this.
    Prefix(Box<str>),
    /// It is there.
    Present,
    /// A value matches this expression as a whole.
    Regex(Box<str>),
    /// A value is this.
    Value(Box<str>),
}

/// The conditions of one route, all of which must hold.
#[derive(Debug)]
pub(super) struct Conditions {
    /// Any of these; every method when empty.
    methods: Box<[Box<str>]>,
    headers: Box<[Header]>,
    /// Any of these; every path when empty.
    paths: Box<[Expression]>,
}

#[derive(Debug)]
struct Header {
    name: Box<str>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Absent,
    Prefix(Box<str>),
    Present,
    Regex(Expression),
    Value(Box<str>),
}

/// A compiled expression; one that does not compile, which the configuration refuses, matches
/// nothing.
#[derive(Debug)]
struct Expression(Option<Regex>);

impl Conditions {
    pub(super) fn new<'p>(
        methods: &[Box<str>],
        headers: &[HeaderRule],
        paths: impl Iterator<Item = &'p str>,
    ) -> Self {
        let headers = headers.iter().map(|rule| Header {
            name: rule.name.clone(),
            test: match &rule.test {
                HeaderTest::Absent => Test::Absent,
                HeaderTest::Prefix(text) => Test::Prefix(text.clone()),
                HeaderTest::Present => Test::Present,
                HeaderTest::Regex(text) => Test::Regex(Expression::new(text)),
                HeaderTest::Value(text) => Test::Value(text.clone()),
            },
        });
        Conditions {
            methods: methods.into(),
            headers: headers.collect(),
            paths: paths.map(Expression::new).collect(),
        }
    }

    /// Whether nothing is asked.
    pub(super) fn is_empty(&self) -> bool {
        self.methods.is_empty() && self.headers.is_empty() && self.paths.is_empty()
    }

    /// Whether the path must match an expression.
    pub(super) fn has_paths(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether all of them hold; `path` is normalised, and empty if it was too long for that.
    pub(super) fn hold<R: RequestView>(&self, request: &R, path: &[u8]) -> bool {
        let method = request.method();
        let method_fits = self.methods.is_empty()
            || self
                .methods
                .iter()
                .any(|wanted| wanted.as_bytes() == method);
        method_fits
            && (self.paths.is_empty() || self.paths.iter().any(|wanted| wanted.takes(path)))
            && self.headers.iter().all(|header| header.holds(request))
    }
}

impl Header {
    fn holds<R: RequestView>(&self, request: &R) -> bool {
        let mut values = request.fields_named(&self.name);
        match &self.test {
            Test::Absent => values.next().is_none(),
            Test::Prefix(text) => values.any(|value| value.starts_with(text.as_bytes())),
            Test::Present => values.next().is_some(),
            Test::Regex(expression) => values.any(|value| expression.matches(value)),
            Test::Value(text) => values.any(|value| value == text.as_bytes()),
        }
    }
}

impl Expression {
    fn new(pattern: &str) -> Self {
        let mut builder = RegexBuilder::new(&whole_pattern(pattern));
        Expression(builder.size_limit(REGEX_BYTES_MAX).build().ok())
    }

    fn matches(&self, text: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    /// A path is never empty, but one that is too long to be normalised stands here as empty.
    fn takes(&self, path: &[u8]) -> bool {
        !path.is_empty() && self.matches(path)
    }
}
