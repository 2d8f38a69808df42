//! Who may use the loose half of each owner's part: the owner as long as most owners vouch for it,
//! and when it is gone another owner for whom most vouch then, its trustee.
//!
//! An owner keeps the other half whatever happens, so that who is cut off still serves. The loose
//! half is what it may lend; it is used by [`HOLD_FOR`] from when most owners were last asked and
//! said yes. Who says yes promises to say so to nobody else for [`PROMISED_FOR`], counted from when
//! it was asked, which came later. Two majorities have an owner in common, so a half has no two
//! users; one that starts has forgotten its promises and makes none before they are over. A loan
//! may begin in the last moment of a claim, and lasts as long as one: that is why a promise is as
//! much longer.
//!
//! Who is there decides only who asks. It may be wrong about that: without a majority it has asked
//! for nothing. Of one owner that is gone all that are there would be a trustee as good; it is the
//! next one in the order of names, so that mostly one asks.

use std::collections::VecDeque;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::super::Moment;
use super::super::NODES_MAX;
use super::{HOLD_FOR, Owners, PROMISED_FOR, RENEW_EVERY};

/// Questions that an answer may still come for.
const ASKED_MAX: usize = 8;

/// Promises and claims of one node, one of each for every owner's half.
#[derive(Debug)]
pub(super) struct Trust {
    /// Of the list of owners: nodes with different lists promise each other nothing.
    list: u64,
    begun: Moment,
    asked_at: Option<Moment>,
    promises: Vec<Option<(Arc<str>, Moment)>>,
    claims: Vec<Claim>,
}

/// What this node has asked for.
#[derive(Clone, Debug, Default)]
struct Claim {
    asked: VecDeque<(u64, Moment)>,
    /// When the newest question was asked to which each owner has said yes.
    yes: Vec<Option<Moment>>,
}

impl Trust {
    pub(super) fn new(owners: &Owners, begun: Moment) -> Trust {
        let count = owners.names.len();
        Trust {
            list: xxh3_64(owners.names.join("\n").as_bytes()),
            begun,
            asked_at: None,
            promises: vec![None; count],
            claims: vec![Claim::default(); count],
        }
    }

    /// What a half is called on the wire.
    fn key(&self, half: usize) -> u64 {
        self.list.wrapping_add(half as u64)
    }

    fn half(&self, key: u64) -> Option<usize> {
        let half = usize::try_from(key.wrapping_sub(self.list)).ok()?;
        (half < self.claims.len()).then_some(half)
    }

    /// Another owner, or this one, asks for a half; answers whether it is promised.
    pub(super) fn asked(&mut self, from: &Arc<str>, key: u64, now: Moment) -> bool {
        let Some(half) = self.half(key) else {
            return false;
        };
        let promise = &mut self.promises[half];
        let other = promise
            .as_ref()
            .is_some_and(|(who, until)| who != from && now < *until);
        if other || now < self.begun + PROMISED_FOR {
            return false;
        }
        *promise = Some((Arc::clone(from), now + PROMISED_FOR));
        true
    }

    /// An owner has said yes to a question.
    pub(super) fn promised(&mut self, from: Option<usize>, key: u64, number: u64) {
        let (Some(from), Some(half)) = (from, self.half(key)) else {
            return;
        };
        let claim = &mut self.claims[half];
        let question = claim.asked.iter().find(|(asked, _)| *asked == number);
        if let (Some((_, at)), Some(yes)) = (question, claim.yes.get_mut(from)) {
            *yes = (*yes).max(Some(*at));
        }
    }

    /// The halves this node may use now.
    pub(super) fn holds(&self, now: Moment) -> Vec<u32> {
        let held = (0..).zip(&self.claims);
        held.filter(|(_, claim)| claim.until().is_some_and(|until| now < until))
            .map(|(half, _)| half)
            .collect()
    }

