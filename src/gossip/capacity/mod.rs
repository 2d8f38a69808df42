//! A hard limit of one backend over all nodes: slots, each of which one node holds at a time.
//!
//! Nodes that are named as owners have a part of each maximum for good, as equal as it goes, so
//! that nothing has to be agreed on: without a word from anybody the parts come to the maximum.
//! Slots move by loans. Who has too few asks; an owner that needs less first lowers its own limit
//! and then lends. So at each moment what nodes may use comes to the maximum at most, whatever the
//! network does to the messages.
//!
//! A loan ends by itself, and for the borrower long before the lender: it counts [`HOLD_FOR`] from
//! when it asked, the lender [`RECLAIM_AFTER`] from when it granted, which came later. Both use
//! their own monotonic clocks; only their pace is compared. What is given back is given back by
//! asking anew with less; only the grant of the newest question counts.
//!
//! An owner lends at most half, and what it might have lent in an earlier life it leaves alone for
//! [`RECLAIM_AFTER`]. That half is loose: where there are three owners or more it is used by who
//! most of them vouch for, which is the owner while it is there, and another one when it is gone
//! ([`trust`]). The other half waits for its owner: whether that is dead or cut off nobody can
//! know. Requests that began on a loan or a claim outlive it if they take longer than the two times
//! are apart; that is the one way above the maximum, and only where nodes are cut off.

mod account;
#[cfg(test)]
pub(crate) mod counted;
#[cfg(test)]
mod tests;
mod trust;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Moment;
use super::member::Member;
use account::Account;
use trust::Trust;
pub use words::{Word, Words};

/// How long a borrower uses a loan after it has asked for it.
pub const HOLD_FOR: Duration = Duration::from_secs(4);

/// How long a lender waits for a loan after it has granted it.
pub const RECLAIM_AFTER: Duration = Duration::from_secs(20);

/// For so long who has vouched for one node vouches for no other one.
pub const PROMISED_FOR: Duration = Duration::from_secs(30);

/// Of fewer owners none can ever be outvoted, so none asks.
const TRUST_LEAST: u32 = 3;

/// How often a borrower asks for what it has.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// How long a grant may take before the question is asked anew.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Backends with a limit that are shared; the limits of others hold on each node.
pub const SHARED_MAX: usize = 4096;

/// A borrower and a lender must not disagree although one clock runs faster than the other.
const _: () = assert!(RECLAIM_AFTER.as_millis() >= 4 * HOLD_FOR.as_millis());

/// A claim ends and then a loan that began in its last moment, as far from the promise.
const _: () = assert!(PROMISED_FOR.as_millis() >= RECLAIM_AFTER.as_millis() + HOLD_FOR.as_millis());

/// The owners of parts, and which of them this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    count: u32,
    mine: Option<u32>,
    names: Vec<Arc<str>>,
}

/// What one backend has under way, and the limit this node keeps to.
pub trait Slots {
    /// What is under way of it now.
    fn taken(&self, key: u64) -> u32;

    /// Whether requests were refused since this was last asked.
    fn was_short(&mut self, key: u64) -> bool;

    /// Sets the limit, at once. Where more is under way nothing new begins.
    fn set(&mut self, key: u64, limit: u32);

    /// Lowers the limit to this, or to what is under way where that is more; answers which. No
    /// request may begin between the look and the change.
    fn lower(&mut self, key: u64, limit: u32) -> u32;
}

/// Slots of several backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// That are this node's own.
    pub owned: u64,
    /// Of those, lent to others.
    pub lent: u64,
    /// Of others, held here.
    pub held: u64,
    /// Of owners that are gone, used here meanwhile.
    pub taken_over: u64,
}

/// The slots of one node.
pub struct Capacity {
    owners: Owners,
    begun: Moment,
    trust: Trust,
    /// Slots of owners that are gone, as it was when it was last looked.
    taken_over: u64,
    accounts: BTreeMap<u64, Account>,
    number: u64,
    output: BTreeMap<Arc<str>, Vec<Word>>,
}

impl Owners {
    /// Of these nodes, as `me` sees it.
    #[must_use]
    pub fn new(names: &[Arc<str>], me: &str) -> Owners {
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        let mine = names.iter().position(|name| **name == *me);
        Owners {
            count: u32::try_from(names.len()).unwrap_or(u32::MAX),
            mine: mine.and_then(|mine| u32::try_from(mine).ok()),
            names,
        }
    }

    /// This node's own part of a maximum.
    fn part(&self, max: u32) -> u32 {
        self.mine.map_or(0, |mine| self.part_of(mine, max))
    }

    fn part_of(&self, owner: u32, max: u32) -> u32 {
        max / self.count + u32::from(owner < max % self.count)
    }

    /// What the loose halves of these owners come to.
    fn loose(&self, halves: &[u32], max: u32) -> u32 {
        let each = halves.iter().map(|owner| self.part_of(*owner, max) / 2);
        each.sum()
    }

    fn number_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|owner| **owner == *name)
    }
}

impl Capacity {
    /// Of a node that begins now.
    #[must_use]
    pub fn new(owners: Owners, now: Moment) -> Capacity {
        Capacity {
            trust: Trust::new(&owners, now),
            owners,
            begun: now,
            taken_over: 0,
            accounts: BTreeMap::new(),
            number: 0,
            output: BTreeMap::new(),
        }
    }

