//! Reading a request head (RFC 9112 3): one meaning or a refusal.
//!
//! Everything a backend might understand otherwise is refused here: framing, Host, target form,
//! line ends. What stays is described by `RequestHead`, which borrows the buffer; `write_request`
//! makes the forwarded head from it.

use std::mem::MaybeUninit;

use httparse::Header;

use super::connection::{Options, upgrade_value};
use super::fields::{Census, FieldSet, Kind, find};
use super::framing::{self, Declared, Framing};
use super::head::{
    FIELDS_MAX, FieldStorage, HeadLimits, Method, Parsed, Refusal, Version, offset, syntax_refusal,
};
use super::host::Authority;
use super::target::Target;

/// Empty lines tolerated before a request line; RFC 9112 2.2 asks for at least one.
const LEADING_LINES_MAX: usize = 2;

/// Registered methods are at most 17 bytes long (UPDATEREDIRECTREF).
const METHOD_BYTES_MAX: usize = 32;

/// A request head that was understood completely.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'s, 'b> {
    pub(super) bytes: &'b [u8],
    pub(super) fields: &'s [Header<'b>],
    pub(super) census: &'s Census,
    /// Never forwarded, whatever the edits say.
    pub(super) dropped: FieldSet,
    /// The client does not mean them for whoever serves the request.
    hidden: FieldSet,
    pub(super) max_forwards: Option<u32>,
    method_text: &'b [u8],
    target: &'b [u8],
    path: &'b [u8],
    authority: Authority<'b>,
    upgrade: Option<&'b [u8]>,
    framing: Framing,
    head_len: usize,
    method: Method,
    version: Version,
    keeps_alive: bool,
    expects_continue: bool,
}

impl<'s, 'b> RequestHead<'s, 'b> {
    /// Bytes the head takes in the buffer, leading empty lines included.
    #[must_use]
    pub fn head_len(&self) -> usize {
        self.head_len
    }

    /// The method, as far as we know it.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as sent.
    #[must_use]
    pub fn method_text(&self) -> &'b [u8] {
        self.method_text
    }

    /// What is forwarded as target: origin-form, or `*` (RFC 9112 3.2). Only for an absolute-form
    /// target with a query and no path does it begin with `?`; `write_request` adds the `/`.
    #[must_use]
    pub fn target(&self) -> &'b [u8] {
        self.target
    }

    /// The path, byte for byte as forwarded, without the query.
    #[must_use]
    pub fn path(&self) -> &'b [u8] {
        self.path
    }

    /// The one effective host without its port, in the case the client wrote it. Empty only for
    /// HTTP/1.0 without Host.
    #[must_use]
    pub fn host(&self) -> &'b [u8] {
        self.authority.host
    }

    /// Host and port as forwarded in the Host field; the target's if it was in absolute-form
    /// (RFC 9112 3.2.2).
    #[must_use]
    pub fn authority(&self) -> &'b [u8] {
        self.authority.text
    }

    /// The version of the client's message; what we forward is always HTTP/1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body ends; never `UntilClose` (RFC 9112 6.3).
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client wants another exchange on this connection (RFC 9112 9.3).
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// The client waits for 100 (Continue) before it sends the body (RFC 9110 10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The protocols offered by a true Connection: upgrade and Upgrade pair (RFC 9110 7.8). A 101
    /// is acceptable only if this is `Some`, and only once the request body is done.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'b [u8]> {
        self.upgrade
    }

    /// The first field of that name as the client sent it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        find(self.fields, name)
    }

    /// All fields as the client sent them, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'s, 'b> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// The values of all fields of that name that the backend may see too: not those which
    /// Connection nominates, nor twins of names that mean us.
    pub fn fields_named(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let all = self.fields.iter().enumerate();
        all.filter(move |(index, field)| {
            field.name.eq_ignore_ascii_case(name) && !self.hidden.contains(*index)
        })
        .map(|(_, field)| field.value)
    }

    /// The same head for a client that was told to go on already.
    #[must_use]
    pub fn without_expectation(self) -> Self {
        RequestHead {
            expects_continue: false,
            ..self
        }
    }

    /// Whether the request may be sent twice (RFC 9110 9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }
}

