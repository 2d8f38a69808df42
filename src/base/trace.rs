//! Which trace a request belongs to, as W3C Trace Context says it in `traceparent`.
//!
//! A field that is valid is continued: same trace, same decision whether it is sampled, and our own
//! span as the parent of whoever comes next. Anything else is as if there were none: a new trace is
//! begun, and the states of the old one (`tracestate`) are not passed on, because nobody knows what
//! they belong to (sections 3.3 and 4.2 of the recommendation).

use crate::base::hex;

/// Bytes of a `traceparent` of version 00.
pub const TEXT_BYTES: usize = 55;

/// Bytes of a context between threads.
pub const RAW_BYTES: usize = 33;

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// The flag of a trace whose number is random, which whoever continues it leaves as it is.
const RANDOM: u8 = 2;

/// Where a request stands in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; not zero.
    pub trace: u128,
    /// Our span, the parent of the backend's; not zero.
    pub span: u64,
    /// Whose part ours is; zero if the trace begins here.
    pub parent: u64,
    /// The flags, as they are passed on.
    flags: u8,
}

impl TraceContext {
    /// A trace that begins here.
    #[must_use]
    pub fn begun(trace: u128, span: u64, sampled: bool) -> TraceContext {
        TraceContext {
            trace: trace.max(1),
            span: span.max(1),
            parent: 0,
            flags: RANDOM | if sampled { SAMPLED } else { 0 },
        }
    }

    /// The trace of this field, continued by our `span`; none if the field is not valid.
    #[must_use]
    pub fn continued(field: &[u8], span: u64) -> Option<TraceContext> {
        let (known, rest) = field.split_at_checked(TEXT_BYTES)?;
        let separated = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
        let version = number(&known[..2])?;
        let whole = match version {
            0 => rest.is_empty(),
            // A later version may have more behind what is known of it.
            1..0xff => rest.is_empty() || rest[0] == b'-',
            _ => false,
        };
        let trace = number(&known[3..35])?;
        let parent = u64::try_from(number(&known[36..52])?).ok()?;
        let flags = u8::try_from(number(&known[53..])?).ok()?;
        (separated && whole && trace != 0 && parent != 0).then_some(TraceContext {
            trace,
            span: span.max(1),
            parent,
            flags: flags & (SAMPLED | RANDOM),
        })
    }

    /// Whether it is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The field for whoever comes next.
    #[must_use]
    pub fn text(&self) -> [u8; TEXT_BYTES] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        out[3..35].copy_from_slice(&digits(self.trace));
        out[36..52].copy_from_slice(&hex::digits(self.span));
        out[53..].copy_from_slice(&[hex::digit(self.flags >> 4), hex::digit(self.flags & 0xf)]);
        out
    }

    /// Its bytes, to go to another thread.
    #[must_use]
    pub fn to_raw(&self) -> [u8; RAW_BYTES] {
        let mut out = [0; RAW_BYTES];
        out[..16].copy_from_slice(&self.trace.to_le_bytes());
        out[16..24].copy_from_slice(&self.span.to_le_bytes());
        out[24..32].copy_from_slice(&self.parent.to_le_bytes());
        out[32] = self.flags;
        out
    }

    /// What [`TraceContext::to_raw`] made of one.
    #[must_use]
    pub fn from_raw(raw: &[u8]) -> Option<TraceContext> {
        let raw: &[u8; RAW_BYTES] = raw.try_into().ok()?;
        let (trace, rest) = raw.split_first_chunk()?;
        let (span, rest) = rest.split_first_chunk()?;
        let (parent, rest) = rest.split_first_chunk()?;
        Some(TraceContext {
            trace: u128::from_le_bytes(*trace),
            span: u64::from_le_bytes(*span),
            parent: u64::from_le_bytes(*parent),
            flags: rest[0],
        })
    }
}

/// The number in small hexadecimal digits; capitals are not allowed.
fn number(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// The number of a trace in digits.
#[must_use]
pub fn digits(trace: u128) -> [u8; 32] {
    let mut out = [0; 32];
    out[..16].copy_from_slice(&hex::digits((trace >> 64) as u64));
    out[16..].copy_from_slice(&hex::digits(trace as u64));
    out
}

/// Spreads the bits of a number over all 64; a bijection, so that no two numbers meet.
#[must_use]
pub fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_field_is_continued() {
        let context = TraceContext::continued(FIELD, 0xabc).unwrap();
        assert_eq!(context.parent, 0xb7ad_6b71_6920_3331);
        assert!(context.is_sampled());
        let next = context.text();
        assert_eq!(&next[..36], &FIELD[..36]);
        assert_eq!(&next[36..], b"0000000000000abc-01");
        let again = TraceContext::continued(&next, 5).unwrap();
        assert_eq!((again.trace, again.parent), (context.trace, 0xabc));
    }

    #[test]
    fn flags_that_are_not_known_are_not_passed_on() {
        for (flags, wanted) in [("00", "00"), ("03", "03"), ("ff", "03"), ("fc", "00")] {
            let mut field = FIELD.to_vec();
            field[53..].copy_from_slice(flags.as_bytes());
            let text = TraceContext::continued(&field, 1).unwrap().text();
            assert_eq!(&text[53..], wanted.as_bytes(), "{flags}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for (field, valid) in [
            (
                "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                true,
            ),
            (
                "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
                true,
            ),
            (
                "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
                false,
            ),
            (
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
                false,
            ),
        ] {
            let context = TraceContext::continued(field.as_bytes(), 1);
            assert_eq!(context.is_some(), valid, "{field}");
            assert!(context.is_none_or(|context| context.text().starts_with(b"00-")));
        }
    }

    #[test]
    fn what_is_not_valid_is_none() {
        for field in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(
                TraceContext::continued(field.as_bytes(), 1),
                None,
                "{field}"
            );
        }
    }

    #[test]
    fn a_context_comes_out_as_it_went_in() {
        for sampled in [true, false] {
            let context = TraceContext::begun(u128::MAX - 5, 7, sampled);
            assert_eq!(context.is_sampled(), sampled);
            assert_eq!(TraceContext::from_raw(&context.to_raw()), Some(context));
        }
        assert_eq!(TraceContext::begun(0, 0, true).trace, 1, "never zero");
        assert_eq!(TraceContext::from_raw(b"short"), None);
    }
}
