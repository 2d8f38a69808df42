//! Thresholds, hysteresis and amounts.

use proptest::prelude::*;

use super::*;

const TERMS: Terms = Terms {
    connections_max: Some(1000),
    memory_max: Some(1 << 30),
    stall_max: Some(200),
    thresholds: [Some(850), Some(900), Some(950)],
    hysteresis: 50,
    idle_min: Duration::from_secs(1),
    resets: false,
};

fn connections(count: u64) -> Reading {
    Reading {
        connections: count,
        descriptors: 2 * count,
        descriptors_max: 100_000,
        ..Reading::default()
    }
}

fn after(readings: &[u64]) -> Overload {
    let mut overload = Overload::default();
    for count in readings {
        overload.judge(&TERMS, &TERMS.pressures(&connections(*count)));
    }
    overload
}

fn actions(overload: &Overload) -> Vec<&'static str> {
    let on = Action::ALL
        .into_iter()
        .filter(|action| overload.does(*action));
    on.map(Action::name).collect()
}

#[test]
fn actions_begin_one_after_the_other() {
    assert!(actions(&after(&[849])).is_empty());
    assert_eq!(actions(&after(&[850])), ["stop_keep_alive"]);
    assert_eq!(actions(&after(&[900])), ["stop_keep_alive", "close_idle"]);
    assert_eq!(actions(&after(&[950])).len(), 3);
    assert_eq!(after(&[949]).admission(), Admission::Admitted);
    assert_eq!(after(&[950]).admission(), Admission::Answered);
    assert_eq!(after(&[975]).admission(), Admission::Reset);
}

#[test]
fn actions_end_below_their_threshold_and_begin_only_once() {
    assert_eq!(actions(&after(&[950, 901])).len(), 3);
    assert_eq!(actions(&after(&[950, 900])).len(), 2);
    assert_eq!(actions(&after(&[950, 851])).len(), 2);
    assert_eq!(actions(&after(&[950, 850])).len(), 1);
    assert_eq!(actions(&after(&[950, 800])).len(), 0);
    assert_eq!(actions(&after(&[899, 899])).len(), 1, "it never began");
    let mut overload = Overload::default();
    let pressures = TERMS.pressures(&connections(905));
    assert_eq!(overload.judge(&TERMS, &pressures), [true, true, false]);
    assert_eq!(overload.judge(&TERMS, &pressures), [false; 3]);
}

#[test]
fn what_is_nearest_to_its_end_decides() {
    let memory = Reading {
        memory: 1 << 30,
        ..connections(1)
    };
    assert_eq!(TERMS.pressures(&memory), [1, 0, 1000, 0]);
    let cgroup = Reading {
        cgroup: (960, 1000),
        stall: 100,
        ..connections(500)
    };
    assert_eq!(TERMS.pressures(&cgroup), [500, 10, 960, 500]);
    let mut overload = Overload::default();
    overload.judge(&TERMS, &TERMS.pressures(&cgroup));
    assert!(overload.does(Action::Refuse));
}

#[test]
fn without_limits_nothing_is_pressed() {
    let terms = Terms {
        connections_max: None,
        memory_max: None,
        stall_max: None,
        ..TERMS
    };
    let reading = Reading {
        descriptors_max: 0,
        memory: u64::MAX,
        stall: 1000,
        ..connections(u64::MAX / 2)
    };
    assert_eq!(terms.pressures(&reading), [0; 4]);
    assert_eq!(terms.room(&reading, Admission::Admitted), u64::MAX);
    assert_eq!(terms.excess(&reading), Excess::Nothing);
}

#[test]
fn an_action_without_a_threshold_never_happens() {
    let terms = Terms {
        thresholds: [None; 3],
        ..TERMS
    };
    let mut overload = Overload::default();
    overload.judge(&terms, &[5000; 4]);
    assert!(actions(&overload).is_empty());
    assert_eq!(overload.admission(), Admission::Admitted);
    assert_eq!(
        terms.room(&connections(5000), Admission::Admitted),
        u64::MAX
    );
    assert_eq!(terms.excess(&connections(5000)), Excess::Nothing);
}

