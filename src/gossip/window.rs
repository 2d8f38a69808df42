//! Which numbers of a sender were taken in: each counts once.
//!
//! A sender numbers all its datagrams, whoever they go to, so numbers arrive with gaps and out of
//! order. The last [`WIDTH`] are remembered exactly; what is older counts as taken.

/// Numbers remembered one by one: two rounds of datagrams to all nodes.
const WIDTH: u64 = u128::BITS as u64;

/// What was taken in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    newest: u64,
    /// Bit n stands for `newest - n`.
    taken: u128,
}

impl Window {
    /// Takes a number in; false if it was before, or might have been.
    pub(super) fn take(&mut self, number: u64) -> bool {
        if number > self.newest {
            let ahead = number - self.newest;
            self.taken = match ahead < WIDTH {
                true => self.taken << ahead | 1,
                false => 1,
            };
            self.newest = number;
            return true;
        }
        let behind = self.newest - number;
        if behind >= WIDTH || self.taken & (1 << behind) != 0 {
            return false;
        }
        self.taken |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_taken_once_in_any_order() {
        let mut window = Window::default();
        for number in [5, 3, 9, 4, 200, 150] {
            assert!(window.take(number), "{number}");
            assert!(!window.take(number), "{number} again");
        }
        assert!(!window.take(9), "older than what is remembered");
        assert!(window.take(200 - WIDTH + 1));
        assert!(!window.take(200 - WIDTH));
        assert!(window.take(u64::MAX));
        assert!(!window.take(0));
    }
}
