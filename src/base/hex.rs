//! Numbers in small hexadecimal digits: of requests, traces and spans.

/// All sixteen digits of a number, the highest first. No table and no branch, so that the compiler
/// makes all of them at once: each request is named so several times.
#[inline]
#[must_use]
pub fn digits(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    let (pairs, _) = digits.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(number.to_be_bytes()) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
    digits
}

/// The digit of a value below 16.
#[inline]
#[must_use]
pub const fn digit(value: u8) -> u8 {
    const LETTERS_BEGIN: u8 = b'a' - b'0' - 10;
    value + b'0' + LETTERS_BEGIN * (value > 9) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_of_fmt(number: u64) {
            let wanted = format!("{number:016x}");
            prop_assert_eq!(&digits(number)[..], wanted.as_bytes());
        }
    }
}
