//! Another table: who stays, who is new, and who is gone.

use std::sync::Arc;

use super::{Keeper, said};
use crate::config::Config;
use crate::control::document::Document;
use crate::control::gossip::Observing;
use crate::control::health::member::{Member, Scene};
use crate::control::health::rules::Rules;
use crate::health::Moment;
use crate::health::verdict::{Opinion, Opinions, Wish};
use crate::routing::table::{Backend, Table};

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
        let mut stays = vec![false; table.backend_slots as usize];
        let mut came = false;
        self.restless.clear();
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
            for backend in &group.backends {
                let said = said(document, group, backend);
                came |= self.keep(backend, (old, &rules), said, scene);
                stays[backend.slot.index()] = true;
                if backend.slot.0.is_multiple_of(PAUSE_EVERY) {
                    pause();
                }
            }
            self.comparing.extend(rules.compares.then_some(group.slot));
            self.groups.insert(group.slot, rules);
        }
        self.table = Some(Arc::clone(table));
        self.find_wholes(table);
        self.keep_only(&stays, came);
        pause();
        self.unjudged.extend(self.groups.keys());
        self.share_checks(now);
        self.queue_checks();
        pause();
        self.judge_panic();
    }

    /// Keeps what is known of a backend of the new table, or begins with it; answers whether it is
    /// new.
    fn keep(
        &mut self,
        backend: &Backend,
        (old, rules): (Option<&Rules>, &Rules),
        (operator, verdict): (Wish, Opinion),
        scene: Scene<'_>,
    ) -> bool {
        let known = self.members.get_mut(&backend.slot);
        let known = known.filter(|known| known.is(backend, rules));
        let is_new = known.is_none();
        let is_restless = match known {
            Some(known) => {
                known.carry_over(backend, (old, rules), (operator, verdict), scene);
                known.is_restless(rules)
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
                is_restless
            }
        };
        if is_restless {
            self.restless.insert(backend.slot);
        }
        is_new
    }

    /// Forgets who has not stayed, and finds by ids who is there if somebody went or came.
    fn keep_only(&mut self, stays: &[bool], came: bool) {
        let before = self.members.len();
        self.members
            .retain(|slot, _| stays.get(slot.index()) == Some(&true));
        if !came && self.members.len() == before {
            return;
        }
        self.by_id.clear();
        for member in self.members.values() {
            let slots = self.by_id.entry(Arc::clone(&member.id)).or_default();
            slots.push(member.slot);
        }
    }
}
