//! The largest share that may be out, alone and together.

use proptest::prelude::*;

use super::super::policy::PolicyKind;
use super::super::policy::tests::even;
use super::*;

fn group(backends: usize, outlier: Outlier) -> Group {
    Group {
        outlier,
        ..even(PolicyKind::RoundRobin, backends)
    }
}

fn tenth() -> Outlier {
    Outlier {
        ejected_max_percent: 10,
        ..Outlier::default()
    }
}

fn all(group: &Group) -> impl Iterator<Item = BackendIndex> {
    (0..group.backends.len() as u32).map(BackendIndex)
}

#[test]
fn half_may_be_out_and_ten_percent_of_three_is_none_unless_one_may_always() {
    let half = [1, 2, 3, 9, 10, 11].map(|backends| Outlier::default().ejected_max(backends));
    assert_eq!(half, [0, 1, 1, 4, 5, 5]);
    let envoy = tenth();
    let shares = [1, 3, 9, 10, 19, 20].map(|backends| envoy.ejected_max(backends));
    assert_eq!(shares, [0, 0, 0, 1, 1, 2]);
    let always = Outlier {
        always_eject_one: true,
        ..envoy
    };
    let shares = [1, 2, 9, 10, 20].map(|backends| always.ejected_max(backends));
    assert_eq!(shares, [0, 1, 1, 1, 2]);
}

proptest! {
    #[test]
    fn no_more_are_out_than_may_be(backends in 1_usize..60, percent in 0_u32..=100) {
        let outlier = Outlier { ejected_max_percent: percent, ..Outlier::default() };
        let group = group(backends, outlier);
        let done = all(&group).filter(|index| group.suspend(*index) == Suspension::Done);
        let most = backends * percent as usize / 100;
        prop_assert_eq!(done.count(), most);
        prop_assert_eq!(group.suspended(), most);
        for index in all(&group).take(most) {
            prop_assert_eq!(group.suspend(index), Suspension::Already);
        }
        if most > 0 {
            group.backends[0].standing.readmit();
            prop_assert_eq!(group.suspended(), most - 1);
            prop_assert_eq!(group.suspend(BackendIndex(0)), Suspension::Done);
        }
    }
}

#[test]
fn the_fifth_failure_suspends_once_and_an_answer_between_starts_anew() {
    let group = group(10, Outlier::default());
    let index = BackendIndex(4);
    let fail = || group.observe(index, Outcome::ServerFailed);
    assert_eq!([fail(), fail(), fail(), fail()], [None; 4]);
    assert_eq!(group.observe(index, Outcome::Answered), None);
    assert_eq!([fail(), fail(), fail(), fail()], [None; 4]);
    assert_eq!(fail(), Some(Cause::ServerFailures));
    assert!(group.backends[4].standing.is_suspended());
    assert_eq!([fail(), fail(), fail(), fail(), fail()], [None; 5]);
}

#[test]
fn who_was_refused_is_suspended_when_there_is_room() {
    let group = group(10, tenth());
    assert_eq!(group.suspend(BackendIndex(0)), Suspension::Done);
    let three = |index| {
        let outcomes = [Outcome::ConnectFailed; 3].into_iter();
        outcomes
            .filter_map(|outcome| group.observe(index, outcome))
            .count()
    };
    assert_eq!(three(BackendIndex(1)), 0);
    assert!(!group.backends[1].standing.is_suspended());
    group.backends[0].standing.readmit();
    assert_eq!(three(BackendIndex(1)), 1);
}

#[test]
fn threads_that_suspend_everybody_at_once_never_exceed_the_share() {
    for _ in 0..50 {
        let group = group(20, tenth());
        std::thread::scope(|scope| {
            for first in 0..4_u32 {
                let group = &group;
                scope.spawn(move || {
                    for index in (0..20).map(|step| BackendIndex((first * 5 + step) % 20)) {
                        let _ = group.suspend(index);
                    }
                });
            }
        });
        assert!(group.suspended() <= 2);
    }
}
