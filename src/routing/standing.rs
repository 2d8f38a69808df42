//! What this node thinks of its backends at this moment, beside the table.
//!
//! Health changes faster than tables are made, and a table is not made for it: each backend slot
//! has one word that the control thread sets and every pick reads, relaxed, dense and apart from
//! what is counted, like the loads of [`super::load`]. A word of nothing but zeros means that all
//! is well, so the usual pick pays for one load and one comparison.
//!
//! Any core may *suspend* a backend the moment its own traffic shows that it failed; only the
//! control thread lifts that again. What the cores have seen in a row is counted for all of them
//! together, because sixteen cores that count to five each would send eighty requests into a
//! dead backend. A success costs a read and writes only after a failure.
//!
//! A suspended backend may be given *trials*: so many exchanges of live traffic, of all cores
//! together, may go there, and what becomes of them is told to the control thread.

mod group;

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

pub use group::{BreakerState, GroupStanding, GroupTrial, Return};

use super::table::BackendState;

/// Slots of one chunk: 2 KiB of words, 5 KiB of accounts.
const CHUNK_SLOTS: usize = 256;

/// The whole of its share.
pub const RAMP_FULL: u8 = 100;

/// The bits of a word: from below the capacity, whether there is one, what is missing of the
/// ramp, unavailable, suspended, draining and resting because its agent wants that.
const CAPACITY: u64 = 1 << 32;
const RAMP_SHIFT: u32 = 33;
const RAMP_MASK: u64 = 0x7f << RAMP_SHIFT;
const DOWN: u64 = 1 << 40;
const SUSPENDED: u64 = 1 << 41;
const DRAIN: u64 = 1 << 42;
const MAINT: u64 = 1 << 43;
/// It has been given trials since it was suspended.
const TRYING: u64 = 1 << 44;
/// Nobody sticks to it any more.
const RELEASED: u64 = 1 << 45;

/// What the control thread thinks of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It may be given new exchanges.
    pub available: bool,
    /// What its agent wants it to be given, which panic does not overrule.
    pub state: BackendState,
    /// It has drained for so long that those who stick to it are let go.
    pub released: bool,
    /// How much of its share, in percent from 1 to [`RAMP_FULL`]: less while it starts slowly.
    pub ramp: u8,
    /// Requests it says it can take at one time; it tightens the configured limit.
    pub capacity: Option<u32>,
}

impl Default for Standing {
    fn default() -> Self {
        Standing {
            available: true,
            state: BackendState::Ready,
            released: false,
            ramp: RAMP_FULL,
            capacity: None,
        }
    }
}

/// What one look at a backend shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    /// Nothing speaks against it: available, at its full share, of no known capacity.
    #[inline]
    #[must_use]
    pub fn is_plain(self) -> bool {
        self.0 == 0
    }

    /// Neither unavailable nor suspended.
    #[inline]
    #[must_use]
    pub fn is_up(self) -> bool {
        self.0 & (DOWN | SUSPENDED) == 0
    }

    /// A core has suspended it.
    #[inline]
    #[must_use]
    pub fn is_suspended(self) -> bool {
        self.0 & SUSPENDED != 0
    }

    /// Where its breaker stands: a suspension is an open one.
    #[must_use]
    pub fn breaker(self) -> BreakerState {
        match self.0 & (SUSPENDED | TRYING) {
            SUSPENDED => BreakerState::Open,
            both if both & SUSPENDED != 0 => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        }
    }

    /// What the control thread thinks of it.
    #[must_use]
    pub fn standing(self) -> Standing {
        Standing {
            available: self.0 & DOWN == 0,
            state: self.state(),
            released: self.is_released(),
            ramp: self.ramp(),
            capacity: self.capacity(),
        }
    }

    /// What its agent wants it to be given.
    #[inline]
    #[must_use]
    pub fn state(self) -> BackendState {
        match self.0 & (DRAIN | MAINT) {
            0 => BackendState::Ready,
            DRAIN => BackendState::Drain,
            _ => BackendState::Maint,
        }
    }

    /// Whether those who stick to it are let go.
    #[inline]
    #[must_use]
    pub fn is_released(self) -> bool {
        self.0 & RELEASED != 0
    }

    /// How much of its share, in percent.
    #[inline]
    #[must_use]
    pub fn ramp(self) -> u8 {
        RAMP_FULL - ((self.0 & RAMP_MASK) >> RAMP_SHIFT) as u8
    }

    /// Requests it says it can take at one time.
    #[inline]
    #[must_use]
    pub fn capacity(self) -> Option<u32> {
        (self.0 & CAPACITY != 0).then_some(self.0 as u32)
    }

    /// What is under way, as a backend at its full share would feel it.
    #[inline]
    #[must_use]
    pub fn scaled(self, in_flight: u32) -> u32 {
        if self.0 & RAMP_MASK == 0 {
            return in_flight;
        }
        let felt = u64::from(in_flight) * u64::from(RAMP_FULL) / u64::from(self.ramp());
        u32::try_from(felt).unwrap_or(u32::MAX)
    }
}

