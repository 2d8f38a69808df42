//! The key of a request: the bytes that say which slice of content it belongs to.
//!
//! A key must mean the same to us and to whoever serves the request, so nothing is guessed. A
//! header, cookie or query parameter that is there twice with two values is malformed, because a
//! backend may read the other one. Query parameters are compared and taken percent-decoded, with
//! `+` as a blank, as the form parsers of backends read them. A path segment is taken from the
//! normalised path that routes are compared with (see `routing::matcher`): `/x/../b` has one
//! segment, and an encoded slash separates two. A cookie's value is taken as it stands, quotes
//! included. An empty key is a missing one.
//!
//! Nothing is allocated: a key is borrowed from the request, or written to a [`KeyRoom`] where
//! it must be decoded, put into lower case or made from an address. The room bounds it.

use std::io::Write;
use std::net::IpAddr;

use crate::base::limits::SHARD_KEY_BYTES_MAX;
use crate::routing::matcher::{Host, Prepared, VIEW_BYTES_MAX, host_of, normalise, prepare};
use crate::routing::shard::pointer::Pointer;

/// What a rule may ask of a request.
pub trait RequestView {
    /// The client's address, without port.
    fn client(&self) -> Option<IpAddr>;

    /// The first field of that name, letter case ignored.
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields_named(name).next()
    }

    /// The values of all fields of that name, letter case ignored, in order.
    fn fields_named<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]>;

    /// The host, with or without port; empty when there is none.
    fn host(&self) -> &[u8];

    /// The method as sent.
    fn method(&self) -> &[u8];

    /// The path, with or without the query.
    fn path(&self) -> &[u8];

    /// The target with its query, as it is forwarded.
    fn target(&self) -> &[u8];
}

/// A request of which nothing but host and path is known.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'r> {
    /// Its host.
    pub host: &'r [u8],
    /// Its path, with or without query.
    pub path: &'r [u8],
}

impl RequestView for Plain<'_> {
    fn client(&self) -> Option<IpAddr> {
        None
    }

    fn fields_named<'r>(&'r self, _name: &str) -> impl Iterator<Item = &'r [u8]> {
        std::iter::empty()
    }

    fn host(&self) -> &[u8] {
        self.host
    }

    fn method(&self) -> &[u8] {
        b""
    }

    fn path(&self) -> &[u8] {
        self.path
    }

    fn target(&self) -> &[u8] {
        self.path
    }
}

/// Where the key of a rule is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The client's address as text; IPv4 also where it came mapped into IPv6.
    ClientAddress,
    /// The value of this cookie.
    Cookie(Box<str>),
    /// The value of this header.
    Header(Box<str>),
    /// The host in lower case, without port and final dot; an IPv6 address without brackets.
    Host,
    /// A value in the JSON of the request body.
    Json(JsonKey),
    /// The method as sent.
    Method,
    /// This segment of the path, counted from 1.
    PathSegment(u32),
    /// The value of this query parameter.
    Query(Box<str>),
    /// The name a TLS client asked for; never known of an HTTP request.
    Sni,
}

/// Which value of a body is a key, and how far to look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonKey {
    /// Where in the document it is.
    pub pointer: Pointer,
    /// Bytes of body that are looked at.
    pub body_bytes_max: usize,
}

/// What came of looking for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extracted<'k> {
    /// It is in a body we do not read, because a content coding was applied to it.
    Compressed,
    /// The key, never empty.
    Key(&'k [u8]),
    /// It is ambiguous, or cannot be decoded.
    Malformed,
    /// The request has none.
    Missing,
    /// It is in the body.
    NeedsBody,
    /// It is longer than the rule allows.
    Oversized,
}

/// Where a key is put together that does not stand in the request as it is.
pub struct KeyRoom {
    bytes: [u8; SHARD_KEY_BYTES_MAX],
    length: usize,
}

impl Default for KeyRoom {
    fn default() -> Self {
        KeyRoom {
            bytes: [0; SHARD_KEY_BYTES_MAX],
            length: 0,
        }
    }
}

/// There is no room for a further byte.
pub(super) struct Full;

impl KeyRoom {
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn push(&mut self, byte: u8) -> Result<(), Full> {
        *self.bytes.get_mut(self.length).ok_or(Full)? = byte;
        self.length += 1;
        Ok(())
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.length + bytes.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(Full)?;
        room.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }
}

impl KeySource {
    /// Takes the key from a request; it has `bytes_max` bytes at most.
    #[must_use]
    pub fn extract<'k, R: RequestView>(
        &self,
        request: &'k R,
        bytes_max: usize,
        room: &'k mut KeyRoom,
    ) -> Extracted<'k> {
        room.clear();
        let extracted = match self {
            KeySource::ClientAddress => address(request.client(), room),
            KeySource::Cookie(name) => cookie(request, name),
            KeySource::Header(name) => only(request.fields_named(name)),
            KeySource::Host => host(request.host(), room),
            KeySource::Json(_) => return body(request),
            KeySource::Method => Extracted::Key(request.method()),
            KeySource::PathSegment(number) => segment(request.path(), *number, room),
            KeySource::Query(name) => query(request.target(), name, room),
            KeySource::Sni => Extracted::Missing,
        };
        bounded(extracted, bytes_max)
    }
}

/// The key of a connection of which nothing is known but the client.
pub(super) fn of_address(
    client: Option<IpAddr>,
    bytes_max: usize,
    room: &mut KeyRoom,
) -> Extracted<'_> {
    room.clear();
    bounded(address(client, room), bytes_max)
}

