//! Checks come faster when something is wrong and more rarely when nothing is, within bounds.

use super::*;

const PACES: &str = "[group.check]\nkind = \"http\"\ninterval = \"4s\"\ninterval_fast = \"1s\"\n\
                     interval_stable = \"16s\"\ninterval_down_max = \"8s\"\ntimeout = \"1s\"\n";

/// Checks of the second backend within a time, each taking so long.
fn checks(world: &mut World, time: Duration, took: Duration) -> usize {
    let until = world.now + time;
    let mut count = 0;
    while world.now < until {
        world.now = world.keeper.next().max(world.now).min(until);
        for due in world.keeper.turn(world.now) {
            count += usize::from(is_second(due.address));
            let took = if is_second(due.address) { took } else { MILLI };
            world
                .keeper
                .checked(due.slot, due.address, &Ok(took), world.now);
        }
    }
    count
}

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn one_that_is_long_steady_is_asked_rarely_until_its_answers_take_longer() {
    let mut world = World::new(&format!("{THREE}{PACES}"));
    checks(&mut world, 60 * SECOND, MILLI);
    let steady = checks(&mut world, 160 * SECOND, MILLI);
    assert!((9..=12).contains(&steady), "{steady}: each 16 s");
    // One answer within 16 s that takes 200 times as long as they do, and the next two come after
    // one second and four.
    let slow = checks(&mut world, 22 * SECOND, 200 * MILLI);
    assert!(slow >= 3, "{slow}");
    assert_eq!(world.status(1), Status::Up, "slow is not down");
    // What it takes now is what it takes; it is steady again.
    checks(&mut world, 120 * SECOND, 200 * MILLI);
    let settled = checks(&mut world, 160 * SECOND, 200 * MILLI);
    assert!((9..=12).contains(&settled), "{settled}");
}

#[test]
fn a_failed_connect_of_traffic_is_looked_into_at_once() {
    let mut world = World::new(&format!("{THREE}{PACES}"));
    checks(&mut world, 220 * SECOND, MILLI);
    let due = |world: &World| {
        let slot = world.group().backends[1].slot;
        world.keeper.members[&slot].probe.as_ref().unwrap().due()
    };
    while due(&world) < world.now + 5 * SECOND {
        checks(&mut world, SECOND, MILLI);
    }
    let stats = world.group().backends[1].stats.clone();
    stats.iter().next().unwrap().connect_failures.inc();
    checks(&mut world, TICK, MILLI);
    assert!(due(&world) <= world.now + SECOND);
}

#[test]
fn one_that_is_down_is_asked_more_rarely_within_its_bound() {
    let mut world = World::new(&format!("{THREE}{PACES}"));
    world.pass(40 * SECOND, |address| !is_second(address));
    assert_eq!(world.status(1), Status::Down);
    let all = world.pass(80 * SECOND, |address| !is_second(address));
    // The two that are well: each 4 s until they are steady, then each 16 s.
    let of_second = all.saturating_sub(2 * 80 / 16);
    assert!((8..=24).contains(&of_second), "{of_second}: each 8 s");
}
