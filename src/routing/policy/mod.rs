//! Policies: which backend of a group serves one exchange.
//!
//! A policy is made with the table and immutable: who may be chosen, weights turned into a cycle
//! or a lottery, and a view of the load board. What changes with each pick is a small state of
//! each core, outside the table, one per group slot; it survives every epoch, also one that
//! changes the policy. So a pick waits for no one and allocates nothing. Each core begins at its
//! own seeded place: cores that all began at the first backend would send it one burst each.
//!
//! Who can be chosen, strictly in this order: a backend that is ready, has a weight and was not
//! tried for this exchange; is not taken out by its agent; is available and not suspended, unless
//! its group is in panic; is below its hard limits and what it says it can take. Only among those
//! the policy chooses. The first
//! two are settled when the table is made. When nobody is left the answer says whether that is
//! because of limits, so that waiting may help. It is exact: a policy that found nobody by its own
//! rule looks at all that are left, in constant time while few are full or tried, in time linear
//! in the group when nearly all are.
//!
//! Who starts slowly is passed over by chance, as far as it is short of its full share, and what
//! it has under way counts for more. If only such are left they are taken as they are. Placing by
//! a key does neither: there a backend that comes back gets its own keys.

mod adaptive;
mod alias;
mod cycle;
mod hashed;
mod kind;
mod least_load;
mod outside;
mod sample;
mod shadow;
mod state;
#[cfg(test)]
pub(super) mod tests;
mod tried;

use std::cell::Cell;

pub(super) use adaptive::crowd_at;
pub use adaptive::{Estimate, estimate};
pub use kind::{Adaptive, PolicyKind};
pub use shadow::{Shadow, ShadowState};
pub use state::PickState;
pub use tried::{TRIED_MAX, Tried};

use self::alias::{Alias, below};
use self::cycle::Cycle;
use self::hashed::Places;
use self::least_load::Seats;
use self::sample::CHOICES_MAX;
use crate::base::id::{BackendIndex, BackendSlot};
use crate::routing::hashing::Algorithm;
use crate::routing::load::Board;
use crate::routing::standing::{RAMP_FULL, Standings, Word};
use crate::routing::table::{Backend, BackendState, Group};

/// What one pick is about.
pub struct Ask<'a> {
    /// The hash of the exchange's key, for policies that place by it.
    pub key: Option<u64>,
    /// Who is not to be chosen again.
    pub tried: &'a Tried,
    /// The time, on a clock all cores share.
    pub now_micros: u64,
    /// Whether the asking core has an idle connection to a backend: it serves even when no
    /// further one may be opened.
    pub has_idle: &'a dyn Fn(BackendSlot) -> bool,
}

impl<'a> Ask<'a> {
    /// A pick by no key, with no idle connections.
    #[must_use]
    pub fn new(tried: &'a Tried, now_micros: u64) -> Self {
        Ask {
            key: None,
            tried,
            now_micros,
            has_idle: &|_| false,
        }
    }
}

/// Why nobody was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// Somebody would do and is at a hard limit: waiting may help.
    Full,
    /// There is nobody left to try.
    Nobody,
}

/// How one group chooses.
pub struct Policy {
    kind: PolicyKind,
    /// Every backend, by its index.
    candidates: Box<[Candidate]>,
    /// Those that get new traffic, in order.
    ready: Box<[u32]>,
    rule: Rule,
    board: Board,
    standings: Standings,
}

/// What a policy must know of a backend for most picks, packed: a thousand of them fit where the
/// caches are fast.
struct Candidate {
    slot: u32,
    weight: u16,
    /// It has a hard limit.
    limited: bool,
    /// It gets new traffic.
    ready: bool,
}

/// What the weights were made into.
enum Rule {
    Adaptive(adaptive::Rule),
    Draw { lottery: Lottery, choices: usize },
    LeastConnections(Seats),
    PeakEwma(Lottery),
    Place(Places),
    RoundRobin,
    WeightedLeastConnections(Cycle, Seats),
    WeightedRoundRobin(Cycle),
}

/// Drawing from those that are ready: evenly where the weights are equal.
enum Lottery {
    Even,
    Weighted(Alias),
}