    /// Which backends have which maximum from now on. Those it knows keep their loans.
    pub fn adopt(&mut self, maxima: &BTreeMap<u64, u32>, now: Moment, slots: &mut dyn Slots) {
        self.accounts.retain(|key, _| maxima.contains_key(key));
        for (key, max) in maxima.iter().take(SHARED_MAX) {
            let part = self.owners.part(*max);
            let account = self.accounts.entry(*key).or_default();
            account.adopt(*max, part);
        }
        let halves = self.halves(now);
        for (key, account) in &self.accounts {
            let loose = self.owners.loose(&halves, account.max());
            slots.set(*key, account.limit(loose));
        }
    }

    /// Takes in what another node has said.
    pub fn handle(&mut self, from: &Member, words: Words, now: Moment, slots: &mut dyn Slots) {
        for word in words.0 {
            match word {
                Word::Ask {
                    key,
                    number,
                    holding,
                    want,
                } => {
                    let asked = account::Asked {
                        number,
                        holding,
                        want,
                    };
                    let answer = self.with(key, now, slots, |account, own| {
                        account.asked(from, asked, own)
                    });
                    if let Some(amount) = answer.flatten() {
                        let grant = Word::Grant {
                            key,
                            number,
                            amount,
                        };
                        self.say(&from.name, grant);
                    }
                }
                Word::Grant {
                    key,
                    number,
                    amount,
                } => {
                    self.with(key, now, slots, |account, own| {
                        account.granted(&from.name, number, amount, own);
                    });
                }
                Word::Claim { key, number } => {
                    let known = self.owners.number_of(&from.name).is_some();
                    if known && self.trust.asked(&from.name, key, now) {
                        self.say(&from.name, Word::Promise { key, number });
                    }
                }
                Word::Promise { key, number } => {
                    let from = self.owners.number_of(&from.name);
                    self.trust.promised(from, key, number);
                }
            }
        }
    }

    /// Does something to one account.
    fn with<T>(
        &mut self,
        key: u64,
        now: Moment,
        slots: &mut dyn Slots,
        does: impl FnOnce(&mut Account, &mut account::Own<'_>) -> T,
    ) -> Option<T> {
        let halves = self.halves(now);
        let account = self.accounts.get_mut(&key)?;
        let mut own = account::Own {
            key,
            loose: self.owners.loose(&halves, account.max()),
            now,
            slots,
        };
        Some(does(account, &mut own))
    }

    fn say(&mut self, to: &Arc<str>, word: Word) {
        self.output.entry(Arc::clone(to)).or_default().push(word);
    }

    /// Looks at what is needed: asks, gives back, and lets go of loans that have ended. `there`
    /// are the other nodes that can be asked.
    pub fn step(&mut self, there: &[Arc<str>], now: Moment, slots: &mut dyn Slots) {
        let lenders = there.iter().filter(|name| self.owners.names.contains(name));
        let lenders: Vec<Arc<str>> = lenders.cloned().collect();
        self.claim(&lenders, now);
        let halves = self.halves(now);
        for (key, account) in &mut self.accounts {
            let mut own = account::Own {
                key: *key,
                loose: self.owners.loose(&halves, account.max()),
                now,
                slots,
            };
            for (lender, holding, want) in account.step(&lenders, &mut own) {
                self.number += 1;
                account.asks(&lender, self.number, now);
                let ask = Word::Ask {
                    key: *key,
                    number: self.number,
                    holding,
                    want,
                };
                self.output.entry(lender).or_default().push(ask);
            }
        }
        self.taken_over = self.sum_taken_over(&halves);
    }

    /// Asks the other owners for the halves that are this node's to use.
    fn claim(&mut self, others: &[Arc<str>], now: Moment) {
        if self.owners.count < TRUST_LEAST {
            return;
        }
        let settled = self.is_settled(now);
        let number = &mut self.number;
        let questions = self.trust.step(&self.owners, others, settled, number, now);
        for (key, number) in questions {
            for other in others {
                self.say(other, Word::Claim { key, number });
            }
        }
    }

    /// The owners whose loose halves this node may use.
    fn halves(&self, now: Moment) -> Vec<u32> {
        if self.owners.count >= TRUST_LEAST {
            return self.trust.holds(now);
        }
        let mine = self.owners.mine.filter(|_| self.is_settled(now));
        mine.into_iter().collect()
    }

    fn sum_taken_over(&self, halves: &[u32]) -> u64 {
        let others = halves.iter().copied();
        let others: Vec<u32> = others
            .filter(|half| Some(*half) != self.owners.mine)
            .collect();
        let accounts = self.accounts.values();
        let each = accounts.map(|account| self.owners.loose(&others, account.max()));
        each.map(u64::from).sum()
    }

    /// What is to be said to another node, as the body of one datagram.
    pub fn poll_output(&mut self) -> Option<(Arc<str>, Vec<u8>)> {
        let mut entry = self.output.first_entry()?;
        let name = Arc::clone(entry.key());
        let words = entry.get_mut();
        let some = words.split_off(words.len().saturating_sub(words::WORDS_MAX));
        if words.is_empty() {
            entry.remove();
        }
        Some((name, Words(some).bytes()))
    }

    /// All accounts together.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let each = self.accounts.values().map(Account::sums);
        each.fold(Sums::default(), |sums, one| Sums {
            owned: sums.owned + one.owned,
            lent: sums.lent + one.lent,
            held: sums.held + one.held,
            taken_over: self.taken_over,
        })
    }

    /// That what it holds is sound.
    pub fn check(&self) {
        assert!(self.accounts.len() <= SHARED_MAX);
        self.trust.check();
        self.accounts.values().for_each(Account::check);
    }

    /// Whether nothing can be lent of which it does not know.
    fn is_settled(&self, now: Moment) -> bool {
        now >= self.begun + RECLAIM_AFTER
    }
}
