//! A record while its request is under way: its texts, behind room for its numbers.
//!
//! The bytes of a request are gone when its response ends, so its texts are written down when its
//! head is parsed, and the numbers when it is over. Both then lie in one piece as the ring takes
//! it. A draft is used for one request after the other.

use crate::base::limits::LOG_TEXT_BYTES_MAX;
use crate::telemetry::access_log::frame::{HEADER_BYTES, TEXTS, Texts};

/// Where texts begin: behind the numbers and the length of each.
const TEXTS_BEGIN: usize = HEADER_BYTES + 2 * TEXTS;

/// Numbers and texts of one record, as [`super::frame::decode`] reads them.
#[derive(Debug, Default)]
pub struct Draft {
    /// Never shortened, so that what is used again need not be cleared.
    bytes: Vec<u8>,
    used: usize,
}

impl Draft {
    /// Writes down the texts of a request, each cut at [`LOG_TEXT_BYTES_MAX`]; those of the one
    /// before are gone.
    #[inline]
    pub fn write(&mut self, texts: &Texts<'_>) {
        let texts = texts.all();
        let most: usize = texts.iter().map(|text| text.len()).sum();
        self.make_room(TEXTS_BEGIN + most.min(TEXTS * LOG_TEXT_BYTES_MAX));
        let (head, room) = self.bytes.split_at_mut(TEXTS_BEGIN);
        let (lengths, _) = head[HEADER_BYTES..].as_chunks_mut();
        let mut used = 0;
        for (place, text) in lengths.iter_mut().zip(texts) {
            let length = text.len().min(LOG_TEXT_BYTES_MAX);
            // LOG_TEXT_BYTES_MAX fits, which frame.rs asserts.
            *place = (length as u16).to_le_bytes();
            if length > 0 {
                room[used..][..length].copy_from_slice(&text[..length]);
                used += length;
            }
        }
        self.used = TEXTS_BEGIN + used;
    }

    /// Forgets the texts, and keeps the room.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Bytes it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes of the whole record.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.used.max(HEADER_BYTES)
    }

    /// The whole record, its numbers written by `fill`.
    #[inline]
    pub(super) fn finish(&mut self, fill: impl FnOnce(&mut [u8; HEADER_BYTES])) -> &[u8] {
        self.make_room(HEADER_BYTES);
        if let Some(numbers) = self.bytes.first_chunk_mut() {
            fill(numbers);
        }
        &self.bytes[..self.len()]
    }

    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        }
    }
}
