//! Another table: who stays, who is new, and who is gone.

use std::collections::btree_map::Entry;
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
                    differs |= self.keep(backend, (old, &rules), said, scene);
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
        self.keep_only(&stays);
        pause();
        self.share_checks(now);
        self.queue_checks();
        pause();
        self.judge_panic();
    }

    /// Keeps what is known of a backend of the new table, or begins with it; answers whether
    /// its group is to be judged anew.
    fn keep(
        &mut self,
        backend: &Backend,
        (old, rules): (Option<&Rules>, &Rules),
        (operator, verdict): (Wish, Opinion),
        scene: Scene<'_>,
    ) -> bool {
        let known = self.members.get_mut(&backend.slot);
        let known = known.filter(|known| known.is(backend, rules));
        let (differs, is_restless) = match known {
            Some(known) => {
                let before = known.seen();
                known.carry_over(backend, (old, rules), (operator, verdict), scene);
                (before != known.seen(), known.is_restless(rules))
            }
            None => {
                let opinions = Opinions {
                    operator,
                    verdict,
                    ..Opinions::default()
                };
                let new = Member::new(backend, rules, opinions, old.is_some(), scene);
                let is_restless = new.is_restless(rules);
                if let Some(other) = self.members.insert(backend.slot, new) {
                    self.is_gone(&other);
                }
                let named = self.by_id.entry(Arc::clone(&backend.id)).or_default();
                named.push(backend.slot);
                named.sort_unstable();
                (true, is_restless)
            }
        };
        if is_restless {
            self.restless.insert(backend.slot);
        }
        differs
    }

    /// Forgets who has not stayed.
    fn keep_only(&mut self, stays: &[bool]) {
        if self.members.len() == stays.iter().filter(|stays| **stays).count() {
            return;
        }
        let has_gone = |slot: &&BackendSlot| stays.get(slot.index()) != Some(&true);
        let gone: Vec<BackendSlot> = self.members.keys().filter(has_gone).copied().collect();
        for slot in gone {
            if let Some(member) = self.members.remove(&slot) {
                self.is_gone(&member);
            }
        }
    }

    /// A member is there no more: nobody finds it by its id, and its group is judged without it.
    fn is_gone(&mut self, member: &Member) {
        self.unjudged.insert(member.group);
        if let Entry::Occupied(mut named) = self.by_id.entry(Arc::clone(&member.id)) {
            named.get_mut().retain(|slot| *slot != member.slot);
            if named.get().is_empty() {
                named.remove();
            }
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
