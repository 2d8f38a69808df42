//! How long those who stick to a backend that drains are kept.

use super::*;

const STICKY: &str = "[group.sticky]\nsource = true\ndrain_timeout = \"1m\"\n";

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

/// Two backends, the first of them with these lines.
fn two(lines: &str) -> String {
    format!(
        "{STICKY}[[group.backend]]\nid = \"a\"\naddress = \"127.0.0.1:1\"\n{lines}\
         [[group.backend]]\nid = \"b\"\naddress = \"127.0.0.1:2\"\n"
    )
}

impl World {
    fn is_released(&self, at: usize) -> bool {
        self.standing(at).released
    }
}

#[test]
fn who_sticks_is_let_go_when_the_time_of_the_group_is_over_whatever_is_published() {
    let mut world = World::new(&two(""));
    world.publish(&two("state = \"drain\"\n"));
    for _ in 0..5 {
        world.pass(at(10), |_| true);
        world.publish(&two("state = \"drain\"\n"));
        assert!(!world.is_released(0));
    }
    world.pass(at(11), |_| true);
    assert!(world.is_released(0) && !world.is_released(1));
    world.publish(&two("state = \"drain\"\n"));
    assert!(world.is_released(0));
    world.publish(&two(""));
    assert!(!world.is_released(0), "it is ready");
    world.publish(&two("state = \"drain\"\n"));
    assert!(!world.is_released(0), "another drain");
}

#[test]
fn what_the_document_says_of_a_drain_holds_for_one_that_is_seen_first() {
    // The world begins at second 1,000,000, which is 1970-01-12T13:46:40Z.
    let begun = "state = \"drain\"\ndrain_since = \"1970-01-12T13:46:10Z\"\n";
    let mut world = World::new(&two(begun));
    assert!(!world.is_released(0));
    world.pass(at(29), |_| true);
    assert!(!world.is_released(0));
    world.pass(at(2), |_| true);
    assert!(world.is_released(0));
    let endless = format!("{begun}drain_until = \"never\"\n");
    world.publish(&two(&endless));
    assert!(!world.is_released(0));
    world.pass(at(1000), |_| true);
    assert!(!world.is_released(0));
    let past = "state = \"drain\"\ndrain_until = \"1970-01-01T00:00:00Z\"\n";
    assert!(
        World::new(&two(past)).is_released(0),
        "before any core picks"
    );
}

#[test]
fn a_drain_nothing_is_said_of_goes_on_in_the_process_that_takes_over() {
    let mut old = World::new(&two("state = \"drain\"\n"));
    old.pass(at(40), |_| true);
    let known = old.keeper.known();
    let mut new = World::new(&two(""));
    new.now = old.now;
    new.publish(&two("state = \"drain\"\n"));
    new.keeper.recall(&known, new.now);
    new.pass(at(19), |_| true);
    assert!(!new.is_released(0));
    new.pass(at(2), |_| true);
    assert!(new.is_released(0));
}

#[test]
fn an_agent_that_drains_its_backend_lets_go_in_time_too() {
    let group = format!("{}[group.agent]\nport = 9\n", two(""));
    let mut world = World::new(&group);
    world.pass(at(1), |_| true);
    let says = |world: &mut World, line: &str| {
        let backend = &world.group().backends[0];
        let (slot, address) = (backend.slot, backend.address);
        let asking = |member: &mut Member| member.agent.as_mut().unwrap().asking = true;
        world.keeper.members.get_mut(&slot).map(asking);
        let answer = Ok(line.as_bytes().to_vec());
        world.keeper.answered(slot, (address, 9), answer, world.now);
    };
    says(&mut world, "drain\n");
    world.pass(at(59), |_| true);
    assert_eq!(world.standing(0).state, BackendState::Drain);
    assert!(!world.is_released(0));
    world.pass(at(2), |_| true);
    assert!(world.is_released(0));
    says(&mut world, "ready\n");
    assert!(!world.is_released(0));
}
