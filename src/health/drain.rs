//! One drain: those who stick to a backend stay with it for a while, and then go elsewhere.
//!
//! Without an end a backend that drains is never empty, because browsers come back for as long as
//! their session lives. What is under way at the end still finishes: only what is new goes
//! elsewhere. Times count from 1970: a drain is what an operator wants of all nodes, and goes on
//! over their restarts.

use std::time::Duration;

use crate::base::drain::{DrainEnd, DrainTerms};

/// A drain under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Since when.
    pub since: Duration,
    /// When those who stick are let go; `None` for never.
    pub until: Option<Duration>,
}

impl Drain {
    /// What it is by now: of `before`, if it drained already, by what is said of it, and for as
    /// long as its group lets a drain last.
    #[must_use]
    pub fn follow(
        before: Option<Drain>,
        terms: DrainTerms,
        timeout: Option<Duration>,
        now: Duration,
    ) -> Drain {
        let begun = terms.since.or(before.map(|before| before.since));
        let since = begun.unwrap_or(now);
        let until = match terms.end {
            Some(DrainEnd::At(time)) => Some(time),
            Some(DrainEnd::Never) => None,
            None => timeout.map(|timeout| since.saturating_add(timeout)),
        };
        Drain { since, until }
    }

    /// Whether those who stick are let go.
    #[must_use]
    pub fn is_over(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOTHING_SAID: DrainTerms = DrainTerms {
        since: None,
        end: None,
    };

    #[test]
    fn what_is_said_counts_more_than_what_the_group_has() {
        let at = Duration::from_secs;
        let follow = |terms| Drain::follow(None, terms, Some(at(60)), at(1000));
        let plain = follow(NOTHING_SAID);
        assert_eq!((plain.since, plain.until), (at(1000), Some(at(1060))));
        let stored = follow(DrainTerms {
            since: Some(at(950)),
            end: None,
        });
        assert_eq!(stored.until, Some(at(1010)));
        assert!(!stored.is_over(at(1009)) && stored.is_over(at(1010)));
        let ends = |end| follow(DrainTerms { since: None, end });
        assert_eq!(ends(Some(DrainEnd::At(at(7)))).until, Some(at(7)));
        let endless = ends(Some(DrainEnd::Never));
        assert!(endless.until.is_none() && !endless.is_over(Duration::MAX));
    }

    proptest! {
        #[test]
        fn looking_again_moves_no_end(
            since in prop::option::of(0_u64..100),
            end in prop::option::of(0_u64..200),
            timeout in prop::option::of(0_u64..100),
            looks in prop::collection::vec(0_u64..50, 1..20),
        ) {
            let terms = DrainTerms {
                since: since.map(Duration::from_secs),
                end: end.map(|end| DrainEnd::At(Duration::from_secs(end))),
            };
            let timeout = timeout.map(Duration::from_secs);
            let mut now = Duration::from_secs(100);
            let first = Drain::follow(None, terms, timeout, now);
            let mut drain = first;
            for step in looks {
                now += Duration::from_secs(step);
                drain = Drain::follow(Some(drain), terms, timeout, now);
                prop_assert_eq!(drain, first);
            }
        }
    }
}
