//! What backends become by what happens to them, seen where the cores look.

use super::*;
use crate::base::epoch::Epoch;
use crate::config;
use crate::control::document::split;
use crate::control::health::Claim;
use crate::engine::planner::{Resolved, plan};
use crate::engine::registry::Registry;
use crate::health::heartbeat::Rejection;
use crate::health::verdict::Status;
use crate::routing::standing::{Cause, Standing};

const LISTENER: &str =
    "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\ngroup = \"app\"\n";

/// When the moments of a world begin, since 1970.
const UNIX: Duration = Duration::from_secs(1_000_000);

mod agents;
mod drains;
mod observed;
mod paces;
mod returns;
mod schedules;
mod tables;
mod weights;

/// A node in miniature: a registry, the present table and a keeper.
struct World {
    registry: Registry,
    keeper: Keeper,
    table: Option<Arc<Table>>,
    epoch: u64,
    now: Moment,
    /// What agents answer, and how often they were asked.
    agents: Option<&'static str>,
    questions: usize,
}

impl World {
    fn new(group: &str) -> World {
        let mut world = World {
            registry: Registry::new(1),
            keeper: Keeper::new(Arc::default(), UNIX, None),
            table: None,
            epoch: 0,
            now: Moment::ZERO,
            agents: None,
            questions: 0,
        };
        world.publish(group);
        world
    }

    /// Publishes a group `app` with these lines.
    fn publish(&mut self, group: &str) {
        self.publish_behind("", group);
    }