/// Parses a request head from the start of `bytes`.
///
/// Refusals: 400 for bad or ambiguous syntax, 405 or 501 for methods we do not carry, 414 and 431
/// for size, 417 for an unknown expectation, 501 for an unknown transfer coding, 505 for a version.
/// One refusal is not an error: 204 for OPTIONS with `Max-Forwards: 0`, which is ours to answer
/// (RFC 9110 7.6.2).
#[inline]
pub fn parse_request<'s, 'b>(
    bytes: &'b [u8],
    limits: &HeadLimits,
    storage: &'s mut FieldStorage<'b>,
) -> Parsed<RequestHead<'s, 'b>> {
    let window = &bytes[..bytes.len().min(limits.head_bytes)];
    let is_full = window.len() == limits.head_bytes;
    let skipped = match leading_lines(window) {
        Ok(Some(skipped)) => skipped,
        Ok(None) if is_full => return Parsed::Refused(Refusal::new(431, "head-too-large")),
        Ok(None) => return Parsed::Partial,
        Err(refusal) => return Parsed::Refused(refusal),
    };
    let slots = &mut storage.slots[..limits.fields.min(FIELDS_MAX)];
    let mut tokens = httparse::Request::new(&mut []);
    match tokens.parse_with_uninit_headers(&window[skipped..], slots) {
        Ok(httparse::Status::Complete(len)) => {
            let head = &window[skipped..skipped + len];
            match understand(head, skipped, tokens, limits, &mut storage.census) {
                Ok(head) => Parsed::Complete(head),
                Err(refusal) => Parsed::Refused(refusal),
            }
        }
        Ok(httparse::Status::Partial) => unfinished(is_full, tokens.path, limits),
        Err(httparse::Error::Version) => {
            match version_refusal(&window[skipped..], tokens.path.unwrap_or_default()) {
                Some(refusal) => Parsed::Refused(refusal),
                None => unfinished(is_full, tokens.path, limits),
            }
        }
        Err(error) => Parsed::Refused(syntax_refusal(error, &window[skipped..])),
    }
}

/// Length of the tolerated empty lines, `None` while that is undecided.
#[inline]
fn leading_lines(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut at = 0;
    loop {
        match &bytes[at..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if at < 2 * LEADING_LINES_MAX => at += 2,
            [b'\r' | b'\n', ..] => return Err(Refusal::bad("empty-lines")),
            _ => return Ok(Some(at)),
        }
    }
}

#[cold]
fn unfinished<T>(is_full: bool, path: Option<&str>, limits: &HeadLimits) -> Parsed<T> {
    if !is_full {
        return Parsed::Partial;
    }
    match path {
        Some(path) if path.len() <= limits.target_bytes => {
            Parsed::Refused(Refusal::new(431, "head-too-large"))
        }
        _ => Parsed::Refused(Refusal::new(414, "target-too-long")),
    }
}

/// 505 for a well-formed version we do not speak, 400 for anything else; `None` while undecided.
#[cold]
fn version_refusal(head: &[u8], path: &str) -> Option<Refusal> {
    let text = &head[(offset(head, path.as_bytes()) + path.len() + 1).min(head.len())..];
    for (at, expected) in b"HTTP/d.d\r".iter().enumerate() {
        let byte = text.get(at)?;
        let fits = if *expected == b'd' {
            byte.is_ascii_digit()
        } else {
            byte == expected
        };
        if !fits {
            return Some(Refusal::bad("version"));
        }
    }
    Some(Refusal::new(505, "version"))
}

#[inline]
fn understand<'s, 'b>(
    head: &'b [u8],
    skipped: usize,
    tokens: httparse::Request<'s, 'b>,
    limits: &HeadLimits,
    room: &'s mut MaybeUninit<Census>,
) -> Result<RequestHead<'s, 'b>, Refusal> {
    let fields: &'s [Header<'b>] = tokens.headers;
    let method_text = tokens.method.unwrap_or_default().as_bytes();
    let target = tokens.path.unwrap_or_default().as_bytes();
    let version = if tokens.version == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    };
    if target.len() > limits.target_bytes {
        return Err(Refusal::new(414, "target-too-long"));
    }
    let census = Census::take(room, head, fields)?;
    let method = allowed_method(method_text)?;
    let target = Target::parse(target, method)?;
    let authority = effective_host(target.authority, fields, census, version)?;
    let framing = match framing::of_request(fields, census, version)? {
        Declared::Chunked => Framing::Chunked,
        Declared::Length(length) => Framing::Length(length),
        Declared::Nothing => Framing::Empty,
    };
    if method == Method::Trace && framing != Framing::Empty {
        return Err(Refusal::bad("trace-body"));
    }
    let options = Options::read(fields, census)?;
    let upgrade = if options.upgrade && version == Version::Http11 {
        upgrade_value(fields, census)
    } else {
        None
    };
    Ok(RequestHead {
        bytes: head,
        fields,
        census,
        dropped: options.nominated.union(always_dropped(census, framing)),
        hidden: options.nominated.union(census.of(Kind::Twin)),
        max_forwards: max_forwards(method, fields, census)?,
        method_text,
        target: target.text,
        path: target.path,
        authority,
        upgrade,
        framing,
        head_len: skipped + head.len(),
        method,
        version,
        keeps_alive: !options.close && (version == Version::Http11 || options.keep_alive),
        expects_continue: expectation(fields, census, version)?
            && !matches!(framing, Framing::Empty | Framing::Length(0)),
    })
}

