//! Trailer fields of a chunked body (RFC 9112 7.1.2): collected, validated, filtered.
//!
//! Trailers are rare, so this may allocate. A name that means something to framing, routing,
//! authentication or the connection is dropped (RFC 9110 6.5.1), as is anything we would drop from
//! a head; a line that is no field is a refusal of the whole body.

use super::fields::{Kind, classify, folds_to_any};
use super::head::{Refusal, offset};
use super::rewrite::write_field;

/// Trailer fields per body.
const TRAILERS_MAX: usize = 32;

/// Plain names that a trailer must not carry.
const RESERVED: &[&[u8]] = &[
    b"age",
    b"authorization",
    b"cache-control",
    b"content-disposition",
    b"content-encoding",
    b"content-language",
    b"content-location",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expires",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"location",
    b"origin",
    b"pragma",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"strict-transport-security",
    b"vary",
    b"via",
    b"warning",
    b"www-authenticate",
];

/// Appends the fields of a trailer section that may pass. `section` is its lines without the empty
/// one at the end.
pub(super) fn write_allowed(out: &mut Vec<u8>, section: &[u8]) -> Result<(), Refusal> {
    let terminated = [section, b"\r\n"].concat();
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let fields = match httparse::parse_headers(&terminated, &mut fields) {
        Ok(httparse::Status::Complete((len, fields))) if len == terminated.len() => fields,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, "too-many-trailers"));
        }
        _ => return Err(Refusal::bad("trailer")),
    };
    for field in fields {
        let name = field.name.as_bytes();
        let at = offset(&terminated, name);
        if at > 0 && terminated.get(at.wrapping_sub(2)..at) != Some(b"\r\n") {
            return Err(Refusal::bad("trailer"));
        }
        if classify(name) == Kind::Plain && !folds_to_any(name, RESERVED) {
            write_field(out, name, field.value);
        }
    }
    Ok(())
}