    /// The same with these routes to it.
    fn publish_behind(&mut self, routes: &str, group: &str) {
        let text = format!("{LISTENER}{routes}[[group]]\nname = \"app\"\n{group}");
        let config = config::load(&text, "weir.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let document = split(&text).unwrap().document;
        self.epoch += 1;
        let epoch = Epoch(self.epoch);
        let planned = plan(&config, &Resolved::default(), epoch, &mut self.registry);
        self.keeper
            .adopt(&planned.table, &config, &document, self.now, &mut || ());
        self.table = Some(planned.table);
    }

    fn group(&self) -> &Group {
        &self.table.as_ref().unwrap().groups[0]
    }

    fn standing(&self, at: usize) -> Standing {
        self.group().backends[at].standing.get()
    }

    fn status(&self, at: usize) -> Status {
        let slot = self.group().backends[at].slot;
        self.keeper.members[&slot].record.judgement().status
    }

    /// Lets time pass, in which every check that is due ends as told.
    fn pass(&mut self, time: Duration, ends: impl Fn(SocketAddr) -> bool) -> usize {
        let until = self.now + time;
        let mut checks = 0;
        while self.now < until {
            self.now = self.keeper.next().max(self.now).min(until);
            for due in self.keeper.turn(self.now) {
                if let What::Agent(_) = due.what {
                    self.questions += 1;
                    let whom = (due.address, due.asked.port());
                    let answer = self.agents.map(|line| line.as_bytes().to_vec());
                    let answer = answer.ok_or_else(|| "no answer in time".into());
                    self.keeper.answered(due.slot, whom, answer, self.now);
                    continue;
                }
                checks += 1;
                let result = match ends(due.asked) {
                    true => Ok(Duration::from_millis(1)),
                    false => Err("connection refused".into()),
                };
                self.keeper
                    .checked(due.slot, due.address, &result, self.now);
            }
        }
        checks
    }

    fn hear(&mut self, sequence: u64, capacity: f64) -> Result<(), Rejection> {
        self.hear_claim(&claim(sequence, capacity))
    }

    fn hear_claim(&mut self, claim: &Claim) -> Result<(), Rejection> {
        let heard = self.keeper.hear(claim, None, self.now, self.now);
        heard.map(|_| ())
    }

    fn suspend(&mut self, at: usize, cause: Cause) {
        let group = self.group();
        let backend = &group.backends[at];
        backend.standing.suspend();
        let report = Report::Suspended {
            group: group.slot,
            backend: backend.slot,
            cause,
        };
        self.keeper.reported(report, self.now);
    }

    fn is_suspended(&self, at: usize) -> bool {
        self.group().backends[at].standing.is_suspended()
    }
}

/// A heartbeat of the first backend.
fn claim(sequence: u64, capacity: f64) -> Claim {
    Claim {
        server_id: "127.0.0.1:9001".into(),
        group: None,
        address: None,
        incarnation: 1,
        sequence,
        active: 0.0,
        capacity: Some(capacity),
        latency_ms: None,
        cpu: None,
        memory: None,
        sent_ms: None,
        healthy: true,
    }
}

/// A listener with a route to a part of the group.
const TO_A_PART: &str = "[[listener.route]]\nname = \"render\"\npath_prefix = \"/render/\"\n\
                         group = \"app\"\nrequire = \"gpu\"\n";

const SECOND: Duration = Duration::from_secs(1);
const THREE: &str = "backends = [\"127.0.0.1:9001\", \"127.0.0.1:9002\", \"127.0.0.1:9003\"]\n";
const TCP: &str = "[group.check]\nkind = \"tcp\"\ninterval = \"1s\"\n";

fn is_second(address: SocketAddr) -> bool {
    address.port() == 9002
}

#[test]
fn checks_take_a_backend_out_and_bring_it_back() {
    let mut world = World::new(&format!("{THREE}{TCP}slow_start = \"10s\"\n"));
    world.pass(5 * SECOND, |_| true);
    assert_eq!(world.standing(1), Standing::default());
    world.pass(3 * SECOND, |address| !is_second(address));
    assert!(!world.standing(1).available && world.standing(0).available);
    assert_eq!(world.status(1), Status::Down);
    let interval_down = 32 * SECOND;
    world.pass(interval_down, |address| !is_second(address));
    world.pass(interval_down + SECOND, |_| true);
    assert_eq!(world.status(1), Status::Up);
    let transitions: BTreeMap<_, _> = world.keeper.stats.health.transitions.iter().collect();
    assert_eq!(transitions["check"], 2);
    world.pass(11 * SECOND, |_| true);
    assert_eq!(world.standing(1), Standing::default(), "at its whole share");
}

#[test]
fn one_that_comes_back_starts_slowly() {
    let mut world = World::new(&format!("{THREE}{TCP}slow_start = \"10s\"\nrise = 1\n"));
    world.pass(2 * SECOND, |address| !is_second(address));
    assert_eq!(world.status(1), Status::Down);
    while world.status(1) == Status::Down {
        world.pass(SECOND / 10, |_| true);
    }
    assert_eq!(world.standing(1).ramp, 10);
    world.pass(5 * SECOND, |_| true);
    let half = world.standing(1).ramp;
    assert!((45..=55).contains(&half), "{half}");
    assert_eq!(world.standing(0).ramp, 100, "the others were there");
}

#[test]
fn members_that_stay_keep_what_is_known_and_new_ones_ramp_up() {
    let check = format!("{TCP}slow_start = \"10s\"\n");
    let mut world = World::new(&format!("{THREE}{check}"));
    world.pass(5 * SECOND, |address| !is_second(address));
    assert_eq!(world.status(1), Status::Down);
    let four = THREE.replace("9003\"]", "9003\", \"127.0.0.1:9004\"]");
    world.publish(&format!("{four}{check}"));
    assert_eq!(world.status(1), Status::Down);
    assert!(!world.standing(1).available);
    assert_eq!(world.standing(3).ramp, 10);
    world.publish(&format!("{THREE}{check}"));
    assert_eq!(world.keeper.members.len(), 3);
}

#[test]
fn ten_thousand_checks_are_spread_and_no_more_run_at_once_than_may() {
    let backends: Vec<String> = (0..10_000)
        .map(|at| format!("\"127.{}.{}.1:9001\"", 1 + at / 250, at % 250))
        .collect();
    let mut world = World::new(&format!("backends = [{}]\n{TCP}", backends.join(", ")));
    let mut each = Vec::new();
    for _ in 0..20 {
        each.push(world.pass(SECOND / 20, |_| true));
    }
    let total: usize = each.iter().sum();
    assert!((9_000..=11_000).contains(&total), "{total}");
    assert!(each.iter().all(|checks| *checks < 1_000), "{each:?}");
    world.now += 10 * SECOND;
    let burst = world.keeper.turn(world.now);
    assert_eq!(burst.len(), CHECKS_MAX);
    assert!(world.keeper.turn(world.now).is_empty());
}

#[test]
fn what_backends_say_of_their_times_is_compared_among_them_and_forgotten_when_they_recover() {
    let lines = "policy = \"adaptive\"\n[group.check]\nheartbeat_timeout = \"5s\"\n";
    let mut world = World::new(&format!("{THREE}{lines}"));
    let pace = |world: &World, at: usize| {
        let fading = world.group().adaptive().unwrap().fading(0, None);
        world.group().backends[at].load.latency().pace(fading)
    };
    for sequence in 1..=20 {
        for (at, latency) in [(0, Some(90.0)), (1, Some(30.0)), (2, None)] {
            let claim = Claim {
                server_id: format!("127.0.0.1:900{}", at + 1),
                latency_ms: latency,
                ..claim(sequence, 50.0)
            };
            world.hear_claim(&claim).unwrap();
        }
    }
    assert!((1.3..1.6).contains(&pace(&world, 0)), "{}", pace(&world, 0));
    assert!((0.5..0.7).contains(&pace(&world, 1)), "{}", pace(&world, 1));
    assert_eq!(pace(&world, 2), 1.0, "it says nothing");
    world.pass(7 * SECOND, |_| true);
    assert_eq!(world.status(0), Status::Down);
    world.hear(21, 50.0).unwrap();
    assert_eq!(world.status(0), Status::Up);
    assert_eq!(pace(&world, 0), 1.0);
}

#[test]
fn silence_after_heartbeats_is_failure_and_no_heartbeats_are_none() {
    let lines = "[group.check]\nheartbeat_timeout = \"2s\"\n";
    let mut world = World::new(&format!("{THREE}{lines}"));
    world.hear(1, 50.0).unwrap();
    assert_eq!(world.standing(0).capacity, Some(50));
    assert_eq!(world.hear(1, 50.0), Err(Rejection::Replayed));
    assert_eq!(world.hear(2, -1.0), Err(Rejection::Impossible));
    world.pass(3 * SECOND, |_| true);
    assert_eq!(world.status(0), Status::Down);
    assert_eq!(world.standing(0).capacity, None);
    assert_eq!(world.status(1), Status::Up, "it never sent one");
    world.hear(3, 60.0).unwrap();
    assert_eq!(world.status(0), Status::Up);
    world.publish(&format!("{THREE}{lines}heartbeat_required = true\n"));
    world.pass(3 * SECOND, |_| true);
    assert_eq!(world.status(1), Status::Down);
}

#[test]
fn an_ejection_ends_by_time_and_each_lasts_longer() {
    let lines = "[group.outlier]\nbase_ejection = \"3s\"\ninterval = \"1h\"\n";
    let mut world = World::new(&format!("{THREE}{lines}"));
    for seconds in [3, 6] {
        world.suspend(1, Cause::ServerFailures);
        assert_eq!(world.status(1), Status::Down);
        assert!(world.standing(1).available, "suspension has its own bit");
        world.pass((seconds - 1) * SECOND, |_| true);
        assert!(world.is_suspended(1));
        world.pass(2 * SECOND, |_| true);
        assert!(!world.is_suspended(1));
        assert_eq!(world.status(1), Status::Up);
    }
}

#[test]
fn a_passing_request_lifts_any_ejection_and_a_connection_only_failed_connects() {
    let mut world = World::new(&format!("{THREE}{TCP}"));
    world.pass(3 * SECOND, |_| true);
    world.suspend(0, Cause::ConnectFailures);
    world.suspend(1, Cause::ServerFailures);
    world.pass(5 * SECOND, |_| true);
    assert!(!world.is_suspended(0) && world.is_suspended(1));
    world.publish(&format!("{THREE}{}", TCP.replace("tcp", "http")));
    world.pass(5 * SECOND, |_| true);
    assert!(!world.is_suspended(1));
}

#[test]
fn trials_bring_it_back_or_send_it_away_for_longer() {
    let lines = "[group.outlier]\nbase_ejection = \"3s\"\ntrials = 2\n";
    let mut world = World::new(&format!("{THREE}{lines}"));
    let tried = |world: &mut World, passed| {
        let (group, backend) = (world.group().slot, world.group().backends[1].slot);
        let report = Report::Tried {
            group,
            backend,
            passed,
        };
        world.keeper.reported(report, world.now);
    };
    world.suspend(1, Cause::ServerFailures);
    world.pass(4 * SECOND, |_| true);
    let standing = world.group().backends[1].standing.clone();
    assert!(standing.is_suspended() && standing.take_trial() && standing.take_trial());
    assert!(!standing.take_trial());
    tried(&mut world, true);
    assert!(standing.is_suspended());
    tried(&mut world, true);
    assert!(!standing.is_suspended());
    world.suspend(1, Cause::ServerFailures);
    world.pass(7 * SECOND, |_| true);
    tried(&mut world, false);
    assert!(standing.is_suspended() && !standing.has_trials());
    world.keeper.passed("app", "127.0.0.1:9002", world.now);
    assert!(!standing.is_suspended());
    assert_eq!(world.status(1), Status::Up);
}

#[test]
fn a_group_panics_when_less_than_half_of_it_is_up() {
    let mut world = World::new(&format!("{THREE}{TCP}"));
    let panicking = |world: &World| world.group().standing.is_panicking();
    world.pass(5 * SECOND, |address| !is_second(address));
    assert!(!panicking(&world));
    world.pass(5 * SECOND, |address| address.port() == 9001);
    assert!(panicking(&world));
    world.pass(40 * SECOND, |_| true);
    assert!(!panicking(&world));
}

#[test]
fn a_part_of_a_group_is_kept_with_the_whole() {
    let backends = "[[group.backend]]\naddress = \"127.0.0.1:9001\"\nlabels = \"gpu\"\n\
                    [[group.backend]]\naddress = \"127.0.0.1:9002\"\nlabels = \"gpu\"\n\
                    [[group.backend]]\naddress = \"127.0.0.1:9003\"\n";
    let lines = format!("{TCP}{backends}");
    let mut world = World::new(&lines);
    world.publish_behind(TO_A_PART, &lines);
    let table = Arc::clone(world.table.as_ref().unwrap());
    let [_, part] = &*table.groups else {
        panic!("a whole and a part");
    };
    world.pass(3 * SECOND, |address| !is_second(address));
    part.backends[0].standing.suspend();
    let report = Report::Suspended {
        group: part.slot,
        backend: part.backends[0].slot,
        cause: Cause::ServerFailures,
    };
    world.keeper.reported(report, world.now);
    assert!(part.standing.is_panicking() && world.group().standing.is_panicking());
    world.publish_behind(TO_A_PART, &lines);
    let statuses = [0, 1, 2].map(|at| world.status(at));
    assert_eq!(statuses, [Status::Down, Status::Down, Status::Up]);
    assert!(world.is_suspended(0) && !world.standing(1).available);
    world.pass(31 * SECOND, |_| true);
    assert!(!world.is_suspended(0), "its ejection has an end");
}

#[test]
fn the_operator_is_above_all_and_what_he_takes_out_is_no_reason_to_panic() {
    let backends = "[[group.backend]]\naddress = \"127.0.0.1:9001\"\n\
                    [[group.backend]]\naddress = \"127.0.0.1:9002\"\nstate = \"drain\"\n\
                    [[group.backend]]\naddress = \"127.0.0.1:9003\"\nstate = \"maint\"\n";
    let mut world = World::new(&format!("{TCP}{backends}"));
    world.pass(5 * SECOND, |address| address.port() == 9001);
    let statuses = [0, 1, 2].map(|at| world.status(at));
    assert_eq!(statuses, [Status::Up, Status::Drain, Status::Maint]);
    assert!(!world.group().standing.is_panicking());
}

#[test]
fn one_that_fails_more_often_than_the_rest_is_out() {
    let backends: Vec<String> = (1..=10)
        .map(|at| format!("\"127.0.0.1:90{at:02}\""))
        .collect();
    let list = backends.join(", ");
    let mut world = World::new(&format!("backends = [{list}]\n"));
    for (at, backend) in world.group().backends.iter().enumerate() {
        let core = backend.stats.iter().next().unwrap();
        for request in 0..200 {
            let fails = at == 4 && request % 2 == 0;
            core.requests.inc(if fails { 500 } else { 200 });
        }
    }
    world.pass(11 * SECOND, |_| true);
    let out: Vec<usize> = (0..10).filter(|at| world.is_suspended(*at)).collect();
    assert_eq!(out, [4]);
    assert_eq!(world.status(4), Status::Down);
    world.pass(31 * SECOND, |_| true);
    assert_eq!(
        world.status(4),
        Status::Up,
        "without requests nothing is said of it"
    );
}
