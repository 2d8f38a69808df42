//! The smallest parts of JSON: numbers, blanks, and runs of plain characters.

/// What of a number was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Exponent,
    ExponentDigits,
    ExponentSign,
    Fraction,
    Integer,
    Minus,
    Point,
    Zero,
}

impl Number {
    pub(super) fn next(self, byte: u8) -> Option<Number> {
        match (self, byte) {
            (Number::Minus, b'0') => Some(Number::Zero),
            (Number::Minus, b'1'..=b'9') | (Number::Integer, b'0'..=b'9') => Some(Number::Integer),
            (Number::Zero | Number::Integer, b'.') => Some(Number::Point),
            (Number::Point | Number::Fraction, b'0'..=b'9') => Some(Number::Fraction),
            (Number::Zero | Number::Integer | Number::Fraction, b'e' | b'E') => {
                Some(Number::Exponent)
            }
            (Number::Exponent, b'+' | b'-') => Some(Number::ExponentSign),
            (Number::Exponent | Number::ExponentSign | Number::ExponentDigits, b'0'..=b'9') => {
                Some(Number::ExponentDigits)
            }
            _ => None,
        }
    }

    pub(super) fn is_complete(self) -> bool {
        let complete = [
            Number::ExponentDigits,
            Number::Fraction,
            Number::Integer,
            Number::Zero,
        ];
        complete.contains(&self)
    }

    pub(super) fn is_integer(self) -> bool {
        matches!(self, Number::Integer | Number::Minus | Number::Zero)
    }
}

/// Bytes of the number at the beginning of `text`, as far as `text` goes; `None` if it is none or
/// not complete.
#[inline(always)]
pub(super) fn number_length(text: &[u8]) -> Option<usize> {
    let word = text.first_chunk::<8>();
    let short = word.map(|word| short_length(u64::from_le_bytes(*word)));
    match short {
        Some(length) if length > 0 => Some(length),
        _ => any_length(text),
    }
}

const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The bytes of a word that are no digits, each by its high bit.
#[inline(always)]
fn no_digits(word: u64) -> u64 {
    let digits = word ^ 0x3030_3030_3030_3030;
    ((digits & !HIGHS).wrapping_add(0x7676_7676_7676_7676) | digits) & HIGHS
}

/// Bytes of a number that has no sign and no exponent and ends within the word, which is what most
/// are; 0 for anything else.
#[inline(always)]
fn short_length(word: u64) -> usize {
    let byte = |bit: u32| (word >> bit) as u8;
    // The first bit of the lowest of these bytes.
    let lowest = |bytes: u64| bytes.trailing_zeros() & 0x78;
    let others = no_digits(word);
    let after = lowest(others);
    if others == 0 || after == 0 || after > 8 && byte(0) == b'0' {
        return 0;
    }
    let mut end = after;
    if byte(after) == b'.' {
        let others = others & (others - 1);
        end = lowest(others);
        if others == 0 || end == after + 8 {
            return 0;
        }
    }
    match byte(end) {
        b'e' | b'E' => 0,
        _ => end as usize / 8,
    }
}

/// The length of any number.
#[inline(never)]
fn any_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| from + digit_run(&text[from..]);
    let first = usize::from(text.first() == Some(&b'-'));
    let mut end = match text.get(first)? {
        b'0' => first + 1,
        b'1'..=b'9' => digits(first + 1),
        _ => return None,
    };
    let at_least_one = |from: usize| Some(digits(from)).filter(|end| *end > from);
    if text.get(end) == Some(&b'.') {
        end = at_least_one(end + 1)?;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = at_least_one(end + 1 + usize::from(sign))?;
    }
    Some(end)
}

/// How many bytes at the start of `text` are digits. Eight at a time.
#[inline]
fn digit_run(text: &[u8]) -> usize {
    let mut run = 0;
    while let Some(word) = text[run..].first_chunk::<8>() {
        let others = no_digits(u64::from_le_bytes(*word));
        if others != 0 {
            return run + others.trailing_zeros() as usize / 8;
        }
        run += 8;
    }
    let tail = text[run..].iter();
    run + tail.take_while(|byte| byte.is_ascii_digit()).count()
}

#[inline]
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

pub(super) fn ends_number(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b',' | b']' | b'}')
}

/// How many bytes at the start of `text` are plain characters of a string: no quote, no
/// backslash, no control character. Eight at a time.
#[inline]
pub(super) fn plain_run(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    /// The high bit of the lowest byte that is zero is set, and none below it.
    fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let escapes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = quotes | escapes | controls;
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let place = tail.iter().position(special).unwrap_or(tail.len());
    text.len() - tail.len() + place
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By the states of [`Number`], one byte after the other.
    fn slowly(text: &[u8]) -> Option<usize> {
        let mut state = match text.first()? {
            b'-' => Number::Minus,
            b'0' => Number::Zero,
            b'1'..=b'9' => Number::Integer,
            _ => return None,
        };
        let mut length = 1;
        while let Some(next) = text.get(length).and_then(|byte| state.next(*byte)) {
            state = next;
            length += 1;
        }
        state.is_complete().then_some(length)
    }

    const NEARLY_A_NUMBER: &str = concat!(
        r"-?(0|[0-9]{0,10})(\.[0-9]{0,9})?([eE][+-]?[0-9]{0,3})?",
        r"[,\]} a.:/\x{e4}-]{0,9}"
    );

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_number_is_as_long_as_its_grammar_says(
            text in NEARLY_A_NUMBER,
        ) {
            prop_assert_eq!(number_length(text.as_bytes()), slowly(text.as_bytes()), "{}", text);
        }

        #[test]
        fn no_bytes_upset_it(text in prop::collection::vec(any::<u8>(), 0..12)) {
            prop_assert_eq!(number_length(&text), slowly(&text));
        }
    }
}
