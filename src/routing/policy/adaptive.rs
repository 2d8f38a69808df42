//! Availability, then capacity, then latency: who is allowed is settled before, and among those
//! the least product of requests under way, the one that comes included, and the time to expect.
//!
//! Of a large group some are drawn, one from each of as many equal parts of it, turned by a random
//! amount: so all are distinct and everybody comes as often. With unequal weights they are drawn
//! by weight, and repetition does no harm. A small group is looked at whole. Of equals the first
//! drawn wins.
//!
//! The time to expect is that of [`crate::routing::latency`]. Within `tolerance` of what is usual
//! in the group it counts as usual: in a group of equals the difference is noise, and following it
//! would make the queues longer than not looking at it. An idle group is then served in turn, by
//! chance, and one that looked slow is tried again once its time has faded into the tolerance.
//!
//! A backend that serves several requests at a time takes no longer for one more while it has room,
//! so to the requests under way, and the one that comes, half of what is usual there is added, one
//! at most: the fewer there are, the more the times decide.
//!
//! Nodes that do not know of each other's requests each see a part of them only, and of fifty nodes
//! each sees next to nothing under way: then the times are all there is to go by, because those
//! who have much to do take longer. So the tolerance shrinks with what is under way here, and what
//! was seen counts for some fifty answers, however long they take to come. Nodes may be told how
//! many they are: a node then takes the others to do as it does. Or it is told what others have
//! under way, by probes or by the other nodes, and goes by that: see [`Outside`].
//!
//! The rule was chosen by its figures, in the model of an uneven and of an even fleet; DESIGN.md
//! has them, and what was rejected.

use super::alias::below;
use super::least_load::EXACT_MAX;
use super::outside::Outside;
use super::{Adaptive, CHOICES_MAX, Choice, Lottery, PickState, Policy};
use crate::base::id::{BackendIndex, CoreId};
use crate::routing::latency::{CROWDS, Fading, Traffic, Usual, crowd};
use crate::routing::load::stamp;
use crate::routing::table::Group;

/// Tries for one from each part of a group.
const DRAWS_MAX: usize = 4;

/// What was seen of a backend counts for so many of its answers at least, on average.
const LIFE_ANSWERS: f32 = 50.0;

/// It lives so many times longer than is configured at most, however seldom answers come.
const LIFE_STRETCH_MAX: f32 = 6.0;

/// How much of what is usually under way is added to what is.
const ROOM: f32 = 0.5;

/// So many requests are added at most. A node that sees more under way has no need of it: it would
/// only let the queues of fast backends grow.
const ROOM_MOST: f32 = 1.0;

/// What is left of the tolerance where next to nothing is under way.
const TOLERANCE_LEAST: f32 = 1.0 / 3.0;

/// Backends that were probed just now, or all are drawn from.
const PROBED_LEAST: usize = 2;

/// The rule as made for one group.
pub(super) struct Rule {
    adaptive: Adaptive,
    pub(super) lottery: Lottery,
    /// Where each part of the group begins, and its end.
    parts: [u32; CHOICES_MAX + 1],
    /// One by the mean weight, if the weights differ.
    per_weight: Option<f32>,
    outside: Outside,
}

impl Rule {
    pub(super) fn new(adaptive: Adaptive, lottery: Lottery, weights: &[u16]) -> Rule {
        let (count, choices) = (weights.len(), usize::from(adaptive.choices));
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let is_even = matches!(lottery, Lottery::Even);
        Rule {
            adaptive,
            lottery,
            parts: std::array::from_fn(|part| (part.min(choices) * count / choices) as u32),
            per_weight: (!is_even && total > 0).then(|| count as f32 / total as f32),
            outside: Outside::default(),
        }
    }
}

/// What a time to expect is measured against.
struct Scale {
    usual: Usual,
    fading: Fading,
    /// Times that are not so many times longer or shorter than the usual one are usual.
    within: f32,
    /// What is added to what is under way, the request that comes included.
    beside: f32,
    /// What others have under way counts.
    crowded: bool,
}

impl Adaptive {
    /// What is usual where nobody has seen anything: any time will do, the same for all.
    const UNSEEN: Usual = [1.0; CROWDS];

    /// How times that were seen fade: those of backends that answer seldom more slowly.
    #[must_use]
    pub fn fading(&self, now_micros: u64, traffic: Option<Traffic>) -> Fading {
        let life = self.life_millis as f32 * 1000.0;
        let answers = traffic.map_or(0.0, |traffic| traffic.interval_micros * LIFE_ANSWERS);
        Fading::new(now_micros, answers.clamp(life, life * LIFE_STRETCH_MAX))
    }

