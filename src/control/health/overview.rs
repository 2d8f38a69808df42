//! What is thought of all backends at once, and what changed last, for those who look all the
//! time: as values, not as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::id::BackendSlot;
use crate::control::health::Health;
use crate::control::health::member::Member;
use crate::health::Moment;
use crate::health::verdict::{Reason, Source, Status};

/// What is thought of a backend, in short.
#[derive(Clone, Debug, Default)]
pub struct Brief {
    /// What it is.
    pub status: &'static str,
    /// By whose word.
    pub source: Option<&'static str>,
    /// Why.
    pub reason: Reason,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// A backend that became something else.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    at_ms: u64,
    group: String,
    name: String,
    from: &'static str,
    to: &'static str,
    source: &'static str,
    reason: Reason,
}

impl Health {
    /// What is thought of every backend.
    #[must_use]
    pub fn briefs(&self) -> BTreeMap<BackendSlot, Brief> {
        let keeper = self.keeper();
        let members = keeper.members.iter();
        members
            .map(|(slot, member)| {
                let judgement = member.record.judgement();
                let brief = Brief {
                    status: judgement.status.name(),
                    source: judgement.source.map(Source::name),
                    reason: judgement.reason.clone(),
                    since_ms: self.unix_ms(member.record.since()),
                };
                (*slot, brief)
            })
            .collect()
    }

    /// What every backend is.
    #[must_use]
    pub fn statuses(&self) -> BTreeMap<BackendSlot, Status> {
        let keeper = self.keeper();
        let members = keeper.members.iter();
        let each = members.map(|(slot, member)| (*slot, member.record.judgement().status));
        each.collect()
    }

    /// The last `most` transitions of all backends, the latest first.
    #[must_use]
    pub fn events(&self, most: usize) -> Vec<Event> {
        let keeper = self.keeper();
        let changed = keeper.members.values();
        let mut changed: Vec<(Moment, &Member)> = changed
            .filter_map(|member| Some((member.record.history().next_back()?.at, member)))
            .collect();
        // Whoever has one of the last transitions changed last later than all but so many.
        changed.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
        changed.truncate(most);
        let events = changed.into_iter().flat_map(|(_, member)| {
            let history = member.record.history();
            history.map(move |was| (member, was))
        });
        let mut events: Vec<_> = events.collect();
        events.sort_by_key(|(_, was)| std::cmp::Reverse(was.at));
        events.truncate(most);
        let told = events.into_iter().map(|(member, was)| Event {
            at_ms: self.unix_ms(was.at),
            group: member.group_name.to_string(),
            name: member.id.to_string(),
            from: was.from.name(),
            to: was.to.name(),
            source: was.source.name(),
            reason: was.reason.clone(),
        });
        told.collect()
    }

    fn unix_ms(&self, moment: Moment) -> u64 {
        u64::try_from((self.0.unix + moment).as_millis()).unwrap_or(u64::MAX)
    }
}
