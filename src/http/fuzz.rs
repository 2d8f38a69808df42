//! Plain fuzz entries: any bytes in, an assertion failure if an invariant breaks.
//!
//! Requests: whatever is forwarded is canonical to the independent judge and means what the
//! reference model says; the verdict does not depend on how the input was split. Responses: the
//! written response reads back with the same meaning. Chunked: decoding agrees with the model.
//! The `carry` and `relay` drivers are what a data plane does, without connections.

use super::model::{self, Answer};
use super::*;

/// Limits of the drivers.
const BODY: BodyLimits = BodyLimits {
    body_bytes: u64::MAX,
    trailer_bytes: 16 * 1024,
};

const EDITS: RequestEdits<'_> = RequestEdits {
    forwarding: Forwarding::XForwarded,
    trust_forwarded: false,
    client: "192.0.2.1",
    proto: "http",
    via: Some("weir"),
    request_id: Some(b"id-1"),
};

/// What became of a stream of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    /// For each request begun: its forwarded bytes and whether its body was complete.
    pub(super) requests: Vec<(Vec<u8>, bool)>,
    pub(super) refused: Option<Refusal>,
    /// The client's connection would be closed after what was carried.
    pub(super) is_closed: bool,
}

impl Carried {
    pub(super) fn stream(&self) -> Vec<u8> {
        self.requests
            .iter()
            .flat_map(|(bytes, _)| bytes.clone())
            .collect()
    }
}

/// Forwards every request of `bytes`, bodies in pieces of at most `piece` bytes.
pub(super) fn carry(bytes: &[u8], piece: usize) -> Carried {
    let mut carried = Carried::default();
    let mut rest = bytes;
    while !rest.is_empty() && !carried.is_closed {
        let mut storage = FieldStorage::new();
        let head = match parse_request(rest, &HeadLimits::default(), &mut storage) {
            Parsed::Complete(head) => head,
            Parsed::Partial => return carried,
            Parsed::Refused(refusal) => {
                carried.refused = Some(refusal);
                carried.is_closed = true;
                return carried;
            }
        };
        let mut out = Vec::new();
        write_request(&mut out, &head, &EDITS);
        let chunked = head.framing() == Framing::Chunked;
        let output = if chunked {
            Output::Chunked
        } else {
            Output::Raw
        };
        let mut body = Body::new(head.framing(), output, BODY);
        let body_bytes = &rest[head.head_len()..];
        let result = feed(&mut body, body_bytes, piece, &mut out);
        carried.is_closed = !head.keeps_alive() || result.is_err();
        carried.requests.push((out, body.is_done()));
        match result {
            Ok(taken) if body.is_done() => rest = &body_bytes[taken..],
            Ok(_) => return carried,
            Err(refusal) => carried.refused = Some(refusal),
        }
    }
    carried
}

/// Gives `input` to a body in pieces; returns the bytes it took.
pub(super) fn feed(
    body: &mut Body,
    input: &[u8],
    piece: usize,
    out: &mut Vec<u8>,
) -> Result<usize, Refusal> {
    let mut at = 0;
    for part in input.chunks(piece.max(1)) {
        if body.is_done() {
            break;
        }
        let taken = if body.is_verbatim() {
            let taken = body.take_verbatim(part.len());
            out.extend_from_slice(&part[..taken]);
            taken
        } else {
            body.transcode(part, out)?
        };
        assert!(
            taken == part.len() || body.is_done(),
            "a body stops only at its end"
        );
        at += taken;
    }
    Ok(at)
}

/// Any bytes as a stream of requests.
pub fn fuzz_request(data: &[u8]) {
    let whole = carry(data, usize::MAX);
    let verdict = canon::judge(&whole.stream());
    let refused = whole.refused.is_some();
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
    check_head(data, refused);
}

/// The first head of `data` against the model, and against itself cut short.
fn check_head(data: &[u8], _refused: bool) {
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

/// What became of a backend's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Relayed {
    /// Everything for the client, interim responses included.
    pub(super) out: Vec<u8>,
    /// Content of the final response.
    pub(super) content_bytes: u64,
    /// Final status, once its head was accepted.
    pub(super) status: Option<u16>,
    pub(super) refused: Option<Refusal>,
    /// The body came to its end.
    pub(super) is_done: bool,
    /// The backend's connection is clean enough for another exchange.
    pub(super) is_reusable: bool,
    /// Head bytes of the final response in `out`.
    pub(super) head_len: usize,
}

