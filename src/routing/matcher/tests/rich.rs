//! Routes that ask for methods, headers and expressions.

use super::*;
use crate::routing::conditions::HeaderTest;

/// A request with a method and one header.
#[derive(Clone, Debug)]
struct Asked {
    host: String,
    path: String,
    method: &'static str,
    values: Vec<&'static str>,
}

impl RequestView for Asked {
    fn client(&self) -> Option<std::net::IpAddr> {
        None
    }

    fn fields_named<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let there = name.eq_ignore_ascii_case("x-a");
        let values = self.values.iter().filter(move |_| there);
        values.map(|value| value.as_bytes())
    }

    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn target(&self) -> &[u8] {
        self.path.as_bytes()
    }
}

/// A rule that may ask for more than host and path.
fn any_rich_rule() -> impl Strategy<Value = RouteRule> {
    let header = prop::sample::select(vec![
        HeaderTest::Absent,
        HeaderTest::Present,
        HeaderTest::Prefix("v".into()),
        HeaderTest::Regex("v[12]".into()),
        HeaderTest::Value("v1".into()),
    ]);
    let header = header.prop_map(|test| HeaderRule {
        name: "X-A".into(),
        test,
    });
    let regex = prop::sample::select(vec!["/[ab]+", "|/b/.*"]);
    (
        any_rule(),
        prop::option::weighted(0.3, regex),
        prop::sample::subsequence(vec!["GET", "PUT"], 0..=2),
        prop::collection::vec(header, 0..2),
    )
        .prop_map(|(mut rule, regex, methods, headers)| {
            let regex = regex.map(|text| PathRule::Regex(text.to_owned()));
            rule.paths.extend(regex);
            rule.methods = methods.into_iter().map(Box::from).collect();
            rule.headers = headers;
            rule
        })
}

fn header_fits(rule: &HeaderRule, values: &[&str]) -> bool {
    match &rule.test {
        HeaderTest::Absent => values.is_empty(),
        HeaderTest::Prefix(text) => values.iter().any(|value| value.starts_with(&**text)),
        HeaderTest::Present => !values.is_empty(),
        HeaderTest::Regex(_) => values.iter().any(|value| ["v1", "v2"].contains(value)),
        HeaderTest::Value(text) => values.contains(&&**text),
    }
}

#[test]
fn expressions_take_the_path_as_a_whole() {
    let regex = |text: &str| PathRule::Regex(text.to_owned());
    let set = RouteSet::new(
        None,
        &[
            rule(&[], &[regex("/v[0-9]+/users|/u"), exact("/users")], 0),
            rule(&["a.org"], &[regex("/.*\\.png")], 1),
            rule(&[], &[regex("/(")], 2),
        ],
    );
    for (host, path, expected) in [
        ("b.org", "/v12/users", Some(0)),
        ("b.org", "/v12/../v1/users", Some(0)),
        ("b.org", "/u", Some(0)),
        ("b.org", "/users", Some(0)),
        ("b.org", "/v12/users/1", None),
        ("b.org", "/x/u", None),
        ("a.org", "/x/y.png?q", Some(1)),
        ("b.org", "/x/y.png", None),
        ("b.org", "/(", None),
    ] {
        let found = set.route_index(&plain(host.as_bytes(), path.as_bytes()));
        assert_eq!(found, expected, "{host} {path}");
    }
    let path = format!("/x/..{}/y.png", "x".repeat(70_000));
    let long = format!("/.{}", &path[2..]);
    assert_eq!(set.route_index(&plain(b"a.org", long.as_bytes())), None);
}

#[test]
fn a_pair_of_patterns_may_stand_for_many_routes() {
    let mut rules: Vec<RouteRule> = (0..500)
        .map(|number| {
            let mut rule = rule(&["a.org"], &[prefix("/")], number);
            rule.headers.push(HeaderRule {
                name: "x-a".into(),
                test: HeaderTest::Value(number.to_string().into()),
            });
            rule
        })
        .collect();
    rules.push(rule(&["a.org"], &[prefix("/")], 500));
    rules.push(rule(&["a.org"], &[prefix("/")], 501));
    let set = RouteSet::new(None, &rules);
    assert_eq!(set.entries.len(), 501, "what nothing reaches is not kept");
    for (value, expected) in [("0", 0), ("17", 17), ("499", 499), ("x", 500)] {
        let asked = Asked {
            host: "a.org".into(),
            path: "/".into(),
            method: "GET",
            values: vec![value],
        };
        assert_eq!(set.route(&asked), Some(to(expected)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rich_routes_agree_with_the_naive_model(
        rules in proptest::collection::vec(any_rich_rule(), 0..8),
        host in any_host(),
        path in any_path(),
        method in prop::sample::select(vec!["GET", "PUT", "POST"]),
        values in prop::sample::subsequence(vec!["v1", "v2", "w"], 0..=2),
    ) {
        let set = RouteSet::new(None, &rules);
        let fitting: Vec<RouteRule> = rules
            .iter()
            .filter(|rule| {
                (rule.methods.is_empty() || rule.methods.iter().any(|wanted| **wanted == *method))
                    && rule.headers.iter().all(|header| header_fits(header, &values))
            })
            .cloned()
            .collect();
        let asked = Asked { host: host.clone(), path: path.clone(), method, values };
        let found = set.route_index(&asked).map(|index| &rules[index]);
        let expected = model(&fitting, &host, &path).map(|index| &fitting[index]);
        prop_assert_eq!(found, expected);
    }
}
