//! Routes: what they compare, and whether anything is left for them to match.
//!
//! Paths are compared in their normalised form (see `routing::matcher`), so a pattern that is not
//! in that form could never match and is refused. A route that earlier ones leave nothing to is
//! refused as well: it is in the wrong place, or a leftover.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::super::checked::{HeaderCondition, HostPattern, PathPattern, Protocol, Route};
use super::super::problem::{At, Problems};
use super::super::raw::{self, Texts};
use super::super::reader::Written;
use super::destination::Targets;
use super::header;
use super::names::{Names, host_name};
use super::require;
use super::values::missing;

/// Bytes of a path pattern.
const PATTERN_BYTES_MAX: usize = 1024;
/// Routes of one listener.
const ROUTES_MAX: usize = 16_384;

pub(super) fn check(
    raw: &[raw::Route],
    targets: &mut Targets<'_>,
    problems: &mut Problems<'_>,
) -> Vec<Route> {
    let mut names = Names::new("route of this listener");
    let mut seen = Seen::default();
    let mut routes = Vec::new();
    if let Some(excess) = raw.get(ROUTES_MAX) {
        let what = format!("{} routes are too many", raw.len());
        problems.error(
            &excess.at,
            what,
            format!("write at most {ROUTES_MAX} in one listener"),
        );
    }
    for raw in raw {
        let name = names.optional(&raw.name, problems);
        let key = |name| raw.at.key(name);
        let hosts = patterns(&raw.host, &key("host"), host_pattern, problems);
        let exact = patterns(&raw.path, &key("path"), exact_path, problems);
        let prefixes = patterns(&raw.path_prefix, &key("path_prefix"), prefix_path, problems);
        let regexes = patterns(&raw.path_regex, &key("path_regex"), header::regex, problems);
        let methods = patterns(&raw.method, &key("method"), header::method, problems);
        let headers = header::check(&raw.header, problems);
        if raw.group.is_none() && raw.shard.is_none() {
            missing(&raw.at, "group", "\"app\"", problems);
        }
        let required = require::of_route(raw, problems);
        let destination = targets.find(&raw.group, &raw.shard, Protocol::Http, problems);
        let (Some(hosts), Some(mut paths), Some(prefixes)) = (hosts, exact, prefixes) else {
            continue;
        };
        let (Some(regexes), Some(methods), Some(headers)) = (regexes, methods, headers) else {
            continue;
        };
        paths.extend(prefixes);
        paths.extend(regexes.into_iter().map(PathPattern::Regex));
        let conditions = Conditions {
            hosts: &hosts,
            paths: &paths,
            methods: &methods,
            headers: &headers,
        };
        seen.add(&conditions, &raw.at, problems);
        routes.extend(destination.map(|destination| Route {
            name,
            hosts,
            paths,
            methods,
            headers,
            destination,
            require: required,
        }));
    }
    routes
}

type Refusal = (String, String);

/// All patterns of a key; `None` after a mistake, so that a route with one is not compared with
/// others.
fn patterns<T: PartialEq>(
    written: &Texts,
    key: &At,
    read: fn(&str) -> Result<T, Refusal>,
    problems: &mut Problems<'_>,
) -> Option<Vec<T>> {
    let mut sound = !problems.noted(key);
    let Some(list) = written else {
        return sound.then(Vec::new);
    };
    if list.value.is_empty() && sound {
        let fix = "write a value, or remove the key to match everything";
        problems.error(&list.at, "an empty list matches nothing", fix);
        return None;
    }
    let mut patterns = Vec::new();
    for Written { value, at } in &list.value {
        match read(value) {
            Ok(pattern) if patterns.contains(&pattern) => {
                problems.error(at, format!("{value:?} is in this list twice"), "remove one");
                sound = false;
            }
            Ok(pattern) => patterns.push(pattern),
            Err((what, fix)) => {
                problems.error(at, format!("{value:?} {what}"), fix);
                sound = false;
            }
        }
    }
    sound.then_some(patterns)
}

fn host_pattern(text: &str) -> Result<HostPattern, Refusal> {
    const FIX: &str = "write it like \"api.example.org\" or \"*.example.org\"";
    let refuse = |what: &str, fix: String| Err((what.to_owned(), fix));
    if text == "*" {
        return refuse(
            "is not needed",
            "remove host: a route without it takes every host".into(),
        );
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = Ipv6Addr::from_str(bare.unwrap_or(text)) {
        return Ok(HostPattern::Exact(address.to_string()));
    }
    if let Ok(address) = Ipv4Addr::from_str(text) {
        return Ok(HostPattern::Exact(address.to_string()));
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        let fix = format!("write \"{host}\": the port of a request is not compared");
        return refuse("has a port", fix);
    }
    let read = |name: &str| host_name(name).map_err(|what| (what, FIX.to_owned()));
    match text.strip_prefix("*.") {
        Some(rest) => Ok(HostPattern::Wildcard(read(rest)?)),
        None if text.contains('*') => refuse("has '*' in a place other than \"*.\"", FIX.into()),
        None => Ok(HostPattern::Exact(read(text)?)),
    }
}

fn exact_path(text: &str) -> Result<PathPattern, Refusal> {
    if text.ends_with("/.") || text.ends_with("/..") {
        return Err(never_in_normal_form());
    }
    plain_path(text).map(PathPattern::Exact)
}

fn prefix_path(text: &str) -> Result<PathPattern, Refusal> {
    plain_path(text).map(PathPattern::Prefix)
}

fn plain_path(text: &str) -> Result<String, Refusal> {
    let refuse = |what: &str, fix: String| Err((what.to_owned(), fix));
    if text.ends_with('*') {
        let fix = format!("write path_prefix = {:?}", text.trim_end_matches('*'));
        return refuse("has a '*', which is not special here", fix);
    }
    if !text.starts_with('/') {
        return refuse("does not begin with '/'", format!("write \"/{text}\""));
    }
    if text.len() > PATTERN_BYTES_MAX {
        return refuse(
            "is too long",
            format!("write at most {PATTERN_BYTES_MAX} bytes"),
        );
    }
    if text.contains(['?', '#']) || text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        let fix = "write the path only; a query is not compared".to_owned();
        return refuse("has a character that is not part of a path", fix);
    }
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let escaped = |at: usize| bytes[at] == b'%' && hex(bytes.get(at + 1)) && hex(bytes.get(at + 2));
    if (0..bytes.len()).any(escaped) {
        let fix = "write the character itself: paths are decoded before they are compared";
        return refuse("is percent-encoded", fix.to_owned());
    }
    if text.contains("//") || text.contains("/./") || text.contains("/../") {
        return Err(never_in_normal_form());
    }
    Ok(text.to_owned())
}

