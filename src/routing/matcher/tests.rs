//! The matcher against a naive model, and by example.

use proptest::prelude::*;

use super::*;
use crate::routing::shard::key::Plain;

mod rich;

fn normal(path: &str) -> String {
    let mut view = [0; 256];
    let view = match prepare(path.as_bytes()) {
        Prepared::Plain(path) => path,
        Prepared::Unusual(path) => normalise(path, &mut view).unwrap(),
    };
    String::from_utf8(view.to_vec()).unwrap()
}

#[test]
fn paths_are_compared_as_backends_read_them() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b?q=/../c", "/a/b"),
        ("/%61dmin", "/admin"),
        ("/%2561dmin", "/%61dmin"),
        ("/api/../admin", "/admin"),
        ("/api/%2e%2E/admin", "/admin"),
        ("/api%2f..%2fadmin", "/admin"),
        ("//admin", "/admin"),
        ("/a//..//b", "/b"),
        ("/../../x", "/x"),
        ("/..", "/"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/a/b/../..", "/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a../b", "/a../b"),
        ("/a%3Fb", "/a?b"),
        ("/100%", "/100%"),
        ("/%zz%4", "/%zz%4"),
        ("*", "*"),
        ("", ""),
    ] {
        assert_eq!(normal(path), expected, "{path}");
    }
}

fn rule(hosts: &[&str], paths: &[PathRule], group: u32) -> RouteRule {
    let host = |text: &&str| match text.strip_prefix("*.") {
        Some(rest) => HostRule::Below(rest.to_owned()),
        None => HostRule::Exact((*text).to_owned()),
    };
    RouteRule {
        hosts: hosts.iter().map(host).collect(),
        paths: paths.to_vec(),
        ..RouteRule::to(to(group))
    }
}

fn to(group: u32) -> Destination {
    Destination::Group(GroupIndex(group))
}

fn plain<'r>(host: &'r [u8], path: &'r [u8]) -> Plain<'r> {
    Plain { host, path }
}

fn exact(path: &str) -> PathRule {
    PathRule::Exact(path.to_owned())
}

fn prefix(path: &str) -> PathRule {
    PathRule::Prefix(path.to_owned())
}

#[test]
fn without_routes_the_default_group_takes_all() {
    let set = RouteSet::new(Some(to(7)), &[]);
    assert_eq!(set.route(&plain(b"any", b"/")), Some(to(7)));
    assert_eq!(set.route_index(&plain(b"any", b"/")), None);
    assert_eq!(RouteSet::default().route(&plain(b"any", b"/")), None);
}

#[test]
fn hosts_match_in_all_their_spellings() {
    let set = RouteSet::new(
        None,
        &[
            rule(&["api.example.org"], &[], 0),
            rule(&["*.example.org"], &[], 1),
            rule(&["::1", "2001:db8::5"], &[], 2),
            rule(&["192.0.2.1"], &[], 3),
        ],
    );
    for (host, route) in [
        ("api.example.org", Some(0)),
        ("API.Example.ORG:8080", Some(0)),
        ("api.example.org.", Some(0)),
        ("api.example.org.:80", Some(0)),
        ("www.example.org", Some(1)),
        ("a.b.example.org", Some(1)),
        ("x.api.example.org", Some(1)),
        ("example.org", None),
        ("notexample.org", None),
        (".example.org", None),
        ("", None),
        ("[::1]", Some(2)),
        ("[0:0:0:0:0:0:0:1]:8080", Some(2)),
        ("[2001:DB8::5]:1", Some(2)),
        ("[::2]", None),
        ("[::1", Some(2)),
        ("[zzz]", None),
        ("192.0.2.1:80", Some(3)),
    ] {
        assert_eq!(
            set.route_index(&plain(host.as_bytes(), b"/")),
            route,
            "{host}"
        );
    }
}

#[test]
fn the_first_route_of_the_file_wins() {
    let set = RouteSet::new(
        Some(to(9)),
        &[
            rule(&[], &[exact("/health")], 0),
            rule(&["a.org"], &[prefix("/api/"), exact("/api")], 1),
            rule(&[], &[prefix("/api")], 2),
            rule(&["a.org"], &[], 3),
            rule(&["*.org"], &[prefix("/api/")], 4),
        ],
    );
    for (host, path, group) in [
        ("a.org", "/health", 0),
        ("a.org", "/api", 1),
        ("a.org", "/api/x", 1),
        ("a.org", "/apidocs", 2),
        ("a.org", "/x/../api/y", 1),
        ("b.org", "/api/x", 2),
        ("b.org", "/other", 9),
        ("a.org", "/healthy", 3),
        ("a.org", "*", 3),
    ] {
        let found = set.route(&plain(host.as_bytes(), path.as_bytes()));
        assert_eq!(found, Some(to(group)), "{host} {path}");
    }
}

