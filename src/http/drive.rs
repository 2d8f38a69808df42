//! What a data plane does with this layer, without connections: the drivers of tests and fuzzing.

use super::*;

/// Limits of the drivers.
pub(super) const BODY: BodyLimits = BodyLimits {
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
    trace: None,
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
    /// Where the head of the final response begins in `out`.
    pub(super) head_start: usize,
    pub(super) head_len: usize,
}

/// Relays what a backend sent before it closed, as a data plane would.
pub(super) fn relay(bytes: &[u8], method: Method, client: Version, piece: usize) -> Relayed {
    relay_within(HeadLimits::default(), bytes, method, client, piece)
}

pub(super) fn relay_within(
    limits: HeadLimits,
    bytes: &[u8],
    method: Method,
    client: Version,
    piece: usize,
) -> Relayed {
    const INTERIM_MAX: usize = 16;
    let mut relayed = Relayed::default();
    let mut rest = bytes;
    for _ in 0..=INTERIM_MAX {
        let mut storage = FieldStorage::new();
        let head = match parse_response(rest, &limits, &mut storage) {
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
    relayed.head_start = relayed.out.len();
    write_response(
        &mut relayed.out,
        head,
        &response_edits(method, client, delivery.output),
    );
    relayed.head_len = relayed.out.len() - relayed.head_start;
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
        own: &[],
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
