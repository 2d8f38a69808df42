//! Policies that place by a key: the same on every core, and few keys move.

use super::*;

const PLACING: [fn(Option<u32>) -> PolicyKind; 3] = [
    |bounded_load| PolicyKind::Maglev { bounded_load },
    |bounded_load| PolicyKind::Rendezvous { bounded_load },
    |bounded_load| PolicyKind::RingHash { bounded_load },
];

fn keys(count: u32) -> impl Iterator<Item = u64> {
    (0..count).map(|key| hash_key(7, &key.to_le_bytes()))
}

fn placed(group: &Group, state: &mut PickState, key: u64) -> Result<BackendIndex, NoPick> {
    let ask = Ask {
        key: Some(key),
        ..Ask::new(&Tried::NONE, 0)
    };
    pick(group, state, &ask)
}

#[test]
fn a_key_has_one_backend_whatever_core_asks_and_in_whatever_order_they_stand() {
    for kind in PLACING {
        let group = weighted(kind(None), &[1, 2, 3, 4, 5]);
        let turned = changed(kind(None), &[5, 4, 3, 2, 1], |index, backend| {
            let id = format!("b{}", 4 - index);
            backend.identity = hash_key(0, id.as_bytes());
        });
        for key in keys(2000) {
            let one = placed(&group, &mut seeded(1), key).unwrap();
            let two = placed(&group, &mut seeded(2), key).unwrap();
            let other = placed(&turned, &mut seeded(3), key).unwrap();
            assert_eq!((one.0, one.0), (two.0, 4 - other.0));
        }
    }
}

#[test]
fn a_backend_that_drains_moves_its_own_keys_only_and_has_them_back() {
    for kind in PLACING {
        let weights = [3, 1, 4, 1, 5, 9, 2, 6];
        let whole = weighted(kind(None), &weights);
        for state in [BackendState::Drain, BackendState::Maint] {
            let drained = changed(kind(None), &weights, |index, backend| {
                if index == 4 {
                    backend.state = state;
                }
            });
            let mut moved = 0;
            for key in keys(4000) {
                let before = placed(&whole, &mut seeded(1), key).unwrap();
                let after = placed(&drained, &mut seeded(1), key).unwrap();
                assert!(after.0 != 4 && (before == after || before.0 == 4));
                moved += u32::from(before != after);
            }
            assert!(moved > 400, "{moved}");
        }
    }
}

#[test]
fn without_a_key_the_weights_decide() {
    for kind in PLACING {
        let group = weighted(kind(None), &[1, 3]);
        let counts = counts(&group, &picks(&group, &mut seeded(1), 8000));
        assert!((1000..3400).contains(&counts[0]), "{counts:?}");
    }
}

#[test]
fn a_bound_spreads_one_key_and_holds() {
    for kind in PLACING {
        let group = even(kind(Some(125)), 10);
        let mut state = seeded(1);
        for placed_before in 0..1000_u64 {
            let chosen = placed(&group, &mut state, 42).unwrap();
            let load = u64::from(group.backends[chosen.index()].load.in_flight());
            let most = (125 * (placed_before + 1)).div_ceil(1000);
            assert!(load < most, "{load} {most}");
            group.enter(chosen, CoreId(0));
        }
        let unbounded = even(kind(None), 10);
        let one = placed(&unbounded, &mut state, 42);
        for _ in 0..100 {
            let chosen = placed(&unbounded, &mut state, 42);
            assert_eq!(chosen, one);
            unbounded.enter(chosen.unwrap(), CoreId(0));
        }
    }
}

#[test]
fn the_next_choice_of_a_key_is_the_same_everywhere() {
    for kind in PLACING {
        let group = even(kind(None), 30);
        for key in keys(200) {
            let order = |seed| {
                let mut tried = Tried::NONE;
                let mut order = Vec::new();
                for _ in 0..4 {
                    let ask = Ask {
                        key: Some(key),
                        ..Ask::new(&tried, 0)
                    };
                    let chosen = pick(&group, &mut seeded(seed), &ask).unwrap();
                    tried.insert(chosen);
                    order.push(chosen);
                }
                order
            };
            assert_eq!(order(1), order(2));
        }
    }
}