    /// Whether answers of a backend come so seldom here that they live longer for it.
    #[must_use]
    pub fn is_seldom(&self, traffic: Option<Traffic>) -> bool {
        let life = self.life_millis as f32 * 1000.0;
        traffic.is_some_and(|traffic| traffic.interval_micros * LIFE_ANSWERS > life)
    }

    /// Requests under way at a backend to which this node has handed so many, and others as many as
    /// is known; where it is not they are taken to do as this node does.
    #[inline]
    fn under_way(&self, handed: u32, others: Option<u32>) -> u32 {
        match others {
            Some(others) => handed.saturating_add(others),
            None => handed.saturating_mul(u32::from(self.nodes)),
        }
    }
}

impl Rule {
    fn scale(&self, group: &Group, core: CoreId, now_micros: u64) -> Scale {
        let traffic = group.norm.traffic(core);
        let crowded = self.outside.crowded(stamp(now_micros));
        let own = traffic.map_or(1.0, |traffic| traffic.under_way);
        let busy = crowded.unwrap_or(own);
        let tolerance = f32::from(self.adaptive.tolerance_percent) / 100.0;
        let within = 1.0 + tolerance * busy.clamp(TOLERANCE_LEAST, 1.0);
        Scale {
            usual: group.norm.usual(core).unwrap_or(Adaptive::UNSEEN),
            fading: self.adaptive.fading(now_micros, traffic),
            within,
            beside: 1.0 + (ROOM * busy).min(ROOM_MOST),
            crowded: crowded.is_some(),
        }
    }
}

impl Scale {
    /// A time, or the usual one if it is near it.
    #[inline]
    fn tolerant(&self, expected: f32, crowd: usize) -> f32 {
        let usual = self.usual[crowd];
        let near = expected * self.within > usual && expected < usual * self.within;
        if near { usual } else { expected }
    }
}

/// What the policy thinks of one backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The time to expect of one more request, in microseconds.
    pub latency_micros: f32,
    /// How it compares with its group: 2 is twice as slow.
    pub pace: f32,
    /// What is minimised.
    pub score: f32,
}

/// What the adaptive policy of `group`, or the one in its shadow, thinks of a backend, as `core`
/// sees it; `None` while nobody has seen an answer.
#[must_use]
pub fn estimate(
    group: &Group,
    index: BackendIndex,
    core: CoreId,
    now_micros: u64,
) -> Option<Estimate> {
    let (policy, rule) = group.policies().find_map(|policy| match &policy.rule {
        super::Rule::Adaptive(rule) => Some((policy, rule)),
        _ => None,
    })?;
    let latency = group.backends.get(index.index())?.load.latency();
    let _ = group.norm.usual(core)?;
    let scale = rule.scale(group, core, now_micros);
    let (handed, others) = (policy.in_flight(index.0), policy.others(index.0, &scale));
    let crowd = crowd(rule.adaptive.under_way(handed, others).saturating_add(1));
    Some(Estimate {
        latency_micros: latency.expect(crowd, &scale.usual, scale.fading),
        pace: latency.pace(scale.fading),
        score: score(policy, rule, &scale, index.0),
    })
}

pub(super) fn pick(choice: &Choice<'_>, state: &mut PickState, rule: &Rule) -> Option<u32> {
    let ready = &choice.policy.ready;
    let (group, now_micros) = (choice.group, choice.ask.now_micros);
    let scale = rule.scale(group, state.core(), now_micros);
    let mut found = Found::default();
    if scale.crowded {
        let fresh = rule.outside.fresh(state.random(), scale.fading.now());
        fresh
            .filter(|index| choice.is_eligible(*index))
            .for_each(|index| found.add(index));
    }
    match &rule.lottery {
        _ if found.count >= PROBED_LEAST => {}
        _ if ready.len() <= EXACT_MAX => all(choice, state, rule, &mut found)?,
        Lottery::Even => each_part(choice, state, rule, &mut found),
        Lottery::Weighted(alias) => {
            for _ in 0..rule.adaptive.choices {
                let mut draws = (0..DRAWS_MAX).filter_map(|_| alias.draw(state.random()));
                let drawn = draws.find(|index| choice.is_eligible(*index));
                drawn.into_iter().for_each(|index| found.add(index));
            }
        }
    }
    let best = found.best(|index| score(choice.policy, rule, &scale, index));
    if best.is_some() || ready.len() <= EXACT_MAX {
        return best;
    }
    let start = below(state.random(), ready.len()) as u32;
    choice.first_from(start).map(|(_, index)| index)
}

/// Who can be chosen, of those that are looked at.
#[derive(Default)]
struct Found {
    indices: [u32; CHOICES_MAX],
    count: usize,
}

const _: () = assert!(
    EXACT_MAX <= CHOICES_MAX,
    "a group that is looked at whole has room"
);

