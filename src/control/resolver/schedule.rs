//! When each question is asked again: when its answer ends, within the bounds of `[dns]`.
//!
//! A question that fails is asked again after the lower bound, then after twice that, and so on
//! up to the upper one: a server that is back is noticed soon, one that stays away is not
//! pestered. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{LOOKUP_TIMEOUT, Question};
use crate::config::checked::Dns;

/// Doublings after which the upper bound is surely reached: from 100 ms to a day.
const DOUBLINGS_MAX: u32 = 20;

#[derive(Clone, Copy, Debug)]
struct Entry {
    due: Instant,
    failures: u32,
}

/// Every question, and when it is due.
#[derive(Debug)]
pub(super) struct Schedule {
    entries: BTreeMap<Question, Entry>,
    least: Duration,
    most: Duration,
}

impl Schedule {
    pub(super) fn new(dns: &Dns) -> Self {
        Schedule {
            entries: BTreeMap::new(),
            least: dns.min_ttl,
            most: dns.refresh,
        }
    }

    /// Follows these questions and no others, within these bounds. New ones are due now.
    pub(super) fn follow(&mut self, questions: &[Question], dns: &Dns, now: Instant) {
        (self.least, self.most) = (dns.min_ttl, dns.refresh);
        let latest = now + self.most;
        let mut before = std::mem::take(&mut self.entries);
        for question in questions {
            let fresh = Entry {
                due: now,
                failures: 0,
            };
            let mut entry = before.remove(question).unwrap_or(fresh);
            entry.due = entry.due.min(latest);
            self.entries.insert(question.clone(), entry);
        }
    }

    /// The question was answered (for so long, if that was said) or failed. Answers whether it is
    /// followed at all.
    pub(super) fn answered(
        &mut self,
        question: &Question,
        answer: Result<Option<Duration>, ()>,
        now: Instant,
    ) -> bool {
        let (least, most) = (self.least, self.most);
        let Some(entry) = self.entries.get_mut(question) else {
            return false;
        };
        let pause = match answer {
            Ok(ttl) => {
                entry.failures = 0;
                ttl.unwrap_or(most).max(least)
            }
            Err(()) => {
                let doublings = entry.failures.min(DOUBLINGS_MAX);
                entry.failures = entry.failures.saturating_add(1);
                least.saturating_mul(1 << doublings)
            }
        };
        entry.due = now + pause.min(most);
        true
    }

    /// At most `room` questions that are due. Each counts as under way: should nobody hear of it
    /// again, it is due once more when it should have been answered long ago.
    pub(super) fn take_due(&mut self, room: usize, now: Instant) -> Vec<Question> {
        let mut due: Vec<_> = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| entry.due <= now)
            .collect();
        due.sort_by_key(|(_, entry)| entry.due);
        let taken = due.into_iter().take(room).map(|(question, entry)| {
            entry.due = now + 2 * LOOKUP_TIMEOUT;
            question.clone()
        });
        taken.collect()
    }

    /// When the next question is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.values().map(|entry| entry.due).min()
    }
}
