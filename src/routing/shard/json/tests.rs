//! The scanner beside a parser that sees the whole document at once.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// What is found when the document arrives in pieces of these lengths, in a word.
fn scan_in(pointer: &str, document: &[u8], mut pieces: impl Iterator<Item = usize>) -> String {
    let pointer = Pointer::new(pointer);
    let mut scanner = Scanner::new(16);
    let mut rest = document;
    while !rest.is_empty() {
        let length = pieces.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        if scanner.feed(&pointer, piece) == Scan::Done {
            break;
        }
    }
    scanner.finish(&pointer);
    match scanner.key() {
        Extracted::Key(key) => format!("={}", String::from_utf8_lossy(key)),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// The same for the document whole, which must not differ from the document byte by byte.
fn scan(pointer: &str, document: &str) -> String {
    let whole = scan_in(pointer, document.as_bytes(), std::iter::empty());
    let bytewise = scan_in(pointer, document.as_bytes(), std::iter::repeat(1));
    assert_eq!(whole, bytewise, "{document}");
    whole
}

#[test]
fn values_are_found() {
    for (pointer, document, expected) in [
        ("/a", r#"{"a":"x"}"#, "=x"),
        ("/a", r#" { "b" : [1, {"a":2}] , "a" : 17 } "#, "=17"),
        ("/a/b/1", r#"{"a":{"x":0,"b":["n","y"]}}"#, "=y"),
        ("/a", r#"{"a":-0}"#, "=-0"),
        ("/a", r#"{"a":true}"#, "=true"),
        ("/a", r#"{"a":false"#, "=false"),
        ("", r#""x""#, "=x"),
        ("", " 42", "=42"),
        ("", "42 ", "=42"),
        ("/", r#"{"":"x"}"#, "=x"),
        ("/a~1b/~0", r#"{"a/b":{"~":"x"}}"#, "=x"),
        ("/0", r#"{"0":"x"}"#, "=x"),
        ("/1", r#"[["a"],"x"]"#, "=x"),
        ("/0/0", r#"[["a"],"x"]"#, "=a"),
        (
            "/a",
            r#"{"\u0061":"\ud83d\ude00\n\u00e4"}"#,
            "=\u{1f600}\n\u{e4}",
        ),
        ("/a", r#"{"b":"\"a\":1","a":"\/\\"}"#, "=/\\"),
        // What follows the value is not looked at.
        ("/a", r#"{"a":"x" %"#, "=x"),
        ("/a", r#"{"a":"x","a":"y"}"#, "=x"),
    ] {
        assert_eq!(scan(pointer, document), expected, "{pointer} {document}");
    }
}

#[test]
fn what_is_no_key_is_told_apart() {
    for (pointer, document, expected) in [
        ("/a", "{}", "missing"),
        ("/a", "[]", "missing"),
        ("/a", "7", "missing"),
        ("/a", "\"a\"", "missing"),
        ("/a", "", "missing"),
        ("/a", "  ", "missing"),
        ("/a", r#"{"a":""}"#, "missing"),
        ("/a", r#"{"b":1,"aa":2,"":3}"#, "missing"),
        ("/a/b", r#"{"a":1}"#, "missing"),
        ("/a/b", r#"{"a":{"c":1},"b":2}"#, "missing"),
        ("/a/b", r#"{"b":{"b":1},"c":{"a":{"b":1}}}"#, "missing"),
        ("/a/b", r#"{"a":1,"x":  {"b":2}}"#, "missing"),
        ("/01", "[1,2]", "missing"),
        ("/-", "[1,2]", "missing"),
        ("/2", "[1,2]", "missing"),
        ("/a", r#"{"a":null}"#, "malformed"),
        ("/a", r#"{"a":{}}"#, "malformed"),
        ("/a", r#"{"a":[1]}"#, "malformed"),
        ("/a", r#"{"a":1.0}"#, "malformed"),
        ("/a", r#"{"a":1e3}"#, "malformed"),
        ("/a", r#"{"a":01}"#, "malformed"),
        ("/a", r#"{"a":-}"#, "malformed"),
        ("/a", r#"{"a":1"#, "malformed"),
        ("/a", r#"{"a":"x"#, "malformed"),
        ("/a", r#"{"a":tru}"#, "malformed"),
        ("/a", r#"{"a":"\ud800"}"#, "malformed"),
        ("/a", r#"{"a":"\ud800\u0061"}"#, "malformed"),
        ("/a", r#"{"a":"\udc00"}"#, "malformed"),
        ("/a", "{\"a\":\"x\ny\"}", "malformed"),
        ("/a", r#"{"b":1;"a":2}"#, "malformed"),
        ("/a", r#"{"b":1,}"#, "malformed"),
        ("/a", r#"{"b":[1,],"a":2}"#, "malformed"),
        ("/a", r#"{"b":[1},"a":2}"#, "malformed"),
        ("/a", r#"{b:1}"#, "malformed"),
        ("/a", r#"{"b" 1}"#, "malformed"),
        ("/a", "\u{feff}{}", "malformed"),
        ("/a", "a=1&b=2", "malformed"),
        ("/a/b", r#"{"a":1,"a":{"b":2}}"#, "malformed"),
        ("/a/b", r#"{"a":{},"\u0061":{"b":2}}"#, "malformed"),
        ("/a", r#"{"a":"12345678901234567"}"#, "oversized"),
        ("/a", r#"{"a":12345678901234567}"#, "oversized"),
        ("/a", r#"{"a":"1234567890123456"}"#, "=1234567890123456"),
    ] {
        assert_eq!(scan(pointer, document), expected, "{pointer} {document}");
    }
    let latin = b"{\"a\":\"\xe4\"}";
    assert_eq!(scan_in("/a", latin, std::iter::empty()), "malformed");
}

/// What property tests have found: the same however the document is cut.
#[test]
fn of_two_faults_the_first_decides() {
    for (pointer, document, expected) in [
        ("/2/", r#"[null,"a",{"":-1558602426875904.0}]"#, "oversized"),
        ("/a", r#"{"a":-155860242687590.0}"#, "malformed"),
        ("/a", r#"{"a":12345678901234567e1}"#, "oversized"),
        ("/a", r#"{"a":12345678901234567x}"#, "oversized"),
        ("/a", r#"{"a":1234567890123456x}"#, "malformed"),
        ("/a", r#"{"a":"12345678901234567\x"}"#, "oversized"),
        ("/a", r#"{"a":"1234567890123456\x"}"#, "malformed"),
        ("/b", r#"{"a":12345678901234567.5e-1,"b":1}"#, "=1"),
    ] {
        assert_eq!(scan(pointer, document), expected, "{pointer} {document}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        format!(
            "{{\"b\":{}{},\"a\":1}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert_eq!(scan("/a", &nested(DEPTH_MAX as usize - 1)), "=1");
    assert_eq!(scan("/a", &nested(DEPTH_MAX as usize)), "malformed");
    let longest = "/a".repeat(TOKENS_MAX);
    let document = "{\"a\":".repeat(TOKENS_MAX) + "1";
    assert_eq!(scan(&longest, &(document + "}")), "=1");
}

#[test]
fn a_name_far_longer_than_any_is_skipped() {
    let document = format!("{{\"{}\":\"{0}\",\"a\":1}}", "x\\u0061".repeat(50_000));
    assert_eq!(scan("/a", &document), "=1");
}

/// The plain run the plain way.
fn slow_run(text: &[u8]) -> usize {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < 0x20;
    text.iter().position(special).unwrap_or(text.len())
}

/// What serde_json says of the value, in the scanner's words.
fn model(pointer: &str, document: &str) -> Option<String> {
    let value: Value = serde_json::from_str(document).ok()?;
    Some(match value.pointer(pointer) {
        None => "missing".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "missing".to_owned(),
        Some(Value::String(text)) if text.len() > 16 => "oversized".to_owned(),
        Some(Value::String(text)) => format!("={text}"),
        Some(Value::Bool(flag)) => format!("={flag}"),
        Some(Value::Number(number)) => number_model(&number.to_string()),
        Some(_) => "malformed".to_owned(),
    })
}

/// A number as it is written: more digits than are allowed come before what follows them.
fn number_model(text: &str) -> String {
    let digits = text.find(['.', 'e', 'E']).unwrap_or(text.len());
    match (digits > 16, digits < text.len()) {
        (true, _) => "oversized".to_owned(),
        (false, true) => "malformed".to_owned(),
        (false, false) => format!("={text}"),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(|number| Value::from(number % 1_000_000)),
        any::<f32>().prop_map(Value::from),
        "\\PC{0,10}".prop_map(Value::from),
        "[a\"\\\\\n\u{1}\u{1f600}]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[abc/~\"\u{e4}]{0,2}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The pointers to everything in a document, and some to nothing.
fn pointers(value: &Value, here: &str, out: &mut Vec<String>) {
    out.push(here.to_owned());
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                pointers(element, &format!("{here}/{index}"), out);
            }
            out.push(format!("{here}/{}", elements.len()));
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(member, &format!("{here}/{name}"), out);
            }
            out.push(format!("{here}/x"));
        }
        _ => out.push(format!("{here}/a")),
    }
}

proptest! {
    #[test]
    fn it_finds_what_a_whole_parser_finds(
        value in any_value(),
        pretty in any::<bool>(),
        pieces in prop::collection::vec(1_usize..20, 1..200),
    ) {
        let document = if pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        let mut all = Vec::new();
        pointers(&value, "", &mut all);
        for pointer in all {
            let found = scan_in(&pointer, document.as_bytes(), pieces.iter().copied().cycle());
            prop_assert_eq!(found, model(&pointer, &document).unwrap(), "{} {}", pointer, document);
        }
    }

    /// A document in which nothing is found must be one that serde_json takes or refuses alike.
    #[test]
    fn it_refuses_what_a_whole_parser_refuses(
        value in any_value(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..0x7f), 1..3),
        pieces in prop::collection::vec(1_usize..20, 1..50),
    ) {
        let mut document = value.to_string().into_bytes();
        for (place, byte) in edits {
            let place = place.index(document.len());
            document[place] = byte;
        }
        let Ok(document) = String::from_utf8(document) else { return Ok(()) };
        let pointer = "/nowhere";
        let found = scan_in(pointer, document.as_bytes(), pieces.iter().copied().cycle());
        let parsed: Result<Value, _> = serde_json::from_str(&document);
        match parsed {
            Ok(_) => prop_assert_eq!(found, "missing", "{}", document),
            // What follows the root is not looked at.
            Err(error) if error.to_string().starts_with("trailing characters") => {}
            // A number that is no f64 is well-formed all the same.
            Err(error) if error.to_string().starts_with("number out of range") => {}
            // No document at all has no key, but there is nothing wrong with it either.
            // A form feed is no blank of JSON, though it is one of ASCII.
            Err(_) if document.bytes().all(is_blank) => prop_assert_eq!(found, "missing"),
            Err(_) => prop_assert_eq!(found, "malformed", "{}", document),
        }
    }

    #[test]
    fn the_fuzz_entry_holds(data in prop::collection::vec(any::<u8>(), 0..60)) {
        crate::routing::fuzz::fuzz_json(&data);
        crate::routing::fuzz::fuzz_hello(&data);
    }

    #[test]
    fn eight_at_a_time_is_one_at_a_time(text in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(lexis::plain_run(&text), slow_run(&text));
    }

    #[test]
    fn pieces_do_not_matter(
        document in "[{}\\[\\]\",:\\\\u0-9a-f.eE+ -]{0,60}",
        pieces in prop::collection::vec(1_usize..8, 1..60),
    ) {
        let whole = scan_in("/a", document.as_bytes(), std::iter::empty());
        let split = scan_in("/a", document.as_bytes(), pieces.iter().copied());
        prop_assert_eq!(whole, split);
    }
}
