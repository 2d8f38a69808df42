//! A rule that has changed hands a while ago: whose keys were whose before.
//!
//! Until a moment that is the same on every node, a key that has another owner than before goes to
//! the new one, and to the one before where the new one cannot take it. Only a rule with such a
//! window pays for it, with a second look at the key.

use std::time::Duration;

use super::{Decision, Rule};
use crate::base::id::{CoreId, GroupIndex};
use crate::telemetry::stats::{HandoverStats, PerCore};

/// The window of a rule.
pub struct Handover {
    /// When it ends, since 1970.
    pub until: Duration,
    /// The rule as it was.
    pub before: Box<Rule>,
    /// What each core has handed over.
    pub stats: PerCore<HandoverStats>,
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Handover");
        shown.field("until", &self.until);
        shown.field("before", &self.before).finish_non_exhaustive()
    }
}

impl Rule {
    /// Who had the key of a request before it was decided so, if that was another group and its
    /// window lasts; `now` is since 1970, `ask` what another rule says of the request.
    #[inline]
    #[must_use]
    pub fn former(
        &self,
        decision: Decision,
        now: Duration,
        ask: impl FnOnce(&Rule) -> Decision,
    ) -> Option<GroupIndex> {
        let handover = self.handover.as_ref().filter(|open| now < open.until)?;
        match (decision, ask(&handover.before)) {
            (Decision::Group(owner), Decision::Group(former)) if owner != former => Some(former),
            _ => None,
        }
    }

    /// A request whose key has another owner than before.
    pub fn count_moved(&self, core: CoreId) {
        if let Some(handover) = &self.handover {
            handover.stats.of(core).moved.inc();
        }
    }

    /// One of them went to the former owner, because the new one could not take it.
    pub fn count_former(&self, core: CoreId) {
        if let Some(handover) = &self.handover {
            handover.stats.of(core).former.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::function::Function;
    use super::super::key::{Extracted, KeySource};
    use super::super::{Outcome, Outcomes};
    use super::*;

    fn rule(keys: &[(&str, u32)], handover: Option<Handover>) -> Rule {
        let keys = keys.iter().map(|(key, group)| (*key, GroupIndex(*group)));
        Rule {
            name: Arc::from("r"),
            source: KeySource::Host,
            key_bytes_max: 8,
            function: Function::map(keys),
            outcomes: Outcomes {
                compressed: Outcome::Reject,
                malformed: Outcome::Reject,
                missing: Outcome::Reject,
                oversized: Outcome::Reject,
                unplaced: Outcome::Reject,
            },
            handover,
        }
    }

    #[test]
    fn only_keys_that_changed_hands_have_a_former_owner_and_only_for_a_while() {
        let handover = Handover {
            until: Duration::from_secs(100),
            before: Box::new(rule(&[("a", 1), ("b", 1), ("d", 4)], None)),
            stats: PerCore::new(1),
        };
        let rule = rule(&[("a", 1), ("b", 2), ("c", 2)], Some(handover));
        let former = |key: &'static [u8], now| {
            let decision = rule.decide_by(Extracted::Key(key), |_| 0);
            rule.former(decision, Duration::from_secs(now), |before| {
                before.decide_by(Extracted::Key(key), |_| 0)
            })
        };
        assert_eq!(former(b"a", 50), None, "it stays");
        assert_eq!(former(b"b", 99), Some(GroupIndex(1)));
        assert_eq!(former(b"b", 100), None, "the window is over");
        assert_eq!(former(b"c", 50), None, "it was nobody's");
        assert_eq!(former(b"d", 50), None, "it is nobody's");
    }
}
