//! What every policy promises: never one that may not be chosen, and giving up exactly when none
//! is left.

use proptest::prelude::*;

use super::*;

/// What may be said about one backend.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    weight: u16,
    state: BackendState,
    /// Requests at most, and how many permits are out.
    requests: Option<(u32, u32)>,
    in_flight: u32,
    standing: Standing,
    suspended: bool,
    trials: u32,
}

impl Drawn {
    fn is_ready(&self, panicking: bool) -> bool {
        self.weight > 0
            && [self.state, self.standing.state] == [BackendState::Ready; 2]
            && (panicking || self.standing.available && (!self.suspended || self.trials > 0))
    }

    fn is_full(&self) -> bool {
        let capacity = self.standing.capacity;
        capacity.is_some_and(|capacity| self.in_flight >= capacity)
            || self
                .requests
                .is_some_and(|(max, taken)| taken >= max || self.in_flight >= max)
    }
}

/// Mostly well.
fn standing() -> impl Strategy<Value = Standing> {
    let well = Just(Standing::default());
    let any = (
        proptest::bool::weighted(0.6),
        prop_oneof![3 => Just(BackendState::Ready), 1 => Just(BackendState::Drain)],
        1_u8..=RAMP_FULL,
        proptest::option::of(0_u32..6),
    );
    let any = any.prop_map(|(available, state, ramp, capacity)| Standing {
        available,
        state,
        ramp,
        capacity,
        ..Standing::default()
    });
    prop_oneof![2 => well, 1 => any]
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let states = [
        BackendState::Ready,
        BackendState::Ready,
        BackendState::Ready,
        BackendState::Drain,
        BackendState::Maint,
    ];
    let limit = (1_u32..4).prop_flat_map(|max| (Just(max), 0..=max));
    (
        prop_oneof![3 => 1_u16..9, 1 => Just(0_u16), 1 => 1000_u16..=u16::MAX],
        proptest::sample::select(states.to_vec()),
        proptest::option::weighted(0.3, limit),
        0_u32..5,
        standing(),
        proptest::bool::weighted(0.1),
        0_u32..2,
    )
        .prop_map(
            |(weight, state, requests, in_flight, standing, suspended, trials)| Drawn {
                weight,
                state,
                requests,
                in_flight,
                standing,
                suspended,
                trials,
            },
        )
}

/// The group, and the permits that are out.
fn group_of_drawn(kind: PolicyKind, all: &[Drawn]) -> (Group, Vec<impl Drop>) {
    let weights: Vec<u16> = all.iter().map(|drawn| drawn.weight).collect();
    let group = changed(kind, &weights, |index, backend| {
        let drawn = all[index as usize];
        backend.state = drawn.state;
        backend.requests_max = drawn.requests.map(|(max, _)| max);
        backend.load.set(CoreId(0), drawn.in_flight);
        backend.standing.set(drawn.standing);
        if drawn.suspended {
            backend.standing.suspend();
            backend.standing.grant_trials(drawn.trials);
        }
    });
    let mut out = Vec::new();
    for (backend, drawn) in group.backends.iter().zip(all) {
        let taken = drawn.requests.map_or(0, |(_, taken)| taken);
        out.extend((0..taken).map(|_| backend.take_request().unwrap().unwrap()));
    }
    (group, out)
}