impl Policy {
    /// The policy of a group of `backends`, whose loads are on `board`.
    #[must_use]
    pub fn new(
        kind: PolicyKind,
        backends: &[Backend],
        board: &Board,
        standings: &Standings,
    ) -> Policy {
        let is_ready =
            |backend: &Backend| backend.weight > 0 && backend.state == BackendState::Ready;
        let candidates = backends.iter().map(|backend| Candidate {
            slot: backend.slot.0,
            weight: backend.weight,
            limited: backend.gate.is_some(),
            ready: is_ready(backend),
        });
        let ready: Box<[u32]> = (0_u32..)
            .zip(backends)
            .filter(|(_, backend)| is_ready(backend))
            .map(|(index, _)| index)
            .collect();
        let weights: Vec<u16> = ready
            .iter()
            .map(|index| backends[*index as usize].weight)
            .collect();
        Policy {
            kind,
            candidates: candidates.collect(),
            rule: Rule::new(kind, backends, &ready, &weights),
            ready,
            board: board.clone(),
            standings: standings.clone(),
        }
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Whether the weights had to be scaled to make a cycle that is not too long.
    #[must_use]
    pub fn has_scaled_weights(&self) -> bool {
        match &self.rule {
            Rule::WeightedLeastConnections(cycle, _) | Rule::WeightedRoundRobin(cycle) => {
                cycle.scaled
            }
            _ => false,
        }
    }

    /// Bytes it holds, loads and standings not included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let rule = match &self.rule {
            Rule::Adaptive(rule) => rule.lottery.memory_bytes(),
            Rule::Draw { lottery, .. } | Rule::PeakEwma(lottery) => lottery.memory_bytes(),
            Rule::LeastConnections(seats) => seats.memory_bytes(),
            Rule::RoundRobin => 0,
            Rule::Place(places) => places.memory_bytes(),
            Rule::WeightedLeastConnections(cycle, seats) => {
                cycle.memory_bytes() + seats.memory_bytes()
            }
            Rule::WeightedRoundRobin(cycle) => cycle.memory_bytes(),
        };
        rule + size_of_val(&*self.candidates) + size_of_val(&*self.ready)
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.board.in_flight(self.candidates[index as usize].slot)
    }

    fn word(&self, index: u32) -> Word {
        self.standings.word(self.candidates[index as usize].slot)
    }

    /// What is under way, as one at its full share would feel it.
    #[inline]
    fn felt(&self, index: u32) -> u32 {
        self.word(index).scaled(self.in_flight(index))
    }

    fn weight(&self, index: u32) -> u16 {
        self.candidates[index as usize].weight
    }
}

impl Rule {
    fn new(kind: PolicyKind, backends: &[Backend], ready: &[u32], weights: &[u16]) -> Rule {
        let place = |algorithm, bounded_load| {
            Rule::Place(Places::new(algorithm, bounded_load, backends, weights))
        };
        let lottery = || match weights.iter().all(|weight| *weight == weights[0]) {
            true => Lottery::Even,
            false => Lottery::Weighted(Alias::new(ready, weights)),
        };
        match kind {
            PolicyKind::Adaptive(adaptive) => {
                Rule::Adaptive(adaptive::Rule::new(adaptive, lottery(), weights))
            }
            PolicyKind::LeastConnections => Rule::LeastConnections(Seats::new(backends, ready)),
            PolicyKind::LeastRequest { choices } => Rule::Draw {
                lottery: lottery(),
                choices: usize::from(choices),
            },
            PolicyKind::Maglev { bounded_load } => place(Algorithm::Maglev, bounded_load),
            PolicyKind::PeakEwma => Rule::PeakEwma(lottery()),
            PolicyKind::Random => Rule::Draw {
                lottery: lottery(),
                choices: 1,
            },
            PolicyKind::Rendezvous { bounded_load } => place(Algorithm::Rendezvous, bounded_load),
            PolicyKind::RingHash { bounded_load } => place(Algorithm::Ring, bounded_load),
            PolicyKind::RoundRobin => Rule::RoundRobin,
            PolicyKind::WeightedLeastConnections => {
                Rule::WeightedLeastConnections(Cycle::new(weights), Seats::new(backends, ready))
            }
            PolicyKind::WeightedRoundRobin => Rule::WeightedRoundRobin(Cycle::new(weights)),
        }
    }
}

impl Lottery {
    fn memory_bytes(&self) -> usize {
        match self {
            Lottery::Even => 0,
            Lottery::Weighted(alias) => alias.memory_bytes(),
        }
    }

    #[inline]
    fn draw(&self, ready: &[u32], random: u64) -> Option<u32> {
        match self {
            Lottery::Even => ready.get(below(random, ready.len())).copied(),
            Lottery::Weighted(alias) => alias.draw(random),
        }
    }
}

/// Whether a client that sticks to `backend` may stay with it: also while it drains, until that has
/// lasted long enough, but not when it has failed.
#[must_use]
pub fn may_stay(group: &Group, backend: BackendIndex, ask: &Ask<'_>) -> bool {
    let Some(found) = group.backends.get(backend.index()) else {
        return false;
    };
    let word = found.standing.word();
    found.state != BackendState::Maint
        && word.state() != BackendState::Maint
        && !word.is_released()
        && !ask.tried.contains(backend)
        && (word.is_up() || group.standing.is_panicking())
        && !found.is_full(ask.has_idle)
}

/// Chooses a backend. One that is suspended is chosen in panic or while it has trials; who hands
/// an exchange to it in the second case takes one of them first.
///
/// # Errors
/// When nobody can be chosen, and whether limits are why.
#[inline]
pub fn pick(group: &Group, state: &mut PickState, ask: &Ask<'_>) -> Result<BackendIndex, NoPick> {
    pick_by(group, &group.policy, state, ask)
}

