//! Lines that wait to be written together.

use crate::telemetry::access_log::room::Room;

/// Lines, one after the other. The room behind them was written once and is not cleared again, so
/// a line may be given as much as it could need at all.
pub struct Batch {
    bytes: Vec<u8>,
    used: usize,
    lines: u64,
}

impl Batch {
    /// An empty one with room for so many bytes, which grows when a line needs more.
    #[must_use]
    pub fn new(bytes: usize) -> Batch {
        Batch {
            bytes: vec![0; bytes],
            used: 0,
            lines: 0,
        }
    }

    /// Appends what `write` puts: one line of `bytes_max` bytes at most.
    #[inline]
    pub fn add(&mut self, bytes_max: usize, write: impl FnOnce(&mut Room<'_>)) {
        let most = self.used + bytes_max;
        if self.bytes.len() < most {
            self.bytes.resize(most, 0);
        }
        let mut room = Room::new(&mut self.bytes[self.used..]);
        write(&mut room);
        self.used += room.length();
        self.lines += 1;
    }

    /// The lines.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// How many there are.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        (self.used, self.lines) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::room::Put;

    #[test]
    fn lines_follow_each_other_and_leave_nothing_behind() {
        let mut batch = Batch::new(4);
        batch.add(3, |room| room.put(b"ab\n"));
        // This one needs more than there is.
        batch.add(90, |room| room.put(b"c\n"));
        assert_eq!((batch.bytes(), batch.lines()), (&b"ab\nc\n"[..], 2));
        batch.clear();
        assert_eq!((batch.bytes(), batch.lines()), (&b""[..], 0));
        batch.add(2, |room| room.put(b"d\n"));
        assert_eq!((batch.bytes(), batch.lines()), (&b"d\n"[..], 1));
    }
}
