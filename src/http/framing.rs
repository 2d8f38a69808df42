//! Where a message body ends (RFC 9112 6), from Content-Length and Transfer-Encoding.
//!
//! The smuggling surface. Both fields together are refused on either side, Transfer-Encoding in
//! HTTP/1.0 too, and every coding but exactly `chunked`. A request may carry one Content-Length
//! with one number; a response may repeat the same number, as RFC 9110 8.6 allows, because old
//! backends do.

use httparse::Header;

use super::fields::{Census, Kind, is_token_byte, list};
use super::head::{Refusal, Version};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Chunked transfer coding (RFC 9112 7.1).
    Chunked,
    /// No body.
    Empty,
    /// Exactly so many bytes.
    Length(u64),
    /// Everything until the connection closes; responses only (RFC 9112 6.3, case 8).
    UntilClose,
}

/// What the fields declare, before method and status have their say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    Chunked,
    Length(u64),
    Nothing,
}

/// Longest Content-Length we read, zeros included: enough for 2^63 - 1, beyond which signed
/// readers overflow.
const LENGTH_DIGITS_MAX: usize = 19;

/// The framing a request declares.
#[inline]
pub(super) fn of_request(
    fields: &[Header<'_>],
    census: &Census,
    version: Version,
) -> Result<Declared, Refusal> {
    if let Some(declared) = of_transfer_encoding(fields, census, version)? {
        return Ok(declared);
    }
    let lengths = census.of(Kind::ContentLength);
    if lengths.len() > 1 {
        return Err(Refusal::bad("content-length-repeated"));
    }
    match lengths.iter().next() {
        None => Ok(Declared::Nothing),
        Some(index) => content_length(fields[index].value).map(Declared::Length),
    }
}

/// The framing a response declares.
#[inline]
pub(super) fn of_response(
    fields: &[Header<'_>],
    census: &Census,
    version: Version,
) -> Result<Declared, Refusal> {
    if let Some(declared) = of_transfer_encoding(fields, census, version)? {
        return Ok(declared);
    }
    let mut declared = Declared::Nothing;
    for index in census.of(Kind::ContentLength).iter() {
        for element in list(fields[index].value) {
            let length = Declared::Length(content_length(element)?);
            if declared != Declared::Nothing && declared != length {
                return Err(Refusal::bad("content-length-differs"));
            }
            declared = length;
        }
    }
    Ok(declared)
}

#[inline]
fn of_transfer_encoding(
    fields: &[Header<'_>],
    census: &Census,
    version: Version,
) -> Result<Option<Declared>, Refusal> {
    let codings = census.of(Kind::TransferEncoding);
    let Some(index) = codings.iter().next() else {
        return Ok(None);
    };
    if version == Version::Http10 {
        return Err(Refusal::bad("transfer-encoding-1.0"));
    }
    if !census.of(Kind::ContentLength).is_empty() {
        return Err(Refusal::bad("length-and-chunked"));
    }
    if codings.len() > 1 {
        return Err(Refusal::bad("transfer-encoding-repeated"));
    }
    if fields[index].value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Some(Declared::Chunked));
    }
    Err(coding_refusal(fields[index].value))
}

/// Final chunked after codings we do not know is 501 (RFC 9112 6.1); any other list has no
/// reliable end and is 400 (RFC 9112 6.3, case 4).
#[cold]
fn coding_refusal(value: &[u8]) -> Refusal {
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().all(|b| is_token_byte(*b));
    let chunked = |text: &[u8]| text.eq_ignore_ascii_case(b"chunked");
    let ends_chunked = list(value).last().is_some_and(chunked);
    let once = list(value).filter(|coding| chunked(coding)).count() == 1;
    if ends_chunked && once && list(value).all(is_token) {
        return Refusal::new(501, "transfer-coding");
    }
    Refusal::bad("transfer-encoding")
}

/// 1*DIGIT up to 2^63 - 1 (RFC 9110 8.6).
#[inline]
pub(super) fn content_length(text: &[u8]) -> Result<u64, Refusal> {
    if text.is_empty() || text.len() > LENGTH_DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad("content-length"));
    }
    let length = text
        .iter()
        .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    if i64::try_from(length).is_err() {
        return Err(Refusal::bad("content-length"));
    }
    Ok(length)
}
