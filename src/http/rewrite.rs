//! Writing the head for the other side: canonical HTTP/1.1 from what was understood.
//!
//! The start line, Host, framing and everything about the connection are always made here; the
//! remaining fields are copied in order as `name: value`. Runs of kept fields that already stand in
//! the buffer in exactly that form are copied in one piece, which yields the same bytes.

use httparse::Header;

use super::answer::reason_phrase;
use super::body::Output;
use super::fields::{FieldSet, Kind, is_value_byte, trim};
use super::framing::Framing;
use super::head::{Method, Version, offset};
use super::request::RequestHead;
use super::response::{ResponseHead, has_no_body};
use crate::base::trace::TEXT_BYTES as TRACEPARENT_BYTES;

/// Room for what we add to a head, so that one `reserve` is enough.
const ADDED_BYTES: usize = 256;

/// Which fields tell the backend about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Nothing is told.
    None,
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    XForwarded,
}

/// What to change in a request on its way to the backend.
#[derive(Clone, Copy, Debug)]
pub struct RequestEdits<'a> {
    /// Which forwarding fields we write. Without trust, all that the client sent are dropped.
    /// With trust, ours are appended and the other family is dropped because nobody vouches for
    /// it; with `Forwarding::None` and trust everything passes as it came.
    pub forwarding: Forwarding,
    /// The peer is a proxy of ours: append to what it sent instead of replacing it.
    pub trust_forwarded: bool,
    /// The client's address as text.
    pub client: &'a str,
    /// `http` or `https`.
    pub proto: &'a str,
    /// Our pseudonym for Via (RFC 9110 7.6.3).
    pub via: Option<&'a str>,
    /// X-Request-Id to set: replaces the client's, or with trust only fills its absence.
    pub request_id: Option<&'a [u8]>,
    /// The trace the request belongs to, if traces are followed.
    pub trace: Option<&'a TraceEdit>,
}

/// What to say of the trace of a request.
#[derive(Clone, Copy, Debug)]
pub struct TraceEdit {
    /// `traceparent`, instead of what the client sent.
    pub parent: [u8; TRACEPARENT_BYTES],
    /// The client's `tracestate` belongs to it and passes.
    pub keeps_state: bool,
}

/// A field weir itself puts on a response.
#[derive(Clone, Copy, Debug)]
pub struct OwnField<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value; one that could break the head is not written.
    pub value: &'a [u8],
    /// Whether fields of this name that the backend sent are dropped, because ours must be the
    /// only one to be believed.
    pub replaces: bool,
}

/// What to change in a response on its way to the client.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEdits<'a> {
    /// The method answered: a response to HEAD has no body whatever it says.
    pub method: Method,
    /// The version the client speaks.
    pub client: Version,
    /// Say `Connection: close`. Said in any case when only closing can end the body.
    pub close: bool,
    /// How the body will be sent, as given to `Body::new`.
    pub output: Output,
    /// Our pseudonym for Via.
    pub via: Option<&'a str>,
    /// Echoed as X-Request-Id, instead of what the backend set.
    pub request_id: Option<&'a [u8]>,
    /// Fields to add.
    pub own: &'a [OwnField<'a>],
    /// Date to add if the backend sent none, as RFC 9110 6.6.1 demands of a proxy with a clock.
    pub date: Option<&'a [u8]>,
    /// This 101 was checked against the request and the connection becomes a tunnel.
    pub upgrade: bool,
}

