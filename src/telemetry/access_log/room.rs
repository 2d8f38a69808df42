//! Where the pieces of a line are put: at the end of a buffer, or into room that was made for the
//! whole line, which spares each of its forty pieces the question whether the buffer must grow.

use std::io::Write;
use std::net::IpAddr;

/// Longest text of an address: IPv6 with an IPv4 address in it.
pub const IP_BYTES_MAX: usize = 45;

/// Something pieces of a line can be put into.
pub trait Put {
    /// Appends one piece.
    fn put(&mut self, piece: &[u8]);

    /// Appends a number in decimal.
    #[inline]
    fn put_number(&mut self, number: u64) {
        self.put(itoa::Buffer::new().format(number).as_bytes());
    }
}

impl Put for Vec<u8> {
    #[inline]
    fn put(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

/// Room that is large enough: a piece it has no place for is left out, which only a defect of
/// whoever made it makes.
pub struct Room<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a> Room<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Room<'a> {
        Room { bytes, length: 0 }
    }

    /// How much of it is in use.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// What was put.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Put for Room<'_> {
    #[inline]
    fn put(&mut self, piece: &[u8]) {
        let end = self.length + piece.len();
        let place = self.bytes.get_mut(self.length..end);
        debug_assert!(place.is_some(), "{end} bytes are more than were thought");
        if let Some(place) = place {
            place.copy_from_slice(piece);
            self.length = end;
        }
    }

    /// Eight digits are made at once and put as one piece whose length is known, the zeros before
    /// them shifted out and what is too much put over later: a copy of few bytes whose number is
    /// not known is a call, and costs more than making them.
    #[inline]
    fn put_number(&mut self, number: u64) {
        let from = self.length;
        match self.bytes.get_mut(from..from + 8) {
            Some(place) if number < EIGHT_DIGITS => {
                let digits = eight_digits(number);
                let zeros = (digits.trailing_zeros() / 8).min(7);
                let text = (digits | ASCII_ZEROS) >> (8 * zeros);
                place.copy_from_slice(&text.to_le_bytes());
                self.length += 8 - zeros as usize;
            }
            _ => self.put_long_number(number),
        }
    }
}

impl Room<'_> {
    /// Of any length, the last digit first.
    fn put_long_number(&mut self, mut number: u64) {
        let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
        let end = self.length + digits;
        let place = self.bytes.get_mut(self.length..end);
        debug_assert!(place.is_some(), "{end} bytes are more than were thought");
        if let Some(place) = place {
            for digit in place.iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
            self.length = end;
        }
    }
}

/// The least number of more digits.
const EIGHT_DIGITS: u64 = 100_000_000;

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below [`EIGHT_DIGITS`], the first in the lowest byte: halves, then
/// their halves, then digits, all of a step in one multiplication.
#[inline]
fn eight_digits(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    // 5243 / 2^19 is 1 / 100 for all numbers of four digits, 103 / 2^10 is 1 / 10 for those of two.
    let upper = (fours * 5243) >> 19 & 0x0000_007f_0000_007f;
    let twos = upper | (fours - 100 * upper) << 16;
    let upper = (twos * 103) >> 10 & 0x000f_000f_000f_000f;
    upper | (twos - 10 * upper) << 8
}

/// Appends an address: the digits of IPv4 without the machinery of `fmt`, which shows in a profile
/// of requests.
pub fn put_ip<O: Put>(out: &mut O, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            out.put_number(u64::from(a));
            for octet in [b, c, d] {
                out.put(b".");
                out.put_number(u64::from(octet));
            }
        }
        IpAddr::V6(v6) => {
            let mut text = [0; IP_BYTES_MAX];
            let mut left = &mut text[..];
            // There is room for every address.
            drop(write!(left, "{v6}"));
            let length = IP_BYTES_MAX - left.len();
            out.put(&text[..length]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other() {
        let mut bytes = [0; 8];
        let mut room = Room::new(&mut bytes);
        room.put(b"abc");
        room.put(b"");
        room.put(b"defgh");
        assert_eq!((room.length(), room.filled()), (8, &b"abcdefgh"[..]));
    }

    #[test]
    fn addresses_are_written_as_their_own_text() {
        let addresses = [
            "0.0.0.0",
            "10.0.200.99",
            "255.255.255.255",
            "::",
            "2001:db8::7",
            "1111:2222:3333:4444:5555:6666:7777:8888",
            "::ffff:203.0.113.195",
        ];
        for address in addresses {
            let ip: IpAddr = address.parse().unwrap();
            let (mut text, mut bytes) = (Vec::new(), [0; IP_BYTES_MAX]);
            put_ip(&mut text, ip);
            let mut room = Room::new(&mut bytes);
            put_ip(&mut room, ip);
            assert_eq!(
                (room.filled(), &text[..]),
                (address.as_bytes(), address.as_bytes())
            );
        }
    }

    #[test]
    fn numbers_are_the_same_in_either_place() {
        let edges = (0..20).map(|power| 10_u64.pow(power));
        let edges = edges.flat_map(|edge| [edge - 1, edge, edge + 1]);
        let all_short = 0..10_000;
        let spread = (0..EIGHT_DIGITS).step_by(997);
        let others = [u64::MAX, 4_294_967_296];
        for number in edges.chain(all_short).chain(spread).chain(others) {
            let wanted = number.to_string();
            let mut text = Vec::new();
            text.put_number(number);
            assert_eq!(text, wanted.as_bytes());
            // Where there is room for it and no more, and where there is more.
            for bytes in [&mut vec![b'x'; wanted.len()][..], &mut [b'x'; 28]] {
                let mut room = Room::new(bytes);
                room.put_number(number);
                assert_eq!(room.filled(), wanted.as_bytes());
            }
        }
    }

    #[test]
    #[should_panic(expected = "more than were thought")]
    fn too_little_room_is_a_defect() {
        Room::new(&mut [0; 2]).put(b"abc");
    }
}
