//! The order of one sender's messages: incarnation first, then sequence.
//!
//! Messages may overtake each other on the way, and somebody may send old ones again. Of the last
//! 64 sequence numbers it is known which came (as in IPsec's anti-replay window), so a repetition
//! is told from a message that was overtaken; both are refused, because a newer one has been
//! acted on already.

/// Why a message is not the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNext {
    /// A newer one came before it.
    Overtaken,
    /// It came already.
    Replayed,
    /// It is of an earlier incarnation, or too far back to be known.
    Stale,
}

/// Sequence numbers that are remembered.
const WINDOW: u64 = u64::BITS as u64;

/// What came from one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    incarnation: u64,
    newest: u64,
    /// Bit n is set when the sequence number n before the newest came.
    came: u64,
}

impl Order {
    /// After a first message.
    #[must_use]
    pub fn new(incarnation: u64, sequence: u64) -> Order {
        Order {
            incarnation,
            newest: sequence,
            came: 1,
        }
    }

    /// The incarnation that is heard now.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The highest sequence number of this incarnation.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether a message is the next; changes nothing.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, incarnation: u64, sequence: u64) -> Result<(), NotNext> {
        if incarnation != self.incarnation {
            return match incarnation > self.incarnation {
                true => Ok(()),
                false => Err(NotNext::Stale),
            };
        }
        match self.newest.checked_sub(sequence) {
            None => Ok(()),
            Some(back) if back >= WINDOW => Err(NotNext::Stale),
            Some(back) if self.came >> back & 1 == 1 => Err(NotNext::Replayed),
            Some(_) => Err(NotNext::Overtaken),
        }
    }

    /// Takes a message in, also one that was overtaken, so that its repetition is known.
    ///
    /// # Errors
    /// Why it is not the next.
    pub fn take(&mut self, incarnation: u64, sequence: u64) -> Result<(), NotNext> {
        match self.check(incarnation, sequence) {
            Ok(()) if incarnation != self.incarnation => {
                *self = Order::new(incarnation, sequence);
                Ok(())
            }
            Ok(()) => {
                let ahead = sequence - self.newest;
                self.came = match ahead < WINDOW {
                    true => self.came << ahead | 1,
                    false => 1,
                };
                self.newest = sequence;
                Ok(())
            }
            Err(NotNext::Overtaken) => {
                self.came |= 1 << (self.newest - sequence);
                Err(NotNext::Overtaken)
            }
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn incarnation_comes_before_sequence() {
        let mut order = Order::new(5, 100);
        assert_eq!(order.take(5, 100), Err(NotNext::Replayed));
        assert_eq!(order.take(5, 103), Ok(()));
        assert_eq!(order.take(5, 102), Err(NotNext::Overtaken));
        assert_eq!(order.take(5, 102), Err(NotNext::Replayed));
        assert_eq!(order.take(5, 39), Err(NotNext::Stale));
        assert_eq!(order.take(4, 1000), Err(NotNext::Stale));
        assert_eq!(order.take(6, 0), Ok(()));
        assert_eq!(order.take(5, 104), Err(NotNext::Stale));
        assert_eq!(order.take(6, u64::MAX), Ok(()));
        assert_eq!(order.take(6, 0), Err(NotNext::Stale));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_new_and_newer_than_all_before(
            messages in prop::collection::vec((0_u64..3, 0_u64..200), 1..300),
        ) {
            let mut order = Order::new(0, 0);
            let mut seen = BTreeSet::from([(0, 0)]);
            let mut newest = (0, 0);
            for message in messages {
                let told = order.take(message.0, message.1);
                prop_assert_eq!(told.is_ok(), message > newest);
                if told == Err(NotNext::Replayed) {
                    prop_assert!(seen.contains(&message));
                }
                if told == Err(NotNext::Overtaken) {
                    prop_assert!(!seen.contains(&message));
                }
                seen.insert(message);
                newest = newest.max(message);
            }
        }
    }
}
