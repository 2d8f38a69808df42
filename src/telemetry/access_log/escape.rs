//! Makes hostile text safe inside a quoted log field.
//!
//! Whatever a client sends, a line stays one line and a field one field: control characters,
//! quotes, backslashes and every byte outside printable ASCII are escaped. Each byte is escaped by
//! itself, valid UTF-8 or not, so the original bytes can always be told from the log.

use crate::telemetry::access_log::room::Put;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Escapes as Apache and nginx do in the combined format: `\xHH`, and a backslash before quotes
/// and backslashes.
#[inline]
pub fn combined(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        out.put(text);
    } else {
        slow(out, text, b"\\x");
    }
}

/// Escapes as JSON demands; a byte above 127 becomes the code point of the same number, so that
/// the line is valid JSON even when the text is not valid UTF-8.
#[inline]
pub fn json<O: Put>(out: &mut O, text: &[u8]) {
    if is_plain(text) {
        out.put(text);
    } else {
        slow(out, text, b"\\u00");
    }
}

/// Bytes of a text as [`json`] writes it, at most.
#[inline]
#[must_use]
pub fn json_bytes_max(text: &[u8]) -> usize {
    let each = if is_plain(text) { 1 } else { 6 };
    each * text.len()
}

/// No early exit: without one the compiler tests sixteen bytes at a time.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    text.iter()
        .fold(true, |plain, byte| plain & !needs_escape(*byte))
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    !(0x20..0x7f).contains(&byte) | (byte == b'"') | (byte == b'\\')
}

#[cold]
fn slow<O: Put>(out: &mut O, text: &[u8], hex_prefix: &[u8]) {
    for &byte in text {
        if !needs_escape(byte) {
            out.put(&[byte]);
        } else if byte == b'"' || byte == b'\\' {
            out.put(&[b'\\', byte]);
        } else {
            out.put(hex_prefix);
            out.put(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
        }
    }
}
