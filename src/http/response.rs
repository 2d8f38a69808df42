//! Reading a response head from a backend (RFC 9112 4): one meaning, or we answer 502.
//!
//! A response is judged as strictly as a request: a backend that is confused about framing would
//! otherwise poison the connection for the next exchange. Only a repeated equal Content-Length is
//! forgiven (RFC 9110 8.6).

use std::mem::MaybeUninit;

use httparse::Header;

use super::body::Output;
use super::connection::{Options, upgrade_value};
use super::fields::{Census, FieldSet, Kind, find};
use super::framing::{self, Declared, Framing};
use super::head::{
    FIELDS_MAX, FieldStorage, HeadLimits, Method, Parsed, Refusal, Version, syntax_refusal,
};

/// A response head that was understood completely.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'s, 'b> {
    pub(super) bytes: &'b [u8],
    pub(super) fields: &'s [Header<'b>],
    pub(super) census: &'s Census,
    /// Never forwarded, whatever the edits say.
    pub(super) dropped: FieldSet,
    pub(super) reason: &'b str,
    pub(super) upgrade_offer: Option<&'b [u8]>,
    declared: Declared,
    status: u16,
    version: Version,
    keeps_alive: bool,
    switches: bool,
}

/// How to pass a body on to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What to give `Body::new` and `write_response`.
    pub output: Output,
    /// The end of the body can only be shown by closing the client's connection.
    pub until_close: bool,
}

impl<'s, 'b> ResponseHead<'s, 'b> {
    /// Bytes the head takes in the buffer.
    #[must_use]
    pub fn head_len(&self) -> usize {
        self.bytes.len()
    }

    /// 100 to 999 (RFC 9110 15).
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The version the backend spoke.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body ends when this answers a request of that method (RFC 9112 6.3).
    #[must_use]
    pub fn framing(&self, request: Method) -> Framing {
        if request == Method::Head || self.has_no_body_by_status() {
            return Framing::Empty;
        }
        match self.declared {
            Declared::Chunked => Framing::Chunked,
            Declared::Length(length) => Framing::Length(length),
            Declared::Nothing => Framing::UntilClose,
        }
    }

    /// How to pass the body on: its length if known, else chunked to HTTP/1.1 and until close to
    /// HTTP/1.0.
    #[must_use]
    pub fn delivery(&self, request: Method, client: Version) -> Delivery {
        let has_end = matches!(self.framing(request), Framing::Empty | Framing::Length(_));
        match client {
            _ if has_end => Delivery {
                output: Output::Raw,
                until_close: false,
            },
            Version::Http10 => Delivery {
                output: Output::Raw,
                until_close: true,
            },
            Version::Http11 => Delivery {
                output: Output::Chunked,
                until_close: false,
            },
        }
    }

    /// Whether the backend's connection may be used again, once the body is done and if its
    /// framing is not `UntilClose` (RFC 9112 9.3). False also when a status without a body declares
    /// one: what follows cannot be trusted to be a response.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// A 1xx other than 101: the final response is still to come (RFC 9110 15.2).
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The protocol of a well-formed 101. The caller refuses any 101 unless this is `Some` and the
    /// request's `upgrade()` was too.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'b [u8]> {
        if self.switches {
            self.upgrade_offer
        } else {
            None
        }
    }

    /// The first field of that name as the backend sent it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        find(self.fields, name)
    }

    /// All fields as the backend sent them, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'s, 'b> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// The Content-Length to state where no body follows: for HEAD and 304 it is information
    /// (RFC 9110 8.6).
    pub(super) fn declared_length(&self) -> Option<u64> {
        match self.declared {
            Declared::Length(length) if self.status >= 200 && self.status != 204 => Some(length),
            _ => None,
        }
    }

    fn has_no_body_by_status(&self) -> bool {
        has_no_body(self.status)
    }
}

/// Statuses that end with their head (RFC 9112 6.3, case 1).
pub(super) fn has_no_body(status: u16) -> bool {
    status < 200 || status == 204 || status == 304
}

/// Parses a response head from the start of `bytes`. A refusal's reason is for the log; what the
/// client gets is 502.
#[inline]
pub fn parse_response<'s, 'b>(
    bytes: &'b [u8],
    limits: &HeadLimits,
    storage: &'s mut FieldStorage<'b>,
) -> Parsed<ResponseHead<'s, 'b>> {
    let window = &bytes[..bytes.len().min(limits.head_bytes)];
    if matches!(window.first(), Some(b'\r' | b'\n')) {
        return Parsed::Refused(Refusal::bad("empty-lines"));
    }
    let slots = &mut storage.slots[..limits.fields.min(FIELDS_MAX)];
    let mut tokens = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut tokens, window, slots) {
        Ok(httparse::Status::Complete(len)) => {
            match understand(&window[..len], tokens, &mut storage.census) {
                Ok(head) => Parsed::Complete(head),
                Err(refusal) => Parsed::Refused(refusal),
            }
        }
        Ok(httparse::Status::Partial) if window.len() == limits.head_bytes => {
            Parsed::Refused(Refusal::new(431, "head-too-large"))
        }
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Err(error) => Parsed::Refused(syntax_refusal(error, window)),
    }
}

#[inline]
fn understand<'s, 'b>(
    head: &'b [u8],
    tokens: httparse::Response<'s, 'b>,
    room: &'s mut MaybeUninit<Census>,
) -> Result<ResponseHead<'s, 'b>, Refusal> {
    let fields: &'s [Header<'b>] = tokens.headers;
    let status = tokens.code.unwrap_or_default();
    let version = if tokens.version == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    };
    if status < 100 {
        return Err(Refusal::bad("status-line"));
    }
    let census = Census::take(room, head, fields)?;
    let declared = framing::of_response(fields, census, version)?;
    let options = Options::read(fields, census)?;
    let upgrade_offer = if options.upgrade && version == Version::Http11 {
        upgrade_value(fields, census)
    } else {
        None
    };
    let forbids_body = status < 200 || status == 204;
    let declares_body = !matches!(declared, Declared::Nothing | Declared::Length(0));
    let keeps = !options.close && (version == Version::Http11 || options.keep_alive);
    Ok(ResponseHead {
        bytes: head,
        fields,
        census,
        dropped: options.nominated.union(census.any(&[
            Kind::Connection,
            Kind::ContentLength,
            Kind::Hop,
            Kind::TransferEncoding,
            Kind::Twin,
            Kind::Upgrade,
        ])),
        reason: tokens.reason.unwrap_or_default(),
        upgrade_offer,
        declared,
        status,
        version,
        keeps_alive: keeps && !(forbids_body && declares_body),
        switches: status == 101,
    })
}
