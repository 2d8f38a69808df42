//! Routes as TOML.

use toml::Value;

use super::super::checked::{
    Config, Destination, HeaderCondition, HeaderTest, HostPattern, KeySource, Listener,
    PathPattern, Route,
};
use super::Page;
use super::shard::{list, table};

impl Config {
    /// Whether the first bytes of a connection decide where it goes.
    pub(super) fn waits_for_hello(&self, listener: &Listener) -> bool {
        match listener.destination {
            Some(Destination::Shard(shard)) => self.shard(shard).key == KeySource::Sni,
            _ => false,
        }
    }

    pub(super) fn print_route(&self, route: &Route, page: &mut Page) {
        page.section("[[listener.route]]");
        if let Some(name) = &route.name {
            page.text("name", name);
        }
        let hosts = route.hosts.iter().map(|pattern| match pattern {
            HostPattern::Exact(host) => host.clone(),
            HostPattern::Wildcard(host) => format!("*.{host}"),
        });
        page.texts("host", hosts);
        let paths = |wanted: fn(&PathPattern) -> Option<&String>| {
            route.paths.iter().filter_map(wanted).cloned()
        };
        let exact = paths(|pattern| match pattern {
            PathPattern::Exact(path) => Some(path),
            _ => None,
        });
        page.texts("path", exact);
        let prefixes = paths(|pattern| match pattern {
            PathPattern::Prefix(path) => Some(path),
            _ => None,
        });
        page.texts("path_prefix", prefixes);
        let regexes = paths(|pattern| match pattern {
            PathPattern::Regex(path) => Some(path),
            _ => None,
        });
        page.texts("path_regex", regexes);
        page.texts("method", route.methods.iter().map(ToString::to_string));
        if !route.headers.is_empty() {
            page.raw("header", list(route.headers.iter().map(header)));
        }
        self.print_destination(route.destination, page);
        page.texts("require", route.require.iter().map(ToString::to_string));
    }
}

fn header(condition: &HeaderCondition) -> Value {
    let (key, value) = match &condition.test {
        HeaderTest::Absent => ("present", Value::from(false)),
        HeaderTest::Prefix(text) => ("prefix", Value::from(text.as_str())),
        HeaderTest::Present => ("present", Value::from(true)),
        HeaderTest::Regex(text) => ("regex", Value::from(text.as_str())),
        HeaderTest::Value(text) => ("value", Value::from(text.as_str())),
    };
    table([
        ("name", Some(Value::from(&*condition.name))),
        (key, Some(value)),
    ])
}
