//! What nodes say to each other of slots.

use super::super::wire::{Malformed, Reader};

/// Words of one datagram: 25 bytes each, and what is around them fits as well.
pub(super) const WORDS_MAX: usize = 40;

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The sender holds at most so many of the receiver's slots from now on, and wants more.
    Ask {
        /// Of which backend.
        key: u64,
        /// Of the question, among all of the sender in this life.
        number: u64,
        /// What it holds.
        holding: u32,
        /// What it wants beyond that.
        want: u32,
    },
    /// The receiver may hold so many of the sender's slots.
    Grant {
        /// Of which backend.
        key: u64,
        /// Of the question.
        number: u64,
        /// So many.
        amount: u32,
    },
    /// The sender asks to be the only one who uses the loose half of an owner's part.
    Claim {
        /// Of which owner.
        key: u64,
        /// Of the question.
        number: u64,
    },
    /// The receiver says yes to nobody else for a while.
    Promise {
        /// Of which owner.
        key: u64,
        /// Of the question.
        number: u64,
    },
}

/// Several of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(pub(in super::super) Vec<Word>);

impl Words {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(25 * self.0.len());
        for word in &self.0 {
            let (kind, key, number) = match word {
                Word::Ask { key, number, .. } => (0, key, number),
                Word::Grant { key, number, .. } => (1, key, number),
                Word::Claim { key, number } => (2, key, number),
                Word::Promise { key, number } => (3, key, number),
            };
            to.push(kind);
            to.extend_from_slice(&key.to_be_bytes());
            to.extend_from_slice(&number.to_be_bytes());
            match word {
                Word::Ask { holding, want, .. } => {
                    to.extend_from_slice(&holding.to_be_bytes());
                    to.extend_from_slice(&want.to_be_bytes());
                }
                Word::Grant { amount, .. } => to.extend_from_slice(&amount.to_be_bytes()),
                Word::Claim { .. } | Word::Promise { .. } => {}
            }
        }
        to
    }

    pub(in super::super) fn read(from: &mut Reader<'_>) -> Result<Words, Malformed> {
        let mut words = Vec::new();
        while from.end().is_err() {
            if words.len() == WORDS_MAX {
                return Err(Malformed);
            }
            let (kind, key, number) = (from.u8()?, from.u64()?, from.u64()?);
            words.push(match kind {
                0 => Word::Ask {
                    key,
                    number,
                    holding: from.u32()?,
                    want: from.u32()?,
                },
                1 => Word::Grant {
                    key,
                    number,
                    amount: from.u32()?,
                },
                2 => Word::Claim { key, number },
                3 => Word::Promise { key, number },
                _ => return Err(Malformed),
            });
        }
        Ok(Words(words))
    }
}
