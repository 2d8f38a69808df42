//! Waiting until every node that is there serves by an epoch.
//!
//! Whoever is dead or has left is not waited for: it serves nobody, and adopts the newest epoch
//! before it serves again. A node that reached the revision with another content never counts.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Cluster, Roll};
use crate::base::epoch::Epoch;
use crate::gossip::Standing;

/// A node that does not serve by what is waited for, as it was last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub node: Arc<str>,
    /// How it stands.
    pub standing: Standing,
    /// The epoch it has published, if it has told.
    pub epoch: Option<Epoch>,
    /// Cores of it that serve by an older one.
    pub cores: Vec<usize>,
    /// Its content of that revision is another one.
    pub differs: bool,
}

impl Roll {
    /// Nodes that are there and do not serve by `revision`, which has this hash, or a newer one.
    pub(in crate::control) fn missing(&self, revision: u64, hash: u64) -> Vec<Missing> {
        let missing = self.there().filter_map(|peer| {
            let told = peer.state.as_ref();
            let behind = |epoch: &&Epoch| epoch.revision() < revision;
            let is_behind = told.is_none_or(|state| behind(&&state.adopted()));
            let differs =
                told.is_some_and(|state| state.epoch.revision() == revision && state.hash != hash);
            let cores = told.map(|state| state.cores.iter().enumerate());
            let cores = cores.into_iter().flatten();
            (is_behind || differs).then(|| Missing {
                node: Arc::clone(&peer.member.name),
                standing: peer.standing,
                epoch: told.map(|state| state.epoch),
                cores: cores
                    .filter(|(_, epoch)| behind(epoch))
                    .map(|(core, _)| core)
                    .collect(),
                differs,
            })
        });
        missing.collect()
    }
}

impl Cluster {
    /// Waits until every other node that is there serves by this revision.
    ///
    /// # Errors
    /// Those that did not within the time.
    pub async fn adopted(
        &self,
        revision: u64,
        hash: u64,
        within: Duration,
    ) -> Result<(), Vec<Missing>> {
        let mut roll = self.roll.clone();
        let all = roll.wait_for(|roll| roll.missing(revision, hash).is_empty());
        let in_time = matches!(timeout(within, all).await, Ok(Ok(_)));
        match in_time {
            true => Ok(()),
            false => Err(self.roll.borrow().missing(revision, hash)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gossip::{Circle, Keys, Member, Setting, State};

    /// Nodes a and b as they know each other after a moment without a network between.
    fn pair() -> [Circle; 2] {
        let circle = |name: &str, port: u16| {
            let setting = Setting {
                me: Member {
                    name: name.into(),
                    generation: 1,
                    address: ([127, 0, 0, 1], port).into(),
                },
                keys: Keys::parse(&"00".repeat(32), "weir").unwrap(),
                nonce: [0; 16],
                seed: [1; 32],
            };
            Circle::new(setting, Duration::ZERO)
        };
        let mut pair = [circle("a", 1), circle("b", 2)];
        pair[0].change_seeds(vec![([127, 0, 0, 1], 2).into()], Duration::ZERO);
        pair
    }

    /// Takes over all that is sent until nothing is.
    fn settle(pair: &mut [Circle; 2], now: Duration) {
        for _ in 0..20 {
            for from in [0, 1] {
                pair[from].handle_deadline(now);
                while let Some((_, datagram)) = pair[from].poll_output() {
                    pair[1 - from].handle(&datagram, now).unwrap();
                }
            }
        }
    }

    fn roll(circle: &Circle) -> Roll {
        Roll {
            me: circle.me().clone(),
            state: circle.state().clone(),
            peers: circle.peers().cloned().collect(),
        }
    }

    #[test]
    fn who_is_behind_or_has_another_content_is_missing_and_who_has_left_is_not() {
        let mut pair = pair();
        let state = |revision, core, hash| State {
            epoch: Epoch::of(revision),
            hash,
            cores: vec![Epoch::of(revision), Epoch::of(core)],
            ..State::default()
        };
        let mut now = Duration::from_millis(10);
        let mut say = |pair: &mut [Circle; 2], state| {
            now += Duration::from_millis(10);
            pair[1].tell(state, now);
            settle(pair, now);
        };
        say(&mut pair, state(6, 5, 9));
        let missing = roll(&pair[0]).missing(6, 9);
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!((&*missing[0].node, &missing[0].cores[..]), ("b", &[1][..]));
        assert_eq!(missing[0].epoch, Some(Epoch::of(6)));
        say(&mut pair, state(6, 6, 9));
        assert_eq!(roll(&pair[0]).missing(6, 9), []);
        assert!(roll(&pair[0]).missing(6, 8)[0].differs);
        assert_eq!(
            roll(&pair[0]).missing(5, 8),
            [],
            "a newer revision has its own"
        );
        assert_eq!(roll(&pair[0]).missing(7, 1)[0].cores, [0, 1]);
        pair[1].leave(Duration::from_secs(1));
        settle(&mut pair, Duration::from_secs(1));
        assert_eq!(roll(&pair[0]).missing(7, 1), []);
    }
}
