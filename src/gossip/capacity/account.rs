//! The slots of one backend as one node keeps account of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Moment;
use super::super::NODES_MAX;
use super::super::member::Member;
use super::{ASK_AGAIN, HOLD_FOR, RECLAIM_AFTER, RENEW_EVERY, Slots, Sums};

/// Borrowers that are remembered, with earlier lives.
const LENT_MAX: usize = 4 * NODES_MAX;

/// What it owns, has lent, and holds of others.
#[derive(Debug, Default)]
pub(super) struct Account {
    max: u32,
    part: u32,
    /// Of the part, what this node has whatever happens. The rest is loose: it is lent from, and
    /// used by one node at a time that most owners vouch for.
    kept: u32,
    /// By borrower and its life: an earlier life may still have what it had.
    lent: BTreeMap<(Arc<str>, u64), Lent>,
    held: BTreeMap<Arc<str>, Held>,
    /// The most that was under way, as it was seen; it fades.
    need: u32,
    /// Requests were refused when it was last looked.
    short: bool,
    /// Whom to ask next.
    turn: usize,
}

#[derive(Debug)]
struct Lent {
    amount: u32,
    number: u64,
    until: Moment,
}

#[derive(Debug, Default)]
struct Held {
    amount: u32,
    /// So many of them the lender wants back: they go when what is under way on them has ended.
    owed: u32,
    until: Moment,
    /// The question that waits for a grant, and when it was asked.
    asked: Option<(u64, Moment)>,
    asked_at: Moment,
}

/// A question.
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) holding: u32,
    pub(super) want: u32,
}

/// The moment something is done in, and to what.
pub(super) struct Own<'a> {
    pub(super) key: u64,
    /// The loose halves of owners, this one or others, that this node may use and lend from now.
    pub(super) loose: u32,
    pub(super) now: Moment,
    pub(super) slots: &'a mut dyn Slots,
}

impl Account {
    pub(super) fn adopt(&mut self, max: u32, part: u32) {
        self.max = max;
        self.part = part;
        self.kept = part - part / 2;
    }

    pub(super) fn max(&self) -> u32 {
        self.max
    }

    /// What may be under way here, with so many loose slots.
    pub(super) fn limit(&self, loose: u32) -> u32 {
        let lent = self.lent();
        // A smaller maximum may leave more lent than there is to lend.
        let beyond = lent.saturating_sub(loose.max(self.part / 2));
        let own = self.kept.saturating_sub(beyond) + loose.saturating_sub(lent);
        let held = self.held() - self.owed();
        own.saturating_add(held).min(self.max)
    }

    pub(super) fn sums(&self) -> Sums {
        Sums {
            owned: u64::from(self.part),
            lent: u64::from(self.lent()),
            held: u64::from(self.held()),
            taken_over: 0,
        }
    }

    /// Somebody asks; answers what it may hold.
    pub(super) fn asked(&mut self, from: &Member, asked: Asked, own: &mut Own<'_>) -> Option<u32> {
        let id = (Arc::clone(&from.name), from.generation);
        if !self.lent.contains_key(&id) && self.lent.len() == LENT_MAX {
            return None;
        }
        let known = self.lent.get(&id).map(|lent| (lent.number, lent.amount));
        let (number, amount) = known.unwrap_or((0, 0));
        if asked.number <= number {
            return None;
        }
        // What it does not hold any more is here again.
        let amount = amount.min(asked.holding);
        self.note_lent(&id, asked.number, amount, own.now);
        let given = self.spare(asked.want, own);
        let amount = amount + given;
        self.note_lent(&id, asked.number, amount, own.now);
        self.set(own);
        // An owner that is short calls back a quarter with each answer, and what it may not lend
        // any more at once.
        let wanted = match self.short && given == 0 {
            true => amount.div_ceil(4),
            false => 0,
        };
        let beyond = self.lent().saturating_sub(own.loose);
        Some(amount - wanted.max(beyond).min(amount))
    }

    fn note_lent(&mut self, id: &(Arc<str>, u64), number: u64, amount: u32, now: Moment) {
        let lent = Lent {
            amount,
            number,
            until: now + RECLAIM_AFTER,
        };
        self.lent.insert(id.clone(), lent);
    }

    /// Takes up to `want` slots out of use here, to be lent.
    fn spare(&mut self, want: u32, own: &mut Own<'_>) -> u32 {
        if self.short {
            return 0;
        }
        let limit = self.limit(own.loose);
        let room = own.loose.saturating_sub(self.lent());
        let unused = limit.saturating_sub(self.need + 1);
        let give = want.min(room).min(unused);
        if give == 0 {
            return 0;
        }
        let lowered = own.slots.lower(own.key, limit - give);
        limit.saturating_sub(lowered)
    }

