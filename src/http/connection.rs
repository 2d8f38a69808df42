//! The Connection field: what it says about the connection and which fields it removes
//! (RFC 9110 7.6.1), and whether an Upgrade is one we let through (RFC 9110 7.8).
//!
//! A nomination of a field that is meant for every recipient (Host, Cookie, X-Forwarded-For) is
//! ignored, because the sender must not make it and an attacker uses it to make a proxy lose what
//! the backend relies on (CVE-2022-31813). h2c is never let through: it would turn our connection
//! into a tunnel that no rule looks into.

use httparse::Header;

use super::fields::{Census, FieldSet, Kind, classify, folds_to_any, is_token_byte, list};
use super::head::Refusal;

/// Nominations per head. Each costs a comparison with every field, so they are few.
const NOMINATIONS_MAX: usize = 32;

/// Fields of kind `Plain` that a Connection field cannot remove. Those of any other kind cannot be
/// removed by it either: we decide about them ourselves.
const END_TO_END: &[&[u8]] = &[
    b"accept",
    b"age",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-language",
    b"content-location",
    b"content-range",
    b"content-type",
    b"cookie",
    b"etag",
    b"expires",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"last-modified",
    b"location",
    b"origin",
    b"range",
    b"referer",
    b"retry-after",
    b"server",
    b"set-cookie",
    b"strict-transport-security",
    b"user-agent",
    b"vary",
    b"via",
    b"www-authenticate",
];

/// What all Connection fields of a head say together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    pub(super) nominated: FieldSet,
}

impl Options {
    #[inline]
    pub(super) fn read(fields: &[Header<'_>], census: &Census) -> Result<Self, Refusal> {
        let mut options = Self {
            close: false,
            keep_alive: false,
            upgrade: false,
            nominated: FieldSet::EMPTY,
        };
        let mut nominations = 0;
        for index in census.of(Kind::Connection).iter() {
            for option in list(fields[index].value) {
                if option.eq_ignore_ascii_case(b"keep-alive") {
                    options.keep_alive = true;
                } else if option.eq_ignore_ascii_case(b"close") {
                    options.close = true;
                } else if option.eq_ignore_ascii_case(b"upgrade") {
                    options.upgrade = true;
                } else if !option.is_empty() {
                    nominations += 1;
                    if nominations > NOMINATIONS_MAX {
                        return Err(Refusal::bad("connection-options"));
                    }
                    options.nominate(fields, option);
                }
            }
        }
        Ok(options)
    }

    #[cold]
    fn nominate(&mut self, fields: &[Header<'_>], option: &[u8]) {
        for (index, field) in fields.iter().enumerate() {
            let name = field.name.as_bytes();
            if name.eq_ignore_ascii_case(option)
                && classify(name) == Kind::Plain
                && !folds_to_any(name, END_TO_END)
            {
                self.nominated.insert(index);
            }
        }
    }
}

/// The protocols of the one Upgrade field, if it is well formed and does not ask for HTTP/2.
pub(super) fn upgrade_value<'b>(fields: &[Header<'b>], census: &Census) -> Option<&'b [u8]> {
    let set = census.of(Kind::Upgrade);
    if set.len() != 1 {
        return None;
    }
    let value = fields[set.iter().next()?].value;
    list(value).all(is_allowed_protocol).then_some(value)
}

fn is_allowed_protocol(protocol: &[u8]) -> bool {
    let is_http2 = protocol.len() >= 2
        && (protocol[..2].eq_ignore_ascii_case(b"h2")
            || protocol
                .windows(3)
                .any(|part| part.eq_ignore_ascii_case(b"h2c")));
    let well_formed = |part: &[u8]| !part.is_empty() && part.iter().all(|b| is_token_byte(*b));
    let mut parts = protocol.splitn(2, |byte| *byte == b'/');
    !is_http2 && parts.all(well_formed)
}
