//! The breaker of a group: it takes load off backends that all fail, and closes by itself.

use super::*;

#[test]
fn a_breaker_refuses_at_once_while_all_fail_and_closes_when_they_are_well() {
    let scenario = load(include_str!("../../../config/sim/breaker.toml"));
    let [without, with] = [0, 1].map(|at| seen(&scenario, &scenario.entrants[at], 3));
    let refused = |(outcome, _): &(Outcome, Vec<Seen>)| outcome.failed[Failed::Closed as usize];
    assert_eq!(refused(&without), 0);
    // Of fifteen seconds of 600 requests each about ten find it open.
    assert!(refused(&with) > 4000, "{}", refused(&with));
    // Backends that are not well get a few trials instead of everything, with retries on top.
    let tries = |(outcome, _): &(Outcome, Vec<Seen>)| outcome.attempts;
    assert!(
        tries(&with) + 4000 < tries(&without),
        "{} {}",
        tries(&with),
        tries(&without)
    );
    // Well again from 25 s on: by 33 s the breaker is closed on both nodes and stays so.
    let late = with.1.iter().filter(|seen| seen.arrived > 33.0);
    let failed = late.clone().filter(|seen| seen.failed.is_some()).count();
    assert!(late.count() > 3000);
    assert_eq!(failed, 0);
}

#[test]
fn a_limit_of_requests_refuses_what_is_beyond() {
    let text = "warmup = \"1s\"\nduration = \"5s\"\n[traffic]\nload = 1.5\n\
        [work]\nmean = \"20ms\"\n[[backends]]\ncount = 4\n\
        [group.breaker]\nrequests_max = 6\n";
    let scenario = load(text);
    let outcome = run(&scenario, &weir(&scenario, "adaptive"), 1);
    let refused = outcome.failed[Failed::Closed as usize];
    assert!(
        refused * 5 > outcome.requests,
        "{refused} of {}",
        outcome.requests
    );
    assert!(outcome.quantile(0.999) < 0.6, "nobody waits long");
}
