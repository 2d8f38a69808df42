//! What another table leaves as it was, and what it does not.

use super::*;

/// A group of backends at these ports, each with more lines, and with rules.
fn group(members: &[(u16, &str)], rules: &str) -> String {
    let member = |(port, more): &(u16, &str)| {
        format!("[[group.backend]]\naddress = \"127.0.0.1:{port}\"\n{more}\n")
    };
    members.iter().map(member).chain([rules.into()]).collect()
}

fn half_must_be_up(percent: u8) -> String {
    format!("{TCP}[group.outlier]\npanic_threshold = {percent}\n")
}

#[test]
fn a_group_is_judged_anew_when_somebody_goes_comes_or_counts_no_more() {
    let half = half_must_be_up(50);
    let four = [(9001, ""), (9002, ""), (9003, ""), (9004, "")];
    let mut world = World::new(&group(&four, &half));
    world.pass(8 * SECOND, |address| address.port() % 3 == 1);
    assert!(!world.group().standing.is_panicking(), "two of four are up");
    let without_weight = [(9001, "weight = 0"), (9002, ""), (9003, ""), (9004, "")];
    for (members, percent, panics) in [
        (&four[..3], 50, true),
        (&four[..], 50, false),
        (&without_weight[..], 50, true),
        (&four[..], 50, false),
        (&four[..], 60, true),
        (&four[..], 50, false),
    ] {
        world.publish(&group(members, &half_must_be_up(percent)));
        let standing = &world.group().standing;
        assert_eq!(standing.is_panicking(), panics, "{members:?} {percent}");
    }
}

#[test]
fn who_stays_as_it_was_is_checked_and_waited_for_on() {
    let rules = format!("{TCP}heartbeat_timeout = \"5s\"\n");
    let mut world = World::new(&group(&[(9001, ""), (9002, ""), (9003, "")], &rules));
    world.hear(1, 50.0).unwrap();
    world.pass(3 * SECOND, |_| true);
    // The first one moves from place to place, and others are what changes.
    world.publish(&group(&[(9003, "weight = 7"), (9001, "")], &rules));
    assert_eq!(world.standing(1).capacity, Some(50));
    assert_eq!(
        world.pass(SECOND, |_| true),
        2,
        "both are asked each second"
    );
    world.pass(2 * SECOND, |_| true);
    assert_eq!(world.status(1), Status::Down, "no heartbeat came");
    world.pass(4 * SECOND, |address| address.port() == 9001);
    assert_eq!(world.status(0), Status::Down, "its checks failed");
}

#[test]
fn what_an_operator_says_reaches_the_one_it_is_said_of() {
    let all = |state: &str| group(&[(9001, ""), (9002, state), (9003, "")], TCP);
    let mut world = World::new(&all(""));
    for (state, expected) in [
        ("state = \"drain\"", Status::Drain),
        ("state = \"maint\"", Status::Maint),
        ("", Status::Up),
        ("state = \"maint\"", Status::Maint),
        ("state = \"maint\"\nweight = 3", Status::Maint),
        ("weight = 3", Status::Up),
    ] {
        world.publish(&all(state));
        assert_eq!(world.status(1), expected, "{state}");
        assert_eq!([world.status(0), world.status(2)], [Status::Up; 2]);
    }
}

#[test]
fn an_agent_that_listens_elsewhere_is_asked_there() {
    let agents = "[group.agent]\nport = 9777\ninterval = \"1s\"\n";
    let with = |port: &str| group(&[(9001, ""), (9002, port)], agents);
    let mut world = World::new(&with(""));
    for (said, expected) in [("agent_port = 9778", 9778), ("", 9777)] {
        world.publish(&with(said));
        world.now += 2 * SECOND;
        let asked = world.keeper.turn(world.now);
        let second = asked.iter().find(|due| due.address.port() == 9002);
        assert_eq!(second.unwrap().asked.port(), expected, "{said}");
        for due in &asked {
            let whom = (due.address, due.asked.port());
            let answer = Ok(b"up\n".to_vec());
            world.keeper.answered(due.slot, whom, answer, world.now);
        }
    }
}
