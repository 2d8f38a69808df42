//! Drawing some and taking the best of them.
//!
//! Draws are by weight and distinct: with repetition the busier of two is taken a quarter of the
//! time. Who was drawn twice or cannot be chosen is drawn again, [`DRAWS_MAX`] times at most for
//! each; a group of no more than there are choices is looked at whole. Only if all draws were in
//! vain are those that are left searched in order, from a random place.

use super::alias::below;
use super::{Choice, Lottery, PickState};

/// Draws for one of the choices.
const DRAWS_MAX: usize = 8;

/// The largest number of choices.
pub(super) const CHOICES_MAX: usize = 16;

/// The best of `choices`; of equals the one drawn first.
pub(super) fn pick(
    choice: &Choice<'_>,
    state: &mut PickState,
    lottery: &Lottery,
    choices: usize,
    is_better: impl Fn(u32, u32) -> bool,
) -> Option<u32> {
    let ready = &choice.policy.ready;
    let mut best = None;
    let mut consider = |index| match best {
        Some(held) if !is_better(index, held) => {}
        _ => best = Some(index),
    };
    if choices > 1 && ready.len() <= choices {
        // The first is drawn all the same: between idle ones the weights decide.
        let first = lottery.draw(ready, state.random());
        let rest = ready.iter().copied();
        let all = first.into_iter().chain(rest);
        all.filter(|index| choice.is_eligible(*index))
            .for_each(&mut consider);
        return best;
    }
    let mut drawn = [u32::MAX; CHOICES_MAX];
    let mut count = 0;
    for _ in 0..choices.min(CHOICES_MAX) {
        for _ in 0..DRAWS_MAX {
            let Some(index) = lottery.draw(ready, state.random()) else {
                break;
            };
            if !drawn[..count].contains(&index) && choice.is_eligible(index) {
                drawn[count] = index;
                count += 1;
                consider(index);
                break;
            }
        }
    }
    if best.is_some() {
        return best;
    }
    let start = below(state.random(), ready.len()) as u32;
    let (_, index) = choice.first_from(start)?;
    Some(index)
}

/// The best of two by the time a request would wait: what one takes, times what is there already
/// and the one that comes, for its weight. Idle ones are told apart by time only, because drawing
/// has weighed them. One that was never observed is taken to be like the others.
pub(super) fn pick_fastest(
    choice: &Choice<'_>,
    state: &mut PickState,
    lottery: &Lottery,
) -> Option<u32> {
    let policy = choice.policy;
    let typical = state.typical_micros();
    let seen = std::cell::Cell::new([None; 2]);
    let known = |index: u32| {
        let slot = policy.candidates[index as usize].slot;
        policy.board.cost(slot, choice.ask.now_micros)
    };
    let found = pick(choice, state, lottery, 2, |left, right| {
        let (left_cost, right_cost) = (known(left), known(right));
        seen.set([left_cost, right_cost]);
        let (left_load, right_load) = (policy.felt(left), policy.felt(right));
        let wait = |cost: Option<f32>, load: u32| cost.unwrap_or(typical) * (load as f32 + 1.0);
        let (left_wait, right_wait) = (wait(left_cost, left_load), wait(right_cost, right_load));
        if left_load == 0 && right_load == 0 {
            return left_wait < right_wait;
        }
        let weight = |index: u32| f32::from(policy.weight(index));
        left_wait * weight(right) < right_wait * weight(left)
    });
    seen.get()
        .into_iter()
        .flatten()
        .for_each(|micros| state.saw(micros));
    found
}