    /// What is to be asked of every owner now. `settled` is a node that can have lent nothing of
    /// which it does not know.
    pub(super) fn step(
        &mut self,
        owners: &Owners,
        there: &[Arc<str>],
        settled: bool,
        number: &mut u64,
        now: Moment,
    ) -> Vec<(u64, u64)> {
        let Some(me) = owners.mine.map(|mine| mine as usize) else {
            return Vec::new();
        };
        let is_there = |half: usize| half == me || there.contains(&owners.names[half]);
        let mine: Vec<usize> = (0..self.claims.len())
            .filter(|half| settled && trustee(*half, self.claims.len(), is_there) == Some(me))
            .collect();
        for (half, claim) in self.claims.iter_mut().enumerate() {
            if !mine.contains(&half) {
                *claim = Claim::default();
            }
        }
        if self.asked_at.is_some_and(|at| now < at + RENEW_EVERY) {
            return Vec::new();
        }
        self.asked_at = Some(now);
        let mut questions = Vec::new();
        for half in mine {
            *number += 1;
            let key = self.key(half);
            let claim = &mut self.claims[half];
            claim.yes.resize(owners.names.len(), None);
            claim.asked.truncate(ASKED_MAX - 1);
            claim.asked.push_front((*number, now));
            if self.asked(&owners.names[me], key, now) {
                self.promised(Some(me), key, *number);
            }
            questions.push((key, *number));
        }
        questions
    }

    pub(super) fn check(&self) {
        assert!(self.claims.len() <= NODES_MAX && self.promises.len() == self.claims.len());
        assert!(
            self.claims
                .iter()
                .all(|claim| claim.asked.len() <= ASKED_MAX)
        );
    }
}

impl Claim {
    /// Until when it holds: most owners have said yes to this question or a newer one.
    fn until(&self) -> Option<Moment> {
        let mut yes: Vec<Moment> = self.yes.iter().flatten().copied().collect();
        yes.sort_unstable();
        let most = self.yes.len() / 2 + 1;
        let asked = yes.len().checked_sub(most).map(|at| yes[at])?;
        Some(asked + HOLD_FOR)
    }
}

/// Who asks for a half: its owner, or the next one that is there.
fn trustee(half: usize, count: usize, is_there: impl Fn(usize) -> bool) -> Option<usize> {
    let mut order = (half..count).chain(0..half);
    order.find(|owner| is_there(*owner))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn names() -> Vec<Arc<str>> {
        ["a", "b", "c"].map(Arc::from).to_vec()
    }

    fn owners(me: &str) -> Owners {
        Owners::new(&names(), me)
    }

    #[test]
    fn a_promise_is_to_one_at_a_time_and_not_of_one_that_has_forgotten() {
        let mut trust = Trust::new(&owners("a"), Duration::ZERO);
        let [_, b, c] = &names()[..] else {
            unreachable!("three names");
        };
        let key = trust.key(2);
        assert!(!trust.asked(c, key, PROMISED_FOR - SECOND), "it has begun");
        let now = PROMISED_FOR;
        assert!(trust.asked(c, key, now));
        assert!(trust.asked(b, trust.key(1), now), "another half");
        assert!(!trust.asked(b, key, now + PROMISED_FOR - SECOND));
        assert!(trust.asked(c, key, now + PROMISED_FOR - SECOND), "again");
        assert!(!trust.asked(b, key, now + PROMISED_FOR));
        assert!(trust.asked(b, key, now + 2 * PROMISED_FOR));
        assert!(!trust.asked(c, key, now + 2 * PROMISED_FOR));
        assert!(!trust.asked(c, key.wrapping_add(1), now), "no half of ours");
        // One with another list of owners means other halves.
        let other = Trust::new(&Owners::new(&names()[..2], "a"), Duration::ZERO);
        assert!(!trust.asked(b, other.key(1), now));
    }

    #[test]
    fn a_claim_needs_most_owners_and_counts_from_the_question() {
        let (owners, mut number) = (owners("a"), 0);
        let mut trust = Trust::new(&owners, Duration::ZERO);
        let there = [Arc::from("b")];
        let asked = PROMISED_FOR;
        let unsettled = trust.step(&owners, &there, false, &mut number, asked);
        assert!(unsettled.is_empty());
        let now = asked + RENEW_EVERY;
        let questions = trust.step(&owners, &there, true, &mut number, now);
        let [(own, first), (gone, second)] = questions[..] else {
            panic!("its own half and that of c, which is gone: {questions:?}");
        };
        assert_eq!((own, gone), (trust.key(0), trust.key(2)));
        assert!(trust.holds(now).is_empty(), "one of three");
        trust.promised(None, own, first);
        trust.promised(Some(1), own, first + 100);
        assert!(trust.holds(now).is_empty());
        trust.promised(Some(1), own, first);
        trust.promised(Some(1), gone, second);
        assert_eq!(trust.holds(now), [0, 2]);
        assert!(trust.holds(now + HOLD_FOR).is_empty());
        // Who is back is asked for no more.
        let there = [Arc::from("b"), Arc::from("c")];
        trust.step(&owners, &there, true, &mut number, now);
        assert_eq!(trust.holds(now), [0]);
        trust.check();
    }
}
