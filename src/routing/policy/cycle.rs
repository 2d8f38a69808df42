//! Weighted turns: the smooth sequence of nginx, computed once.
//!
//! At each step everybody's account grows by his weight, the largest account is served (the first
//! of equals) and pays the total. Over one cycle each is served exactly by weight, and never more
//! often in a row than he must: {5, 1, 1} gives a a b a c a a. Doing that at each pick costs a
//! look at every backend, so the cycle is written down; weights are first divided by what they
//! have in common.
//!
//! Bounds: a cycle longer than [`TURNS_MAX`] (or four turns for each, if that is more) is made of
//! scaled weights, none below 1. Where even computing it would cost milliseconds (backends times
//! turns), turns are spread evenly instead: the k-th of `w` at (k + 1/2) / w of the cycle, which
//! is as exact over the cycle and nearly as smooth: between two turns of one, each of the others
//! may come once more than even.

/// Turns of one cycle.
pub(super) const TURNS_MAX: u64 = 4096;

/// Steps that may be spent on one cycle.
const WORK_MAX: u64 = 1 << 22;

/// Whose turn it is, over and over.
pub(super) struct Cycle {
    turns: Box<[u32]>,
    /// The weights had to be scaled to fit.
    pub(super) scaled: bool,
}

impl Cycle {
    /// The cycle of positions `0..weights.len()`; each weight is above 0.
    pub(super) fn new(weights: &[u16]) -> Cycle {
        let count = weights.len() as u64;
        let common = weights
            .iter()
            .fold(0, |common, weight| gcd(common, *weight));
        let mut weights: Vec<u64> = weights
            .iter()
            .map(|weight| u64::from(*weight / common.max(1)))
            .collect();
        let total: u64 = weights.iter().sum();
        let most = TURNS_MAX.max(4 * count);
        let scaled = total > most;
        if scaled {
            let room = most - count;
            for weight in &mut weights {
                *weight = (*weight * room / total).max(1);
            }
        }
        let total: u64 = weights.iter().sum();
        let turns = if total == count {
            (0..weights.len() as u32).collect()
        } else if total * count <= WORK_MAX {
            smooth(&weights, total)
        } else {
            spread(&weights)
        };
        Cycle { turns, scaled }
    }

    /// Turns of one cycle.
    pub(super) fn len(&self) -> u32 {
        self.turns.len() as u32
    }

    /// Whose turn the `turn`-th is.
    pub(super) fn at(&self, turn: u32) -> u32 {
        self.turns[turn as usize]
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.turns)
    }
}

fn smooth(weights: &[u64], total: u64) -> Box<[u32]> {
    let mut accounts = vec![0_i64; weights.len()];
    let step = |_| {
        let mut best = 0;
        for (index, weight) in weights.iter().enumerate() {
            accounts[index] += weight.cast_signed();
            if accounts[index] > accounts[best] {
                best = index;
            }
        }
        accounts[best] -= total.cast_signed();
        best as u32
    };
    let turns = (0..total).map(step).collect();
    debug_assert!(accounts.iter().all(|account| *account == 0));
    turns
}

fn spread(weights: &[u64]) -> Box<[u32]> {
    let mut turns: Vec<(u64, u64, u32)> = Vec::new();
    for (index, weight) in (0_u32..).zip(weights) {
        turns.extend((0..*weight).map(|turn| (2 * turn + 1, *weight, index)));
    }
    turns.sort_by(|left, right| {
        let (left_place, right_place) = (left.0 * right.1, right.0 * left.1);
        left_place.cmp(&right_place).then(left.2.cmp(&right.2))
    });
    turns.into_iter().map(|(_, _, index)| index).collect()
}

fn gcd(left: u16, right: u16) -> u16 {
    let (mut left, mut right) = (left, right);
    while right > 0 {
        (left, right) = (right, left % right);
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letters(weights: &[u16]) -> String {
        let cycle = Cycle::new(weights);
        let turns = cycle.turns.iter();
        turns.map(|turn| char::from(b'a' + *turn as u8)).collect()
    }

    #[test]
    fn the_sequences_of_nginx() {
        assert_eq!(letters(&[5, 1, 1]), "aabacaa");
        assert_eq!(letters(&[4, 2, 1]), "abacaba");
        assert_eq!(letters(&[1, 2, 3]), "cbacbc");
        assert_eq!(letters(&[500, 100, 100]), "aabacaa");
        assert_eq!(letters(&[7, 7, 7]), "abc");
    }

    #[test]
    fn five_of_seven_come_four_in_a_row_at_most() {
        let twice = letters(&[5, 1, 1]).repeat(2);
        assert!(twice.contains("aaaa") && !twice.contains("aaaaa"));
    }

    #[test]
    fn what_does_not_fit_is_scaled_and_says_so() {
        let cycle = Cycle::new(&[65535, 1, 32767]);
        assert!(cycle.scaled && u64::from(cycle.len()) <= TURNS_MAX);
        let share = |of: u32| cycle.turns.iter().filter(|turn| **turn == of).count();
        assert_eq!(share(1), 1);
        let ratio = share(0) as f64 / share(2) as f64;
        assert!((ratio - 2.0).abs() < 0.01, "{ratio}");
        assert!(!Cycle::new(&[4095, 1]).scaled);
    }

    #[test]
    fn ten_thousand_unequal_ones_are_spread_by_weight() {
        let weights: Vec<u16> = (0..10_000).map(|index| 1 + index % 5).collect();
        let cycle = Cycle::new(&weights);
        assert!(!cycle.scaled);
        let mut counts = vec![0; weights.len()];
        for turn in &cycle.turns {
            counts[*turn as usize] += 1;
        }
        assert_eq!(counts, weights);
    }

    proptest! {
        #[test]
        fn both_ways_serve_exactly_by_weight_and_never_in_bursts(
            weights in proptest::collection::vec(1_u64..40, 2..20),
        ) {
            let total: u64 = weights.iter().sum();
            for turns in [smooth(&weights, total), spread(&weights)] {
                for (index, weight) in (0_u32..).zip(&weights) {
                    let places: Vec<u64> = (0..).zip(&turns)
                        .filter(|(_, turn)| **turn == index)
                        .map(|(place, _)| place)
                        .collect();
                    prop_assert_eq!(places.len() as u64, *weight);
                    let longest = places.windows(2).map(|pair| pair[1] - pair[0]).max();
                    // Between two turns of one, each of the others may come once more than even.
                    let even = total.div_ceil(*weight);
                    let most = (2 * even).max(even + weights.len() as u64);
                    prop_assert!(longest.is_none_or(|gap| gap <= most), "{:?}", turns);
                }
            }
        }
    }
}
