//! How a group chooses, and how it would choose beside that.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::checked::{Adaptive, CHOICES_DEFAULT, Policy, Shadow};
use super::super::problem::Problems;
use super::super::raw::{self, Text};
use super::MILLISECOND;
use super::values::{choice, duration, number, number_or_none, out_of_range, place};

/// Backends drawn by `least_request`, and by `adaptive`.
const CHOICES: RangeInclusive<u32> = 2..=16;

/// Percent of its share of the load; 100 would leave no room for what a share is rounded to.
const BOUNDED_LOAD: RangeInclusive<u32> = 101..=10_000;

/// Percent by which a time may differ from the usual one.
const TOLERANCE: RangeInclusive<u32> = 0..=1000;

/// Times what is usual that a failure counts as.
const PENALTY: RangeInclusive<u32> = 1..=1000;

/// Nodes that send to the same backends.
const NODES: RangeInclusive<u32> = 1..=1000;

/// What is remembered longer is of no use, and would not be counted exactly.
const MEMORY_MAX: Duration = Duration::from_secs(3600);

/// Picks of which one is repeated by the shadow.
const EVERY: RangeInclusive<u32> = 1..=1_000_000;

/// Its policy, and the one in its shadow.
pub(super) fn check(raw: &raw::Group, problems: &mut Problems<'_>) -> (Policy, Option<Shadow>) {
    let choices = number(&raw.choices, u32::from(CHOICES_DEFAULT), CHOICES, problems);
    let choices = u8::try_from(choices).unwrap_or(CHOICES_DEFAULT);
    let bounded_load = number_or_none(&raw.bounded_load, BOUNDED_LOAD, problems);
    let adaptive = check_adaptive(raw.adaptive.as_ref(), problems);
    let policies: [(&str, Policy); 11] = [
        ("round_robin", Policy::RoundRobin),
        ("weighted_round_robin", Policy::WeightedRoundRobin),
        ("random", Policy::Random),
        ("least_connections", Policy::LeastConnections),
        (
            "weighted_least_connections",
            Policy::WeightedLeastConnections,
        ),
        ("least_request", Policy::LeastRequest { choices }),
        ("peak_ewma", Policy::PeakEwma),
        ("adaptive", Policy::Adaptive(adaptive)),
        ("maglev", Policy::Maglev { bounded_load }),
        ("ring_hash", Policy::RingHash { bounded_load }),
        ("rendezvous", Policy::Rendezvous { bounded_load }),
    ];
    let policy = choice(&raw.policy, Policy::RoundRobin, &policies, problems);
    let shadow = raw.shadow.as_ref().map(|_| Shadow {
        policy: choice(&raw.shadow, policy, &policies, problems),
        every: number(&raw.shadow_every, Shadow::EVERY_DEFAULT, EVERY, problems),
    });
    if let (Some(written), None) = (&raw.shadow_every, &raw.shadow) {
        let fix = "remove it, or write shadow = \"adaptive\"";
        problems.error(&written.at, "has a meaning beside shadow only", fix);
    }
    refuse_unused(raw, policy, shadow.map(|shadow| shadow.policy), problems);
    (policy, shadow)
}

/// How often shares may follow what backends do.
const WEIGHTS_MIN: Duration = Duration::from_millis(200);
const WEIGHTS_MAX: Duration = Duration::from_secs(60);

/// How often the shares of weights follow what backends do. Policies that look at load or time do
/// that by themselves, for each request, and those that place must not move keys.
pub(super) fn check_dynamic_weights(
    written: &Text,
    policy: Policy,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    let text = written.as_ref().filter(|text| text.value != "none")?;
    let interval = duration(written, WEIGHTS_MAX, WEIGHTS_MIN, problems);
    if interval > WEIGHTS_MAX {
        out_of_range(&text.at, &text.value, "200ms", "1m", problems);
    }
    let by_weight = matches!(
        policy,
        Policy::Random | Policy::RoundRobin | Policy::WeightedRoundRobin
    );
    if !by_weight {
        let fix = "remove it, or write policy = \"weighted_round_robin\"";
        let what = "has a meaning for round_robin, weighted_round_robin and random only";
        problems.error(&text.at, what, fix);
    }
    Some(interval)
}

/// Keys of policies that neither chooses nor shadows.
fn refuse_unused(
    raw: &raw::Group,
    policy: Policy,
    shadow: Option<Policy>,
    problems: &mut Problems<'_>,
) {
    let used = |is: fn(Policy) -> bool| is(policy) || shadow.is_some_and(is);
    if let Some(written) = raw.choices.as_ref()
        && !used(|policy| matches!(policy, Policy::LeastRequest { .. }))
    {
        let fix = "remove it, or write policy = \"least_request\"";
        problems.error(&written.at, "has a meaning for least_request only", fix);
    }
    if let Some(section) = raw.adaptive.as_ref()
        && !used(|policy| matches!(policy, Policy::Adaptive(_)))
    {
        let fix = "remove it, or write policy = \"adaptive\"";
        problems.error(&section.at, "has a meaning for adaptive only", fix);
    }
    let places = [
        raw.bounded_load.as_ref().map(|written| &written.at),
        raw.hash_on.as_ref().map(|written| &written.at),
    ];
    if !used(Policy::places) {
        for at in places.into_iter().flatten() {
            let fix = "remove it, or write policy = \"rendezvous\"";
            let what = "has a meaning for maglev, ring_hash and rendezvous only";
            problems.error(at, what, fix);
        }
    }
}

fn check_adaptive(raw: Option<&raw::Adaptive>, problems: &mut Problems<'_>) -> Adaptive {
    let default = Adaptive::default();
    let Some(raw) = raw else { return default };
    let memory = duration(&raw.memory, default.memory, MILLISECOND, problems);
    if memory > MEMORY_MAX
        && let Some(at) = place(&raw.memory)
    {
        let fix = "write at most \"1h\"";
        problems.error(at, "remembers for longer than is of use", fix);
    }
    Adaptive {
        choices: number(&raw.choices, default.choices, CHOICES, problems),
        memory: memory.min(MEMORY_MAX),
        tolerance_percent: number(
            &raw.tolerance,
            default.tolerance_percent,
            TOLERANCE,
            problems,
        ),
        failure_penalty: number(
            &raw.failure_penalty,
            default.failure_penalty,
            PENALTY,
            problems,
        ),
        nodes: number(&raw.nodes, default.nodes, NODES, problems),
    }
}