/// What an exchange showed of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, and not with a failure of its own.
    Answered,
    /// It broke off, or was not understood any more, inside its answer.
    BrokeOff,
    /// No connection came about.
    ConnectFailed,
    /// A connection came about.
    Connected,
    /// It answered 502, 503 or 504, broke off before its answer, or did not answer in time.
    GatewayFailed,
    /// It answered with another status of 500 and above.
    ServerFailed,
    /// It has answered to the last byte.
    Whole,
}

/// What makes a core suspend a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// So many answers in a row broke off.
    BrokenAnswers,
    /// So many connects failed in a row.
    ConnectFailures,
    /// So many exchanges failed as at a gateway in a row.
    GatewayFailures,
    /// So many exchanges failed in a row, in any way but connecting.
    ServerFailures,
}

impl Cause {
    /// The name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cause::BrokenAnswers => "consecutive_broken_answers",
            Cause::ConnectFailures => "consecutive_connect_failures",
            Cause::GatewayFailures => "consecutive_gateway_failure",
            Cause::ServerFailures => "consecutive_5xx",
        }
    }
}

/// How many in a row are too many; 0 for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// Failed exchanges of any kind.
    pub server: u32,
    /// Those that failed as at a gateway.
    pub gateway: u32,
    /// Failed connects.
    pub connect: u32,
    /// Answers that broke off.
    pub broken: u32,
}

/// What all cores have seen of one backend in a row.
#[derive(Default)]
struct Account {
    server: AtomicU32,
    gateway: AtomicU32,
    connect: AtomicU32,
    broken: AtomicU32,
    /// Exchanges that may go to it although it is suspended.
    trials: AtomicU32,
}

impl Account {
    fn forget(&self) {
        self.forget_rows();
        self.trials.store(0, Relaxed);
    }

    fn forget_rows(&self) {
        for count in [&self.server, &self.gateway, &self.connect, &self.broken] {
            count.store(0, Relaxed);
        }
    }
}

/// The alignment keeps words that every pick reads off the lines that failures write.
#[repr(align(128))]
struct Words([AtomicU64; CHUNK_SLOTS]);

struct Cells {
    words: Words,
    accounts: [Account; CHUNK_SLOTS],
}

impl Default for Cells {
    fn default() -> Self {
        Cells {
            words: Words(std::array::from_fn(|_| AtomicU64::new(0))),
            accounts: std::array::from_fn(|_| Account::default()),
        }
    }
}

type Chunk = Arc<Cells>;

/// The standings of all slots. A clone shares them.
#[derive(Clone, Default)]
pub struct Standings {
    chunks: Arc<[Chunk]>,
}

impl Standings {
    /// The handle of `slot`, all well; there is room for it afterwards.
    pub fn claim(&mut self, slot: u32) -> BackendStanding {
        let (chunk, at) = place(slot);
        if chunk >= self.chunks.len() {
            let more = (self.chunks.len()..=chunk).map(|_| Chunk::default());
            self.chunks = self.chunks.iter().cloned().chain(more).collect();
        }
        let cells = Arc::clone(&self.chunks[chunk]);
        cells.words.0[at].store(0, Relaxed);
        cells.accounts[at].forget();
        BackendStanding { cells, at }
    }

    /// What stands at `slot`; all is well at one that was never claimed.
    #[inline]
    #[must_use]
    pub fn word(&self, slot: u32) -> Word {
        let (chunk, at) = place(slot);
        let found = self.chunks.get(chunk);
        Word(found.map_or(0, |cells| cells.words.0[at].load(Relaxed)))
    }

    /// Bytes of all slots.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.chunks.len() * (size_of::<Cells>() + size_of::<Chunk>())
    }
}

fn place(slot: u32) -> (usize, usize) {
    let slot = slot as usize;
    (slot / CHUNK_SLOTS, slot % CHUNK_SLOTS)
}

/// The standing of one backend slot. A clone is the same one.
#[derive(Clone)]
pub struct BackendStanding {
    cells: Chunk,
    at: usize,
}

impl BackendStanding {
    /// What one look shows.
    #[inline]
    #[must_use]
    pub fn word(&self) -> Word {
        Word(self.bits().load(Relaxed))
    }

    /// What the control thread thinks of it.
    #[must_use]
    pub fn get(&self) -> Standing {
        self.word().standing()
    }