#[test]
fn new_terms_hold_from_the_next_judgement() {
    let mut overload = after(&[950]);
    let terms = Terms {
        resets: true,
        ..TERMS
    };
    overload.judge(&terms, &terms.pressures(&connections(950)));
    assert_eq!(overload.admission(), Admission::Reset);
    let wider = Terms {
        connections_max: Some(10_000),
        ..TERMS
    };
    overload.judge(&wider, &wider.pressures(&connections(950)));
    assert_eq!(overload, Overload::default());
}

#[test]
fn room_and_excess_are_counted_by_what_is_scarcer() {
    assert_eq!(TERMS.room(&connections(900), Admission::Admitted), 50);
    assert_eq!(TERMS.room(&connections(951), Admission::Admitted), 0);
    assert_eq!(TERMS.room(&connections(951), Admission::Answered), 24);
    assert_eq!(TERMS.room(&connections(951), Admission::Reset), u64::MAX);
    assert_eq!(TERMS.excess(&connections(900)), Excess::Connections(50));
    assert_eq!(TERMS.excess(&connections(850)), Excess::Nothing);
    let few = Reading {
        descriptors: 190,
        descriptors_max: 200,
        ..connections(90)
    };
    assert_eq!(TERMS.room(&few, Admission::Admitted), 0);
    assert_eq!(TERMS.excess(&few), Excess::Connections(20));
}

#[test]
fn a_core_sheds_its_part() {
    assert_eq!(Excess::Connections(100).share(4, 1000), 25);
    assert_eq!(Excess::Connections(101).share(4, 1000), 26);
    assert_eq!(Excess::Connections(100).share(1, 7), 7);
    assert_eq!(Excess::Unknown.share(4, 64_000), 2000);
    assert_eq!(Excess::Unknown.share(4, 100), 32);
    assert_eq!(Excess::Unknown.share(4, 0), 0);
    assert_eq!(Excess::Nothing.share(4, 100), 0);
}

#[test]
fn memory_that_is_short_is_an_excess_nobody_can_count() {
    let short = Reading {
        memory: 950 << 20,
        ..connections(10)
    };
    assert_eq!(TERMS.excess(&short), Excess::Unknown);
    let both = Reading {
        memory: 950 << 20,
        ..connections(900)
    };
    assert_eq!(TERMS.excess(&both), Excess::Connections(50));
}

proptest! {
    /// Whatever is read, an action is on when its threshold is reached and off below the end of
    /// its hysteresis.
    #[test]
    fn between_end_and_threshold_it_stays_as_it_was(
        pressures in proptest::collection::vec(0_u32..1100, 1..50),
    ) {
        let mut overload = Overload::default();
        for pressure in pressures {
            let before = overload;
            overload.judge(&TERMS, &[0, pressure, 0, 0]);
            for action in Action::ALL {
                let from = TERMS.thresholds[action as usize].unwrap();
                let expected = match pressure {
                    pressure if pressure >= from => true,
                    pressure if pressure <= from - TERMS.hysteresis => false,
                    _ => before.does(action),
                };
                prop_assert_eq!(overload.does(action), expected);
            }
        }
    }

    /// As many as there is room for do not lead to a refusal, and closing the excess ends closing.
    #[test]
    fn room_and_excess_keep_their_word(
        used in 0_u64..3000,
        descriptors_max in 1_u64..5000,
    ) {
        let reading = Reading { descriptors_max, descriptors: used, ..Reading::default() };
        let room = TERMS.room(&reading, Admission::Admitted);
        if room > 0 {
            let grown = Reading { descriptors: used + room - 1, connections: room - 1, ..reading };
            let mut overload = Overload::default();
            overload.judge(&TERMS, &TERMS.pressures(&grown));
            prop_assert!(!overload.does(Action::Refuse));
        }
        let excess = match TERMS.excess(&reading) {
            Excess::Connections(count) => count,
            _ => 0,
        };
        let rest = Reading { descriptors: used - excess, ..reading };
        let pressures = TERMS.pressures(&rest);
        prop_assert!(pressures[1] <= 850);
    }
}
