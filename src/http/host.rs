//! The authority a request is for: Host field or absolute-form target (RFC 9110 7.2, RFC 3986 3.2).
//!
//! Strict because Host chooses the route: no userinfo, no comma, no space, a port that is a number,
//! an IPv6 address that is one. An empty port (`a:`) is legal and dropped.

use std::net::Ipv6Addr;

use super::head::Refusal;

const REFUSED: Refusal = Refusal::bad("host");

/// A valid authority, as it will be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'b> {
    pub(super) text: &'b [u8],
    /// `text` without the port.
    pub(super) host: &'b [u8],
}

impl<'b> Authority<'b> {
    pub(super) const NONE: Self = Self {
        text: b"",
        host: b"",
    };

    #[inline]
    pub(super) fn parse(text: &'b [u8]) -> Result<Self, Refusal> {
        let host_len = match text.first() {
            None => return Err(Refusal::bad("host-empty")),
            Some(b'[') => address_len(text)?,
            Some(_) => name_len(text)?,
        };
        let (host, rest) = text.split_at(host_len);
        match rest {
            [] | [b':'] => Ok(Self { text: host, host }),
            [b':', port @ ..] if is_port(port) => Ok(Self { text, host }),
            _ => Err(REFUSED),
        }
    }
}

/// Bytes of a reg-name (RFC 3986 3.2.2) without the comma, which joins repeated Host fields.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'.' | b'-' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\''
            )
            || matches!(b, b'(' | b')' | b'*' | b'+' | b';' | b'=');
        byte += 1;
    }
    table
};

#[inline]
fn name_len(text: &[u8]) -> Result<usize, Refusal> {
    let len = text
        .iter()
        .position(|byte| !NAME_BYTES[usize::from(*byte)])
        .unwrap_or(text.len());
    if len == 0 || (text[..len].contains(&b'%') && !escapes_are_valid(&text[..len])) {
        return Err(REFUSED);
    }
    Ok(len)
}

fn escapes_are_valid(name: &[u8]) -> bool {
    name.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| {
            name.get(at + 1..at + 3)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        })
}

fn address_len(text: &[u8]) -> Result<usize, Refusal> {
    let end = text.iter().position(|byte| *byte == b']').ok_or(REFUSED)?;
    let address = std::str::from_utf8(&text[1..end]).map_err(|_| REFUSED)?;
    address.parse::<Ipv6Addr>().map_err(|_| REFUSED)?;
    Ok(end + 1)
}

fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5
        && digits.iter().all(u8::is_ascii_digit)
        && digits
            .iter()
            .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'))
            <= 65535
}
