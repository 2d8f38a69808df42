//! A document in blocks of 64 bytes, each byte one bit: where tokens begin that stand outside
//! strings. The same few vector instructions look at 16 bytes at a time, so what a string says
//! costs next to nothing, and finding its end does not wait for anything before it.
//!
//! After simdjson (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019), without
//! its escapes: whoever finds one goes on byte by byte.

use wide::u8x16;

/// Bytes of one block.
const BLOCK: usize = 64;

/// Bits of one block, the first byte in the lowest.
struct Marks {
    quotes: u64,
    /// Backslashes and controls (below 0x20).
    strange: u64,
    /// Controls and spaces.
    low: u64,
    /// Brackets, braces, colons and commas; and `Y`, `y`, `_` and DEL, which one comparison for
    /// all brackets takes for one. Outside strings these are a mistake wherever they stand.
    structure: u64,
}

impl Marks {
    #[inline(always)]
    fn of(block: &[u8; BLOCK]) -> Marks {
        let (parts, _) = block.as_chunks::<16>();
        let mut marks = Marks {
            quotes: 0,
            strange: 0,
            low: 0,
            structure: 0,
        };
        let mut any_strange = u8x16::splat(0);
        for (place, part) in parts.iter().enumerate() {
            let bytes = u8x16::new(*part);
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            let up_to = |byte: u8| bytes.min(u8x16::splat(byte)).simd_eq(bytes);
            let is_bracket = (bytes | u8x16::splat(0x26)).simd_eq(u8x16::splat(0x7f));
            any_strange |= is(b'\\') | up_to(0x1f);
            let put = |bits: u8x16| u64::from(bits.to_bitmask()) << (16 * place);
            marks.quotes |= put(is(b'"'));
            marks.low |= put(is(b' '));
            marks.structure |= put(is_bracket | is(b':') | is(b','));
        }
        if any_strange.to_bitmask() != 0 {
            (marks.strange, marks.low) = strange_and_low(block);
        }
        marks
    }
}

/// Backslashes and controls, and controls and spaces: rare enough to be looked for only where
/// there are some.
#[inline(never)]
fn strange_and_low(block: &[u8; BLOCK]) -> (u64, u64) {
    let (parts, _) = block.as_chunks::<16>();
    let (mut strange, mut low) = (0, 0);
    for (place, part) in parts.iter().enumerate() {
        let bytes = u8x16::new(*part);
        let up_to = |byte: u8| bytes.min(u8x16::splat(byte)).simd_eq(bytes);
        let is_escape = bytes.simd_eq(u8x16::splat(b'\\'));
        strange |= u64::from((is_escape | up_to(0x1f)).to_bitmask()) << (16 * place);
        low |= u64::from(up_to(b' ').to_bitmask()) << (16 * place);
    }
    (strange, low)
}

/// Where the tokens of a text begin, one after the other, until something is not ordinary.
pub(super) struct Tokens<'t> {
    text: &'t [u8],
    /// Where the block that was looked at last begins, and the next one.
    base: usize,
    next_base: usize,
    /// Tokens that begin in it and were not taken.
    begins: u64,
    /// All ones while a string goes on into the next block.
    in_string: u64,
    /// Whether a number or a word does.
    in_word: u64,
    /// Where the part ends that is ordinary, once that is known.
    end: Option<usize>,
    /// The end is inside a string.
    is_torn: bool,
}

impl<'t> Tokens<'t> {
    /// Of a text that begins outside strings, numbers and words.
    pub(super) fn new(text: &'t [u8]) -> Tokens<'t> {
        Tokens {
            text,
            base: 0,
            next_base: 0,
            begins: 0,
            in_string: 0,
            in_word: 0,
            end: None,
            is_torn: false,
        }
    }

    /// Where the next token begins. A string has no escape and no control character in it if
    /// another token follows it, or `is_torn` says no.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<usize> {
        while self.begins == 0 {
            if self.end.is_some() {
                return None;
            }
            self.read_block();
        }
        let at = self.base + self.begins.trailing_zeros() as usize;
        self.begins &= self.begins - 1;
        Some(at)
    }

