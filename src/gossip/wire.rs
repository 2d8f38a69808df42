//! Bytes of datagrams: numbers in network order, texts with their length before them.
//!
//! Reading ends at the first thing that cannot be, and never allocates by a length it was told
//! beyond what is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::NAME_BYTES_MAX;
use super::member::Member;

/// What is not there, or cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed")
    }
}

impl std::error::Error for Malformed {}

/// Bytes that are read from their beginning.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text of at most `max` bytes.
    pub(super) fn text(&mut self, max: usize) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
        match text.len() <= max {
            true => Ok(text),
            false => Err(Malformed),
        }
    }

    pub(super) fn member(&mut self) -> Result<Member, Malformed> {
        let name = self.text(NAME_BYTES_MAX)?;
        let generation = self.u64()?;
        let ip = match self.u8()? {
            4 => IpAddr::V4(Ipv4Addr::from(self.array::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(self.array::<16>()?)),
            _ => return Err(Malformed),
        };
        let port = self.u16()?;
        if name.is_empty() || port == 0 {
            return Err(Malformed);
        }
        Ok(Member {
            name: Arc::from(name),
            generation,
            address: SocketAddr::new(ip, port),
        })
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Malformed),
        }
    }
}

/// Writes a text, cut where its length would not fit a byte: callers' names are shorter.
pub(super) fn put_text(text: &str, to: &mut Vec<u8>) {
    let text = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
    to.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    to.extend_from_slice(text);
}

pub(super) fn put_member(member: &Member, to: &mut Vec<u8>) {
    put_text(&member.name, to);
    to.extend_from_slice(&member.generation.to_be_bytes());
    match member.address.ip() {
        IpAddr::V4(ip) => {
            to.push(4);
            to.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            to.push(6);
            to.extend_from_slice(&ip.octets());
        }
    }
    to.extend_from_slice(&member.address.port().to_be_bytes());
}
