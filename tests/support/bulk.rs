//! Bytes for big transfers: a sequence known at every offset, so that the receiver finds the
//! first byte that differs instead of a checksum that does not match at the end.

use std::io::{Read, Write};
use std::time::Duration;

/// A small fast generator (splitmix64): where tests want disorder that repeats.
pub struct Dice(u64);

impl Dice {
    /// Same seed, same numbers.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}

fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of bytes and a place in it.
pub struct Pattern {
    seed: u64,
    offset: u64,
}

impl Pattern {
    /// The sequence of `seed`, from its beginning.
    pub fn new(seed: u64) -> Pattern {
        Pattern {
            seed: mix(seed),
            offset: 0,
        }
    }

    /// Where we are.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        let mut at = 0;
        while at < out.len() {
            let word = self
                .seed
                .wrapping_add((self.offset / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let word = (word ^ (word >> 29))
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                .to_le_bytes();
            let skip = (self.offset % 8) as usize;
            let count = (8 - skip).min(out.len() - at);
            out[at..at + count].copy_from_slice(&word[skip..skip + count]);
            at += count;
            self.offset += count as u64;
        }
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut out = vec![0; count];
        self.fill(&mut out);
        out
    }

    /// Asserts that `bytes` come next.
    #[track_caller]
    pub fn check(&mut self, bytes: &[u8]) {
        let start = self.offset;
        let expected = self.bytes(bytes.len());
        if let Some(at) = expected
            .iter()
            .zip(bytes)
            .position(|(left, right)| left != right)
        {
            panic!(
                "byte {} is {:#x}, sent was {:#x}",
                start + at as u64,
                bytes[at],
                expected[at]
            );
        }
    }
}

/// Writes `total` bytes of the pattern in pieces of random size.
pub fn send_pattern(to: &mut impl Write, seed: u64, total: u64) -> std::io::Result<()> {
    let (mut pattern, mut dice) = (Pattern::new(seed), Dice::new(seed));
    let mut piece = vec![0; 256 * 1024];
    while pattern.offset() < total {
        // Mostly large, now and then a few bytes, so that every boundary is met.
        let limit = if dice.below(8) == 0 {
            64
        } else {
            piece.len() as u64
        };
        let count = (1 + dice.below(limit)).min(total - pattern.offset()) as usize;
        pattern.fill(&mut piece[..count]);
        to.write_all(&piece[..count])?;
    }
    Ok(())
}

/// Writes the same bytes as [`send_pattern`] as chunks of random size, without the last chunk.
pub fn send_pattern_chunked(to: &mut impl Write, seed: u64, total: u64) -> std::io::Result<()> {
    let (mut pattern, mut dice) = (Pattern::new(seed), Dice::new(!seed));
    let mut piece = Vec::new();
    while pattern.offset() < total {
        let limit = if dice.below(8) == 0 { 16 } else { 100_000 };
        let count = (1 + dice.below(limit)).min(total - pattern.offset()) as usize;
        piece.clear();
        write!(piece, "{count:x}\r\n")?;
        piece.extend_from_slice(&pattern.bytes(count));
        piece.extend_from_slice(b"\r\n");
        to.write_all(&piece)?;
    }
    Ok(())
}

/// Reads `total` bytes and checks them against the pattern; a slow reader pauses now and then.
pub fn receive_pattern(from: &mut impl Read, seed: u64, total: u64, slow: bool) {
    let (mut pattern, mut dice) = (Pattern::new(seed), Dice::new(seed ^ 7));
    let mut piece = vec![0; 128 * 1024];
    while pattern.offset() < total {
        let room = 1 + dice.below(piece.len() as u64) as usize;
        let room = room.min(usize::try_from(total - pattern.offset()).unwrap_or(room));
        let count = from.read(&mut piece[..room]).unwrap();
        assert!(
            count > 0,
            "the stream ended after {} of {total} bytes",
            pattern.offset()
        );
        pattern.check(&piece[..count]);
        pause_of_a_slow_reader(slow, &mut dice);
    }
}

/// A pause in one read of sixty-four, if `slow`.
pub fn pause_of_a_slow_reader(slow: bool, dice: &mut Dice) {
    if slow && dice.below(64) == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Size of the big transfers: `WEIR_TEST_BULK_MB` MiB, 64 unless told (1024 by hand).
pub fn bulk_bytes() -> u64 {
    super::from_env("WEIR_TEST_BULK_MB", 64) << 20
}
