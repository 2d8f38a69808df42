//! What becomes of a backend that comes back, and what clients are told until then.

use super::*;
use crate::routing::standing::{Outcome, Return};

/// Two backends, the first of them with these lines.
fn two(lines: &str, group: &str) -> String {
    format!(
        "{group}[[group.backend]]\nid = \"a\"\naddress = \"127.0.0.1:1\"\n{lines}\
         [[group.backend]]\nid = \"b\"\naddress = \"127.0.0.1:2\"\n"
    )
}

impl World {
    /// So many answers of the first backend with this status are counted.
    fn count(&self, status: u16, times: u64) {
        let core = self.group().backends[0].stats.clone();
        for _ in 0..times {
            core.iter().next().unwrap().requests.inc(status);
        }
    }

    fn returns(&self, what: Return) -> Duration {
        Duration::from_millis(self.group().standing.returns(what))
    }
}

#[test]
fn who_is_made_ready_again_starts_slowly() {
    let slow = "[group.check]\nslow_start = \"10s\"\n";
    for state in ["maint", "drain"] {
        let mut world = World::new(&two("", slow));
        world.pass(SECOND, |_| true);
        assert_eq!(world.standing(0).ramp, 100, "it was there from the start");
        world.publish(&two(&format!("state = \"{state}\"\n"), slow));
        world.pass(SECOND, |_| true);
        world.publish(&two("", slow));
        assert_eq!(world.standing(0).ramp, 10, "{state}");
        assert_eq!(world.standing(1).ramp, 100);
        world.pass(11 * SECOND, |_| true);
        assert_eq!(world.standing(0).ramp, 100);
    }
}

#[test]
fn what_failed_before_an_ejection_is_not_held_against_one_that_is_back() {
    let outlier = "[group.outlier]\nbase_ejection = \"2s\"\ninterval = \"10s\"\n\
                   failure_percentage = 50\nfailure_percentage_minimum_hosts = 1\n\
                   failure_percentage_request_volume = 10\n";
    let mut world = World::new(&two("", outlier));
    world.count(500, 20);
    world.pass(SECOND, |_| true);
    world.suspend(0, Cause::ServerFailures);
    world.pass(3 * SECOND, |_| true);
    assert!(!world.is_suspended(0), "its time is over");
    world.count(200, 20);
    world.pass(30 * SECOND, |_| true);
    let ejections = |world: &World| {
        let mut counts = world.keeper.stats.health.ejections.iter();
        counts.find_map(|(cause, count)| (cause == "failure_percentage").then_some(count))
    };
    assert_eq!(ejections(&world), Some(0));
    world.count(500, 20);
    world.pass(10 * SECOND, |_| true);
    assert_eq!(ejections(&world), Some(1), "what it does since counts");
}

#[test]
fn rows_of_failures_do_not_outlive_a_time_that_checks_found_it_down() {
    let check = format!("{TCP}rise = 1\n[group.outlier]\nconsecutive_5xx = 3\n");
    let mut world = World::new(&format!("{THREE}{check}"));
    let fail = |world: &World| {
        let index = crate::base::id::BackendIndex(1);
        world.group().observe(index, Outcome::ServerFailed)
    };
    assert_eq!((fail(&world), fail(&world)), (None, None));
    world.pass(5 * SECOND, |address| !is_second(address));
    assert_eq!(world.status(1), Status::Down);
    world.pass(40 * SECOND, |_| true);
    assert_eq!(world.status(1), Status::Up);
    assert_eq!((fail(&world), fail(&world)), (None, None), "a new row");
    assert_eq!(fail(&world), Some(Cause::ServerFailures));
}

#[test]
fn it_is_known_when_the_first_of_those_who_are_out_comes_back() {
    let outlier = "[group.outlier]\nbase_ejection = \"30s\"\nejected_max_percent = 100\n";
    let mut world = World::new(&two("", outlier));
    assert_eq!(world.returns(Return::Backend), Duration::ZERO);
    world.suspend(0, Cause::ServerFailures);
    let first = UNIX + world.now + 30 * SECOND;
    assert_eq!(world.returns(Return::Backend), first);
    world.pass(10 * SECOND, |_| true);
    world.suspend(1, Cause::ConnectFailures);
    assert_eq!(
        world.returns(Return::Backend),
        first,
        "the first of the two"
    );
    world.pass(21 * SECOND, |_| true);
    assert_eq!(world.returns(Return::Backend), first + 10 * SECOND);
    world.pass(10 * SECOND, |_| true);
    assert_eq!(world.returns(Return::Backend), Duration::ZERO);
}
