//! What nodes say to each other of their findings.

use std::sync::Arc;

use super::super::wire::{Malformed, Reader, put_text};
use super::Finding;
use super::word::Word;

/// Bytes of one body, beside what is around it in a datagram.
pub(super) const BODY_BYTES_MAX: usize = 1200;

/// Bytes of a reason that are told.
pub(super) const REASON_BYTES_MAX: usize = 64;

/// A backend, and what the sender found of it; none where it does not check it any more.
pub(super) type Entry = (u64, Option<Finding>);

/// Something that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// What the sender has changed after one version up to another, the latest of each backend; all
    /// that it finds where `from` is zero.
    Page {
        /// Whoever has this may take it in.
        from: u64,
        /// And has this then.
        to: u64,
        /// What has changed.
        entries: Vec<(u64, Option<Finding>)>,
    },
    /// The sender has what the receiver found up to this version, and wants the rest.
    Pull {
        /// The version.
        since: u64,
    },
}

impl Words {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(BODY_BYTES_MAX);
        match self {
            Words::Pull { since } => {
                to.push(0);
                to.extend_from_slice(&since.to_be_bytes());
            }
            Words::Page {
                from,
                to: until,
                entries,
            } => {
                to.push(1);
                to.extend_from_slice(&from.to_be_bytes());
                to.extend_from_slice(&until.to_be_bytes());
                for (key, finding) in entries {
                    to.extend_from_slice(&key.to_be_bytes());
                    put(finding.as_ref(), &mut to);
                }
            }
        }
        to
    }

    pub(in super::super) fn read(from: &mut Reader<'_>) -> Result<Words, Malformed> {
        let kind = from.u8()?;
        let since = from.u64()?;
        if kind == 0 {
            from.end()?;
            return Ok(Words::Pull { since });
        }
        let until = from.u64()?;
        if kind != 1 || until < since {
            return Err(Malformed);
        }
        let mut entries = Vec::new();
        while from.end().is_err() {
            let key = from.u64()?;
            let finding = match from.u8()? {
                0 => None,
                1 => Some(Finding::Unknown),
                2 => Some(Finding::Up),
                3 => Some(Finding::Down(from.text(REASON_BYTES_MAX)?.into())),
                4 => Some(Finding::Said(Arc::new(Word::read(from)?))),
                _ => return Err(Malformed),
            };
            entries.push((key, finding));
        }
        Ok(Words::Page {
            from: since,
            to: until,
            entries,
        })
    }
}

/// Bytes of an entry.
pub(super) fn size(finding: Option<&Finding>) -> usize {
    match finding {
        Some(Finding::Down(reason)) => 10 + cut(reason).len(),
        Some(Finding::Said(word)) => 9 + word.size(),
        Some(Finding::Unknown | Finding::Up) | None => 9,
    }
}

fn put(finding: Option<&Finding>, to: &mut Vec<u8>) {
    match finding {
        None => to.push(0),
        Some(Finding::Unknown) => to.push(1),
        Some(Finding::Up) => to.push(2),
        Some(Finding::Down(reason)) => {
            to.push(3);
            put_text(cut(reason), to);
        }
        Some(Finding::Said(word)) => {
            to.push(4);
            word.put(to);
        }
    }
}

/// What of a reason is told: a reason may name what a backend has sent.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::word::tests::word;
    use super::*;

    fn finding() -> impl Strategy<Value = Option<Finding>> {
        prop_oneof![
            Just(None),
            Just(Some(Finding::Unknown)),
            Just(Some(Finding::Up)),
            "\\PC{0,16}".prop_map(|reason| Some(Finding::Down(reason.into()))),
            word().prop_map(|word| Some(Finding::Said(Arc::new(word)))),
        ]
    }

    proptest! {
        #[test]
        fn words_come_over(
            since: u64, more in 0_u64..9,
            entries in prop::collection::vec((any::<u64>(), finding()), 0..20),
        ) {
            for words in [
                Words::Pull { since },
                Words::Page { from: since, to: since.saturating_add(more), entries },
            ] {
                let bytes = words.bytes();
                prop_assert_eq!(Words::read(&mut Reader(&bytes)), Ok(words));
            }
        }

        #[test]
        fn hostile_bytes_are_refused_or_mean_what_they_are(
            entries in prop::collection::vec((any::<u64>(), finding()), 0..6),
            at: prop::sample::Index, byte: u8, cut in 0_usize..9,
        ) {
            let mut bytes = Words::Page { from: 1, to: 9, entries }.bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut);
            if let Ok(words) = Words::read(&mut Reader(&bytes)) {
                prop_assert_eq!(words.bytes(), bytes);
            }
        }

        #[test]
        fn an_entry_has_the_bytes_it_is_said_to_have(finding in finding()) {
            let mut bytes = Vec::new();
            put(finding.as_ref(), &mut bytes);
            prop_assert_eq!(8 + bytes.len(), size(finding.as_ref()));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        let reason = "\u{e4}".repeat(40);
        assert_eq!(cut(&reason).len(), 64);
        assert_eq!(cut(&format!("x{reason}")).len(), 63);
    }
}
