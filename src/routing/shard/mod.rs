//! Shard rules: which group owns the slice of content a request belongs to.
//!
//! A rule is a key and a function: [`key`] and [`json`] find the key of a request, [`function`]
//! says where it belongs. Whatever can go wrong between the two has an outcome of its own that
//! the operator chose; nothing falls through silently. What a function has no place for goes to
//! the rule's default group, or is refused.

pub mod function;
pub mod handover;
pub mod json;
pub mod key;
pub mod pointer;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use self::function::{Function, Placed};
use self::handover::Handover;
use self::key::{Extracted, KeyRoom, KeySource, RequestView};
use crate::base::id::GroupIndex;

/// A shard rule.
#[derive(Debug)]
pub struct Rule {
    /// Name from the configuration.
    pub name: Arc<str>,
    /// Where its key is taken from.
    pub source: KeySource,
    /// Longest key.
    pub key_bytes_max: usize,
    /// Where keys belong.
    pub function: Function,
    /// What happens without a usable key.
    pub outcomes: Outcomes,
    /// The window in which former owners of keys are second choices, if there was one.
    pub handover: Option<Handover>,
}

/// What happens to a request that cannot be placed by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// The key is in a body with a content coding.
    pub compressed: Outcome,
    /// The key is ambiguous, cannot be decoded, or is not of the function's type.
    pub malformed: Outcome,
    /// There is no key, or an empty one.
    pub missing: Outcome,
    /// The key is too long, or not within the part of the body that is looked at.
    pub oversized: Outcome,
    /// The function has no place for the key.
    pub unplaced: Outcome,
}

/// What happens to one kind of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes there.
    Group(GroupIndex),
    /// It is refused.
    Reject,
}

/// What a rule says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes there.
    Group(GroupIndex),
    /// The body must be read first.
    NeedsBody,
    /// It is refused.
    Reject(Reject),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The key is in a body with a content coding.
    Compressed,
    /// The key is ambiguous, cannot be decoded, or is not of the function's type.
    Malformed,
    /// There is no key.
    Missing,
    /// The key is too long.
    Oversized,
    /// The key belongs to no group.
    Unplaced,
}

impl Rule {
    /// Every group it can lead to, in order.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<GroupIndex> {
        let Outcomes {
            compressed,
            malformed,
            missing,
            oversized,
            unplaced,
        } = &self.outcomes;
        let outcomes = [compressed, malformed, missing, oversized, unplaced];
        let mut groups = self.function.groups();
        groups.extend(outcomes.into_iter().filter_map(|outcome| match outcome {
            Outcome::Group(group) => Some(*group),
            Outcome::Reject => None,
        }));
        groups
    }

    /// Decides about a request by its head; `load_of` tells how many requests a group has in
    /// flight.
    #[inline]
    #[must_use]
    pub fn decide<R: RequestView>(
        &self,
        request: &R,
        load_of: impl Fn(GroupIndex) -> u64,
    ) -> Decision {
        let mut room = KeyRoom::default();
        let extracted = self.source.extract(request, self.key_bytes_max, &mut room);
        self.decide_by(extracted, load_of)
    }

    /// Decides about a connection of which nothing is known but the client.
    #[must_use]
    pub fn decide_address(
        &self,
        client: Option<IpAddr>,
        load_of: impl Fn(GroupIndex) -> u64,
    ) -> Decision {
        let mut room = KeyRoom::default();
        let extracted = key::of_address(client, self.key_bytes_max, &mut room);
        self.decide_by(extracted, load_of)
    }

    /// Decides by what came of looking for the key.
    #[must_use]
    pub fn decide_by(
        &self,
        extracted: Extracted<'_>,
        load_of: impl Fn(GroupIndex) -> u64,
    ) -> Decision {
        let (outcome, reject) = match extracted {
            Extracted::Key(key) if key.len() > self.key_bytes_max => {
                (self.outcomes.oversized, Reject::Oversized)
            }
            Extracted::Key(key) => match self.function.place(key, load_of) {
                Placed::Group(group) => return Decision::Group(group),
                Placed::Malformed => (self.outcomes.malformed, Reject::Malformed),
                Placed::Nowhere => (self.outcomes.unplaced, Reject::Unplaced),
            },
            Extracted::Compressed => (self.outcomes.compressed, Reject::Compressed),
            Extracted::Malformed => (self.outcomes.malformed, Reject::Malformed),
            Extracted::Missing => (self.outcomes.missing, Reject::Missing),
            Extracted::NeedsBody => return Decision::NeedsBody,
            Extracted::Oversized => (self.outcomes.oversized, Reject::Oversized),
        };
        match outcome {
            Outcome::Group(group) => Decision::Group(group),
            Outcome::Reject => Decision::Reject(reject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_fail_has_an_outcome_of_its_own() {
        let group = |number| Outcome::Group(GroupIndex(number));
        let rule = |outcomes| Rule {
            name: Arc::from("r"),
            source: KeySource::Host,
            key_bytes_max: 8,
            function: Function::integers(Vec::new()),
            outcomes,
            handover: None,
        };
        let routed = rule(Outcomes {
            compressed: group(1),
            malformed: group(2),
            missing: group(3),
            oversized: group(4),
            unplaced: group(5),
        });
        let refusing = rule(Outcomes {
            compressed: Outcome::Reject,
            malformed: Outcome::Reject,
            missing: Outcome::Reject,
            oversized: Outcome::Reject,
            unplaced: Outcome::Reject,
        });
        for (extracted, number, reject) in [
            (Extracted::Compressed, 1, Reject::Compressed),
            (Extracted::Malformed, 2, Reject::Malformed),
            (Extracted::Key(b"x"), 2, Reject::Malformed),
            (Extracted::Missing, 3, Reject::Missing),
            (Extracted::Oversized, 4, Reject::Oversized),
            (Extracted::Key(b"1"), 5, Reject::Unplaced),
        ] {
            let there = Decision::Group(GroupIndex(number));
            assert_eq!(routed.decide_by(extracted, |_| 0), there);
            assert_eq!(
                refusing.decide_by(extracted, |_| 0),
                Decision::Reject(reject)
            );
        }
        assert_eq!(
            routed.decide_by(Extracted::NeedsBody, |_| 0),
            Decision::NeedsBody
        );
    }
}
