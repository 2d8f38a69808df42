//! What checks come to, and when they are made.

use proptest::prelude::*;

use super::*;

const MILLI: Duration = Duration::from_millis(1);

const PACE: Pace = Pace {
    interval: Duration::from_secs(2),
    fast: Duration::from_millis(500),
    stable: Duration::from_secs(6),
    down_max: Duration::from_secs(30),
    jitter_percent: 10,
    rise: 2,
    fall: 3,
};

fn probe() -> Probe {
    Probe::new(7, &PACE, Duration::ZERO)
}

/// Notes results one after the other, each at its due time; answers how often it changed.
fn run(probe: &mut Probe, results: &[bool]) -> usize {
    let mut changes = 0;
    for passed in results {
        let now = probe.due();
        changes += usize::from(probe.record(passed.then_some(MILLI), &PACE, now));
    }
    changes
}

#[test]
fn the_first_result_decides_and_then_it_takes_fall_and_rise() {
    let mut probe = probe();
    assert_eq!(probe.opinion(), Found::Unknown);
    assert_eq!(run(&mut probe, &[true]), 1);
    assert_eq!(run(&mut probe, &[false, false]), 0);
    assert_eq!(probe.opinion(), Found::Up);
    assert_eq!(run(&mut probe, &[false]), 1);
    assert_eq!(probe.opinion(), Found::Down);
    assert_eq!(run(&mut probe, &[true]), 0);
    assert_eq!(run(&mut probe, &[true]), 1);
    assert_eq!(probe.opinion(), Found::Up);
    let mut dead = self::probe();
    run(&mut dead, &[false]);
    assert_eq!(dead.opinion(), Found::Down);
}

#[test]
fn a_dead_backend_is_out_within_interval_times_fall() {
    let mut probe = probe();
    run(&mut probe, &[true; 3]);
    let killed = probe.due() - PACE.interval;
    run(&mut probe, &[false; 2]);
    let last = probe.due();
    run(&mut probe, &[false]);
    assert_eq!(probe.opinion(), Found::Down);
    assert!(last - killed < PACE.interval * PACE.fall);
}

#[test]
fn one_that_hangs_is_out_within_interval_times_fall_and_a_timeout() {
    let pace = Pace {
        fast: PACE.interval,
        ..PACE
    };
    for timeout in [pace.interval / 4, pace.interval] {
        let mut probe = probe();
        let mut now = probe.due();
        probe.record(Some(MILLI), &pace, now);
        let stopped = now + MILLI;
        while probe.opinion() == Found::Up {
            let begins = now.max(probe.due());
            now = begins + timeout;
            probe.record(None, &pace, now);
        }
        let most = pace.interval * pace.fall + timeout;
        assert!(now - stopped <= most, "{:?} > {most:?}", now - stopped);
        assert!(probe.due() >= now, "not before it is over");
    }
}

#[test]
fn one_that_stays_down_is_asked_ever_more_rarely_up_to_the_cap() {
    let mut probe = probe();
    run(&mut probe, &[false]);
    let mut longest = Duration::ZERO;
    for _ in 0..40 {
        let now = probe.due();
        probe.record(None, &PACE, now);
        let wait = probe.due() - now;
        assert!(wait <= PACE.down_max);
        longest = longest.max(wait);
    }
    assert!(longest > PACE.down_max.mul_f64(0.85), "{longest:?}");
    let now = probe.due();
    probe.record(Some(MILLI), &PACE, now);
    assert!(
        probe.due() - now < PACE.interval,
        "an edge is followed fast"
    );
}

#[test]
fn one_that_is_long_steady_is_asked_more_rarely_until_its_times_depart() {
    let mut probe = probe();
    run(&mut probe, &[true; STEADY_AFTER as usize]);
    let now = probe.due();
    probe.record(Some(MILLI), &PACE, now);
    assert!(probe.due() - now > PACE.stable.mul_f64(0.85));
    let now = probe.due();
    assert!(!probe.record(Some(50 * MILLI), &PACE, now));
    assert!(probe.due() - now <= PACE.fast, "fifty times as long");
    let now = probe.due();
    probe.record(Some(MILLI), &PACE, now);
    let wait = probe.due() - now;
    assert!(wait > PACE.fast * 2 && wait <= PACE.interval);
}

