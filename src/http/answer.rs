//! The responses we make ourselves: short, plain text, complete (RFC 9110 15).
//!
//! They say what happened in one line and nothing about our insides. Errors are marked
//! `no-store`, because some of them (404, 405, 414, 501) may otherwise be cached for long.

use super::head::Version;
use super::rewrite::{
    OwnField, write_checked_field, write_field, write_number, write_own, write_status_line,
};

/// Methods we carry, for 405 and for an OPTIONS that ends here (RFC 9110 10.2.1).
const ALLOW: &[u8] = b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";

/// A response of our own.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// A word to the reader, after the reason phrase; may be empty.
    pub detail: &'a str,
    /// Say `Connection: close`.
    pub close: bool,
    /// The request was HEAD: the same head without the body.
    pub head_only: bool,
    /// Seconds for Retry-After (RFC 9110 10.2.3).
    pub retry_after: Option<u32>,
    /// Echoed as X-Request-Id.
    pub request_id: Option<&'a [u8]>,
    /// Further fields.
    pub own: &'a [OwnField<'a>],
    /// The version the client speaks: 1.0 must be told if the connection stays.
    pub version: Version,
}

/// Appends the answer; `date` is the value of the Date field (RFC 9110 6.6.1).
pub fn write_answer(out: &mut Vec<u8>, answer: &Answer<'_>, date: &[u8]) {
    let has_body = answer.status >= 200 && answer.status != 204 && answer.status != 304;
    let reason = reason_phrase(answer.status);
    write_status_line(out, answer.status, reason);
    if answer.status >= 200 {
        write_field(out, b"Date", date);
    }
    if has_body {
        let detail = if answer.detail.is_empty() {
            0
        } else {
            2 + answer.detail.len()
        };
        write_field(out, b"Content-Type", b"text/plain; charset=utf-8");
        write_number(
            out,
            b"Content-Length",
            (4 + reason.len() + detail + 1) as u64,
        );
    }
    if answer.status >= 400 {
        write_field(out, b"Cache-Control", b"no-store");
    }
    if matches!(answer.status, 204 | 405) {
        write_field(out, b"Allow", ALLOW);
    }
    if let Some(seconds) = answer.retry_after {
        write_number(out, b"Retry-After", u64::from(seconds));
    }
    if let Some(id) = answer.request_id {
        write_checked_field(out, b"X-Request-Id", id);
    }
    write_own(out, answer.own);
    if answer.status >= 200 {
        if answer.close {
            write_field(out, b"Connection", b"close");
        } else if answer.version == Version::Http10 {
            write_field(out, b"Connection", b"keep-alive");
        }
    }
    out.extend_from_slice(b"\r\n");
    if has_body && !answer.head_only {
        out.extend_from_slice(itoa::Buffer::new().format(answer.status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(reason.as_bytes());
        if !answer.detail.is_empty() {
            out.extend_from_slice(b": ");
            out.extend_from_slice(answer.detail.as_bytes());
        }
        out.push(b'\n');
    }
}

/// The usual phrase of a registered status, or one for its class (RFC 9110 15).
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => match status / 100 {
            1 => "Informational",
            2 => "Success",
            3 => "Redirection",
            4 => client_error_phrase(status),
            5 => "Server Error",
            _ => "Unknown",
        },
    }
}

fn client_error_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "Client Error",
    }
}
