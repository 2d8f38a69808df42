//! Which reports are believed.

use proptest::prelude::*;

use super::*;

const UNIX: Duration = Duration::from_secs(1_800_000_000);

const fn second(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn report(incarnation: u64, sequence: u64) -> Report {
    Report {
        incarnation,
        sequence,
        active: 3.0,
        capacity: Some(100.0),
        latency_ms: Some(1.5),
        cpu: Some(0.25),
        memory: Some(0.5),
        sent: None,
        healthy: true,
    }
}

fn at(now: Duration) -> Circumstances {
    Circumstances {
        now,
        unix: UNIX + now,
        sender: "10.0.0.1".parse().ok(),
        in_flight: 0,
        timeout: second(10),
    }
}

#[test]
fn reports_are_believed_in_their_order_only() {
    let mut machine = Heartbeat::default();
    let mut hear = |incarnation, sequence| {
        let heard = machine.hear(&report(incarnation, sequence), &at(second(1)));
        heard.map(|_| ())
    };
    assert_eq!(hear(5, 1), Ok(()));
    assert_eq!(hear(5, 1), Err(Rejection::Replayed));
    assert_eq!(hear(5, 4), Ok(()));
    assert_eq!(hear(5, 3), Err(Rejection::OutOfOrder));
    assert_eq!(hear(5, 3), Err(Rejection::Replayed));
    assert_eq!(hear(4, 9), Err(Rejection::Stale));
    assert_eq!(hear(6, 0), Ok(()));
}

#[test]
fn what_cannot_be_true_is_refused_and_no_sign_of_life() {
    type Change = fn(&mut Report);
    let changes: [Change; 9] = [
        |report| report.active = f64::NAN,
        |report| report.active = -1.0,
        |report| report.active = 101.0,
        |report| report.capacity = Some(f64::INFINITY),
        |report| report.capacity = Some(-5.0),
        |report| report.latency_ms = Some(-0.1),
        |report| report.cpu = Some(1.01),
        |report| report.memory = Some(f64::NAN),
        |report| report.active = 1e12,
    ];
    let mut machine = Heartbeat::default();
    for change in changes {
        let mut false_report = report(1, 1);
        change(&mut false_report);
        let heard = machine.hear(&false_report, &at(second(1)));
        assert_eq!(heard, Err(Rejection::Impossible), "{false_report:?}");
    }
    assert!(machine.heard().is_none());
    assert_eq!(machine.alive_until(second(10)), None);
}

#[test]
fn the_future_and_the_far_past_are_refused() {
    let sent = |ago: i64| {
        let mut report = report(1, 1);
        let unix = UNIX.as_secs().cast_signed() + 100 - ago;
        report.sent = Some(second(unix.cast_unsigned()));
        let heard = Heartbeat::default().hear(&report, &at(second(100)));
        heard.map(|_| ())
    };
    assert_eq!(sent(-6), Err(Rejection::Future));
    assert_eq!(sent(-5), Ok(()));
    assert_eq!(sent(15), Ok(()));
    assert_eq!(sent(16), Err(Rejection::Stale));
}

#[test]
fn a_second_address_is_believed_only_after_a_silence_and_a_restart() {
    let mut machine = Heartbeat::default();
    let other = |now| Circumstances {
        sender: "10.0.0.2".parse().ok(),
        ..at(now)
    };
    machine.hear(&report(1, 1), &at(second(0))).unwrap();
    let early = machine.hear(&report(2, 1), &other(second(5)));
    assert_eq!(early, Err(Rejection::Contradictory));
    let same = machine.hear(&report(1, 2), &other(second(11)));
    assert_eq!(same, Err(Rejection::Contradictory));
    let moved = machine.hear(&report(2, 1), &other(second(11))).unwrap();
    assert_eq!(moved.sender, "10.0.0.2".parse().ok());
    let back = machine.hear(&report(3, 1), &at(second(12)));
    assert_eq!(back, Err(Rejection::Contradictory));
}

#[test]
fn a_forged_incarnation_is_forgotten_after_a_long_silence() {
    let mut machine = Heartbeat::default();
    machine.hear(&report(u64::MAX, 1), &at(second(0))).unwrap();
    let stale = machine.hear(&report(1, 1), &at(second(99)));
    assert_eq!(stale, Err(Rejection::Stale));
    assert!(machine.hear(&report(1, 2), &at(second(100))).is_ok());
}

#[test]
fn figures_at_odds_with_ours_are_discounted_and_life_is_not() {
    let mut machine = Heartbeat::default();
    let busy = |now| Circumstances {
        in_flight: 100,
        ..at(now)
    };
    for (sequence, discounted) in [(1, false), (2, false), (3, true), (4, true)] {
        let now = second(sequence);
        let heard = machine.hear(&report(1, sequence), &busy(now)).unwrap();
        assert_eq!(heard.discounted, discounted);
        assert_eq!(machine.capacity().is_none(), discounted);
        assert_eq!(machine.alive_until(second(10)), Some(now + second(10)));
    }
    let honest = machine.hear(&report(1, 5), &at(second(5))).unwrap();
    assert!(!honest.discounted);
    assert_eq!(machine.capacity(), Some(100));
}

proptest! {
    #[test]
    fn nothing_believed_is_impossible_and_nothing_sent_panics(
        figures in prop::array::uniform5(prop::num::f64::ANY),
        incarnation in any::<u64>(),
        sequence in any::<u64>(),
        sent in prop::option::of(any::<u32>()),
    ) {
        let [active, capacity, latency, cpu, memory] = figures;
        let report = Report {
            incarnation,
            sequence,
            active,
            capacity: Some(capacity),
            latency_ms: Some(latency),
            cpu: Some(cpu),
            memory: Some(memory),
            sent: sent.map(|sent| Duration::from_secs(sent.into())),
            healthy: true,
        };
        let mut machine = Heartbeat::default();
        if machine.hear(&report, &at(second(1))).is_ok() {
            prop_assert!(active >= 0.0 && active <= capacity && capacity.is_finite());
            prop_assert!((0.0..=1.0).contains(&cpu) && (0.0..=1.0).contains(&memory));
            prop_assert!(f64::from(machine.capacity().unwrap()) <= capacity);
        }
    }

    #[test]
    fn what_is_believed_rises_in_order(
        reports in prop::collection::vec((0_u64..3, 0_u64..80), 1..200),
    ) {
        let mut machine = Heartbeat::default();
        let mut newest = None;
        for (incarnation, sequence) in reports {
            let heard = machine.hear(&report(incarnation, sequence), &at(second(1)));
            prop_assert_eq!(heard.is_ok(), newest < Some((incarnation, sequence)));
            newest = newest.max(Some((incarnation, sequence)));
        }
    }
}