#[test]
fn traffic_counts_as_a_check_unless_something_is_suspect() {
    let mut probe = probe();
    run(&mut probe, &[true]);
    let due = probe.due();
    probe.relieve(&PACE, due - MILLI);
    assert!(probe.due() >= due - MILLI + PACE.interval.mul_f64(0.9));
    let now = probe.due() - MILLI * 1500;
    probe.suspect(&PACE, now);
    let due = probe.due();
    assert!(due <= now + PACE.fast);
    probe.relieve(&PACE, due - MILLI);
    assert_eq!(probe.due(), due);
    run(&mut probe, &[false]);
    let due = probe.due();
    probe.relieve(&PACE, due - MILLI);
    assert_eq!(probe.due(), due, "not at an edge either");
}

#[test]
fn ten_thousand_backends_are_spread_over_the_interval() {
    let slots = 100;
    let mut counts = vec![0_u32; slots];
    for identity in 0..10_000_u64 {
        let due = Probe::new(identity, &PACE, Duration::ZERO).due();
        assert!(due < PACE.interval);
        let share = due.as_secs_f64() / PACE.interval.as_secs_f64();
        counts[(share * slots as f64) as usize] += 1;
    }
    // 100 expected in each hundredth; six standard deviations are 60.
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(least > Some(&40) && most < Some(&160), "{least:?} {most:?}");
}

#[test]
fn the_jitter_is_what_is_asked_for() {
    for jitter_percent in [0, 50] {
        let pace = Pace {
            jitter_percent,
            ..PACE
        };
        let waits = (0..1000).map(|identity| {
            let mut probe = Probe::new(identity, &pace, Duration::ZERO);
            let now = probe.due();
            probe.record(Some(MILLI), &pace, now);
            probe.due() - now
        });
        let (least, most) = (waits.clone().min().unwrap(), waits.max().unwrap());
        let shortest = pace.interval * (100 - jitter_percent) / 100;
        assert!(
            least >= shortest && least < shortest + MILLI * 10,
            "{least:?}"
        );
        assert!(
            most <= pace.interval && most > pace.interval - MILLI * 10,
            "{most:?}"
        );
    }
}

#[test]
fn ten_thousand_that_were_checked_at_once_drift_apart() {
    let mut dues: Vec<Duration> = (0..10_000_u64)
        .map(|identity| {
            let mut probe = Probe::new(identity, &PACE, Duration::ZERO);
            let now = PACE.interval * 4;
            probe.record(Some(MILLI), &PACE, now);
            probe.due() - now
        })
        .collect();
    dues.sort();
    let (first, last) = (dues[0], dues[9999]);
    assert!(first >= PACE.interval.mul_f64(0.9) && last <= PACE.interval);
    assert!(last - first > PACE.interval.mul_f64(0.095));
}

proptest! {
    #[test]
    fn results_that_alternate_change_nothing(first in any::<bool>(), count in 1_usize..200) {
        let mut probe = probe();
        run(&mut probe, &[first]);
        let results: Vec<bool> = (0..count).map(|at| first ^ (at % 2 == 0)).collect();
        prop_assert_eq!(run(&mut probe, &results), 0);
    }

    #[test]
    fn an_opinion_changes_only_after_as_many_results_in_a_row(
        results in prop::collection::vec(any::<bool>(), 1..300),
    ) {
        let mut probe = probe();
        let mut row = 0;
        let mut last = None;
        for (at, passed) in results.iter().enumerate() {
            row = if last == Some(*passed) { row + 1 } else { 1 };
            last = Some(*passed);
            let now = probe.due();
            let changed = probe.record(passed.then_some(MILLI), &PACE, now);
            let needed = if *passed { PACE.rise } else { PACE.fall };
            prop_assert!(!changed || at == 0 || row >= needed);
            prop_assert!(probe.due() > now, "never twice at once");
            prop_assert!(row < needed || (probe.opinion() == Found::Up) == *passed);
        }
    }
}