    /// Where nothing more is ordinary: a byte that is not, or the end of the text.
    pub(super) fn end(&self) -> usize {
        self.end.unwrap_or(self.text.len())
    }

    /// Whether that is inside the last string.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn
    }

    #[inline(always)]
    fn read_block(&mut self) {
        self.base = self.next_base;
        self.next_base += BLOCK;
        let rest = &self.text[self.base..];
        let marks = match rest.first_chunk::<BLOCK>() {
            Some(block) => Marks::of(block),
            None => {
                self.end = Some(self.text.len());
                Marks::of(&padded(rest))
            }
        };
        // From each opening quote up to before its closing one.
        let strings = parities(marks.quotes) ^ self.in_string;
        self.in_string = 0_u64.wrapping_sub(strings >> 63);
        let structure = marks.structure;
        let words = !(strings | marks.quotes | structure | marks.low);
        let begin_word = words & !(words << 1 | self.in_word);
        self.in_word = words >> 63;
        self.begins = structure & !strings | marks.quotes & strings | begin_word;
        self.is_torn = self.in_string != 0;
        if marks.strange != 0
            && let Some((at, is_in_string)) = first_strange(marks.strange, strings, rest)
        {
            self.begins &= (1 << at) - 1;
            self.end = Some(self.base + at as usize);
            self.is_torn = is_in_string;
        }
    }
}

/// The first byte of `strange` that is no blank between tokens, and whether it is in a string.
#[inline(never)]
fn first_strange(mut strange: u64, strings: u64, rest: &[u8]) -> Option<(u32, bool)> {
    while strange != 0 {
        let at = strange.trailing_zeros();
        let is_in_string = strings >> at & 1 == 1;
        if is_in_string || !matches!(rest[at as usize], b'\t' | b'\n' | b'\r') {
            return Some((at, is_in_string));
        }
        strange &= strange - 1;
    }
    None
}

/// For each bit whether it and those below it are odd in number.
#[inline(always)]
fn parities(bits: u64) -> u64 {
    let mut sums = bits;
    for shift in [1, 2, 4, 8, 16, 32] {
        sums ^= sums << shift;
    }
    sums
}

/// What is left of a text, with blanks behind it.
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same one byte after the other: where tokens begin, the end, and whether it is torn.
    fn slowly(text: &[u8]) -> (Vec<usize>, usize, bool) {
        let (mut begins, mut in_string, mut in_word) = (Vec::new(), false, false);
        for (at, byte) in text.iter().enumerate() {
            let is_blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            if *byte == b'\\' || *byte < 0x20 && (in_string || !is_blank) {
                return (begins, at, in_string);
            }
            if *byte == b'"' {
                in_string = !in_string;
                if in_string {
                    begins.push(at);
                }
                in_word = false;
            } else if !in_string {
                let is_structure = b"{}[]:,Yy_\x7f".contains(byte);
                let is_word = !is_structure && !is_blank;
                if is_structure || is_word && !in_word {
                    begins.push(at);
                }
                in_word = is_word;
            }
        }
        (begins, text.len(), in_string)
    }

    proptest! {
        #[test]
        fn every_token_is_found_where_it_begins(
            text in "[{}\\[\\]\",: a1y\n\u{e4}]{0,300}",
            strange in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut text = text.into_bytes();
            if let (Some((place, byte)), false) = (strange, text.is_empty()) {
                let at = place.index(text.len());
                text[at] = byte;
            }
            let mut tokens = Tokens::new(&text);
            let found: Vec<usize> = std::iter::from_fn(|| tokens.next()).collect();
            prop_assert_eq!((found, tokens.end(), tokens.is_torn()), slowly(&text));
        }
    }
}
