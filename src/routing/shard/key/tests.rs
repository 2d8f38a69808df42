//! What each source takes for a key, and what it refuses to guess.

use proptest::prelude::*;

use super::*;

/// A request in parts.
struct Asked {
    host: &'static str,
    target: String,
    fields: Vec<(&'static str, String)>,
}

impl Default for Asked {
    fn default() -> Self {
        Asked {
            host: "a.org",
            target: "/".to_owned(),
            fields: Vec::new(),
        }
    }
}

impl RequestView for Asked {
    fn client(&self) -> Option<IpAddr> {
        "::ffff:10.0.0.1".parse().ok()
    }

    fn fields_named<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let named = move |field: &&(&'static str, String)| field.0.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(named)
            .map(|field| field.1.as_bytes())
    }

    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn path(&self) -> &[u8] {
        self.target.as_bytes()
    }

    fn target(&self) -> &[u8] {
        self.target.as_bytes()
    }
}

fn asked(target: &str) -> Asked {
    Asked {
        target: target.to_owned(),
        ..Asked::default()
    }
}

fn with(fields: &[(&'static str, &str)]) -> Asked {
    let fields = fields
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Asked {
        fields: fields.collect(),
        ..Asked::default()
    }
}

/// What is extracted, in a word.
fn word(source: &KeySource, request: &Asked) -> String {
    let mut room = KeyRoom::default();
    match source.extract(request, 8, &mut room) {
        Extracted::Key(key) => format!("={}", String::from_utf8_lossy(key)),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[test]
fn a_header_has_one_value_or_none() {
    let source = KeySource::Header("x-tenant".into());
    for (fields, expected) in [
        (&[][..], "missing"),
        (&[("X-Tenant", "")], "missing"),
        (&[("X-Tenant", "a")], "=a"),
        (&[("X-Tenant", "a"), ("x-tenant", "a")], "=a"),
        (&[("X-Tenant", "a"), ("x-tenant", "b")], "malformed"),
        (&[("X-Tenant", "a"), ("x-tenant", "")], "malformed"),
        (&[("X-Tenant", "12345678")], "=12345678"),
        (&[("X-Tenant", "123456789")], "oversized"),
        (&[("X-Tenants", "a")], "missing"),
    ] {
        assert_eq!(word(&source, &with(fields)), expected, "{fields:?}");
    }
}

#[test]
fn a_cookie_is_found_in_any_line() {
    let source = KeySource::Cookie("sid".into());
    for (lines, expected) in [
        (&["sid=a"][..], "=a"),
        (&["x=1; sid=a;y=2"], "=a"),
        (&["x=1", "y=2;  sid=a=b "], "=a=b"),
        (&["sid=\"a\""], "=\"a\""),
        (&["sid=a; sid=a"], "=a"),
        (&["sid=a; sid=b"], "malformed"),
        (&["sid=a", "sid=b"], "malformed"),
        (&["SID=a"], "missing"),
        (&["xsid=a; sidx=b"], "missing"),
        (&["sid"], "missing"),
        (&["sid=%61"], "=%61"),
        (&["sid=123456789"], "oversized"),
    ] {
        let fields: Vec<(&str, &str)> = lines.iter().map(|line| ("Cookie", *line)).collect();
        assert_eq!(word(&source, &with(&fields)), expected, "{lines:?}");
    }
}

#[test]
fn a_query_parameter_is_read_as_a_form_parser_reads_it() {
    let source = KeySource::Query("id".into());
    for (target, expected) in [
        ("/", "missing"),
        ("/?", "missing"),
        ("/?id", "missing"),
        ("/?id=", "missing"),
        ("/?id=a", "=a"),
        ("/?x=1&id=a&y", "=a"),
        ("/?id=a+b%2B", "=a b+"),
        ("/?%69d=a", "=a"),
        ("/?id=a&%69d=%61", "=a"),
        ("/?id=a&id=b", "malformed"),
        ("/?id=a&%69d=b", "malformed"),
        ("/?id=a&id", "malformed"),
        ("/?id=%6", "malformed"),
        ("/?id=%zz", "malformed"),
        ("/?ID=a", "missing"),
        ("/?id=%31%32%33%34%35%36%37%38", "=12345678"),
        ("/?id=%31%32%33%34%35%36%37%38%39", "oversized"),
        ("/id=a", "missing"),
    ] {
        assert_eq!(word(&source, &asked(target)), expected, "{target}");
    }
}

#[test]
fn a_path_segment_is_taken_from_the_normal_form() {
    let source = KeySource::PathSegment(2);
    for (target, expected) in [
        ("/", "missing"),
        ("/a", "missing"),
        ("/a/", "missing"),
        ("/a/b", "=b"),
        ("/a/b/", "=b"),
        ("/a/b?c/d", "=b"),
        ("/a//b", "=b"),
        ("/x/../a/b", "=b"),
        ("/a/%62", "=b"),
        ("/a%2Fb", "=b"),
        ("/a/x/%2e%2e/b", "=b"),
        ("/a/b%", "malformed"),
        ("/a/b%4", "malformed"),
        ("/%zz/b", "malformed"),
        ("/a/123456789", "oversized"),
        ("*", "missing"),
    ] {
        assert_eq!(word(&source, &asked(target)), expected, "{target}");
    }
    for padding in [2_000, 10_000] {
        let long = format!("/x/{}/../../a/b", "y".repeat(padding));
        assert_eq!(word(&source, &asked(&long)), "=b");
    }
    let long = format!("/x/../{}", "y".repeat(70_000));
    assert_eq!(word(&source, &asked(&long)), "oversized");
}

#[test]
fn hosts_methods_and_addresses() {
    for (host, expected) in [
        ("a.org", "=a.org"),
        ("A.Org.:80", "=a.org"),
        ("[2001:DB8::0:1]:80", "oversized"),
        ("[::1]", "=::1"),
        ("", "missing"),
    ] {
        let request = Asked {
            host,
            ..Asked::default()
        };
        assert_eq!(word(&KeySource::Host, &request), expected, "{host}");
    }
    assert_eq!(word(&KeySource::Method, &Asked::default()), "=GET");
    assert_eq!(
        word(&KeySource::ClientAddress, &Asked::default()),
        "=10.0.0.1"
    );
    assert_eq!(word(&KeySource::Sni, &Asked::default()), "missing");
}

#[test]
fn a_coded_body_is_not_read() {
    let json = KeySource::Json(JsonKey {
        pointer: Pointer::new("/a"),
        body_bytes_max: 1,
    });
    for (fields, expected) in [
        (&[][..], "needsbody"),
        (&[("Content-Encoding", "identity")], "needsbody"),
        (&[("Content-Encoding", "")], "needsbody"),
        (&[("Content-Encoding", "gzip")], "compressed"),
        (&[("Content-Encoding", "identity, br")], "compressed"),
        (
            &[
                ("Content-Encoding", "identity"),
                ("content-encoding", "gzip"),
            ],
            "compressed",
        ),
    ] {
        assert_eq!(word(&json, &with(fields)), expected, "{fields:?}");
    }
}

proptest! {
    #[test]
    fn an_encoded_parameter_is_the_plain_one(key in "[ -~]{1,8}", plus in any::<bool>()) {
        let encoded: String = key
            .bytes()
            .map(|byte| match byte {
                b' ' if plus => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02x}"),
            })
            .collect();
        let target = format!("/?a=1&id={encoded}&b");
        prop_assert_eq!(word(&KeySource::Query("id".into()), &asked(&target)), format!("={key}"));
    }

    #[test]
    fn no_target_upsets_a_source(target in "[/a.%+&=?;2Ff]{0,40}") {
        for source in [KeySource::Query("a".into()), KeySource::PathSegment(1)] {
            let found = word(&source, &asked(&target));
            prop_assert!(!found.is_empty());
        }
    }
}