    /// A lender has answered.
    pub(super) fn granted(&mut self, from: &str, number: u64, amount: u32, own: &mut Own<'_>) {
        let Some(held) = self.held.get_mut(from) else {
            return;
        };
        let Some((_, at)) = held.asked.filter(|(asked, _)| *asked == number) else {
            return;
        };
        held.asked = None;
        held.until = at + HOLD_FOR;
        let before = held.amount;
        // A grant that was too long on its way is none.
        let amount = if own.now < held.until { amount } else { 0 };
        held.amount = before.max(amount);
        held.owed = held.amount - amount;
        self.pay(own);
    }

    /// Gives back what lenders want back, as far as nothing is under way on it.
    fn pay(&mut self, own: &mut Own<'_>) {
        let limit = self.limit(own.loose);
        let lowered = own.slots.lower(own.key, limit);
        let mut free = self.owed().saturating_sub(lowered.saturating_sub(limit));
        for held in self.held.values_mut() {
            let part = held.owed.min(free);
            held.amount -= part;
            held.owed -= part;
            free -= part;
        }
        self.set(own);
    }

    fn owed(&self) -> u32 {
        self.held.values().map(|held| held.owed).sum()
    }

    /// Takes note that a question is sent.
    pub(super) fn asks(&mut self, lender: &Arc<str>, number: u64, now: Moment) {
        let held = self.held.entry(Arc::clone(lender)).or_default();
        held.asked = Some((number, now));
        held.asked_at = now;
    }

    /// What is to be asked of whom: the lender, what is held of its slots, what is wanted.
    pub(super) fn step(
        &mut self,
        lenders: &[Arc<str>],
        own: &mut Own<'_>,
    ) -> Vec<(Arc<str>, u32, u32)> {
        self.forget(own);
        let taken = own.slots.taken(own.key);
        self.short = own.slots.was_short(own.key);
        self.need = taken.max(self.need - self.need.div_ceil(8).min(self.need));
        let limit = self.limit(own.loose);
        let reserve = (self.max / 16).max(1);
        let surplus = limit.saturating_sub(self.need.saturating_add(2 * reserve));
        if !self.short && surplus > 0 {
            self.give_back(surplus, own);
        }
        let want = match self.short || taken >= limit {
            true => (self.max / 8).max(1).min(self.max - limit.min(self.max)),
            false => 0,
        };
        let mut questions = Vec::new();
        if want > 0 && !lenders.is_empty() {
            self.turn = (self.turn + 1) % lenders.len();
            let lender = &lenders[self.turn];
            let held = self.held.get(lender);
            let waits = held.and_then(|held| held.asked);
            if waits.is_none_or(|(_, at)| own.now >= at + ASK_AGAIN) {
                let holding = held.map_or(0, |held| held.amount);
                questions.push((Arc::clone(lender), holding, want));
            }
        }
        for (lender, held) in &self.held {
            let is_due = own.now >= held.asked_at + RENEW_EVERY;
            let is_asked = questions.iter().any(|(asked, ..)| asked == lender);
            if is_due && !is_asked {
                questions.push((Arc::clone(lender), held.amount, 0));
            }
        }
        questions
    }

    /// Loans that have ended, on either side.
    fn forget(&mut self, own: &mut Own<'_>) {
        for held in self.held.values_mut() {
            if own.now >= held.until {
                // What is still under way on it is told as held until it has ended.
                held.owed = held.amount;
            }
        }
        // One question more tells the lender that nothing is held.
        let done = |held: &Held| held.amount == 0 && own.now >= held.until + HOLD_FOR;
        self.held.retain(|_, held| {
            !done(held) || held.asked.is_some_and(|(_, at)| own.now < at + HOLD_FOR)
        });
        self.lent.retain(|_, lent| own.now < lent.until);
        self.pay(own);
    }

    /// Stops using up to `amount` slots of others, as far as nothing is under way on them.
    fn give_back(&mut self, amount: u32, own: &mut Own<'_>) {
        let amount = amount.min(self.held() - self.owed());
        let limit = self.limit(own.loose);
        let lowered = own.slots.lower(own.key, limit.saturating_sub(amount));
        let mut freed = limit.saturating_sub(lowered).min(amount);
        for held in self.held.values_mut() {
            let part = (held.amount - held.owed).min(freed);
            held.amount -= part;
            freed -= part;
            // It is told at once.
            if part > 0 {
                held.asked_at = Moment::ZERO;
            }
        }
    }

    fn set(&self, own: &mut Own<'_>) {
        own.slots.set(own.key, self.limit(own.loose));
    }

    fn lent(&self) -> u32 {
        self.lent.values().map(|lent| lent.amount).sum()
    }

    fn held(&self) -> u32 {
        self.held.values().map(|held| held.amount).sum()
    }

    pub(super) fn check(&self) {
        assert!(self.lent.len() <= LENT_MAX && self.held.len() <= NODES_MAX);
    }
}