/// Relays what a backend sent before it closed, as a data plane would.
pub(super) fn relay(bytes: &[u8], method: Method, client: Version, piece: usize) -> Relayed {
    const INTERIM_MAX: usize = 16;
    let mut relayed = Relayed::default();
    let mut rest = bytes;
    for _ in 0..=INTERIM_MAX {
        let mut storage = FieldStorage::new();
        let head = match parse_response(rest, &HeadLimits::default(), &mut storage) {
            Parsed::Complete(head) => head,
            Parsed::Partial => {
                relayed.refused = Some(Refusal {
                    status: 502,
                    reason: "head-truncated",
                });
                return relayed;
            }
            Parsed::Refused(refusal) => {
                relayed.refused = Some(refusal);
                return relayed;
            }
        };
        rest = &rest[head.head_len()..];
        if head.status() == 101 {
            relayed.refused = Some(Refusal {
                status: 502,
                reason: "not-asked",
            });
            return relayed;
        }
        if !head.is_interim() {
            finish(&mut relayed, &head, rest, method, client, piece);
            return relayed;
        }
        if client == Version::Http11 {
            write_response(
                &mut relayed.out,
                &head,
                &response_edits(method, client, Output::Raw),
            );
        }
    }
    relayed.refused = Some(Refusal {
        status: 502,
        reason: "interim-flood",
    });
    relayed
}

fn finish(
    relayed: &mut Relayed,
    head: &ResponseHead<'_, '_>,
    rest: &[u8],
    method: Method,
    client: Version,
    piece: usize,
) {
    let delivery = head.delivery(method, client);
    let start = relayed.out.len();
    write_response(
        &mut relayed.out,
        head,
        &response_edits(method, client, delivery.output),
    );
    relayed.head_len = relayed.out.len() - start;
    relayed.status = Some(head.status());
    let framing = head.framing(method);
    let mut body = Body::new(framing, delivery.output, BODY);
    let result = feed(&mut body, rest, piece, &mut relayed.out);
    let at_eof = result.and_then(|taken| {
        relayed.is_reusable = head.keeps_alive() && body.is_done() && taken == rest.len();
        body.finish_at_eof(&mut relayed.out)
    });
    relayed.content_bytes = body.bytes();
    relayed.refused = at_eof.err();
    relayed.is_done = relayed.refused.is_none();
}

fn response_edits(method: Method, client: Version, output: Output) -> ResponseEdits<'static> {
    ResponseEdits {
        method,
        client,
        close: false,
        output,
        via: Some("weir"),
        request_id: Some(b"id-1"),
        date: Some(b"Sun, 06 Nov 1994 08:49:37 GMT"),
        upgrade: false,
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
    let start = whole.out.len() - written_len(&whole, method);
    check_response_head(&whole.out[start..start + whole.head_len]);
    let again = relay(&whole.out[start..], method, client, usize::MAX);
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

/// Bytes of the final response in `out`: from its status line to the end.
fn written_len(relayed: &Relayed, method: Method) -> usize {
    let mut rest = relayed.out.as_slice();
    loop {
        let mut storage = FieldStorage::new();
        match parse_response(
            rest,
            &HeadLimits {
                head_bytes: 1 << 20,
                ..HeadLimits::default()
            },
            &mut storage,
        ) {
            Parsed::Complete(head) if head.is_interim() => rest = &rest[head.head_len()..],
            Parsed::Complete(head) => {
                let _ = head.framing(method);
                return rest.len();
            }
            other => panic!("we wrote a head we do not read: {other:?}"),
        }
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
            assert!(trailers.len() <= data.len(), "trailers grow");
        }
        Answer::Incomplete => assert!(!done, "the end is lost"),
        Answer::Refused => panic!("we wrote a malformed body: {encoded:?}"),
    }
}