proptest! {
    #[test]
    fn whoever_may_be_chosen_is_tried_once_and_nobody_else(
        kind in proptest::sample::select(POLICIES.to_vec()),
        all in proptest::collection::vec(drawn(), 0..40),
        panicking in proptest::bool::weighted(0.2),
        seed in any::<u64>(),
    ) {
        let (group, _out) = group_of_drawn(kind, &all);
        group.standing.set_panicking(panicking);
        let mut state = seeded(seed);
        let mut tried = Tried::NONE;
        let refused = loop {
            match one(&group, &mut state, &tried) {
                Ok(index) => {
                    let drawn = all[index.index()];
                    let fits = drawn.is_ready(panicking) && !drawn.is_full();
                    prop_assert!(fits && !tried.contains(index));
                    tried.insert(index);
                }
                Err(refused) => break refused,
            }
        };
        let ready = all.iter().filter(|drawn| drawn.is_ready(panicking));
        let (full, fit): (Vec<&Drawn>, Vec<&Drawn>) = ready.partition(|drawn| drawn.is_full());
        let fit = fit.len();
        prop_assert_eq!(tried.len(), fit.min(TRIED_MAX));
        let waits = !full.is_empty();
        let expected = if waits && fit < TRIED_MAX { NoPick::Full } else { NoPick::Nobody };
        prop_assert_eq!(refused, expected);
    }
}

#[test]
fn nobody_is_chosen_from_nobody() {
    for kind in POLICIES {
        let mut state = PickState::default();
        let nobody = Err(NoPick::Nobody);
        assert_eq!(one(&even(kind, 0), &mut state, &Tried::NONE), nobody);
        let mut tried = Tried::NONE;
        tried.insert(BackendIndex(0));
        assert_eq!(one(&even(kind, 1), &mut state, &tried), nobody);
        assert_eq!(
            one(&weighted(kind, &[0, 0]), &mut state, &Tried::NONE),
            nobody
        );
    }
}

#[test]
fn an_exchange_tries_a_bounded_number_of_backends() {
    for kind in POLICIES {
        let group = even(kind, 100);
        let mut state = seeded(1);
        let mut tried = Tried::NONE;
        while let Ok(backend) = one(&group, &mut state, &tried) {
            assert!(!tried.contains(backend));
            tried.insert(backend);
        }
        assert_eq!(tried.len(), TRIED_MAX);
        tried.insert(BackendIndex(1000));
        assert_eq!(tried.len(), TRIED_MAX);
    }
}

#[test]
fn without_a_connection_to_open_an_idle_one_serves() {
    for kind in POLICIES {
        let group = changed(kind, &[1, 1], |_, backend| {
            backend.connections_max = Some(1)
        });
        let _out: Vec<_> = group
            .backends
            .iter()
            .map(|backend| backend.take_connection().unwrap())
            .collect();
        let mut state = seeded(1);
        let full = one(&group, &mut state, &Tried::NONE);
        assert_eq!(full, Err(NoPick::Full));
        let gate = group.backends[1].gate.as_ref().unwrap();
        assert_eq!(gate.taken(Limited::Connections), 1);
        assert!(
            group.backends[1].is_starved(),
            "others should give back theirs"
        );
        let ask = Ask {
            has_idle: &|slot| slot == BackendSlot(1),
            ..Ask::new(&Tried::NONE, 0)
        };
        assert_eq!(pick(&group, &mut state, &ask), Ok(BackendIndex(1)));
    }
}

#[test]
fn a_limit_counts_requests_that_began_before_it_was_set() {
    let group = changed(PolicyKind::RoundRobin, &[1], |_, backend| {
        backend.requests_max = Some(3);
        backend.load.set(CoreId(1), 3);
    });
    let mut state = seeded(1);
    assert_eq!(one(&group, &mut state, &Tried::NONE), Err(NoPick::Full));
    group.backends[0].load.set(CoreId(1), 2);
    assert_eq!(one(&group, &mut state, &Tried::NONE), Ok(BackendIndex(0)));
}

#[test]
fn a_thousand_backends_take_little_memory() {
    let unequal: Vec<u16> = (0..1000).map(|index| 1 + index % 7).collect();
    for kind in POLICIES {
        let bytes = weighted(kind, &unequal).policy.memory_bytes();
        let most = match kind {
            // Ketama has 160 points for each unit of weight; that is its price.
            PolicyKind::RingHash { .. } => 8 << 20,
            PolicyKind::Maglev { .. } | PolicyKind::Rendezvous { .. } => 1 << 20,
            _ => 40 << 10,
        };
        assert!(bytes <= most, "{kind:?}: {bytes}");
    }
}
