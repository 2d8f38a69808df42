//! Which nodes are asked to check a backend: every node bids for every backend, the best bids win.
//!
//! A bid depends on the node's name and the backend alone (rendezvous hashing, Thaler and
//! Ravishankar 1998), so all nodes come to the same order without a word, each node has about an
//! equal part, and one that comes or goes moves its own part and no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// Nodes that are reckoned with: names and the numbers they bid by.
pub(super) type Bidders = BTreeMap<Arc<str>, u64>;

/// The number a node bids by.
pub(super) fn bidder(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// All of them, the best bid for `key` first.
pub(super) fn ranked(key: u64, bidders: &Bidders) -> Vec<&Arc<str>> {
    let bids = bidders
        .iter()
        .map(|(name, number)| (bid(*number, key), name));
    let mut bids: Vec<(u64, &Arc<str>)> = bids.collect();
    bids.sort_unstable_by(|one, other| other.cmp(one));
    bids.into_iter().map(|(_, name)| name).collect()
}

/// The finalizer of SplitMix64 over both numbers.
fn bid(number: u64, key: u64) -> u64 {
    let mut mixed = number ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bidders(names: impl IntoIterator<Item = u32>) -> Bidders {
        let names = names.into_iter().map(|number| format!("n{number}"));
        names
            .map(|name| (Arc::from(&*name), bidder(&name)))
            .collect()
    }

    proptest! {
        #[test]
        fn who_goes_moves_its_own_part_and_no_other(
            key: u64, count in 2_u32..20, gone in 0_u32..20,
        ) {
            let all = bidders(0..count);
            let fewer = bidders((0..count).filter(|number| *number != gone));
            let gone = format!("n{gone}");
            let mut order = ranked(key, &all);
            order.retain(|name| ***name != gone);
            prop_assert_eq!(order, ranked(key, &fewer));
        }
    }

    #[test]
    fn each_node_has_about_an_equal_part() {
        let bidders = bidders(0..50);
        let mut parts: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
        for key in 0..10_000_u64 {
            for name in ranked(xxh3_64(&key.to_le_bytes()), &bidders)
                .into_iter()
                .take(3)
            {
                *parts.entry(name).or_default() += 1;
            }
        }
        assert_eq!(parts.len(), 50);
        // 600 each; five standard deviations are 121.
        assert!(
            parts.values().all(|part| (479..=721).contains(part)),
            "{parts:?}"
        );
    }
}
