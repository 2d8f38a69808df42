//! What is known of the others, in figures.

use super::{Cluster, Roll};
use crate::gossip::{Peer, Standing};
use crate::telemetry::exposition::ClusterFacts;

impl Roll {
    /// The others that are there.
    pub(in crate::control) fn there(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.standing.is_there())
    }

    /// Whether this peer has the node's own revision with another content.
    pub(in crate::control) fn differs(&self, peer: &Peer) -> bool {
        let own = (self.state.epoch.revision(), self.state.hash);
        let theirs = peer.state.as_ref();
        theirs.is_some_and(|state| state.epoch.revision() == own.0 && state.hash != own.1)
    }
}

impl Cluster {
    /// It as the metrics page shows it.
    #[must_use]
    pub fn facts(&self) -> ClusterFacts<'_> {
        let roll = self.roll.borrow().clone();
        let count = |standing: Standing| {
            let such = roll.peers.iter().filter(|peer| peer.standing == standing);
            such.count() as u64
        };
        let own = roll.state.adopted().revision();
        let behind = |peer: &&Peer| {
            let state = peer.state.as_ref();
            state.is_none_or(|state| state.adopted().revision() < own)
        };
        let seats = self.observing.sums();
        let contradicting = seats.contradicting.iter();
        ClusterFacts {
            asked: seats.asked,
            checked: seats.held,
            contradicting: contradicting
                .map(|(node, count)| (node.to_string(), *count))
                .collect(),
            nodes: Standing::ALL
                .map(|standing| (standing.name(), count(standing)))
                .into(),
            behind: roll.there().filter(behind).count() as u64,
            differing: roll.there().filter(|peer| roll.differs(peer)).count() as u64,
            slots: self.sharing.as_ref().map(|sharing| {
                let sums = sharing.sums();
                [
                    ("owned", sums.owned),
                    ("lent", sums.lent),
                    ("held", sums.held),
                    ("taken_over", sums.taken_over),
                ]
            }),
            stats: &self.stats,
        }
    }
}
