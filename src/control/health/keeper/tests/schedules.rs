//! All machines of one backend together, by random schedules against a model that knows nothing
//! but what each source said last.
//!
//! Held: the cores never see a backend well against which a source says something; and whatever
//! has happened, once every source is content it is back at its whole share after a bounded time.

use proptest::prelude::*;

use super::*;
use crate::control::document::{ObjectPath, Op, Section};
use crate::routing::standing::Word;

/// What is done to the second of three backends.
#[derive(Clone, Copy, Debug)]
enum Step {
    Agent(&'static str),
    /// What checks find from now on.
    Alive(bool),
    Beat {
        healthy: bool,
    },
    /// So many tries, of which so many fail.
    Errors(u32, u32),
    Operator(&'static str),
    Pass(u64),
    Passed,
    Suspended(Cause),
    Tried(bool),
    Verdict(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let lines = [
        "up",
        "down",
        "ready",
        "drain",
        "maint",
        "0%",
        "60%",
        "maxconn:5",
        "?",
    ];
    let causes = [Cause::ConnectFailures, Cause::ServerFailures];
    prop_oneof![
        2 => prop::sample::select(lines.to_vec()).prop_map(Step::Agent),
        2 => any::<bool>().prop_map(Step::Alive),
        2 => any::<bool>().prop_map(|healthy| Step::Beat { healthy }),
        2 => (1_u32..60, 0_u32..60).prop_map(|(tries, bad)| Step::Errors(tries, bad.min(tries))),
        1 => prop::sample::select(vec!["ready", "drain", "maint"]).prop_map(Step::Operator),
        6 => (1_u64..20_000).prop_map(Step::Pass),
        1 => Just(Step::Passed),
        2 => prop::sample::select(causes.to_vec()).prop_map(Step::Suspended),
        3 => any::<bool>().prop_map(Step::Tried),
        1 => any::<bool>().prop_map(Step::Verdict),
    ]
}

const MEMBER: usize = 1;

/// The groups in which everything is tried.
fn lines(check: &str, trials: u32) -> String {
    format!(
        "[group.check]\nkind = {check:?}\ninterval = \"1s\"\nslow_start = \"5s\"\n\
         heartbeat_timeout = \"4s\"\n[group.agent]\nport = 9777\ninterval = \"1s\"\n\
         [group.outlier]\nbase_ejection = \"2s\"\nejection_max = \"20s\"\ninterval = \"3s\"\n\
         trials = {trials}\npanic_threshold = 0\n\
         [group.breaker]\nerror_volume = 10\nopen_time = \"2s\"\nopen_max = \"30s\"\n\
         group_error_percent = 0\n"
    )
}

/// What each source said last, as far as that can be said without its machine.
struct Model {
    world: World,
    group: String,
    alive: bool,
    sequence: u64,
    healthy: Option<(bool, Moment)>,
    down_by_agent: bool,
    wish_of_agent: &'static str,
    zero: bool,
    operator: &'static str,
    failed: bool,
}

impl Model {
    fn new(group: String) -> Model {
        let mut model = Model {
            world: World::new(&format!("{THREE}{group}")),
            group,
            alive: true,
            sequence: 0,
            healthy: None,
            down_by_agent: false,
            wish_of_agent: "ready",
            zero: false,
            operator: "ready",
            failed: false,
        };
        model.publish();
        model
    }

    fn publish(&mut self) {
        let member = |port: u16, state: &str| {
            format!(
                "[[group.backend]]\nid = \"b{port}\"\naddress = \"127.0.0.1:{port}\"\n\
                 state = {state:?}\n"
            )
        };
        let text = |state| {
            let members = [
                member(9001, "ready"),
                member(9002, state),
                member(9003, "ready"),
            ];
            format!(
                "{LISTENER}[[group]]\nname = \"app\"\n{}{}",
                self.group,
                members.concat()
            )
        };
        // As a store is read: who has failed is in maintenance for the table.
        let seen = if self.failed { "maint" } else { self.operator };
        let config = config::load(&text(seen), "weir.toml").unwrap();
        let mut document = split(&text(self.operator)).unwrap().document;
        if self.failed {
            let (group, id) = ("app".into(), "b9002".into());
            let op = Op::Patch {
                path: ObjectPath::Backend { group, id },
                value: Section::from_iter([(HEALTH_KEY.to_owned(), "failed".into())]),
            };
            document = document.apply(&[op]).unwrap();
        }
        let world = &mut self.world;
        world.epoch += 1;
        let planned = plan(
            &config,
            &Resolved::default(),
            Epoch(world.epoch),
            &mut world.registry,
        );
        world
            .keeper
            .adopt(&planned.table, &config, &document, world.now, &mut || ());
        world.table = Some(planned.table);
    }

    fn word(&self) -> Word {
        self.world.group().backends[MEMBER].standing.word()
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Agent(line) => self.agent_says(line),
            Step::Alive(alive) => self.alive = alive,
            Step::Beat { healthy } => self.beat(healthy),
            Step::Errors(tries, bad) => {
                let core = self.world.group().backends[MEMBER].stats.clone();
                let core = core.iter().next().unwrap();
                (0..bad).for_each(|_| core.requests.inc(500));
                (bad..tries).for_each(|_| core.requests.inc(200));
            }
            Step::Operator(state) => {
                self.operator = state;
                self.publish();
            }
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Step::Passed => {
                let now = self.world.now;
                self.world.keeper.passed("app", "b9002", now);
            }
            Step::Suspended(cause) => {
                // As a core does it: within the share, and only one that is not suspended.
                let group = self.world.group();
                let done = group.suspend(crate::base::id::BackendIndex(MEMBER as u32));
                if done == crate::routing::outlier::Suspension::Done {
                    self.world.suspend(MEMBER, cause);
                }
            }
            Step::Tried(passed) => self.try_one(passed),
            Step::Verdict(failed) => {
                self.failed = failed;
                self.publish();
            }
        }
    }

    fn agent_says(&mut self, line: &'static str) {
        match line {
            "up" => self.down_by_agent = false,
            "down" => self.down_by_agent = true,
            "0%" => self.zero = true,
            "60%" => self.zero = false,
            "ready" | "drain" | "maint" => self.wish_of_agent = line,
            _ => {}
        }
        let world = &mut self.world;
        let backend = &world.table.as_ref().unwrap().groups[0].backends[MEMBER];
        let (slot, address) = (backend.slot, backend.address);
        // The question may be under way already; either is answered.
        world.keeper.begin_question(slot);
        let answer = Ok(line.as_bytes().to_vec());
        world
            .keeper
            .answered(slot, (address, 9777), answer, world.now);
    }

    fn beat(&mut self, healthy: bool) {
        self.sequence += 1;
        let claim = Claim {
            server_id: "b9002".into(),
            healthy,
            ..claim(self.sequence, 1000.0)
        };
        let now = self.world.now;
        self.world.keeper.hear(&claim, None, now, now).unwrap();
        self.healthy = Some((healthy, now));
    }

    /// One exchange goes there as a trial, if there is one.
    fn try_one(&mut self, passed: bool) {
        let group = self.world.group();
        let backend = &group.backends[MEMBER];
        if backend.standing.is_suspended() && backend.standing.take_trial() {
            let report = Report::Tried {
                group: group.slot,
                backend: backend.slot,
                passed,
            };
            let now = self.world.now;
            self.world.keeper.reported(report, now);
        }
    }

    fn pass(&mut self, time: Duration) {
        let alive = self.alive;
        self.world
            .pass(time, |address| alive || address.port() != 9002);
    }

    /// Whether somebody says something against it whose word the model knows.
    fn is_spoken_against(&self) -> bool {
        let silent = self.healthy.is_some_and(|(healthy, at)| {
            // Silence is looked at five times a second.
            !healthy || at + 4 * SECOND + TICK < self.world.now
        });
        silent || self.down_by_agent || self.failed
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let word = self.word();
        if self.is_spoken_against() {
            prop_assert!(
                !word.standing().available,
                "in, although somebody says down"
            );
        }
        let wished = match (self.wish_of_agent, self.zero) {
            ("ready", true) | ("drain", _) => BackendState::Drain,
            ("maint", _) => BackendState::Maint,
            _ => BackendState::Ready,
        };
        prop_assert_eq!(word.state(), wished);
        let member = &self.world.keeper.members[&self.world.group().backends[MEMBER].slot];
        let up = word.is_up() && wished == BackendState::Ready && self.operator == "ready";
        prop_assert_eq!(member.is_up(), up && !self.failed, "pages and cores agree");
        prop_assert_eq!(word.is_suspended(), member.rotation.is_out());
        Ok(())
    }

    /// Everybody is content, and requests go where they may.
    fn recover(&mut self) {
        self.alive = true;
        for line in ["up", "ready", "100%", "maxconn:0"] {
            self.agent_says(line);
        }
        self.zero = false;
        self.operator = "ready";
        self.failed = false;
        self.publish();
        // The longest a breaker is open, the rarest check twice, trials and the slow start.
        for _ in 0..130 {
            self.beat(true);
            self.try_one(true);
            self.pass(SECOND);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn nobody_is_out_for_ever_or_in_against_a_word(
        check in prop::sample::select(vec!["none", "tcp", "http"]),
        trials in 0_u32..3,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut model = Model::new(lines(check, trials));
        for step in steps {
            model.act(step);
            model.check()?;
        }
        model.recover();
        model.check()?;
        let standing = model.word().standing();
        prop_assert_eq!(standing, Standing { capacity: Some(1000), ..Standing::default() });
        prop_assert!(!model.word().is_suspended());
    }
}