impl Found {
    #[inline]
    fn add(&mut self, index: u32) {
        if let Some(place) = self.indices.get_mut(self.count) {
            *place = index;
            self.count += 1;
        }
    }

    /// The one with the least score; of equals the first. The bits of numbers that are not below 0
    /// are ordered as the numbers are, so score and order make one number, and finding the least
    /// is a minimum and no branch that nobody can predict.
    #[inline]
    fn best(&self, score: impl Fn(u32) -> f32) -> Option<u32> {
        let found = &self.indices[..self.count];
        let keys = (0_u64..)
            .zip(found)
            .map(|(order, index)| u64::from(score(*index).max(0.0).to_bits()) << 32 | order);
        let least = keys.min()?;
        found.get(least as u32 as usize).copied()
    }
}

/// Finds all that can be chosen, from one that is drawn on.
fn all(choice: &Choice<'_>, state: &mut PickState, rule: &Rule, found: &mut Found) -> Option<()> {
    let ready = &choice.policy.ready;
    let random = state.random();
    let start = match &rule.lottery {
        Lottery::Even => below(random, ready.len()),
        // The first is drawn all the same: between equals the weights decide.
        Lottery::Weighted(alias) => {
            let first = alias.draw(random)?;
            ready.binary_search(&first).unwrap_or(0)
        }
    };
    let (before, from) = ready.split_at(start);
    let all = from.iter().chain(before).copied();
    all.filter(|index| choice.is_eligible(*index))
        .for_each(|index| found.add(index));
    Some(())
}

/// Finds one that can be chosen in each part of the group.
#[inline]
fn each_part(choice: &Choice<'_>, state: &mut PickState, rule: &Rule, found: &mut Found) {
    let ready = &choice.policy.ready;
    let turned = below(state.random(), ready.len());
    let parts = rule
        .parts
        .windows(2)
        .take(usize::from(rule.adaptive.choices));
    for part in parts {
        let (from, count) = (part[0] as usize, (part[1] - part[0]) as usize);
        for _ in 0..DRAWS_MAX {
            let at = turned + from + below(state.random(), count);
            let at = if at < ready.len() {
                at
            } else {
                at - ready.len()
            };
            let index = ready[at];
            if choice.is_eligible(index) {
                found.add(index);
                break;
            }
        }
    }
}

#[inline]
fn score(policy: &Policy, rule: &Rule, scale: &Scale, index: u32) -> f32 {
    let slot = policy.candidates[index as usize].slot;
    let handed = policy.board.in_flight(slot);
    let others = policy.others(index, scale);
    let crowd = crowd(rule.adaptive.under_way(handed, others).saturating_add(1));
    let latencies = policy.board.latencies();
    let expected = latencies.expect(slot, crowd, &scale.usual, scale.fading);
    let word = policy.word(index);
    let others = others.map(|others| word.scaled(others));
    let mut felt = rule.adaptive.under_way(word.scaled(handed), others) as f32;
    if let Some(per_weight) = rule.per_weight {
        felt /= per_weight * f32::from(policy.weight(index));
    }
    (felt + scale.beside) * scale.tolerant(expected, crowd)
}

impl Policy {
    /// What others have under way at a backend, where that counts.
    #[inline]
    fn others(&self, index: u32, scale: &Scale) -> Option<u32> {
        let slot = self.candidates[index as usize].slot;
        let known = || self.board.elsewhere().in_flight(slot, scale.fading.now());
        scale.crowded.then(known).flatten()
    }

    /// A backend has so much under way, from this node and from others; it was probed, or other
    /// nodes have said so. Only the control thread may call it.
    pub(in crate::routing) fn told(
        &self,
        index: BackendIndex,
        (own, others): (u32, u32),
        probed: bool,
        now_micros: u64,
    ) {
        if let super::Rule::Adaptive(rule) = &self.rule {
            let now = stamp(now_micros);
            rule.outside.told(own, others, now);
            if probed {
                rule.outside.probed(index.0, now);
            }
        }
    }
}

/// The crowd a request has come into that was handed to a backend just now, for the adaptive policy
/// of `group` or the one in its shadow; 0 where there is none.
#[inline]
pub(in crate::routing) fn crowd_at(group: &Group, index: BackendIndex, now_micros: u64) -> u8 {
    let found = group.policies().find_map(|policy| match &policy.rule {
        super::Rule::Adaptive(rule) => Some(rule),
        _ => None,
    });
    let Some(rule) = found else { return 0 };
    let load = &group.backends[index.index()].load;
    let crowded = rule.outside.crowded(stamp(now_micros)).is_some();
    let others = crowded.then(|| load.others().in_flight(now_micros));
    let handed = load.in_flight().saturating_sub(1);
    let before = rule.adaptive.under_way(handed, others.flatten());
    crowd(before.saturating_add(1)) as u8
}
