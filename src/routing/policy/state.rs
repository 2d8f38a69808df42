//! What a core remembers about a group between picks.

use crate::base::id::{CoreId, GroupSlot};

/// The step of splitmix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The response time a backend is taken to have before any was observed in its group (Linkerd's
/// default).
const TYPICAL_MICROS: f32 = 30_000.0;

/// By how much one observation moves the running median.
const MEDIAN_STEP: f32 = 1.03;

/// What a core remembers about a group between picks. A few words: a node may have as many
/// groups as it has cores to multiply them with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PickState {
    /// Whose turn is next; reduced to the number of turns when it is used.
    cursor: u32,
    /// Whose it is.
    core: CoreId,
    /// The response time in the middle of those seen lately; 0 before the first.
    median_micros: f32,
    /// The last state of the generator.
    random: u64,
}

impl Default for PickState {
    fn default() -> Self {
        PickState {
            cursor: 0,
            core: CoreId(0),
            median_micros: 0.0,
            random: STEP,
        }
    }
}

impl PickState {
    /// The state a core begins with: a place that differs by node (seed), core and group.
    #[must_use]
    pub fn new(seed: u64, core: CoreId, group: GroupSlot) -> Self {
        let place = u64::from(group.0) << 16 | u64::from(core.0);
        let mixed = mix(seed ^ mix(place.wrapping_add(STEP)));
        PickState {
            cursor: (mixed >> 32) as u32,
            core,
            random: mixed,
            ..PickState::default()
        }
    }

    /// Takes back the turns since `before`: a second pick for the same exchange is no turn, or in a
    /// group of two every first pick would come to the one that fails.
    pub fn return_turn(&mut self, before: PickState) {
        self.cursor = before.cursor;
    }

    /// The core it belongs to.
    #[inline]
    pub(super) fn core(&self) -> CoreId {
        self.core
    }

    /// The cursor as a position among `count`.
    pub(super) fn start(self, count: u32) -> u32 {
        if self.cursor < count {
            self.cursor
        } else {
            self.cursor % count
        }
    }

    /// The next search begins behind `chosen`.
    pub(super) fn advance(&mut self, chosen: u32, count: u32) {
        self.cursor = if chosen + 1 < count { chosen + 1 } else { 0 };
    }

    /// A random number: splitmix64, which passes every test that matters here in two multiplies.
    #[inline]
    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(STEP);
        mix(self.random)
    }

    /// Where throws of one pick begin: apart from what the pick draws itself.
    pub(super) fn dice(&self) -> u64 {
        !self.random
    }

    /// What a backend nobody has observed yet is taken to need.
    pub(super) fn typical_micros(&self) -> f32 {
        if self.median_micros > 0.0 {
            self.median_micros
        } else {
            TYPICAL_MICROS
        }
    }

    /// Moves the running median a step towards what was seen: it comes to rest where as many lie
    /// above it as below.
    pub(super) fn saw(&mut self, micros: f32) {
        self.median_micros = match self.median_micros {
            0.0 => micros,
            median if micros > median => (median * MEDIAN_STEP).min(micros),
            median => (median / MEDIAN_STEP).max(micros),
        };
    }
}

/// Several numbers that a random one stands for, cheaply: a multiplicative congruential generator,
/// of whose states only the upper halves are good (multiplier: Steele and Vigna, "Computationally
/// easy, spectrally good multipliers for congruential pseudorandom number generators", 2022).
pub(super) struct Draws(u64);

impl Draws {
    #[inline]
    pub(super) fn new(random: u64) -> Draws {
        Draws(random | 1)
    }

    /// A number of which the upper half is random.
    #[inline]
    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0xf135_7aea_2e62_a9c5);
        self.0
    }
}

/// The next state of the dice and what they show, below 100.
pub(super) fn throw(dice: u64) -> (u64, u64) {
    let dice = dice.wrapping_add(STEP);
    (dice, ((mix(dice) >> 32) * 100) >> 32)
}

/// The finisher of splitmix64: every bit of the input moves every bit of the output.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
