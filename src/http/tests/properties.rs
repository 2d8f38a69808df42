//! Properties over generated input: any split, any bytes, any valid head.

use proptest::prelude::*;

use super::super::drive::feed;
use super::super::fuzz::{fuzz_chunked, fuzz_request, fuzz_response};
use super::super::*;

const FREE: BodyLimits = BodyLimits {
    body_bytes: u64::MAX,
    trailer_bytes: 4096,
};

/// A field that passes unchanged but for whitespace: name, blanks around the value, value.
fn field() -> impl Strategy<Value = (String, String, String)> {
    let blanks = prop_oneof![Just(" "), Just(""), Just("\t"), Just("  ")];
    let value = "([!-~]([ -~]{0,20}[!-~])?)?";
    (
        "x-[a-z0-9!#.^|~-]{1,20}",
        blanks.prop_map(String::from),
        value,
    )
        .prop_filter("names we act on", |(name, ..)| {
            !name.starts_with("x-forwarded") && name != "x-real-ip" && name != "x-request-id"
        })
}

fn target() -> impl Strategy<Value = String> {
    "/[!\"$-~]{0,30}"
}

fn method() -> impl Strategy<Value = String> {
    prop_oneof!["GET|POST|HEAD|DELETE|get|M-SEARCH", "X[A-Z0-9!]{0,20}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_uphold_the_invariants(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz_request(&bytes);
        fuzz_response(&bytes);
        fuzz_chunked(&bytes);
    }

    #[test]
    fn likely_bytes_uphold_the_invariants(
        text in "(GET|POST|OPTIONS) (/|\\*|http://a/) HTTP/1.[01]\r\n(Host: [a:1]{1,3}\r?\n)?\
                 (([CT][oe_-]{0,2}|Content[-_]Length|Transfer-Encoding|X) ?:[ \t]?\
                 (5|0|chunked|a,b)?[ \r]?\r?\n){0,3}\r\n(5(;a)?\r\nhello\r\n0\r\n(X: y\r\n)?\r\n)?"
    ) {
        fuzz_request(text.as_bytes());
    }

    #[test]
    fn valid_heads_are_forwarded_as_understood(
        method in method(),
        target in target(),
        fields in proptest::collection::vec(field(), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let lines: String = fields
            .iter()
            .map(|(name, blank, value)| format!("{name}:{blank}{value}{blank}\r\n"))
            .collect();
        let sent = format!("{method} {target} HTTP/1.1\r\n{lines}Host: a\r\n\r\n");
        let kept: String =
            fields.iter().map(|(name, _, value)| format!("{name}: {value}\r\n")).collect();
        let expected = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{kept}\r\n");
        prop_assert_eq!(super::forward(&sent, &super::EDITS), expected.clone());
        prop_assert_eq!(super::forward(&expected, &super::EDITS), expected);
        let prefix = &sent.as_bytes()[..cut.index(sent.len())];
        let mut storage = FieldStorage::new();
        let parsed = parse_request(prefix, &HeadLimits::default(), &mut storage);
        prop_assert!(matches!(parsed, Parsed::Partial), "{:?} of a valid head", parsed);
    }

    #[test]
    fn chunked_bodies_survive_any_chunking_and_splitting(
        chunks in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 1..40), "(;[a-z]{1,5}(=[a-z]{1,5})?){0,2}"),
            0..8,
        ),
        trailer in "(x-[a-z]{1,8}: [a-z]{1,8}\r\n){0,3}",
        rest in "(GET / )?",
        piece in 1_usize..20,
    ) {
        let mut sent = Vec::new();
        let mut content = Vec::new();
        for (data, extension) in &chunks {
            sent.extend_from_slice(format!("{:X}{extension}\r\n", data.len()).as_bytes());
            sent.extend_from_slice(data);
            sent.extend_from_slice(b"\r\n");
            content.extend_from_slice(data);
        }
        sent.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
        let len = sent.len();
        sent.extend_from_slice(rest.as_bytes());
        let mut body = Body::new(Framing::Chunked, Output::Chunked, FREE);
        let mut encoded = Vec::new();
        prop_assert_eq!(feed(&mut body, &sent, piece, &mut encoded), Ok(len));
        prop_assert!(body.is_done());
        prop_assert_eq!(body.bytes(), content.len() as u64);
        let end = format!("0\r\n{trailer}\r\n");
        prop_assert!(encoded.ends_with(end.as_bytes()));
        let mut again = Body::new(Framing::Chunked, Output::Raw, FREE);
        let mut decoded = Vec::new();
        prop_assert_eq!(feed(&mut again, &encoded, 3, &mut decoded), Ok(encoded.len()));
        prop_assert_eq!(decoded, content);
    }

    #[test]
    fn lengths_are_read_exactly(text in "[0-9]{0,21}|[+-]?[0-9 ,x_]{1,4}") {
        let fits = !text.is_empty() && text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit());
        let expected = text.parse::<i64>().ok().filter(|_| fits).map(i64::unsigned_abs);
        prop_assert_eq!(framing::content_length(text.as_bytes()).ok(), expected);
    }
}
