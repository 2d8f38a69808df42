//! The chunk-size line, one byte at a time (RFC 9112 7.1, 7.1.1).
//!
//! Strict where decoders have differed: 1 to 16 hexadecimal digits up to 2^63 - 1, no sign, no
//! prefix, no whitespace except before the `;` and around the parts of an extension, no bare CR or
//! LF, no empty extension. Extensions are read only to be dropped.

use super::fields::{is_token_byte, is_value_byte};
use super::head::Refusal;

const DIGITS_MAX: u8 = 16;
const REFUSED: Refusal = Refusal::bad("chunk-size");
const EXTENSION: Refusal = Refusal::bad("chunk-extension");

/// Where in the line we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Place {
    /// Only the LF is missing.
    Cr,
    /// After `;`, whitespace allowed.
    ExtensionStart,
    Name,
    /// Whitespace after a name: `=` or `;` must follow.
    NameEnd,
    Quoted,
    /// After a backslash in a quoted string.
    QuotedPair,
    Size,
    /// Whitespace after the size or a value: `;` must follow.
    SizeEnd,
    /// No digit yet.
    Start,
    Value,
    /// A quoted value has ended.
    ValueEnd,
    /// After `=`, whitespace allowed.
    ValueStart,
}

/// A chunk-size line that is being read. `size` is the caller's, to save room.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeLine {
    place: Place,
    digits: u8,
}

impl SizeLine {
    pub(super) const START: Self = Self {
        place: Place::Start,
        digits: 0,
    };

    /// Takes one byte; true when the line is complete.
    #[inline]
    pub(super) fn take(&mut self, byte: u8, size: &mut u64) -> Result<bool, Refusal> {
        self.place = match self.place {
            Place::Start | Place::Size => match byte {
                b'\r' if self.digits > 0 => Place::Cr,
                b';' if self.digits > 0 => Place::ExtensionStart,
                b' ' | b'\t' if self.digits > 0 => Place::SizeEnd,
                _ => self.digit(byte, size)?,
            },
            Place::Cr if byte == b'\n' => return Ok(true),
            Place::Cr => return Err(REFUSED),
            place => extension(place, byte)?,
        };
        Ok(false)
    }

    #[inline]
    fn digit(&mut self, byte: u8, size: &mut u64) -> Result<Place, Refusal> {
        let value = char::from(byte).to_digit(16).ok_or(REFUSED)?;
        self.digits += 1;
        if self.digits > DIGITS_MAX {
            return Err(REFUSED);
        }
        *size = *size << 4 | u64::from(value);
        if i64::try_from(*size).is_err() {
            return Err(REFUSED);
        }
        Ok(Place::Size)
    }
}

fn extension(place: Place, byte: u8) -> Result<Place, Refusal> {
    Ok(match (place, byte) {
        (Place::SizeEnd | Place::NameEnd | Place::Name | Place::Value | Place::ValueEnd, b';') => {
            Place::ExtensionStart
        }
        (Place::Name | Place::Value | Place::ValueEnd, b'\r') => Place::Cr,
        (Place::Name | Place::NameEnd, b'=') => Place::ValueStart,
        (Place::Name | Place::NameEnd, b' ' | b'\t') => Place::NameEnd,
        (Place::SizeEnd | Place::Value | Place::ValueEnd, b' ' | b'\t') => Place::SizeEnd,
        (Place::ExtensionStart | Place::ValueStart, b' ' | b'\t') => place,
        (Place::ExtensionStart | Place::Name, _) if is_token_byte(byte) => Place::Name,
        (Place::ValueStart, b'"') => Place::Quoted,
        (Place::ValueStart | Place::Value, _) if is_token_byte(byte) => Place::Value,
        (Place::Quoted, b'"') => Place::ValueEnd,
        (Place::Quoted, b'\\') => Place::QuotedPair,
        (Place::Quoted | Place::QuotedPair, _) if is_value_byte(byte) => Place::Quoted,
        _ => return Err(EXTENSION),
    })
}

/// Appends `size` as a canonical chunk-size line.
#[inline]
pub(super) fn write_size(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0_u8; 18];
    text[16] = b'\r';
    text[17] = b'\n';
    let mut at = 16;
    let mut rest = size;
    loop {
        at -= 1;
        text[at] = DIGITS[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}
