//! What was seen is believed at once, fades into what is usual, and slots do not mix.

use proptest::prelude::*;

use super::*;
use crate::base::id::CoreId;

const LIFE: f32 = 3_000_000.0;
const START: u64 = 1_790_000_000_000_000;
const USUAL: Usual = [1000.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0, 32000.0];

fn at(seconds: f64) -> Fading {
    Fading::new(START + (seconds * 1e6) as u64, LIFE)
}

fn near(left: f32, right: f32) {
    assert!((left / right - 1.0).abs() < 0.05, "{left} {right}");
}

#[test]
fn crowds_are_powers_of_two() {
    let crowds = [0, 1, 2, 3, 4, 7, 8, 63, 64, u32::MAX].map(crowd);
    assert_eq!(crowds, [0, 0, 1, 1, 2, 2, 3, 5, 6, 6]);
}

#[test]
fn what_fades_is_nearly_an_exponential() {
    for (seconds, expected) in [(0.0, 1.0), (1.0, 0.717), (3.0, 0.368), (9.0, 0.050)] {
        let kept = at(seconds).kept(stamp(START));
        assert!((kept - expected).abs() < 0.015, "{seconds}: {kept}");
    }
    let behind = Fading::new(START - 50_000, LIFE);
    assert_eq!(behind.kept(stamp(START)), 1.0, "a clock that lags is now");
}

#[test]
fn a_newcomer_is_as_its_group_is() {
    let mut board = Latencies::default();
    let latency = board.claim(3);
    for (crowd, usual) in USUAL.iter().enumerate() {
        assert_eq!(latency.expect(crowd, &USUAL, at(0.0)), *usual);
        assert_eq!(board.expect(3, crowd, &USUAL, at(0.0)), *usual);
        assert_eq!(board.expect(9_999, crowd, &USUAL, at(0.0)), *usual);
    }
}

#[test]
fn who_is_slow_in_one_crowd_is_expected_to_be_in_every_other_until_that_is_long_ago() {
    let latency = Latencies::default().claim(0);
    for step in 0..40 {
        latency.observe(0, 5000.0, &USUAL, at(f64::from(step) * 0.01));
    }
    near(latency.expect(0, &USUAL, at(0.4)), 5000.0);
    near(latency.expect(3, &USUAL, at(0.4)), 20_000.0);
    near(latency.pace(at(0.4)), 5.0);
    let later = latency.expect(0, &USUAL, at(60.0));
    assert!(later < 1010.0, "{later}");
    let sooner = latency.expect(0, &USUAL, at(3.4));
    assert!(sooner > 1500.0 && sooner < 4500.0, "{sooner}");
}

#[test]
fn one_failure_makes_all_crowds_look_slow() {
    let latency = Latencies::default().claim(0);
    for step in 0..20 {
        latency.observe(0, 1000.0, &USUAL, at(f64::from(step) * 0.01));
    }
    latency.observe_failure(20.0, Some(&USUAL), at(0.2));
    for (crowd, usual) in USUAL.iter().enumerate() {
        let ratio = latency.expect(crowd, &USUAL, at(0.2)) / usual;
        assert!((2.0..6.0).contains(&ratio), "{crowd}: {ratio}");
    }
    (0..50).for_each(|_| latency.observe_failure(20.0, Some(&USUAL), at(0.2)));
    near(latency.expect(2, &USUAL, at(0.2)), 20.0 * USUAL[2]);
    latency.forget();
    assert_eq!(latency.expect(0, &USUAL, at(0.2)), 1000.0);
    latency.observe_failure(20.0, None, at(0.2));
    assert!(latency.expect(0, &USUAL, at(0.2)) > 4000.0);
}

#[test]
fn slots_and_chunks_keep_apart_and_a_claim_forgets() {
    let mut board = Latencies::default();
    let handles: Vec<Latency> = (0..600).map(|slot| board.claim(slot)).collect();
    handles[255].observe(0, 9000.0, &USUAL, at(0.0));
    let touched = (0..600).filter(|slot| board.expect(*slot, 0, &USUAL, at(0.0)) != 1000.0);
    assert_eq!(touched.collect::<Vec<_>>(), [255]);
    let _ = board.claim(255);
    assert_eq!(board.expect(255, 0, &USUAL, at(0.0)), 1000.0);
    assert!(board.memory_bytes() <= 3 * 16 * 1024 + 64);
}