fn never_in_normal_form() -> Refusal {
    (
        "can never match: empty, '.' and '..' segments are resolved before paths are compared"
            .to_owned(),
        "write the path without them".to_owned(),
    )
}

/// One of the combinations a route takes, and all of its headers.
type Combination = (
    Option<Arc<HostPattern>>,
    Option<Arc<PathPattern>>,
    Option<Arc<str>>,
    Arc<[HeaderCondition]>,
);

/// What a route asks for.
struct Conditions<'r> {
    hosts: &'r [HostPattern],
    paths: &'r [PathPattern],
    methods: &'r [Arc<str>],
    headers: &'r [HeaderCondition],
}

/// What earlier routes take: each combination with the place of its route.
///
/// A route is compared with patterns that are wider than its own, and with the headers it asks
/// for itself or none. That never blames a route something is left for; of expressions, only
/// equal ones are known to match alike.
#[derive(Default)]
struct Seen {
    combinations: HashMap<Combination, At>,
}

impl Seen {
    fn add(&mut self, conditions: &Conditions<'_>, at: &At, problems: &mut Problems<'_>) {
        let headers = sorted(conditions.headers);
        let methods: Vec<Option<Arc<str>>> = match conditions.methods {
            [] => vec![None],
            methods => methods.iter().cloned().map(Some).collect(),
        };
        let paths = options(conditions.paths);
        let mut by = None;
        let mut open = Vec::new();
        for host in &options(conditions.hosts) {
            for path in &paths {
                for method in &methods {
                    let one = (host.clone(), path.clone(), method.clone(), headers.clone());
                    match self.covered(&one) {
                        Some(first) => by = by.or(Some(first.clone())),
                        None => open.push(one),
                    }
                }
            }
        }
        if let (Some(first), true) = (by, open.is_empty()) {
            let what = format!(
                "can never match: the route on line {} (and others before this one) takes all \
                 of its requests",
                problems.line(&first)
            );
            problems.error(at, what, "move it before that route, or remove it");
        }
        for one in open {
            self.combinations.entry(one).or_insert_with(|| at.clone());
        }
    }

    /// The place of an earlier route that takes everything this combination would.
    fn covered(&self, one: &Combination) -> Option<&At> {
        let (host, path, method, headers) = one;
        let paths = wider_paths(path.as_deref());
        let mut methods = vec![None];
        methods.extend(method.clone().map(Some));
        let mut asked: Vec<Arc<[HeaderCondition]>> = vec![Arc::from([])];
        if !headers.is_empty() {
            asked.push(headers.clone());
        }
        for host in wider_hosts(host.as_deref()) {
            for path in &paths {
                for method in &methods {
                    for headers in &asked {
                        let wider = (host.clone(), path.clone(), method.clone(), headers.clone());
                        if let Some(at) = self.combinations.get(&wider) {
                            return Some(at);
                        }
                    }
                }
            }
        }
        None
    }
}

/// Headers in an order of their own, so that the order of the file does not count.
fn sorted(headers: &[HeaderCondition]) -> Arc<[HeaderCondition]> {
    let mut sorted = headers.to_vec();
    sorted.sort_by_cached_key(|header| format!("{header:?}"));
    sorted.into()
}

fn options<T: Clone>(patterns: &[T]) -> Vec<Option<Arc<T>>> {
    if patterns.is_empty() {
        return vec![None];
    }
    patterns
        .iter()
        .map(|pattern| Some(Arc::new(pattern.clone())))
        .collect()
}

/// Every host pattern that matches all this one does, itself included.
fn wider_hosts(host: Option<&HostPattern>) -> Vec<Option<Arc<HostPattern>>> {
    let mut wider = vec![None];
    let Some(host) = host else { return wider };
    wider.push(Some(Arc::new(host.clone())));
    let (HostPattern::Exact(name) | HostPattern::Wildcard(name)) = host;
    let dots = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
    wider.extend(dots.map(|rest| Some(Arc::new(HostPattern::Wildcard(rest.to_owned())))));
    wider
}

/// Every path pattern that matches all this one does, itself included.
fn wider_paths(path: Option<&PathPattern>) -> Vec<Option<Arc<PathPattern>>> {
    let mut wider = vec![None];
    let Some(path) = path else { return wider };
    wider.push(Some(Arc::new(path.clone())));
    let (PathPattern::Exact(text) | PathPattern::Prefix(text)) = path else {
        return wider;
    };
    let ends = text
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8());
    wider.extend(ends.map(|end| Some(Arc::new(PathPattern::Prefix(text[..end].to_owned())))));
    wider
}
