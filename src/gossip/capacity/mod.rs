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
//! [`RECLAIM_AFTER`]. The part of an owner that is dead waits for it: whether it is dead or cut off
//! nobody can know. Requests that began on a loan outlive it if they take longer than the two
//! times are apart; that is the one way above the maximum, and only where nodes are cut off.

mod account;
#[cfg(test)]
pub(crate) mod counted;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Moment;
use super::member::Member;
use account::Account;
pub use words::{Word, Words};

/// How long a borrower uses a loan after it has asked for it.
pub const HOLD_FOR: Duration = Duration::from_secs(4);

/// How long a lender waits for a loan after it has granted it.
pub const RECLAIM_AFTER: Duration = Duration::from_secs(20);

/// How often a borrower asks for what it has.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// How long a grant may take before the question is asked anew.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Backends with a limit that are shared; the limits of others hold on each node.
pub const SHARED_MAX: usize = 4096;

/// A borrower and a lender must not disagree although one clock runs faster than the other.
const _: () = assert!(RECLAIM_AFTER.as_millis() >= 4 * HOLD_FOR.as_millis());

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
}

/// The slots of one node.
pub struct Capacity {
    owners: Owners,
    begun: Moment,
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
        match self.mine {
            Some(mine) => max / self.count + u32::from(mine < max % self.count),
            None => 0,
        }
    }
}

impl Capacity {
    /// Of a node that begins now.
    #[must_use]
    pub fn new(owners: Owners, now: Moment) -> Capacity {
        Capacity {
            owners,
            begun: now,
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
        let settled = self.is_settled(now);
        for (key, account) in &self.accounts {
            slots.set(*key, account.limit(settled));
        }
    }

    /// Takes in what another node has said.
    pub fn handle(&mut self, from: &Member, words: Words, now: Moment, slots: &mut dyn Slots) {
        let settled = self.is_settled(now);
        for word in words.0 {
            match word {
                Word::Ask {
                    key,
                    number,
                    holding,
                    want,
                } => {
                    let Some(account) = self.accounts.get_mut(&key) else {
                        continue;
                    };
                    let asked = account::Asked {
                        number,
                        holding,
                        want,
                    };
                    let mut own = account::Own {
                        key,
                        settled,
                        now,
                        slots,
                    };
                    if let Some(amount) = account.asked(from, asked, &mut own) {
                        let grant = Word::Grant {
                            key,
                            number,
                            amount,
                        };
                        self.output
                            .entry(Arc::clone(&from.name))
                            .or_default()
                            .push(grant);
                    }
                }
                Word::Grant {
                    key,
                    number,
                    amount,
                } => {
                    if let Some(account) = self.accounts.get_mut(&key) {
                        let mut own = account::Own {
                            key,
                            settled,
                            now,
                            slots,
                        };
                        account.granted(&from.name, number, amount, &mut own);
                    }
                }
            }
        }
    }

    /// Looks at what is needed: asks, gives back, and lets go of loans that have ended. `there`
    /// are the other nodes that can be asked.
    pub fn step(&mut self, there: &[Arc<str>], now: Moment, slots: &mut dyn Slots) {
        let settled = self.is_settled(now);
        let lenders = there.iter().filter(|name| self.owners.names.contains(name));
        let lenders: Vec<Arc<str>> = lenders.cloned().collect();
        for (key, account) in &mut self.accounts {
            let mut own = account::Own {
                key: *key,
                settled,
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
        })
    }

    /// That what it holds is sound.
    pub fn check(&self) {
        assert!(self.accounts.len() <= SHARED_MAX);
        self.accounts.values().for_each(Account::check);
    }

    /// Whether nothing can be lent of which it does not know.
    fn is_settled(&self, now: Moment) -> bool {
        now >= self.begun + RECLAIM_AFTER
    }
}