/// Appends the canonical HTTP/1.1 head of the request for an upstream that is kept open.
#[inline]
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, edits: &RequestEdits<'_>) {
    out.reserve(head.bytes.len() + ADDED_BYTES);
    out.extend_from_slice(head.method_text());
    out.push(b' ');
    if head.target().first() == Some(&b'?') {
        out.push(b'/');
    }
    out.extend_from_slice(head.target());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_field(out, b"Host", head.authority());
    let request_ids = head.census.of(Kind::RequestId);
    let sets_id = edits.request_id.is_some() && (!edits.trust_forwarded || request_ids.is_empty());
    let mut dropped = head.dropped.union(dropped_forwarding(head, edits));
    if sets_id {
        dropped = dropped.union(request_ids);
    }
    if head.max_forwards.is_some() {
        dropped = dropped.union(head.census.of(Kind::MaxForwards));
    }
    if let Some(trace) = edits.trace {
        dropped = dropped.union(fields_named(head.fields, b"traceparent"));
        if !trace.keeps_state {
            dropped = dropped.union(fields_named(head.fields, b"tracestate"));
        }
    }
    write_kept(out, head.bytes, head.fields, dropped);
    match head.framing() {
        Framing::Chunked => write_field(out, b"Transfer-Encoding", b"chunked"),
        Framing::Length(length) => write_number(out, b"Content-Length", length),
        Framing::Empty | Framing::UntilClose => {}
    }
    if head.expects_continue() {
        write_field(out, b"Expect", b"100-continue");
    }
    if let Some(count) = head.max_forwards {
        write_number(out, b"Max-Forwards", u64::from(count));
    }
    if let Some(protocols) = head.upgrade() {
        write_field(out, b"Connection", b"upgrade");
        write_field(out, b"Upgrade", protocols);
    }
    write_forwarding(out, head, edits);
    write_via(out, head.version(), edits.via);
    if let (Some(id), true) = (edits.request_id, sets_id) {
        write_checked_field(out, b"X-Request-Id", id);
    }
    if let Some(trace) = edits.trace {
        write_field(out, b"traceparent", &trace.parent);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the canonical HTTP/1.1 head of the response.
#[inline]
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, edits: &ResponseEdits<'_>) {
    out.reserve(head.bytes.len() + ADDED_BYTES);
    write_status_line(out, head.status(), head.reason);
    let mut dropped = head.dropped;
    if edits.request_id.is_some() {
        dropped = dropped.union(head.census.of(Kind::RequestId));
    }
    let is_chunked = edits.output == Output::Chunked
        && edits.method != Method::Head
        && !has_no_body(head.status());
    if !is_chunked {
        dropped = dropped.union(head.census.of(Kind::Trailer));
    }
    for own in edits.own.iter().filter(|own| own.replaces) {
        dropped = dropped.union(fields_named(head.fields, own.name));
    }
    write_kept(out, head.bytes, head.fields, dropped);
    if is_chunked {
        write_field(out, b"Transfer-Encoding", b"chunked");
    } else if let Some(length) = head.declared_length() {
        write_number(out, b"Content-Length", length);
    }
    let delivered_until_close = !is_chunked
        && matches!(
            head.framing(edits.method),
            Framing::Chunked | Framing::UntilClose
        );
    write_connection(out, head, edits, delivered_until_close);
    write_via(out, head.version(), edits.via);
    if let Some(id) = edits.request_id {
        write_checked_field(out, b"X-Request-Id", id);
    }
    write_own(out, edits.own);
    if let Some(date) = edits.date
        && head.status() >= 200
        && head.census.of(Kind::Date).is_empty()
    {
        write_field(out, b"Date", date);
    }
    out.extend_from_slice(b"\r\n");
}

