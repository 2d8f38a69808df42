//! Makes hostile text safe inside a quoted log field.
//!
//! Whatever a client sends, a line stays one line and a field one field: control characters,
//! quotes, backslashes and every byte outside printable ASCII are escaped. Each byte is escaped by
//! itself, valid UTF-8 or not, so the original bytes can always be told from the log.

use crate::base::hex;
use crate::telemetry::access_log::room::Put;

/// Bytes that [`json`] makes of one, at most; [`combined`] makes fewer.
pub(super) const JSON_BYTES_PER_BYTE_MAX: usize = b"\\u00ff".len();

/// Escapes as Apache and nginx do in the combined format: `\xHH`, and a backslash before quotes
/// and backslashes.
#[inline]
pub fn combined<O: Put>(out: &mut O, text: &[u8]) {
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

/// Eight bytes at a time, the last eight together with some before them: a loop over what is left
/// would cost more than all before it.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return text.iter().all(|byte| !needs_escape(*byte));
    };
    let (words, _) = text.as_chunks();
    let found = words
        .iter()
        .fold(specials(last), |found, word| found | specials(word));
    found == 0
}

/// Not zero if one of the bytes needs an escape.
#[inline]
fn specials(bytes: &[u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(*bytes);
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let beyond = word | word.wrapping_add(ONES * u64::from(0x80 - 0x7f_u8));
    (below(word, 0x20) | is(b'"') | is(b'\\') | beyond) & HIGHS
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
            out.put(&[hex::digit(byte >> 4), hex::digit(byte & 0xf)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for (length, at) in (1..20).flat_map(|length| (0..length).map(move |at| (length, at))) {
                for others in [b' ', b'~', b'!', b'#', b'[', b']'] {
                    let mut text = vec![others; length];
                    text[at] = byte;
                    let plain = !needs_escape(byte);
                    assert_eq!(is_plain(&text), plain, "{text:?}");
                }
            }
        }
    }
}
