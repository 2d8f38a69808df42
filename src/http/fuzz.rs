//! Plain fuzz entries: any bytes in, an assertion failure if an invariant breaks.
//!
//! Requests: whatever is forwarded is canonical to the independent judge and means what the
//! reference model says; the verdict does not depend on how the input was split. Responses: the
//! written response reads back with the same meaning. Chunked: decoding agrees with the model.

use super::drive::{BODY, Carried, carry, feed, relay, relay_within};
use super::model::{self, Answer};
use super::*;

/// Any bytes as a stream of requests.
pub fn fuzz_request(data: &[u8]) {
    let whole = carry(data, usize::MAX);
    let verdict = canon::judge(&whole.stream());
    assert_eq!(verdict.violations, [""; 0], "not canonical: {data:?}");
    for (message, (_, done)) in verdict.messages.iter().zip(&whole.requests) {
        assert!(
            message.is_complete || !done,
            "complete to us but not to the backend"
        );
        assert!(
            *done || !message.is_complete,
            "a body we did not finish looks finished"
        );
    }
    assert_eq!(
        verdict.messages.len(),
        whole.requests.len(),
        "messages appear or vanish"
    );
    let pieces = carry(data, 1 + data.len() % 7);
    assert_eq!(pieces.refused, whole.refused, "a split changes the verdict");
    let bodies = |carried: &Carried| -> Vec<_> {
        canon::judge(&carried.stream())
            .messages
            .into_iter()
            .map(|m| m.body)
            .collect()
    };
    assert_eq!(bodies(&pieces), bodies(&whole), "a split changes a body");
    check_head(data);
}

/// The first head of `data` against the model, and against itself cut short.
fn check_head(data: &[u8]) {
    let limits = HeadLimits::default();
    let mut storage = FieldStorage::new();
    let parsed = parse_request(data, &limits, &mut storage);
    let cut = data.len() / 2 + data.len() % 5;
    let mut storage_cut = FieldStorage::new();
    match (
        parse_request(&data[..cut.min(data.len())], &limits, &mut storage_cut),
        &parsed,
    ) {
        (Parsed::Partial, _) => {}
        (Parsed::Complete(short), Parsed::Complete(long)) => {
            assert_eq!(
                short.head_len(),
                long.head_len(),
                "a head changes with what follows"
            );
        }
        (Parsed::Refused(short), Parsed::Refused(long)) => {
            assert_eq!(
                short.status, long.status,
                "a refusal changes with what follows"
            );
        }
        (short, _) => panic!("{short:?} from the start of {data:?}, {parsed:?} from all of it"),
    }
    if data.len() > limits.head_bytes || has_special_rules(data) {
        return;
    }
    let understood = match model::request_head(data, limits.fields) {
        Answer::Complete(head) => Some(head),
        Answer::Incomplete => {
            assert!(
                !matches!(parsed, Parsed::Complete(_)),
                "complete without an end: {data:?}"
            );
            return;
        }
        Answer::Refused => None,
    };
    let ours = match &parsed {
        Parsed::Complete(head) => Some(as_model(head)),
        Parsed::Partial => panic!("partial although it has an end: {data:?}"),
        Parsed::Refused(_) => None,
    };
    assert_eq!(ours, understood, "parser and model disagree on {data:?}");
}

fn has_special_rules(data: &[u8]) -> bool {
    let lower = data.to_ascii_lowercase();
    // Nominations are bounded in number, which the model does not know.
    let many = data.iter().filter(|byte| **byte == b',').count() > 16;
    many || canon::find(&lower, b"max-forwards").is_some()
        || canon::find(&lower, b"expect").is_some()
}

fn as_model(head: &RequestHead<'_, '_>) -> model::ModelHead {
    model::ModelHead {
        method: head.method_text().to_vec(),
        target: head.target().to_vec(),
        authority: head.authority().to_vec(),
        is_http11: head.version() == Version::Http11,
        length: match head.framing() {
            Framing::Length(length) => Some(length),
            _ => None,
        },
        is_chunked: head.framing() == Framing::Chunked,
        keeps_alive: head.keeps_alive(),
        head_len: head.head_len(),
    }
}

