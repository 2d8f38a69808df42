//! Drawing by weight in constant time (Walker's alias method, built as Vose does).
//!
//! Each place holds its own backend up to a threshold and one other above it, so one random
//! number decides: its upper half the place, its lower half the side. Integers throughout; a
//! share is off by less than 2^-32.

/// Backends to draw from, by weight.
pub(super) struct Alias(Box<[Place]>);

#[derive(Clone, Copy)]
struct Place {
    /// Whose it is, and who has what is left of it.
    shared: [u32; 2],
    /// The lower half of the random number is below it for the first.
    threshold: u64,
}

impl Alias {
    /// Draws `indices[i]` in proportion to `weights[i]`, each above 0.
    pub(super) fn new(indices: &[u32], weights: &[u16]) -> Alias {
        let count = indices.len() as u64;
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        // Shares in units in which each place holds `total`.
        let mut shares: Vec<u64> = weights.iter().map(|w| u64::from(*w) * count).collect();
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for (at, share) in shares.iter().enumerate() {
            if *share < total {
                small.push(at);
            } else {
                large.push(at);
            }
        }
        let mut places: Vec<Place> = indices
            .iter()
            .map(|index| Place {
                shared: [*index, *index],
                threshold: 1 << 32,
            })
            .collect();
        while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
            places[low].shared[1] = indices[high];
            places[low].threshold = ((u128::from(shares[low]) << 32) / u128::from(total)) as u64;
            shares[high] -= total - shares[low];
            if shares[high] < total {
                large.pop();
                small.push(high);
            }
        }
        Alias(places.into())
    }

    /// What a random number means.
    #[inline]
    pub(super) fn draw(&self, random: u64) -> Option<u32> {
        let place = self.0.get(below(random, self.0.len()))?;
        let other = random & u64::from(u32::MAX) >= place.threshold;
        // Looked up, for nobody can predict a branch.
        Some(place.shared[usize::from(other)])
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// A position below `count` from the upper half of a random number.
#[inline]
pub(super) fn below(random: u64, count: usize) -> usize {
    (((random >> 32) * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_places_add_up_to_the_weights(
            weights in proptest::collection::vec(1_u16..=u16::MAX, 1..200),
        ) {
            let indices: Vec<u32> = (0..weights.len() as u32).collect();
            let alias = Alias::new(&indices, &weights);
            let mut shares = vec![0.0; weights.len()];
            for place in &alias.0 {
                let own = place.threshold as f64 / 2.0_f64.powi(32);
                shares[place.shared[0] as usize] += own;
                shares[place.shared[1] as usize] += 1.0 - own;
            }
            let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            for (share, weight) in shares.iter().zip(&weights) {
                let expected = f64::from(*weight) / total * weights.len() as f64;
                prop_assert!((share - expected).abs() < 1e-6, "{} {}", share, expected);
            }
        }
    }

    #[test]
    fn nobody_is_drawn_from_nobody() {
        assert_eq!(Alias::new(&[], &[]).draw(u64::MAX), None);
        assert_eq!(Alias::new(&[7], &[1]).draw(u64::MAX), Some(7));
    }
}