#[test]
fn each_core_has_what_it_saw_and_another_lends_it_meanwhile() {
    let norm = Norms::new(2).claim(70);
    assert_eq!(norm.usual(CoreId(0)), None);
    let _ = norm.observe(CoreId(1), 2, 4000.0);
    assert_eq!(norm.usual(CoreId(0)), Some([4000.0; CROWDS]));
    let _ = norm.observe(CoreId(0), 0, 1000.0);
    assert_eq!(norm.usual(CoreId(0)), Some([1000.0; CROWDS]));
    assert_eq!(norm.usual(CoreId(1)), Some([4000.0; CROWDS]));
}

#[test]
fn a_crowd_nobody_has_seen_is_like_the_next_and_one_answer_does_not_make_it() {
    let norm = Norms::new(1).claim(0);
    for _ in 0..200 {
        let _ = norm.observe(CoreId(0), 1, 1000.0);
    }
    let _ = norm.observe(CoreId(0), 3, 18_000.0);
    let usual = norm.usual(CoreId(0)).unwrap();
    assert_eq!(&usual[..3], &[1000.0; 3]);
    assert!(usual[3] > 1500.0 && usual[3] < 2500.0, "{usual:?}");
    assert_eq!(&usual[4..], &[usual[3]; 3]);
}

proptest! {
    #[test]
    fn an_expectation_lies_between_what_was_seen_and_what_is_usual(
        seen in proptest::collection::vec((0_usize..CROWDS, 0.1_f32..20.0, 0_u64..5_000), 1..200),
        idle in 0_u64..100_000,
    ) {
        // Usual times that do not depend on the crowd: then nothing derived lies outside.
        let usual = [1000.0; CROWDS];
        let latency = Latencies::default().claim(0);
        let (mut low, mut high, mut millis) = (1000.0_f32, 1000.0_f32, 0);
        for (crowd, ratio, pause) in seen {
            millis += pause;
            let took = 1000.0 * ratio;
            (low, high) = (low.min(took), high.max(took));
            latency.observe(crowd, took, &usual, at(millis as f64 / 1000.0));
        }
        let now = at((millis + idle) as f64 / 1000.0);
        for crowd in 0..CROWDS {
            let expected = latency.expect(crowd, &usual, now);
            prop_assert!(expected >= low * 0.999 && expected <= high * 1.001, "{expected}");
        }
    }
}

/// Two cores answer for four backends, each every millisecond; three are under way at each.
#[test]
fn the_traffic_of_a_group_is_that_of_all_cores() {
    let norm = Norms::new(2).claim(0);
    for step in 0..2000_u64 {
        for core in [CoreId(0), CoreId(1)] {
            if norm.observe(core, 0, 1000.0) {
                norm.look(core, 4, 12, START + step * 1000);
            }
        }
        let looked = norm.traffic(CoreId(0)).is_some();
        assert_eq!(looked, step >= 31, "the second look tells: {step}");
    }
    for core in [CoreId(0), CoreId(1)] {
        let traffic = norm.traffic(core).unwrap();
        near(traffic.interval_micros, 2000.0);
        near(traffic.under_way, 3.0);
    }
}

#[test]
fn an_hour_without_an_answer_counts_as_a_second_and_a_new_owner_of_the_slot_sees_nothing() {
    let mut norms = Norms::new(1);
    let norm = norms.claim(0);
    for hour in 0..64 {
        let _ = norm.observe(CoreId(0), 0, 1000.0);
        norm.look(CoreId(0), 4, 0, START + hour * 3_600_000_000);
    }
    near(norm.traffic(CoreId(0)).unwrap().interval_micros, 1e6);
    assert_eq!(norms.claim(0).traffic(CoreId(0)), None);
}