    /// Says what to think of it. Only the control thread may call it; what cores have suspended
    /// stays so.
    pub fn set(&self, standing: Standing) {
        let ramp = standing.ramp.clamp(1, RAMP_FULL);
        let mut word = u64::from(RAMP_FULL - ramp) << RAMP_SHIFT;
        if let Some(capacity) = standing.capacity {
            word |= CAPACITY | u64::from(capacity);
        }
        if !standing.available {
            word |= DOWN;
        }
        if standing.released {
            word |= RELEASED;
        }
        word |= match standing.state {
            BackendState::Drain => DRAIN,
            BackendState::Maint => MAINT,
            BackendState::Ready => 0,
        };
        // Succeeds in the end: cores change the bit of suspension only, and seldom. What is said
        // already is not written again: every write takes the line from all cores that read it.
        let _ = self.bits().fetch_update(AcqRel, Relaxed, |held| {
            let told = held & (SUSPENDED | TRYING) | word;
            (told != held).then_some(told)
        });
    }

    /// Whether a core has suspended it.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        Word(self.bits().load(SeqCst)).is_suspended()
    }

    /// Suspends it; true for the one caller who did. `Group::suspend` also keeps to the largest
    /// share that may be out.
    pub fn suspend(&self) -> bool {
        // Of two cores that suspend two backends of a group at once, one at least must see both.
        self.bits().fetch_or(SUSPENDED, SeqCst) & SUSPENDED == 0
    }

    /// Takes a suspension back that was one too many.
    pub(super) fn undo_suspend(&self) {
        self.bits().fetch_and(!SUSPENDED, SeqCst);
    }

    /// Ends a suspension; what was seen in a row is forgotten, and so are trials. Only the control
    /// thread may call it.
    pub fn readmit(&self) {
        self.account().forget();
        self.bits().fetch_and(!(SUSPENDED | TRYING), SeqCst);
    }

    /// Forgets what was seen in a row: it is another than the one that failed.
    pub fn forget_rows(&self) {
        self.account().forget_rows();
    }

    /// Lets so many exchanges go to it although it is suspended, instead of any that were left.
    /// Only the control thread may call it.
    pub fn grant_trials(&self, count: u32) {
        self.account().trials.store(count, Relaxed);
        match count {
            0 => self.bits().fetch_and(!TRYING, AcqRel),
            _ => self.bits().fetch_or(TRYING, AcqRel),
        };
    }

    /// Whether a trial is left.
    #[must_use]
    pub fn has_trials(&self) -> bool {
        self.account().trials.load(Relaxed) > 0
    }

    /// Takes a trial; false if none is left.
    #[must_use]
    pub fn take_trial(&self) -> bool {
        let trials = &self.account().trials;
        trials
            .fetch_update(AcqRel, Acquire, |left| left.checked_sub(1))
            .is_ok()
    }

    /// Gives a trial back that showed nothing.
    pub fn give_back_trial(&self) {
        self.account().trials.fetch_add(1, AcqRel);
    }

    /// Notes what an exchange showed, and answers what there were too many of in a row by it: at
    /// each multiple of the threshold, so that one that could not be suspended is looked at again.
    #[inline]
    pub fn note(&self, outcome: Outcome, thresholds: &Thresholds) -> Option<Cause> {
        let account = self.account();
        match outcome {
            Outcome::Answered => {
                settle(&account.server);
                settle(&account.gateway);
                None
            }
            Outcome::BrokeOff => {
                let trips = one_more(&account.broken, thresholds.broken);
                trips.then_some(Cause::BrokenAnswers)
            }
            Outcome::Whole => {
                settle(&account.broken);
                None
            }
            Outcome::ConnectFailed => {
                let trips = one_more(&account.connect, thresholds.connect);
                trips.then_some(Cause::ConnectFailures)
            }
            Outcome::Connected => {
                settle(&account.connect);
                None
            }
            Outcome::GatewayFailed => {
                let server = one_more(&account.server, thresholds.server);
                let gateway = one_more(&account.gateway, thresholds.gateway);
                match (gateway, server) {
                    (true, _) => Some(Cause::GatewayFailures),
                    (false, true) => Some(Cause::ServerFailures),
                    (false, false) => None,
                }
            }
            Outcome::ServerFailed => {
                settle(&account.gateway);
                let trips = one_more(&account.server, thresholds.server);
                trips.then_some(Cause::ServerFailures)
            }
        }
    }

    fn bits(&self) -> &AtomicU64 {
        &self.cells.words.0[self.at]
    }

    fn account(&self) -> &Account {
        &self.cells.accounts[self.at]
    }
}

/// The row is over. Looking first keeps the line shared while nothing fails.
#[inline]
fn settle(count: &AtomicU32) {
    if count.load(Relaxed) != 0 {
        count.store(0, Relaxed);
    }
}

fn one_more(count: &AtomicU32, threshold: u32) -> bool {
    let count = count.fetch_add(1, Relaxed).wrapping_add(1);
    threshold != 0 && count.is_multiple_of(threshold)
}

#[cfg(test)]
mod tests;
