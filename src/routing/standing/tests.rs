//! Words keep what they are given; suspensions, trials and rows are counted for all threads.

use proptest::prelude::*;

use super::*;

const FIVE: Thresholds = Thresholds {
    server: 5,
    gateway: 0,
    connect: 3,
    broken: 5,
};

const STATES: [BackendState; 3] = [
    BackendState::Drain,
    BackendState::Maint,
    BackendState::Ready,
];

fn cell() -> BackendStanding {
    Standings::default().claim(0)
}

fn notes(cell: &BackendStanding, outcomes: &[Outcome], thresholds: &Thresholds) -> Vec<Cause> {
    let note = |outcome: &Outcome| cell.note(*outcome, thresholds);
    outcomes.iter().filter_map(note).collect()
}

proptest! {
    #[test]
    fn what_is_set_is_read_and_suspension_is_apart(
        available in any::<bool>(),
        state in prop::sample::select(STATES.to_vec()),
        ramp in 1_u8..=RAMP_FULL,
        capacity in proptest::option::of(any::<u32>()),
        released in any::<bool>(),
        suspended in any::<bool>(),
    ) {
        let cell = cell();
        let standing = Standing { available, state, released, ramp, capacity };
        if suspended {
            prop_assert!(cell.suspend());
        }
        cell.set(standing);
        prop_assert_eq!(cell.get(), standing);
        prop_assert_eq!(cell.is_suspended(), suspended);
        prop_assert_eq!(cell.word().is_up(), available && !suspended);
        let plain = !suspended && standing == Standing::default();
        prop_assert_eq!(cell.word().is_plain(), plain);
        cell.readmit();
        prop_assert_eq!(cell.get(), standing);
        prop_assert!(!cell.is_suspended());
    }

    #[test]
    fn a_load_is_felt_the_more_the_less_the_ramp(load in 0_u32..1_000_000, ramp in 1_u8..100) {
        let cell = cell();
        prop_assert_eq!(cell.word().scaled(load), load);
        cell.set(Standing { ramp, ..Standing::default() });
        let felt = cell.word().scaled(load);
        prop_assert_eq!(felt, u32::try_from(u64::from(load) * 100 / u64::from(ramp)).unwrap());
        prop_assert!(felt >= load);
    }

    #[test]
    fn it_trips_exactly_at_multiples_of_a_row(
        answers in proptest::collection::vec(any::<bool>(), 0..200),
        threshold in 1_u32..7,
    ) {
        let cell = cell();
        let thresholds = Thresholds { server: threshold, ..Thresholds::default() };
        let mut row = 0;
        for good in answers {
            let outcome = if good { Outcome::Answered } else { Outcome::ServerFailed };
            row = if good { 0 } else { row + 1 };
            let expected = row > 0 && row % threshold == 0;
            let found = cell.note(outcome, &thresholds);
            prop_assert_eq!(found, expected.then_some(Cause::ServerFailures));
        }
    }
}

#[test]
fn rows_of_different_kinds_are_counted_apart() {
    let cell = cell();
    use Outcome::{Answered, ConnectFailed, Connected, GatewayFailed, ServerFailed};
    assert_eq!(notes(&cell, &[ConnectFailed; 2], &FIVE), []);
    assert_eq!(notes(&cell, &[ServerFailed; 4], &FIVE), []);
    assert_eq!(
        notes(&cell, &[Answered], &FIVE),
        [],
        "an answer ends one row"
    );
    let third = notes(&cell, &[ConnectFailed], &FIVE);
    assert_eq!(third, [Cause::ConnectFailures], "but not that of connects");
    assert_eq!(notes(&cell, &[Connected, ConnectFailed], &FIVE), []);
    let fifth = notes(&cell, &[GatewayFailed, ServerFailed, GatewayFailed], &FIVE);
    assert_eq!(fifth, []);
    assert_eq!(
        notes(&cell, &[GatewayFailed; 2], &FIVE),
        [Cause::ServerFailures]
    );
    let gateway = Thresholds {
        gateway: 2,
        ..Thresholds::default()
    };
    let mixed = [GatewayFailed, ServerFailed, GatewayFailed, GatewayFailed];
    cell.readmit();
    assert_eq!(notes(&cell, &mixed, &gateway), [Cause::GatewayFailures]);
    let off = Thresholds::default();
    assert_eq!(notes(&cell, &[GatewayFailed; 100], &off), []);
}

#[test]
fn one_of_many_suspends_and_trials_are_for_all_together() {
    let cell = cell();
    let (won, taken) = (AtomicU32::new(0), AtomicU32::new(0));
    cell.grant_trials(3);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                won.fetch_add(u32::from(cell.suspend()), Relaxed);
                taken.fetch_add(u32::from(cell.take_trial()), Relaxed);
            });
        }
    });
    assert_eq!((won.into_inner(), taken.into_inner()), (1, 3));
    assert!(cell.is_suspended() && !cell.has_trials());
}

#[test]
fn a_slot_that_changes_hands_begins_anew() {
    let mut standings = Standings::default();
    let old = standings.claim(700);
    let before = standings.clone();
    old.set(Standing {
        available: false,
        state: BackendState::Maint,
        released: true,
        ramp: 7,
        capacity: Some(0),
    });
    old.suspend();
    assert_eq!(old.word().breaker(), BreakerState::Open);
    old.grant_trials(2);
    assert_eq!(old.word().breaker(), BreakerState::HalfOpen);
    assert_eq!(notes(&old, &[Outcome::ConnectFailed; 2], &FIVE), []);
    assert!(!before.word(700).is_up(), "a clone shares");
    let new = standings.claim(700);
    assert!(new.word().is_plain() && !new.has_trials());
    assert_eq!(new.word().breaker(), BreakerState::Closed);
    assert_eq!(notes(&new, &[Outcome::ConnectFailed], &FIVE), []);
    assert!(standings.word(1_000_000).is_plain());
    assert!(standings.memory_bytes() > 0);
}

#[test]
fn answers_that_break_off_are_a_row_of_their_own() {
    let cell = cell();
    let four = [Outcome::Answered, Outcome::BrokeOff].repeat(4);
    assert_eq!(notes(&cell, &four, &FIVE), []);
    let whole = [Outcome::Answered, Outcome::Whole];
    assert_eq!(notes(&cell, &whole, &FIVE), []);
    assert_eq!(notes(&cell, &four, &FIVE), [], "the row began anew");
    let fifth = [Outcome::Answered, Outcome::BrokeOff];
    assert_eq!(notes(&cell, &fifth, &FIVE), [Cause::BrokenAnswers]);
    cell.forget_rows();
    assert_eq!(notes(&cell, &four, &FIVE), []);
}
