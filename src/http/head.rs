//! The vocabulary shared by request and response heads, and the tokenising they have in common.
//!
//! Tokenising is httparse's; it accepts bare LF and any number of empty lines, so both are checked
//! here again. A head is looked at only up to `head_bytes`, whatever the buffer holds: the verdict
//! never depends on how the bytes were split into reads.

use std::mem::MaybeUninit;

use httparse::Header;

use super::fields::Census;

/// Most fields a head may ever have; `HeadLimits::fields` can only ask for fewer.
pub const FIELDS_MAX: usize = 128;

/// Bounds on one head. Exceeding them is 431, or 414 for the target (RFC 6585 5, RFC 9110 15.5.15).
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes from the first of the head to the empty line that ends it, included.
    pub head_bytes: usize,
    /// Field lines, at most `FIELDS_MAX`.
    pub fields: usize,
    /// Bytes of the request target; RFC 9112 3 recommends at least 8000.
    pub target_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            fields: 100,
            target_bytes: 8 * 1024,
        }
    }
}

/// Room for the parsed fields of one head, on the caller's stack. Making one costs next to nothing.
pub struct FieldStorage<'b> {
    pub(super) slots: [MaybeUninit<Header<'b>>; FIELDS_MAX],
    pub(super) census: MaybeUninit<Census>,
}

impl FieldStorage<'_> {
    /// Empty storage; the slots are not initialised.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: [const { MaybeUninit::uninit() }; FIELDS_MAX],
            census: MaybeUninit::uninit(),
        }
    }
}

impl Default for FieldStorage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of parsing a head.
// The head is large because it is meant to live on the stack of the caller.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Parsed<T> {
    /// The whole head is there and valid.
    Complete(T),
    /// Valid so far: read more and parse again from the start.
    Partial,
    /// Answer with this (502 instead if it came from a backend) and close.
    Refused(Refusal),
}

/// Why bytes were not accepted: the status to answer and a short machine-friendly phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status for the downstream; meaningful for requests only.
    pub status: u16,
    /// A fixed phrase such as `obs-fold`, fit for a counter label or a log.
    pub reason: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }

    pub(super) const fn bad(reason: &'static str) -> Self {
        Self::new(400, reason)
    }
}

/// Protocol version of a message we accept (RFC 9112 2.3). Anything else is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Request method (RFC 9110 9). Methods are case-sensitive: `get` is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Only ever refused: we are not a tunnel.
    Connect,
    /// RFC 9110 9.3.5
    Delete,
    /// RFC 9110 9.3.1
    Get,
    /// RFC 9110 9.3.2
    Head,
    /// RFC 9110 9.3.7
    Options,
    /// Any other token.
    Other,
    /// RFC 5789
    Patch,
    /// RFC 9110 9.3.3
    Post,
    /// RFC 9110 9.3.4
    Put,
    /// RFC 9110 9.3.8
    Trace,
}

impl Method {
    /// The method a token names.
    #[must_use]
    pub fn from_token(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"POST" => Self::Post,
            b"HEAD" => Self::Head,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Whether repeating the request has the same intended effect (RFC 9110 9.2.2).
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Delete | Self::Get | Self::Head | Self::Options | Self::Put | Self::Trace
        )
    }
}

/// Where `part` begins in `whole`, of which it must be a slice.
#[inline]
pub(super) fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

/// Turns an httparse error into our words; `head` serves only to name an obs-fold (RFC 9112 5.2).
#[cold]
pub(super) fn syntax_refusal(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::HeaderName if has_fold(head) => Refusal::bad("obs-fold"),
        httparse::Error::HeaderName => Refusal::bad("field-name"),
        httparse::Error::HeaderValue => Refusal::bad("field-value"),
        httparse::Error::NewLine => Refusal::bad("line-end"),
        httparse::Error::Status => Refusal::bad("status-line"),
        httparse::Error::Token => Refusal::bad("request-line"),
        httparse::Error::TooManyHeaders => Refusal::new(431, "too-many-fields"),
        httparse::Error::Version => Refusal::bad("version"),
    }
}

fn has_fold(head: &[u8]) -> bool {
    let end = memchr::memmem::find(head, b"\r\n\r\n").unwrap_or(head.len());
    head[..end]
        .windows(2)
        .any(|pair| matches!(pair, b"\n " | b"\n\t"))
}
