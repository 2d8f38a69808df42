//! Who starts slowly gets its part and no more, whatever the policy; who has failed loses clients.

use super::*;

fn ramped(kind: PolicyKind, backends: usize, ramp: u8) -> Group {
    let group = even(kind, backends);
    group.backends[0].standing.set(Standing {
        ramp,
        ..Standing::default()
    });
    group
}

/// The share of the first backend while each request ends before the next comes.
fn share(group: &Group, count: usize) -> f64 {
    let picks = picks(group, &mut seeded(7), count);
    counts(group, &picks)[0] as f64 / count as f64
}

#[test]
fn one_that_starts_slowly_gets_its_part_of_a_share() {
    for kind in POLICIES.into_iter().filter(|kind| !kind.needs_key()) {
        for (backends, ramp) in [(10, 10), (10, 50), (40, 25), (3, 1)] {
            let got = share(&ramped(kind, backends, ramp), 40_000);
            let whole = 1.0 / backends as f64;
            let part = whole * f64::from(ramp) / 100.0;
            // A draw that is refused is drawn again, and a group looked at whole is asked twice.
            let most = 2.0 * part + 0.002;
            assert!(
                got > 0.4 * part && got < most,
                "{kind:?} {ramp}: {got} of {part}"
            );
            assert!(got < whole * 0.8, "{kind:?} {ramp}: {got}");
        }
    }
}

#[test]
fn what_it_has_under_way_counts_for_more() {
    for kind in [
        PolicyKind::LeastConnections,
        PolicyKind::WeightedLeastConnections,
        PolicyKind::LeastRequest { choices: 16 },
    ] {
        let group = ramped(kind, 10, 50);
        (0..10).for_each(|backend| load(&group, backend, 8));
        load(&group, 0, 5);
        // 5 of half a share feel like 10.
        assert_eq!(share(&group, 1000), 0.0, "{kind:?}");
        load(&group, 0, 2);
        let got = share(&group, 1000);
        assert!((0.4..0.8).contains(&got), "{kind:?}: {got}");
    }
}

#[test]
fn keys_come_back_whole() {
    for kind in POLICIES.into_iter().filter(|kind| kind.needs_key()) {
        let (fresh, known) = (ramped(kind, 5, 1), even(kind, 5));
        for key in 0..2000 {
            let ask = Ask {
                key: Some(hash_key(1, &u64::to_le_bytes(key))),
                ..Ask::new(&Tried::NONE, 0)
            };
            let (mut left, mut right) = (seeded(1), seeded(2));
            assert_eq!(
                pick(&fresh, &mut left, &ask),
                pick(&known, &mut right, &ask)
            );
        }
    }
}

#[test]
fn only_who_starts_slowly_is_taken_as_it_is() {
    for kind in POLICIES {
        let group = ramped(kind, 1, 1);
        assert_eq!(picks(&group, &mut seeded(3), 50), [0; 50]);
    }
}

#[test]
fn a_client_leaves_one_that_failed_and_stays_with_one_that_drains() {
    let group = changed(PolicyKind::RoundRobin, &[1, 1], |_, backend| {
        backend.state = BackendState::Drain;
    });
    let stays = || may_stay(&group, BackendIndex(0), &Ask::new(&Tried::NONE, 0));
    assert!(stays());
    group.backends[0].standing.suspend();
    assert!(!stays());
    group.standing.set_panicking(true);
    assert!(stays(), "in panic nobody is better");
    group.standing.set_panicking(false);
    group.backends[0].standing.readmit();
    let standing = Standing {
        capacity: Some(1),
        ..Standing::default()
    };
    group.backends[0].standing.set(standing);
    assert!(stays());
    load(&group, 0, 1);
    assert!(!stays());
}
