//! What this node itself has found, in the order it changed, so that others can be told what they
//! lack and nothing else.
//!
//! Each change is a version; of each backend only the latest counts. That a backend is not checked
//! here any more is remembered for [`GONE_FOR`]; whoever lacks more than that is told everything.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Moment;
use super::Finding;
use super::words::{BODY_BYTES_MAX, Entry, Words, size};

/// How long it is remembered that a backend is not checked here any more.
const GONE_FOR: Duration = Duration::from_secs(60);

/// What is before the entries of a page.
const HEAD_BYTES: usize = 17;

/// Pages that are sent at one time; who wants more asks again.
const PAGES_MAX: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    version: u64,
    /// Up to here something may be forgotten.
    floor: u64,
    entries: BTreeMap<u64, Noted>,
    /// By version.
    order: BTreeMap<u64, u64>,
    /// What everybody was told.
    told: u64,
}

#[derive(Debug)]
struct Noted {
    version: u64,
    finding: Option<Finding>,
    at: Moment,
}

impl Ledger {
    /// The newest version.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn finding(&self, key: u64) -> Option<&Finding> {
        self.entries.get(&key)?.finding.as_ref()
    }

    /// Notes a finding, or that the backend is not checked here any more.
    pub(super) fn note(&mut self, key: u64, finding: Option<Finding>, now: Moment) {
        let known = self.entries.get(&key);
        if known.and_then(|noted| noted.finding.as_ref()) == finding.as_ref() {
            return;
        }
        if let Some(known) = known {
            self.order.remove(&known.version);
        }
        self.version += 1;
        self.order.insert(self.version, key);
        let noted = Noted {
            version: self.version,
            finding,
            at: now,
        };
        self.entries.insert(key, noted);
    }

    /// What everybody is to be told.
    pub(super) fn news(&mut self) -> Vec<Words> {
        let pages = match self.told < self.version {
            true => self.since(self.told),
            false => Vec::new(),
        };
        if let Some(Words::Page { to, .. }) = pages.last() {
            self.told = *to;
        }
        pages
    }

    /// What has changed since a version, as far as it is sent at one time.
    pub(super) fn since(&self, since: u64) -> Vec<Words> {
        let mut from = if since < self.floor { 0 } else { since };
        let mut pages = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        let (mut bytes, mut last) = (HEAD_BYTES, from);
        for (version, key) in self.order.range(from + 1..) {
            let Some(noted) = self.entries.get(key) else {
                continue;
            };
            let more = size(noted.finding.as_ref());
            if bytes + more > BODY_BYTES_MAX {
                pages.push(Words::Page {
                    from,
                    to: last,
                    entries: std::mem::take(&mut entries),
                });
                if pages.len() == PAGES_MAX {
                    return pages;
                }
                (from, bytes) = (last, HEAD_BYTES);
            }
            entries.push((*key, noted.finding.clone()));
            bytes += more;
            last = *version;
        }
        pages.push(Words::Page {
            from,
            to: self.version.max(from),
            entries,
        });
        pages
    }

    /// Forgets what was given up long ago.
    pub(super) fn forget(&mut self, now: Moment) {
        let (order, floor) = (&mut self.order, &mut self.floor);
        self.entries.retain(|_, noted| {
            let keep = noted.finding.is_some() || now < noted.at + GONE_FOR;
            if !keep {
                order.remove(&noted.version);
                *floor = (*floor).max(noted.version);
            }
            keep
        });
    }

    pub(super) fn check(&self) {
        assert_eq!(self.entries.len(), self.order.len());
        assert!(self.order.keys().next_back() <= Some(&self.version));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::heard::Told;
    use super::*;

    #[test]
    fn one_that_lacks_what_is_forgotten_is_told_everything() {
        let mut ledger = Ledger::default();
        let at = Duration::from_secs;
        ledger.note(1, Some(Finding::Up), at(0));
        ledger.note(2, Some(Finding::Up), at(0));
        let mut told = Told::new(1);
        for page in ledger.news() {
            told.take(page);
        }
        ledger.note(1, None, at(1));
        ledger.forget(at(30));
        assert_eq!(
            ledger.since(2),
            [Words::Page {
                from: 2,
                to: 3,
                entries: vec![(1, None)]
            }]
        );
        ledger.forget(at(90));
        let everything = vec![(2, Some(Finding::Up))];
        assert_eq!(
            ledger.since(2),
            [Words::Page {
                from: 0,
                to: 3,
                entries: everything
            }]
        );
        for page in ledger.since(2) {
            told.take(page);
        }
        assert_eq!(told.finding(1), None);
        assert_eq!(told.finding(2), Some(&Finding::Up));
    }

    proptest! {
        /// Whatever is lost, who asks for the rest has everything in the end.
        #[test]
        fn asking_for_the_rest_brings_everything(
            steps in prop::collection::vec((0_u64..400, 0_u8..5, any::<bool>()), 1..400),
        ) {
            let mut ledger = Ledger::default();
            let mut told = Told::new(1);
            for (second, (key, what, lost)) in (0..).zip(steps) {
                let now = Duration::from_secs(second);
                let finding = match what {
                    0 => None,
                    1 => Some(Finding::Unknown),
                    2 => Some(Finding::Up),
                    _ => Some(Finding::Down("x".repeat(60).into())),
                };
                ledger.note(key, finding, now);
                if what == 4 {
                    ledger.forget(now);
                }
                for page in ledger.news() {
                    if !lost {
                        told.take(page);
                    }
                }
                ledger.check();
            }
            let mut rounds = 0;
            while told.have() < ledger.version() {
                for page in ledger.since(told.have()) {
                    told.take(page);
                }
                rounds += 1;
                prop_assert!(rounds < 10);
            }
            for key in 0..400 {
                prop_assert_eq!(told.finding(key), ledger.finding(key), "{}", key);
            }
        }
    }
}
