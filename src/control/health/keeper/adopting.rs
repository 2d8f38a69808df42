//! Another table: who stays, who is new, and who is gone.

use std::sync::Arc;

use super::{Keeper, said};
use crate::base::id::BackendSlot;
use crate::config::Config;
use crate::control::document::Document;
use crate::control::gossip::Observing;
use crate::control::health::member::{Member, Scene};
use crate::control::health::rules::Rules;
use crate::health::Moment;
use crate::health::verdict::{Opinion, Opinions, Wish};
use crate::routing::table::{Backend, BackendState, Table};

/// Backends between two pauses of long work.
const PAUSE_EVERY: u32 = 64;

/// What another table means to a backend of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Nothing its group is judged by.
    AsItWas,
    /// It was not there, or was another one.
    New,
    /// Something its group is judged by.
    Otherwise,
}

impl Keeper {
    /// Another table is about to be published. `pause` is called now and then: it is long work
    /// where backends are many.
    pub(in crate::control::health) fn adopt(
        &mut self,
        table: &Arc<Table>,
        config: &Config,
        document: &Document,
        now: Moment,
        pause: &mut dyn FnMut(),
    ) {
        let before = std::mem::take(&mut self.groups);
        let table_before = self.table.take();
        let mut stays = vec![false; table.backend_slots as usize];
        let mut came = false;
        // Who was in the table before, as far as what holds for all of its group stays.
        let slots = table_before.as_ref().map_or(0, |table| table.backend_slots);
        let mut former: Vec<Option<&Backend>> = vec![None; slots as usize];
        self.comparing.clear();
        let stats = Arc::clone(&self.stats);
        let salt = self.observing.as_ref().map_or(0, Observing::salt);
        let scene = Scene {
            now,
            unix: self.unix,
            stats: &stats.health,
        };
        // A table has the groups of its configuration first, in their order. Behind them are parts
        // of them, which share their backends and are kept with the whole.
        for (index, (group, meant)) in table.groups.iter().zip(&config.groups).enumerate() {
            debug_assert!(group.name == meant.name && group.required.is_empty());
            let old = before.get(&group.slot).filter(|old| old.name == group.name);
            let mut rules = Rules::new(group, index, meant, now);
            rules.salt = salt;
            if let Some(old) = old
                && old.outlier.interval == rules.outlier.interval
            {
                rules.judged = old.judged;
            }
            rules.carry_weights_over(old);
            rules.carry_watch_over(old, group);
            let same_rules = old.filter(|old| rules.are_those_of(old));
            let mut differs = same_rules.is_none();
            if let (Some(old), Some(table)) = (same_rules, &table_before) {
                for backend in &table.groups[old.index].backends {
                    former[backend.slot.index()] = Some(backend);
                }
            }
            for backend in &group.backends {
                let former = former.get(backend.slot.index()).copied().flatten();
                if !former.is_some_and(|former| says_the_same(backend, former)) {
                    let said = said(document, group, backend);
                    let kept = self.keep(backend, (old, &rules), said, scene);
                    came |= kept == Kept::New;
                    differs |= kept != Kept::AsItWas;
                }
                stays[backend.slot.index()] = true;
                if backend.slot.0.is_multiple_of(PAUSE_EVERY) {
                    pause();
                }
            }
            if differs {
                self.unjudged.insert(group.slot);
            }
            self.comparing.extend(rules.compares.then_some(group.slot));
            self.groups.insert(group.slot, rules);
        }
        self.table = Some(Arc::clone(table));
        self.find_wholes(table);
        self.keep_only(&stays, came);
        pause();
        self.share_checks(now);
        self.queue_checks();
        pause();
        self.judge_panic();
    }

    /// Keeps what is known of a backend of the new table, or begins with it; answers what that
    /// means to those who judge its group.
    fn keep(
        &mut self,
        backend: &Backend,
        (old, rules): (Option<&Rules>, &Rules),
        (operator, verdict): (Wish, Opinion),
        scene: Scene<'_>,
    ) -> Kept {
        let known = self.members.get_mut(&backend.slot);
        let known = known.filter(|known| known.is(backend, rules));
        let (kept, is_restless) = match known {
            Some(known) => {
                let before = known.seen();
                known.carry_over(backend, (old, rules), (operator, verdict), scene);
                let kept = match before == known.seen() {
                    true => Kept::AsItWas,
                    false => Kept::Otherwise,
                };
                (kept, known.is_restless(rules))
            }
            None => {
                let opinions = Opinions {
                    operator,
                    verdict,
                    ..Opinions::default()
                };
                let new = Member::new(backend, rules, opinions, old.is_some(), scene);
                let is_restless = new.is_restless(rules);
                self.members.insert(backend.slot, new);
                (Kept::New, is_restless)
            }
        };
        if is_restless {
            self.restless.insert(backend.slot);
        }
        kept
    }

    /// Forgets who has not stayed, and finds by ids who is there if somebody went or came.
    fn keep_only(&mut self, stays: &[bool], came: bool) {
        let gone = self.members.len() > stays.iter().filter(|stays| **stays).count();
        if gone {
            let has_stayed = |slot: BackendSlot| stays.get(slot.index()) == Some(&true);
            let groups = &mut self.unjudged;
            self.members.retain(|slot, member| {
                if !has_stayed(*slot) {
                    groups.insert(member.group);
                }
                has_stayed(*slot)
            });
        }
        if !came && !gone {
            return;
        }
        self.by_id.clear();
        for member in self.members.values() {
            let slots = self.by_id.entry(Arc::clone(&member.id)).or_default();
            slots.push(member.slot);
        }
    }
}

/// Whether a table says nothing else of a backend than the one before. Why one is in maintenance
/// is not in a table, so that is always asked.
fn says_the_same(now: &Backend, before: &Backend) -> bool {
    let said = |of: &Backend| (of.identity, of.weight, of.state, of.drain, of.agent_port);
    now.state != BackendState::Maint
        && said(now) == said(before)
        && (&now.id, now.address) == (&before.id, before.address)
}
