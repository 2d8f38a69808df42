//! The name a TLS client asks for, read from the first bytes of a connection (RFC 8446 section
//! 4.1.2, RFC 6066 section 3).
//!
//! Nothing is terminated and nothing decrypted: the hello is only looked at, and goes to the
//! backend as it came. It may be spread over several records and arrive in any pieces; its size
//! is bounded by [`HELLO_BYTES_MAX`]. A hello that two parsers could read differently (two name
//! extensions, two names, a name that is none, lengths that do not agree) is no hello to us.
//! With Encrypted Client Hello the name is the outer, public one.

use std::borrow::Cow;

/// Longest hello that is waited for, records included. Real ones have 200 bytes to 2 KiB, with
/// post-quantum key shares up to 8 KiB.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

/// Longest host name (RFC 1035).
const NAME_BYTES_MAX: usize = 253;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// A hello without a name.
    Absent,
    /// A hello that asks for this name, in lower case.
    Found(Vec<u8>),
    /// The beginning of a hello.
    NeedMore,
    /// Anything else, or a hello that is longer than we look.
    NotTls,
}

/// Reads the hello at the beginning of `bytes`.
#[must_use]
pub fn peek(bytes: &[u8]) -> Hello {
    match read(bytes) {
        Ok(Some(name)) => Hello::Found(name),
        Ok(None) => Hello::Absent,
        Err(Stop::Short) if bytes.len() < HELLO_BYTES_MAX => Hello::NeedMore,
        Err(_) => Hello::NotTls,
    }
}

/// Why reading went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The bytes are at an end.
    Short,
    /// They are wrong.
    Wrong,
}

fn read(bytes: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
    let message = client_hello(bytes)?;
    // The message is whole: what is missing now was never promised.
    name_in(&message).map_err(|_| Stop::Wrong)
}

/// The body of the first handshake message, put together from its records.
fn client_hello(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Stop> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    const FRAGMENT_BYTES_MAX: usize = 1 << 14;
    let mut rest = Reader(bytes);
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    loop {
        expect(rest.byte()? == HANDSHAKE)?;
        expect(rest.byte()? == 3)?;
        rest.byte()?;
        let length = rest.length(2)?;
        expect((1..=FRAGMENT_BYTES_MAX).contains(&length))?;
        let available = rest.0.len().min(length);
        let fragment = rest.take(available)?;
        if message.is_empty() {
            message = Cow::Borrowed(fragment);
        } else {
            message.to_mut().extend_from_slice(fragment);
        }
        expect(message.first().is_none_or(|kind| *kind == CLIENT_HELLO))?;
        let mut header = Reader(&message);
        let whole = header.byte().and_then(|_| header.length(3));
        if let Ok(whole) = whole {
            expect(whole <= HELLO_BYTES_MAX)?;
            if header.0.len() >= whole {
                return Ok(match message {
                    Cow::Borrowed(message) => Cow::Borrowed(&message[4..4 + whole]),
                    Cow::Owned(message) => Cow::Owned(message[4..4 + whole].to_vec()),
                });
            }
        }
        if available < length {
            return Err(Stop::Short);
        }
    }
}

/// The name in a whole hello.
fn name_in(hello: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
    const SERVER_NAME: usize = 0;
    let mut rest = Reader(hello);
    expect(rest.byte()? == 3)?;
    rest.byte()?;
    rest.take(32)?;
    expect(rest.block(1)?.len() <= 32)?;
    let suites = rest.block(2)?;
    expect(!suites.is_empty() && suites.len() % 2 == 0)?;
    expect(!rest.block(1)?.is_empty())?;
    if rest.0.is_empty() {
        return Ok(None);
    }
    let mut extensions = Reader(rest.block(2)?);
    expect(rest.0.is_empty())?;
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.length(2)?;
        let body = extensions.block(2)?;
        if kind == SERVER_NAME {
            expect(found.is_none())?;
            found = Some(server_name(body)?);
        }
    }
    Ok(found)
}

fn server_name(extension: &[u8]) -> Result<Vec<u8>, Stop> {
    const HOST_NAME: u8 = 0;
    let mut rest = Reader(extension);
    let mut names = Reader(rest.block(2)?);
    expect(rest.0.is_empty())?;
    expect(names.byte()? == HOST_NAME)?;
    let name = names.block(2)?;
    expect(names.0.is_empty())?;
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let name = name.strip_suffix(b".").unwrap_or(name);
    let sound = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.iter().all(letter)
        && name
            .split(|byte| *byte == b'.')
            .all(|label| !label.is_empty());
    expect(sound)?;
    Ok(name.to_ascii_lowercase())
}

fn expect(holds: bool) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Wrong) }
}

/// Bytes that are left to read.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], Stop> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Stop::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        Ok(self.take(1)?[0])
    }

    /// A number of so many bytes.
    fn length(&mut self, bytes: usize) -> Result<usize, Stop> {
        let digits = self.take(bytes)?;
        Ok(digits
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    /// So many bytes as the number before them says.
    fn block(&mut self, bytes: usize) -> Result<&'b [u8], Stop> {
        let length = self.length(bytes)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests;