/// The same by `policy`, which is made of the backends of the group.
#[inline]
fn pick_by(
    group: &Group,
    policy: &Policy,
    state: &mut PickState,
    ask: &Ask<'_>,
) -> Result<BackendIndex, NoPick> {
    if ask.tried.is_full() || policy.ready.is_empty() {
        return Err(NoPick::Nobody);
    }
    let choice = Choice {
        group,
        policy,
        ask,
        full: Cell::new(false),
        thins: Cell::new(!policy.kind.needs_key()),
        thinned: Cell::new(false),
        dice: Cell::new(state.dice()),
    };
    let mut found = choice.by_rule(state);
    if choice.thinned.get() {
        state.random();
        if found.is_none() {
            choice.thins.set(false);
            found = choice.by_rule(state);
        }
    }
    found.map(BackendIndex).ok_or(match choice.full.get() {
        true => NoPick::Full,
        false => NoPick::Nobody,
    })
}

/// One pick under way.
struct Choice<'c> {
    group: &'c Group,
    policy: &'c Policy,
    ask: &'c Ask<'c>,
    /// Somebody was passed over because of a limit.
    full: Cell<bool>,
    /// Who starts slowly is passed over by chance.
    thins: Cell<bool>,
    /// The dice were thrown.
    thinned: Cell<bool>,
    dice: Cell<u64>,
}

impl Choice<'_> {
    fn by_rule(&self, state: &mut PickState) -> Option<u32> {
        match &self.policy.rule {
            Rule::Adaptive(rule) => adaptive::pick(self, state, rule),
            Rule::Draw { lottery, choices } => {
                sample::pick(self, state, lottery, *choices, |left, right| {
                    least_load::is_less(self, left, right)
                })
            }
            Rule::LeastConnections(seats) => least_load::pick(self, state, seats),
            Rule::PeakEwma(lottery) => sample::pick_fastest(self, state, lottery),
            Rule::Place(places) => hashed::pick(self, state, places),
            Rule::RoundRobin => self.in_turn(state),
            Rule::WeightedLeastConnections(cycle, seats) => {
                least_load::pick_weighted(self, state, (cycle, seats))
            }
            Rule::WeightedRoundRobin(cycle) => self.in_cycle(state, cycle),
        }
    }

    /// Whether one that is ready can be chosen now.
    #[inline]
    fn is_eligible(&self, index: u32) -> bool {
        if self.ask.tried.contains(BackendIndex(index)) {
            return false;
        }
        let word = self.policy.word(index);
        if word.is_plain() && !self.policy.candidates[index as usize].limited {
            return true;
        }
        self.is_eligible_still(index, word)
    }

    /// The same for one that has a limit, or of which anything is to be said.
    #[inline(never)]
    fn is_eligible_still(&self, index: u32, word: Word) -> bool {
        if word.state() != BackendState::Ready {
            return false;
        }
        let backend = &self.group.backends[index as usize];
        let tried_out = || word.standing().available && backend.standing.has_trials();
        if !word.is_up() && !self.group.standing.is_panicking() && !tried_out() {
            return false;
        }
        if backend.is_full(self.ask.has_idle) {
            self.full.set(true);
            return false;
        }
        word.ramp() == RAMP_FULL || !self.thins.get() || self.throw() < u64::from(word.ramp())
    }

    /// A number below 100 by chance.
    fn throw(&self) -> u64 {
        self.thinned.set(true);
        let (dice, number) = state::throw(self.dice.get());
        self.dice.set(dice);
        number
    }

    /// The first that can be chosen, looking at all who are ready from the `start`-th on.
    fn first_from(&self, start: u32) -> Option<(u32, u32)> {
        let ready = &self.policy.ready;
        around(start, ready.len() as u32)
            .map(|at| (at, ready[at as usize]))
            .find(|(_, index)| self.is_eligible(*index))
    }

    /// One after the other: the cursor belongs to one core, because a shared one would cost a
    /// contended line per request to be exact over all of them.
    fn in_turn(&self, state: &mut PickState) -> Option<u32> {
        let count = self.policy.ready.len() as u32;
        let (at, index) = self.first_from(state.start(count))?;
        state.advance(at, count);
        Some(index)
    }

    /// By weight. A turn of one that cannot be chosen is skipped, not made up for.
    fn in_cycle(&self, state: &mut PickState, cycle: &Cycle) -> Option<u32> {
        let count = cycle.len();
        let mut turns = around(state.start(count), count);
        let is_eligible = |turn: &u32| {
            let index = self.policy.ready[cycle.at(*turn) as usize];
            self.is_eligible(index)
        };
        let turn = turns.find(is_eligible)?;
        state.advance(turn, count);
        Some(self.policy.ready[cycle.at(turn) as usize])
    }
}

/// All positions below `count`, beginning at `start` and wrapping around.
fn around(start: u32, count: u32) -> impl Iterator<Item = u32> + Clone {
    (start..count).chain(0..start)
}