/// The fields of this name, whose case does not matter.
fn fields_named(fields: &[Header<'_>], name: &[u8]) -> FieldSet {
    let mut found = FieldSet::EMPTY;
    for (index, field) in fields.iter().enumerate() {
        if field.name.as_bytes().eq_ignore_ascii_case(name) {
            found.insert(index);
        }
    }
    found
}

#[inline]
pub(super) fn write_own(out: &mut Vec<u8>, own: &[OwnField<'_>]) {
    for field in own {
        write_checked_field(out, field.name, field.value);
    }
}

/// Connection, and Upgrade where it has a meaning: in the 101 of an agreed upgrade and as the
/// advice of a 426 (RFC 9110 15.5.22). Interim responses say nothing about the connection.
#[inline]
fn write_connection(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_, '_>,
    edits: &ResponseEdits<'_>,
    until_close: bool,
) {
    if head.is_interim() {
        return;
    }
    let close = edits.close || until_close;
    match head.upgrade_offer {
        Some(protocol) if head.status() == 101 && edits.upgrade => {
            write_field(out, b"Connection", b"upgrade");
            return write_field(out, b"Upgrade", protocol);
        }
        Some(protocols) if head.status() == 426 => {
            let options: &[u8] = if close { b"close, upgrade" } else { b"upgrade" };
            write_field(out, b"Connection", options);
            return write_field(out, b"Upgrade", protocols);
        }
        _ => {}
    }
    if close {
        write_field(out, b"Connection", b"close");
    } else if edits.client == Version::Http10 {
        write_field(out, b"Connection", b"keep-alive");
    }
}

/// The client's forwarding fields that must not reach the backend as they are.
#[inline]
fn dropped_forwarding(head: &RequestHead<'_, '_>, edits: &RequestEdits<'_>) -> FieldSet {
    let kinds: &[Kind] = match (edits.trust_forwarded, edits.forwarding) {
        (false, _) => &[
            Kind::Forwarded,
            Kind::ForwardedFor,
            Kind::ForwardedOther,
            Kind::ForwardedProto,
        ],
        (true, Forwarding::None) => &[],
        (true, Forwarding::XForwarded) => &[Kind::Forwarded, Kind::ForwardedFor],
        (true, Forwarding::Forwarded) => &[
            Kind::Forwarded,
            Kind::ForwardedFor,
            Kind::ForwardedOther,
            Kind::ForwardedProto,
        ],
    };
    head.census.any(kinds)
}

#[inline]
fn write_forwarding(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, edits: &RequestEdits<'_>) {
    match edits.forwarding {
        Forwarding::None => {}
        Forwarding::XForwarded => {
            out.extend_from_slice(b"X-Forwarded-For: ");
            write_trusted(out, head, edits, Kind::ForwardedFor);
            out.extend_from_slice(edits.client.as_bytes());
            out.extend_from_slice(b"\r\n");
            let passed = edits.trust_forwarded && !head.census.of(Kind::ForwardedProto).is_empty();
            if !passed {
                write_field(out, b"X-Forwarded-Proto", edits.proto.as_bytes());
            }
        }
        Forwarding::Forwarded => {
            out.extend_from_slice(b"Forwarded: ");
            write_trusted(out, head, edits, Kind::Forwarded);
            // An IPv6 address is quoted because of its colons (RFC 7239 6).
            let (open, close) = if edits.client.contains(':') {
                ("\"[", "]\"")
            } else {
                ("", "")
            };
            for part in [
                "for=",
                open,
                edits.client,
                close,
                ";proto=",
                edits.proto,
                "\r\n",
            ] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
}

/// The elements a trusted peer sent, each followed by a comma, so that ours can follow.
#[inline]
fn write_trusted(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    edits: &RequestEdits<'_>,
    kind: Kind,
) {
    if !edits.trust_forwarded {
        return;
    }
    for index in head.census.of(kind).iter() {
        let value = head.fields[index].value;
        if !value.is_empty() {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
}

/// Fields outside `dropped`, in order. `head` is the whole head the fields were parsed from.
#[inline]
fn write_kept(out: &mut Vec<u8>, head: &[u8], fields: &[Header<'_>], dropped: FieldSet) {
    let mut run = 0..0;
    for (index, field) in fields.iter().enumerate() {
        if dropped.contains(index) {
            continue;
        }
        let name = field.name.as_bytes();
        let start = offset(head, name);
        let value_start = offset(head, field.value);
        let value_end = value_start.wrapping_add(field.value.len());
        // Exactly ": " before the value and CRLF at once after it, that is, no other whitespace.
        let is_canonical = value_start == start + name.len() + 2
            && head.get(value_start - 1) == Some(&b' ')
            && head.get(value_end) == Some(&b'\r');
        if is_canonical && start == run.end {
            run.end = value_end + 2;
            continue;
        }
        out.extend_from_slice(&head[run]);
        if is_canonical {
            run = start..value_end + 2;
        } else {
            run = 0..0;
            write_field(out, name, field.value);
        }
    }
    out.extend_from_slice(&head[run]);
}

/// `HTTP/1.1 status reason`, with the usual reason if none was given.
pub(super) fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    let reason = trim(reason.as_bytes());
    let reason = if reason.is_empty() {
        reason_phrase(status).as_bytes()
    } else {
        reason
    };
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

#[inline]
pub(super) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a field whose value was not parsed by us, unless it could break the head.
#[inline]
pub(super) fn write_checked_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if !value.is_empty()
        && trim(value).len() == value.len()
        && value.iter().all(|b| is_value_byte(*b))
    {
        write_field(out, name, value);
    }
}

#[inline]
pub(super) fn write_number(out: &mut Vec<u8>, name: &[u8], number: u64) {
    write_field(out, name, itoa::Buffer::new().format(number).as_bytes());
}

/// `Via: 1.1 pseudonym`, with the version in which the message was received (RFC 9110 7.6.3).
#[inline]
fn write_via(out: &mut Vec<u8>, received: Version, pseudonym: Option<&str>) {
    let Some(pseudonym) = pseudonym else { return };
    let version: &[u8] = match received {
        Version::Http10 => b"Via: 1.0 ",
        Version::Http11 => b"Via: 1.1 ",
    };
    out.extend_from_slice(version);
    out.extend_from_slice(pseudonym.as_bytes());
    out.extend_from_slice(b"\r\n");
}
