//! The panic threshold: when so few backends are left that those which remain would drown.
//!
//! Then weir's own judgement is more likely wrong than right, and traffic goes to all that the
//! operator has not taken out (Envoy's rule: below 50 percent; 0 never panics).

/// Whether a group of `total`, of which `available` are, is below `threshold_percent`.
#[must_use]
pub fn panics(available: usize, total: usize, threshold_percent: u32) -> bool {
    total > 0 && available * 100 < total * threshold_percent as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_the_threshold_and_not_at_it() {
        assert!(!panics(5, 10, 50));
        assert!(panics(4, 10, 50) && panics(0, 1, 50));
        assert!(!panics(0, 10, 0), "a threshold of 0 is none");
        assert!(!panics(0, 0, 50), "an empty group has nobody to panic for");
    }
}