/// Any bytes as a backend's side; the first byte chooses what was asked.
pub fn fuzz_response(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let method = if choice & 1 == 0 {
        Method::Get
    } else {
        Method::Head
    };
    let client = if choice & 2 == 0 {
        Version::Http11
    } else {
        Version::Http10
    };
    let whole = relay(bytes, method, client, usize::MAX);
    let pieces = relay(bytes, method, client, 1 + bytes.len() % 7);
    assert_eq!(whole.refused, pieces.refused, "a split changes the verdict");
    assert_eq!(
        whole.content_bytes, pieces.content_bytes,
        "a split changes the body"
    );
    let Some(status) = whole.status else { return };
    let start = whole.head_start;
    check_response_head(&whole.out[start..start + whole.head_len]);
    // What we add may take a head over the limits it just met.
    let wide = HeadLimits {
        head_bytes: 1 << 20,
        fields: FIELDS_MAX,
        ..HeadLimits::default()
    };
    let again = relay_within(wide, &whole.out[start..], method, client, usize::MAX);
    assert_eq!(again.status, Some(status), "the status changes");
    // Only closing can end a body for HTTP/1.0: cutting such a body short cannot show.
    let shows_end = client == Version::Http11 || whole.is_done;
    if shows_end {
        assert_eq!(
            again.is_done, whole.is_done,
            "the end of {bytes:?} is lost: {:?}",
            whole.out
        );
        assert_eq!(again.content_bytes, whole.content_bytes, "content is lost");
    }
}

fn check_response_head(head: &[u8]) {
    let lines = canon::split_crlf(&head[..head.len() - 4]);
    assert!(
        lines[0].starts_with(b"HTTP/1.1 ") && lines[0].get(12) == Some(&b' '),
        "status line"
    );
    let fields: Vec<_> = lines[1..]
        .iter()
        .map(|line| canon::field_line(line).unwrap_or_else(|| panic!("field {line:?}")))
        .collect();
    let count = |name: &str| {
        fields
            .iter()
            .filter(|(key, _)| key == name.as_bytes())
            .count()
    };
    assert!(
        count("content-length") + count("transfer-encoding") <= 1,
        "two framings"
    );
    assert!(count("connection") <= 1, "two Connection fields");
    for hop in [
        "keep-alive",
        "proxy-connection",
        "te",
        "content_length",
        "transfer_encoding",
    ] {
        assert_eq!(count(hop), 0, "{hop} passed");
    }
}

/// Any bytes as a chunked body.
pub fn fuzz_chunked(data: &[u8]) {
    let decode = |piece| {
        let mut body = Body::new(Framing::Chunked, Output::Raw, BODY);
        let mut content = Vec::new();
        let result = feed(&mut body, data, piece, &mut content);
        (result, content, body.is_done())
    };
    let (result, content, done) = decode(usize::MAX);
    for piece in [1, 2, 7] {
        assert_eq!(
            decode(piece),
            (result, content.clone(), done),
            "pieces of {piece}"
        );
    }
    let is_bound = |refusal: &Refusal| refusal.status != 400 || refusal.reason == "chunk-overhead";
    match model::chunked_body(data) {
        _ if result.as_ref().is_err_and(is_bound) => {}
        Answer::Complete((expected, _, len)) => {
            assert_eq!(
                (result, &content, done),
                (Ok(len), &expected, true),
                "{data:?}"
            );
        }
        Answer::Incomplete => assert!(!done, "done without an end"),
        Answer::Refused => assert!(!done, "done although malformed: {data:?}"),
    }
    check_encoding(data, &content, done);
}

/// The re-encoded body decodes to the same content.
fn check_encoding(data: &[u8], content: &[u8], done: bool) {
    let mut body = Body::new(Framing::Chunked, Output::Chunked, BODY);
    let mut encoded = Vec::new();
    let _ = feed(&mut body, data, 1 + data.len() % 11, &mut encoded);
    match model::chunked_body(&encoded) {
        Answer::Complete((again, trailers, len)) => {
            assert!(
                done && again == content && len == encoded.len(),
                "re-encoding changes it"
            );
            // `X:y` becomes `X: y`.
            assert!(trailers.len() <= 2 * data.len(), "trailers grow");
        }
        Answer::Incomplete => assert!(!done, "the end is lost"),
        Answer::Refused => panic!("we wrote a malformed body: {encoded:?}"),
    }
}
