//! What kind of field a name is, decided once per field and remembered as bit sets.
//!
//! The parser asks `classify` for every field; everything after (framing, dropping, forwarding)
//! works on the sets of a `Census` and never compares a name again. An underscore twin of a name
//! we act on (`Content_Length`) is a kind of its own: many backends fold `-` and `_` together
//! (CGI, WSGI), so a twin is never forwarded.

use std::mem::MaybeUninit;

use httparse::Header;

use super::head::{FIELDS_MAX, Refusal, offset};

/// The fields we act on. `Hop` and `Twin` are never forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Connection,
    ContentLength,
    Date,
    Expect,
    Forwarded,
    ForwardedFor,
    /// Any other X-Forwarded-*, and X-Real-IP.
    ForwardedOther,
    ForwardedProto,
    /// Hop-by-hop by definition, or meant for a forward proxy, or httpoxy's `Proxy`.
    Hop,
    Host,
    MaxForwards,
    RequestId,
    Trailer,
    TransferEncoding,
    /// Looks like one of the others to who folds `_` to `-`.
    Twin,
    Upgrade,
    // Last, outside the census.
    Plain,
}

const KINDS: usize = Kind::Plain as usize;

/// A set of field positions in one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldSet(u128);

const _: () = assert!(FIELDS_MAX <= 128, "a FieldSet has one bit per field");

impl FieldSet {
    pub(super) const EMPTY: Self = Self(0);

    #[inline]
    pub(super) fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    #[inline]
    pub(super) fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    #[inline]
    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Positions in rising order.
    #[inline]
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let lowest = rest.trailing_zeros();
            rest &= rest.wrapping_sub(1);
            (lowest < 128).then_some(lowest as usize)
        })
    }
}

/// For each kind, where it occurs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Census([FieldSet; KINDS]);

impl Census {
    /// Takes the census of a head. `head` ends with its empty line; every line must end with CRLF
    /// (httparse lets a bare LF pass; RFC 9112 2.2 lets us refuse it).
    #[inline]
    pub(super) fn take<'s>(
        room: &'s mut MaybeUninit<Self>,
        head: &[u8],
        fields: &[Header<'_>],
    ) -> Result<&'s Self, Refusal> {
        let census = room.write(Self([FieldSet::EMPTY; KINDS]));
        if !head.ends_with(b"\r\n\r\n") {
            return Err(Refusal::bad("bare-lf"));
        }
        for (index, field) in fields.iter().enumerate() {
            let at = offset(head, field.name.as_bytes());
            if head.get(at.wrapping_sub(2)..at) != Some(b"\r\n") {
                return Err(Refusal::bad("bare-lf"));
            }
            let kind = classify(field.name.as_bytes());
            if kind != Kind::Plain {
                census.0[kind as usize].insert(index);
            }
        }
        Ok(census)
    }

    #[inline]
    pub(super) fn of(&self, kind: Kind) -> FieldSet {
        self.0[kind as usize]
    }

    /// The union of several kinds.
    #[inline]
    pub(super) fn any(&self, kinds: &[Kind]) -> FieldSet {
        kinds
            .iter()
            .fold(FieldSet::EMPTY, |all, kind| all.union(self.of(*kind)))
    }
}

/// The kind of a field name, case-insensitively. `name` must be a token.
#[inline]
pub(super) fn classify(name: &[u8]) -> Kind {
    let candidates: &[(&[u8], Kind)] = match name.len() {
        2 => &[(b"te", Kind::Hop)],
        4 => &[(b"host", Kind::Host), (b"date", Kind::Date)],
        5 => &[(b"proxy", Kind::Hop)],
        6 => &[(b"expect", Kind::Expect)],
        7 => &[(b"upgrade", Kind::Upgrade), (b"trailer", Kind::Trailer)],
        9 => &[
            (b"forwarded", Kind::Forwarded),
            (b"x-real-ip", Kind::ForwardedOther),
        ],
        10 => &[
            (b"connection", Kind::Connection),
            (b"keep-alive", Kind::Hop),
        ],
        12 => &[
            (b"x-request-id", Kind::RequestId),
            (b"max-forwards", Kind::MaxForwards),
        ],
        14 => &[
            (b"content-length", Kind::ContentLength),
            (b"http2-settings", Kind::Hop),
        ],
        15 => &[(b"x-forwarded-for", Kind::ForwardedFor)],
        16 => &[(b"proxy-connection", Kind::Hop)],
        17 => &[
            (b"transfer-encoding", Kind::TransferEncoding),
            (b"x-forwarded-proto", Kind::ForwardedProto),
        ],
        18 => &[(b"proxy-authenticate", Kind::Hop)],
        19 => &[(b"proxy-authorization", Kind::Hop)],
        25 => &[(b"proxy-authentication-info", Kind::Hop)],
        _ => &[],
    };
    for (known, kind) in candidates {
        match likeness(name, known) {
            Likeness::Different => {}
            Likeness::Same => return *kind,
            Likeness::Twin => return Kind::Twin,
        }
    }
    classify_forwarded(name)
}

/// Names that only share the X-Forwarded- prefix: whoever invents one, a backend may trust it.
#[inline]
fn classify_forwarded(name: &[u8]) -> Kind {
    const PREFIX: &[u8] = b"x-forwarded-";
    if name.len() <= PREFIX.len() || name[0] | 0x20 != b'x' {
        return Kind::Plain;
    }
    match likeness(&name[..PREFIX.len()], PREFIX) {
        Likeness::Different => Kind::Plain,
        Likeness::Same if name.contains(&b'_') => Kind::Twin,
        Likeness::Same => Kind::ForwardedOther,
        Likeness::Twin => Kind::Twin,
    }
}

enum Likeness {
    Different,
    Same,
    Twin,
}

/// Compares a token with a lower-case name of the same length. Setting bit 5 lower-cases letters
/// and changes no other token byte into one that occurs in a known name.
#[inline]
fn likeness(name: &[u8], known: &[u8]) -> Likeness {
    let mut twin = false;
    for (byte, expected) in name.iter().zip(known) {
        if byte | 0x20 != *expected {
            if *byte != b'_' || *expected != b'-' {
                return Likeness::Different;
            }
            twin = true;
        }
    }
    if twin { Likeness::Twin } else { Likeness::Same }
}

/// Whether `name` folds (case, `_` as `-`) to one of the lower-case `names`.
pub(super) fn folds_to_any(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|known| {
        known.len() == name.len() && !matches!(likeness(name, known), Likeness::Different)
    })
}

/// Elements of a comma-separated list, without surrounding whitespace; empty ones included
/// (RFC 9110 5.6.1).
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

/// Without leading and trailing SP and HTAB (OWS, RFC 9110 5.6.3).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// tchar (RFC 9110 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A byte that may stand in a field value (RFC 9110 5.5).
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The first field of that name, case-insensitively.
pub(super) fn find<'b>(fields: &[Header<'b>], name: &str) -> Option<&'b [u8]> {
    fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}
