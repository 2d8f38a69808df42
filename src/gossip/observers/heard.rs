//! What another node has told of its findings in the life it has now.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Moment;
use super::words::Words;
use super::{Finding, KEYS_MAX};

#[derive(Debug)]
pub(super) struct Told {
    pub(super) generation: u64,
    /// All up to this version was taken in.
    have: u64,
    /// The newest there is.
    pub(super) newest: u64,
    /// When the rest was asked for.
    pub(super) asked: Option<Moment>,
    findings: BTreeMap<u64, Finding>,
}

impl Told {
    pub(super) fn new(generation: u64) -> Told {
        Told {
            generation,
            have: 0,
            newest: 0,
            asked: None,
            findings: BTreeMap::new(),
        }
    }

    pub(super) fn have(&self) -> u64 {
        self.have
    }

    pub(super) fn finding(&self, key: u64) -> Option<&Finding> {
        self.findings.get(&key)
    }

    /// Takes a page in; answers the backends of which something else is said than before.
    pub(super) fn take(&mut self, page: Words) -> Vec<u64> {
        let Words::Page { from, to, entries } = page else {
            return Vec::new();
        };
        self.newest = self.newest.max(to);
        // Whoever lacks what its sender has forgotten begins at nothing, and may have had more.
        if from > 0 && (from > self.have || to <= self.have) {
            return Vec::new();
        }
        self.have = to;
        self.asked = None;
        let mut changed = Vec::new();
        if from == 0 {
            // What is not said again is not so any more.
            let said: BTreeSet<u64> = entries.iter().map(|(key, _)| *key).collect();
            changed.extend(self.findings.keys().filter(|key| !said.contains(key)));
            self.findings.retain(|key, _| said.contains(key));
        }
        for (key, finding) in entries {
            let known = self.findings.get(&key);
            if known == finding.as_ref() || (known.is_none() && self.findings.len() == KEYS_MAX) {
                continue;
            }
            changed.push(key);
            match finding {
                Some(finding) => self.findings.insert(key, finding),
                None => self.findings.remove(&key),
            };
        }
        changed
    }

    /// All backends it says something of.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> {
        self.findings.keys().copied()
    }
}