/// Fields that are written anew or not at all.
#[inline]
fn always_dropped(census: &Census, framing: Framing) -> FieldSet {
    let dropped = census.any(&[
        Kind::Connection,
        Kind::ContentLength,
        Kind::Expect,
        Kind::Hop,
        Kind::Host,
        Kind::TransferEncoding,
        Kind::Twin,
        Kind::Upgrade,
    ]);
    match framing {
        // Trailer announces trailers, which only a chunked body can carry (RFC 9110 6.6.2).
        Framing::Chunked => dropped,
        _ => dropped.union(census.of(Kind::Trailer)),
    }
}

#[inline]
fn allowed_method(text: &[u8]) -> Result<Method, Refusal> {
    if text.len() > METHOD_BYTES_MAX {
        return Err(Refusal::new(501, "method-too-long"));
    }
    match Method::from_token(text) {
        Method::Connect => Err(Refusal::new(501, "connect")),
        method => Ok(method),
    }
}

/// Exactly one valid Host in HTTP/1.1, at most one in 1.0; the target's authority wins over it
/// (RFC 9112 3.2, 3.2.2).
#[inline]
fn effective_host<'b>(
    from_target: Option<Authority<'b>>,
    fields: &[Header<'b>],
    census: &Census,
    version: Version,
) -> Result<Authority<'b>, Refusal> {
    let hosts = census.of(Kind::Host);
    if hosts.len() > 1 {
        return Err(Refusal::bad("host-repeated"));
    }
    let from_field = match hosts.iter().next() {
        Some(index) if fields[index].value.is_empty() && version == Version::Http10 => {
            Authority::NONE
        }
        Some(index) => Authority::parse(fields[index].value)?,
        None if version == Version::Http10 => Authority::NONE,
        None => return Err(Refusal::bad("host-missing")),
    };
    Ok(from_target.unwrap_or(from_field))
}

/// Whether 100-continue is expected; HTTP/1.0 cannot expect anything (RFC 9110 10.1.1).
#[inline]
fn expectation(fields: &[Header<'_>], census: &Census, version: Version) -> Result<bool, Refusal> {
    let expects = census.of(Kind::Expect);
    if expects.is_empty() || version == Version::Http10 {
        return Ok(false);
    }
    if expects
        .iter()
        .all(|index| fields[index].value.eq_ignore_ascii_case(b"100-continue"))
    {
        return Ok(true);
    }
    Err(Refusal::new(417, "expectation"))
}

/// The value to forward, one less than received; it means something only to TRACE and OPTIONS
/// (RFC 9110 7.6.2).
#[inline]
fn max_forwards(
    method: Method,
    fields: &[Header<'_>],
    census: &Census,
) -> Result<Option<u32>, Refusal> {
    let set = census.of(Kind::MaxForwards);
    if set.is_empty() || !matches!(method, Method::Options | Method::Trace) {
        return Ok(None);
    }
    let text = set
        .iter()
        .next()
        .map_or(&b""[..], |index| fields[index].value);
    let is_number = (1..=9).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    if set.len() > 1 || !is_number {
        return Err(Refusal::bad("max-forwards"));
    }
    match text
        .iter()
        .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'))
    {
        0 if method == Method::Options => Err(Refusal::new(204, "max-forwards-zero")),
        0 => Err(Refusal::new(405, "max-forwards-zero")),
        count => Ok(Some(count - 1)),
    }
}