/// An empty key is none, and one that is too long is no key either.
pub(super) fn bounded(extracted: Extracted<'_>, bytes_max: usize) -> Extracted<'_> {
    match extracted {
        Extracted::Key([]) => Extracted::Missing,
        Extracted::Key(key) if key.len() > bytes_max => Extracted::Oversized,
        extracted => extracted,
    }
}

/// The one value there is; several are one if they are equal.
fn only<'k>(mut values: impl Iterator<Item = &'k [u8]>) -> Extracted<'k> {
    let Some(first) = values.next() else {
        return Extracted::Missing;
    };
    if values.all(|value| value == first) {
        Extracted::Key(first)
    } else {
        Extracted::Malformed
    }
}

fn address(client: Option<IpAddr>, room: &mut KeyRoom) -> Extracted<'_> {
    let Some(client) = client else {
        return Extracted::Missing;
    };
    let mut rest = &mut room.bytes[..];
    // An address has at most 45 letters; the room has more.
    if write!(rest, "{}", client.to_canonical()).is_err() {
        return Extracted::Oversized;
    }
    let left = rest.len();
    room.length = room.bytes.len() - left;
    Extracted::Key(room.bytes())
}

fn cookie<'k, R: RequestView>(request: &'k R, name: &str) -> Extracted<'k> {
    let pairs = request
        .fields_named("cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'));
    only(pairs.filter_map(|pair| {
        let (key, value) = split_at_equals(pair.trim_ascii());
        (key == name.as_bytes()).then_some(value)
    }))
}

/// Name and value of `name=value`; what has no `=` is a name with an empty value.
fn split_at_equals(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', pair) {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

fn host<'k>(host: &'k [u8], room: &'k mut KeyRoom) -> Extracted<'k> {
    match host_of(host) {
        Host::Address(found) => address(Some(IpAddr::V6(found)), room),
        Host::Name(name) if !name.iter().any(u8::is_ascii_uppercase) => Extracted::Key(name),
        Host::Name(name) => {
            if room.extend(name).is_err() {
                return Extracted::Oversized;
            }
            room.bytes[..room.length].make_ascii_lowercase();
            Extracted::Key(room.bytes())
        }
    }
}

/// A body is read later, unless it is known not to be plain.
fn body<R: RequestView>(request: &R) -> Extracted<'_> {
    let plain = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    let codings = request
        .fields_named("content-encoding")
        .flat_map(|line| line.split(|byte| *byte == b','));
    if codings.map(<[u8]>::trim_ascii).all(plain) {
        Extracted::NeedsBody
    } else {
        Extracted::Compressed
    }
}

fn segment<'k>(path: &'k [u8], number: u32, room: &'k mut KeyRoom) -> Extracted<'k> {
    match prepare(path) {
        Prepared::Plain(path) => {
            segment_of(path, number).map_or(Extracted::Missing, Extracted::Key)
        }
        Prepared::Unusual(path) if has_broken_escape(path) => Extracted::Malformed,
        Prepared::Unusual(path) if path.len() <= 1024 => {
            segment_of_view::<1024>(path, number, room)
        }
        Prepared::Unusual(path) if path.len() <= 8192 => {
            segment_of_view::<8192>(path, number, room)
        }
        Prepared::Unusual(path) => segment_of_view::<VIEW_BYTES_MAX>(path, number, room),
    }
}

#[inline(never)]
fn segment_of_view<'k, const BYTES: usize>(
    path: &[u8],
    number: u32,
    room: &'k mut KeyRoom,
) -> Extracted<'k> {
    let mut view = [0; BYTES];
    let Some(path) = normalise(path, &mut view) else {
        return Extracted::Oversized;
    };
    let Some(segment) = segment_of(path, number) else {
        return Extracted::Missing;
    };
    if room.extend(segment).is_err() {
        return Extracted::Oversized;
    }
    Extracted::Key(room.bytes())
}

/// The segment of that number, from 1, of a path that begins with a slash.
fn segment_of(path: &[u8], number: u32) -> Option<&[u8]> {
    let mut segments = path.strip_prefix(b"/")?.split(|byte| *byte == b'/');
    segments.nth(number.checked_sub(1)? as usize)
}

fn has_broken_escape(text: &[u8]) -> bool {
    let is_hex = |at: usize| text.get(at).is_some_and(u8::is_ascii_hexdigit);
    memchr::memchr_iter(b'%', text).any(|at| !is_hex(at + 1) || !is_hex(at + 2))
}

fn query<'k>(target: &'k [u8], name: &str, room: &'k mut KeyRoom) -> Extracted<'k> {
    let Some(start) = memchr::memchr(b'?', target) else {
        return Extracted::Missing;
    };
    let mut found: Option<&[u8]> = None;
    for pair in target[start + 1..].split(|byte| *byte == b'&') {
        let (key, value) = split_at_equals(pair);
        if !form_bytes(key).eq(name.bytes()) {
            continue;
        }
        match found {
            None => found = Some(value),
            Some(first) if !form_bytes(first).eq(form_bytes(value)) => return Extracted::Malformed,
            Some(_) => {}
        }
    }
    match found {
        None => Extracted::Missing,
        Some(value) if memchr::memchr2(b'%', b'+', value).is_none() => Extracted::Key(value),
        Some(value) if has_broken_escape(value) => Extracted::Malformed,
        Some(value) => match form_bytes(value).try_for_each(|byte| room.push(byte)) {
            Ok(()) => Extracted::Key(room.bytes()),
            Err(Full) => Extracted::Oversized,
        },
    }
}

/// The bytes a form parser reads; a broken escape stands for itself.
fn form_bytes(mut text: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (byte, rest) = crate::routing::matcher::decode_first(text)?;
        let blank = byte == b'+' && text[0] == b'+';
        text = rest;
        Some(if blank { b' ' } else { byte })
    })
}

#[cfg(test)]
mod tests;
