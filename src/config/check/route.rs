//! Routes: what they compare, and whether anything is left for them to match.
//!
//! Paths are compared in their normalised form (see `routing::matcher`), so a pattern that is not
//! in that form could never match and is refused. A route that earlier ones leave nothing to is
//! refused as well: it is in the wrong place, or a leftover.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::super::checked::{HostPattern, PathPattern, Route};
use super::super::problem::{At, Problems};
use super::super::raw::{self, Texts};
use super::super::reader::Written;
use super::names::{GroupNames, Names, host_name};
use super::values::missing;

/// Bytes of a path pattern.
const PATTERN_BYTES_MAX: usize = 1024;
/// Routes of one listener.
const ROUTES_MAX: usize = 16_384;

pub(super) fn check(
    raw: &[raw::Route],
    groups: &mut GroupNames<'_>,
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
        let group = match &raw.group {
            Some(written) => groups.find(written, problems),
            None => {
                missing(&raw.at, "group", "\"app\"", problems);
                None
            }
        };
        let (Some(hosts), Some(mut paths), Some(prefixes)) = (hosts, exact, prefixes) else {
            continue;
        };
        paths.extend(prefixes);
        seen.add(&hosts, &paths, &raw.at, problems);
        routes.extend(group.map(|group| Route {
            name,
            hosts,
            paths,
            group,
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

type Pair = (Option<Arc<HostPattern>>, Option<Arc<PathPattern>>);

/// What earlier routes take: each pair of host and path, with the place of its route.
#[derive(Default)]
struct Seen {
    pairs: HashMap<Pair, At>,
}

impl Seen {
    fn add(
        &mut self,
        hosts: &[HostPattern],
        paths: &[PathPattern],
        at: &At,
        problems: &mut Problems<'_>,
    ) {
        let hosts = options(hosts);
        let paths = options(paths);
        let mut by = None;
        let mut open = Vec::new();
        for host in &hosts {
            for path in &paths {
                match self.covered(host.as_deref(), path.as_deref()) {
                    Some(first) => by = by.or(Some(first.clone())),
                    None => open.push((host.clone(), path.clone())),
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
        for pair in open {
            self.pairs.entry(pair).or_insert_with(|| at.clone());
        }
    }

    /// The place of an earlier route that takes everything this pair would.
    fn covered(&self, host: Option<&HostPattern>, path: Option<&PathPattern>) -> Option<&At> {
        let paths = wider_paths(path);
        for host in wider_hosts(host) {
            for path in &paths {
                if let Some(at) = self.pairs.get(&(host.clone(), path.clone())) {
                    return Some(at);
                }
            }
        }
        None
    }
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
    let (PathPattern::Exact(text) | PathPattern::Prefix(text)) = path;
    let ends = text
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8());
    wider.extend(ends.map(|end| Some(Arc::new(PathPattern::Prefix(text[..end].to_owned())))));
    wider
}