#[test]
fn long_unusual_paths_are_normalised_too() {
    let set = RouteSet::new(None, &[rule(&[], &[exact("/admin")], 0)]);
    for length in [500, 2000, 30_000, 60_000] {
        let path = format!("/{}/../admin", "x".repeat(length));
        assert_eq!(
            set.route_index(&plain(b"h", path.as_bytes())),
            Some(0),
            "{length}"
        );
    }
    let path = format!("/{}/../admin", "x".repeat(70_000));
    assert_eq!(set.route_index(&plain(b"h", path.as_bytes())), None);
    let set = RouteSet::new(None, &[rule(&["h"], &[], 0)]);
    assert_eq!(set.route_index(&plain(b"h", path.as_bytes())), Some(0));
}

/// The same rules, one after the other, by the words of the file head.
fn model(rules: &[RouteRule], host: &str, path: &str) -> Option<usize> {
    let host = host.split(':').next().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let path = model_path(path);
    rules.iter().position(|rule| {
        let host_fits = |pattern: &HostRule| match pattern {
            HostRule::Below(name) => {
                let below = host.strip_suffix(name.as_str());
                below.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            HostRule::Exact(name) => *name == host,
        };
        let path_fits = |pattern: &PathRule| match pattern {
            PathRule::Exact(text) => *text == path,
            PathRule::Prefix(text) => path.starts_with(text.as_str()),
            PathRule::Regex(text) => model_regex(text, &path),
        };
        (rule.hosts.is_empty() || rule.hosts.iter().any(host_fits))
            && (rule.paths.is_empty() || rule.paths.iter().any(path_fits))
    })
}

/// The only expressions the tests use.
fn model_regex(pattern: &str, path: &str) -> bool {
    match pattern {
        "/[ab]+" => {
            let rest = path.strip_prefix('/').unwrap_or_default();
            !rest.is_empty() && rest.bytes().all(|byte| b"ab".contains(&byte))
        }
        "|/b/.*" => path.starts_with("/b/"),
        other => panic!("no model of {other}"),
    }
}

fn model_path(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let path = path
        .replace("%2F", "/")
        .replace("%2e", ".")
        .replace("%61", "a");
    let mut segments: Vec<&str> = Vec::new();
    let mut open = true;
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
        open = segment == "." || segment == "..";
    }
    let end = if !segments.is_empty() && (open || path.ends_with('/')) {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", segments.join("/"))
}

fn any_host() -> impl Strategy<Value = String> {
    proptest::collection::vec("[ab]{1,2}", 1..4).prop_map(|labels| labels.join("."))
}

fn any_rule() -> impl Strategy<Value = RouteRule> {
    let host = prop_oneof![
        any_host().prop_map(HostRule::Below),
        any_host().prop_map(HostRule::Exact),
    ];
    let path = prop_oneof![
        "/[ab/]{0,4}".prop_map(|path| exact(&path.replace("//", "/"))),
        "/[ab/]{0,4}".prop_map(|path| prefix(&path.replace("//", "/"))),
    ];
    let hosts = proptest::collection::vec(host, 0..3);
    let paths = proptest::collection::vec(path, 0..3);
    (hosts, paths, 0_u32..5).prop_map(|(hosts, paths, group)| RouteRule {
        hosts,
        paths,
        ..RouteRule::to(to(group))
    })
}

fn any_path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ab]",
        4 => Just("/".to_owned()),
        2 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
        1 => Just("%2F".to_owned()),
        1 => Just("%2e".to_owned()),
        1 => Just("%61".to_owned()),
        1 => Just("?".to_owned()),
    ];
    let pieces = proptest::collection::vec(piece, 0..8);
    (prop::bool::weighted(0.95), pieces).prop_map(|(rooted, pieces)| {
        let root = if rooted { "/" } else { "" };
        format!("{root}{}", pieces.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_naive_model(
        rules in proptest::collection::vec(any_rule(), 0..8),
        host in any_host(),
        suffix in prop_oneof![Just(""), Just("."), Just(":80"), Just(".:80")],
        upper in any::<bool>(),
        path in any_path(),
    ) {
        let set = RouteSet::new(None, &rules);
        let host = if upper { host.to_ascii_uppercase() } else { host };
        let host = format!("{host}{suffix}");
        let found = set.route_index(&plain(host.as_bytes(), path.as_bytes()));
        prop_assert_eq!(found, model(&rules, &host, &path));
    }

    #[test]
    fn normal_paths_have_nothing_left_to_resolve(path in any_path()) {
        let path = normal(&format!("/{path}"));
        prop_assert!(path.starts_with('/'));
        prop_assert!(!path.contains("//") && !path.contains("/./") && !path.contains("/../"));
        prop_assert!(!path.ends_with("/.") && !path.ends_with("/.."));
    }

    #[test]
    fn no_bytes_upset_the_matcher(
        host in proptest::collection::vec(any::<u8>(), 0..40),
        path in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let rules = [
            rule(&["a.org", "*.b.org", "::1"], &[prefix("/a"), exact("/b")], 0),
            rule(&[], &[prefix("/")], 1),
        ];
        let set = RouteSet::new(None, &rules);
        let _ = set.route(&plain(&host, &path));
        let _ = set.route(&plain(&host, &[b"/", path.as_slice()].concat()));
        let _ = set.route(&plain(&[b"[", host.as_slice()].concat(), &path));
    }
}
