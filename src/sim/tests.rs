//! Whole runs: what they repeat, and how they agree with queueing theory and with ALGORITHMS.
//!
//! The runs are short, because tests are built without optimisation; the tolerances are what so
//! few requests allow. The long runs are `weir sim config/sim/*.toml`, with their results in
//! `benches/results/sim.md`.

mod breaker;
mod telling;

use super::scenario::{self, Scenario};
use super::{Entrant, Failed, Outcome, Run, Seen};

fn load(text: &str) -> Scenario {
    scenario::load(text, "test.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn run(scenario: &Scenario, entrant: &Entrant, seed: u64) -> Outcome {
    seen(scenario, entrant, seed).0
}

fn seen(scenario: &Scenario, entrant: &Entrant, seed: u64) -> (Outcome, Vec<Seen>) {
    let config = scenario.config_for(entrant).unwrap();
    let mut all = Vec::new();
    let mut watch = |seen: &Seen| all.push(*seen);
    let run = Run {
        scenario,
        entrant,
        config: &config,
        seed,
        told: None,
    };
    let outcome = run.run(Some(&mut watch));
    (outcome, all)
}

fn weir(scenario: &Scenario, policy: &str) -> Entrant {
    Entrant::of_weir(policy, policy, scenario.nodes)
}

fn rival(scenario: &Scenario, model: &str) -> Entrant {
    Entrant::of_rival(model, scenario.nodes).unwrap()
}

/// Servers with one core each that serve in order; the mean work is a second.
fn queues(count: usize, load: f64, seconds: u32) -> Scenario {
    self::load(&format!(
        "warmup = \"60s\"\nduration = \"{seconds}s\"\n\
         [nodes]\nview = \"cluster\"\n\
         [traffic]\nload = {load}\n\
         [work]\ndistribution = \"exponential\"\nmean = \"1s\"\n\
         [[backends]]\ncount = {count}\ndiscipline = \"queue\"\n\
         [group.timeouts]\nresponse = \"1h\"\n"
    ))
}

#[test]
fn the_same_seed_gives_the_same_requests_and_another_one_does_not() {
    let text = "warmup = \"1s\"\nduration = \"4s\"\n\
        [nodes]\ncount = 3\ncores = 2\nmesh = \"50ms\"\ndelay = \"5ms\"\n\
        [traffic]\nload = 0.8\n[work]\nmean = \"20ms\"\n\
        [[backends]]\ncount = 12\n[backends.contention]\nlasts = \"1s\"\n\
        [[failure]]\nkind = \"crash\"\nat = \"2s\"\nlasts = \"1s\"\n\
        [[failure]]\nkind = \"node\"\nat = \"3s\"\nlasts = \"1s\"\n\
        [group.check]\nkind = \"tcp\"\nslow_start = \"2s\"\n";
    let scenario = load(text);
    let policies = ["peak_ewma", "least_request", "round_robin", "rendezvous"];
    let models = Entrant::rivals().map(|model| rival(&scenario, model));
    let all = policies.map(|policy| weir(&scenario, policy));
    for entrant in all.into_iter().chain(models) {
        let (first, requests) = seen(&scenario, &entrant, 5);
        let (again, same) = seen(&scenario, &entrant, 5);
        assert_eq!(requests, same, "{}", entrant.name);
        assert_eq!(first.picks, again.picks, "{}", entrant.name);
        assert_eq!(first.utilisation, again.utilisation, "{}", entrant.name);
        assert!(requests.len() > 1000, "{}", entrant.name);
        assert_ne!(requests, seen(&scenario, &entrant, 6).1, "{}", entrant.name);
    }
}

#[test]
fn everybody_meets_the_same_requests() {
    let scenario = queues(10, 0.5, 100);
    let came = |entrant: Entrant| {
        let mut requests = seen(&scenario, &entrant, 1).1;
        requests.sort_by_key(|seen| seen.number);
        requests.iter().map(|seen| seen.arrived).collect::<Vec<_>>()
    };
    let first = came(weir(&scenario, "random"));
    assert!(first.len() > 400);
    assert_eq!(first, came(rival(&scenario, "haproxy_leastconn")));
}

#[test]
fn every_request_is_counted_once_and_the_backends_do_the_work_there_is() {
    let scenario = queues(10, 0.7, 2000);
    let (outcome, requests) = seen(&scenario, &weir(&scenario, "least_request"), 3);
    assert_eq!(outcome.requests, requests.len() as u64);
    assert_eq!(outcome.requests, outcome.answered);
    assert_eq!(outcome.picks.iter().sum::<u64>(), outcome.requests);
    let used = outcome.utilisation_mean();
    assert!((used - 0.7).abs() < 0.03, "{used}");
}

/// Theory (2.3): each server by itself is M/M/1, mean 1 / (1 - load).
#[test]
fn a16_random_choice_is_mm1() {
    let scenario = queues(50, 0.7, 1500);
    let mean = run(&scenario, &weir(&scenario, "random"), 1).mean();
    assert!((mean / 3.333 - 1.0).abs() < 0.1, "{mean}");
}

/// Theory (2.3): 1.6145 at 0.7 for infinitely many servers.
#[test]
fn a15_two_choices_are_what_mitzenmacher_computed() {
    let scenario = queues(100, 0.7, 500);
    let mean = run(&scenario, &weir(&scenario, "least_request"), 1).mean();
    assert!((mean / 1.6145 - 1.0).abs() < 0.05, "{mean}");
}

/// Measured in ALGORITHMS (2.4): 1.07 at 0.9; waiting nearly vanishes.
#[test]
fn a17_joining_the_shortest_queue_leaves_little_waiting() {
    let scenario = queues(100, 0.9, 300);
    let outcome = run(&scenario, &rival(&scenario, "join_shortest_queue"), 1);
    assert!((1.0..=1.12).contains(&outcome.mean()), "{}", outcome.mean());
}

/// Views that do not share are what ruins the tail (finding 1): 64 of them against 4.
#[test]
fn a18_cores_that_share_their_loads_beat_cores_that_do_not() {
    let text = |view: &str| {
        format!(
            "warmup = \"3s\"\nduration = \"8s\"\n\
             [nodes]\ncount = 4\ncores = 16\nview = \"{view}\"\n\
             [traffic]\nload = 0.9\n[work]\nmean = \"50ms\"\n\
             [[backends]]\ncount = 64\ndiscipline = \"queue\"\n\
             [group.timeouts]\nresponse = \"1h\"\n"
        )
    };
    let p99 = |view: &str| {
        let scenario = load(&text(view));
        run(&scenario, &rival(&scenario, "haproxy_leastconn"), 1).quantile(0.99)
    };
    let (shared, apart) = (p99("node"), p99("core"));
    assert!(apart > 1.8 * shared, "{apart} {shared}");
}

/// Half of the backends are slow, and stand together in the list.
const HALF_SLOW: &str = "warmup = \"5s\"\nduration = \"10s\"\n\
    [nodes]\ncount = 2\n[traffic]\nload = 0.75\n[work]\nmean = \"80ms\"\n\
    [[backends]]\ncount = 30\ncapacity = 4\nroom = 0.6\nspeed = 0.6\n\
    [[backends]]\ncount = 30\ncapacity = 4\nroom = 1.4\n";

/// Looking at some of them is as good as looking at all, within a tenth.
#[test]
fn a_large_group_needs_no_whole_search_for_its_least_loaded() {
    let scenario = load(HALF_SLOW);
    let p99 = |entrant: &Entrant| run(&scenario, entrant, 1).quantile(0.99);
    let whole = p99(&rival(&scenario, "haproxy_leastconn"));
    for policy in ["least_connections", "weighted_least_connections"] {
        let some = p99(&weir(&scenario, policy));
        assert!(some <= 1.1 * whole, "{policy}: {some} {whole}");
    }
}

/// A fair rival (A25): it sees what backends say of themselves. With our first reading of its paper
/// most of its requests timed out here.
#[test]
fn the_model_of_prequal_bears_slow_backends() {
    let scenario = load(HALF_SLOW);
    let p99 = |model: &str| run(&scenario, &rival(&scenario, model), 1).quantile(0.99);
    let (prequal, least) = (p99("prequal"), p99("haproxy_leastconn"));
    assert!(prequal < 1.1 * least, "{prequal} {least}");
}

/// Each of many nodes sees next to nothing under way, so loads say nothing; times still do.
#[test]
fn many_nodes_that_know_nothing_of_each_other_find_out_who_is_slow() {
    let scenario = load(
        "warmup = \"15s\"\nduration = \"10s\"\n[nodes]\ncount = 24\n[traffic]\nload = 0.75\n\
         [work]\nmean = \"80ms\"\n\
         [[backends]]\ncount = 15\ncapacity = 4\nroom = 0.6\nspeed = 0.6\n\
         [[backends]]\ncount = 15\ncapacity = 4\nroom = 1.4\n",
    );
    let p99 = |entrant: &Entrant| run(&scenario, entrant, 1).quantile(0.99);
    let adaptive = p99(&weir(&scenario, "adaptive"));
    for other in ["peak_ewma", "least_connections"] {
        let other = p99(&weir(&scenario, other));
        assert!(adaptive < 0.9 * other, "{adaptive} {other}");
    }
}

/// A stale board that everybody follows makes a herd; two choices bear it (2.4).
#[test]
fn a19_the_least_of_a_stale_board_is_worse_than_two_choices_of_it() {
    let stale = |model: &str| {
        let mut scenario = queues(100, 0.9, 150);
        scenario.nodes.view = scenario::View::Snapshot { period: 5.0 };
        let entrant = match model {
            "haproxy_leastconn" => rival(&scenario, model),
            _ => weir(&scenario, model),
        };
        run(&scenario, &entrant, 1).mean()
    };
    let (least, two) = (stale("haproxy_leastconn"), stale("least_request"));
    assert!(least > 1.5 * two, "{least} {two}");
}

/// With four cores each nobody else is idle: 56 requests are under way, less those that are lost.
/// It fails from the start: what it had begun before would end well and break the row of failures.
/// With one core each a third are, share the picks of the idle, and leave it 2.6 times its share.
const SINKHOLE: &str = "warmup = \"0s\"\nduration = \"20s\"\n\
    [traffic]\nload = 0.7\n[work]\nmean = \"500ms\"\n\
    [[backends]]\ncount = 20\ncapacity = 4\n\
    [[failure]]\nkind = \"errors\"\nat = \"0s\"\nstatus = 500\nafter = \"1ms\"\nbackend = 3\n";

/// One of twenty that fails in a millisecond draws all that looks for little load; ejection ends
/// that after five failures.
#[test]
fn a26_a_sinkhole_is_closed_after_five_failures() {
    let scenario = load(SINKHOLE);
    let mut unguarded = rival(&scenario, "haproxy_leastconn");
    let off = "outlier = { consecutive_5xx = 0, success_rate_stdev_factor = 0 }";
    unguarded.group = off.parse().unwrap();
    let bad = run(&scenario, &unguarded, 1);
    let share = |outcome: &Outcome| outcome.shares().nth(3).unwrap_or_default();
    assert!(share(&bad) > 4.0, "{}", share(&bad));
    for policy in ["least_connections", "least_request", "peak_ewma"] {
        let good = run(&scenario, &weir(&scenario, policy), 1);
        assert!(share(&good) < 0.2, "{policy}: {}", share(&good));
        assert_eq!(
            good.failed[Failed::Error as usize],
            5,
            "{policy}: the fifth failure ejects"
        );
        assert!(
            good.failed[Failed::Error as usize] * 100 < bad.failed[Failed::Error as usize] * 15,
            "{policy}"
        );
    }
}

/// Three of four backends gone: retries stay within a fifth of the requests and the floor.
#[test]
fn a34_retries_keep_to_their_budget_in_an_outage() {
    let scenario = load(
        "warmup = \"1s\"\nduration = \"20s\"\n[traffic]\nrate = 200\n[work]\nmean = \"5ms\"\n\
         [[backends]]\ncount = 4\n[[failure]]\nkind = \"errors\"\nat = \"0s\"\nshare = 1.0\n\
         [group]\nretries = 3\n[group.retry]\non = [\"5xx\"]\n",
    );
    let outcome = run(&scenario, &weir(&scenario, "round_robin"), 1);
    let most = outcome.requests as f64 * 1.2 + 10.0 * 20.0 + 100.0;
    assert!(outcome.answered == 0 && outcome.retries > 100);
    assert!((outcome.attempts as f64) <= most, "{}", outcome.attempts);
}

/// A backend that comes back gets its share little by little. What it failed before it went is of
/// the same interval, for which its success rate would have it ejected once more.
#[test]
fn a36_a_backend_that_comes_back_starts_slowly() {
    let text = |slow_start: &str| {
        format!(
            "warmup = \"12s\"\nduration = \"6s\"\n[traffic]\nrate = 300\n\
             [work]\nmean = \"5ms\"\n[[backends]]\ncount = 5\n\
             [[failure]]\nkind = \"crash\"\nat = \"1s\"\nlasts = \"6s\"\nbackend = 2\n\
             [group.outlier]\nalways_eject_one = true\nbase_ejection = \"8s\"\n\
             success_rate_stdev_factor = 0\n\
             [group.check]\nkind = \"tcp\"\ninterval = \"500ms\"\ninterval_down_max = \"500ms\"\n\
             slow_start = \"{slow_start}\"\n"
        )
    };
    let share = |slow_start: &str, policy: &str| {
        let scenario = load(&text(slow_start));
        let outcome = run(&scenario, &weir(&scenario, policy), 1);
        assert!(outcome.availability() > 0.9999);
        outcome.shares().nth(2).unwrap_or_default()
    };
    for policy in ["round_robin", "random"] {
        let (slowly, at_once) = (share("30s", policy), share("0s", policy));
        assert!((0.1..0.5).contains(&slowly), "{policy}: {slowly}");
        assert!((0.85..1.15).contains(&at_once), "{policy}: {at_once}");
    }
}

/// An ejection without any check ends by time, or by trials.
#[test]
fn an_ejection_ends() {
    for trials in [0, 3] {
        let scenario = load(&format!(
            "warmup = \"8s\"\nduration = \"6s\"\n[traffic]\nrate = 300\n\
             [work]\nmean = \"5ms\"\n[[backends]]\ncount = 5\n\
             [[failure]]\nkind = \"errors\"\nat = \"1s\"\nlasts = \"2s\"\nbackend = 2\n\
             [group.outlier]\nbase_ejection = \"4s\"\nsuccess_rate_stdev_factor = 0\n\
             trials = {trials}\n"
        ));
        let outcome = run(&scenario, &weir(&scenario, "round_robin"), 1);
        let share = outcome.shares().nth(2).unwrap_or_default();
        assert!((0.85..1.15).contains(&share), "{trials} trials: {share}");
    }
}

/// Weights that say nothing of what backends can do: half of them get more than that.
#[test]
fn weights_that_move_keep_slow_backends_from_being_overloaded() {
    let mut scenario = load(HALF_SLOW);
    scenario.warmup = 40.0;
    let fixed = weir(&scenario, "weighted_round_robin");
    let mut moving = fixed.clone();
    let each = toml::Value::from("1s");
    moving.group.insert("dynamic_weights".to_owned(), each);
    let run = |entrant: &Entrant| run(&scenario, entrant, 1);
    let (fixed, moving) = (run(&fixed), run(&moving));
    assert_eq!(moving.answered, moving.requests);
    let (still, moved) = (fixed.quantile(0.99), moving.quantile(0.99));
    assert!(moved < 0.5 * still, "{moved} {still}");
}

/// Every second answer of one is an error: never five in a row for long, and its success rate is
/// not compared, so only the share of failures shows it.
#[test]
fn a_share_of_failures_opens_a_breaker() {
    let errors = |breaker: &str| {
        let scenario = load(&format!(
            "warmup = \"0s\"\nduration = \"30s\"\n[traffic]\nrate = 200\n\
             [work]\nmean = \"5ms\"\n[[backends]]\ncount = 5\n\
             [[failure]]\nkind = \"errors\"\nat = \"0s\"\nbackend = 2\nportion = 0.5\n\
             [group]\npolicy = \"round_robin\"\n{breaker}\
             [group.outlier]\nconsecutive_5xx = 0\nconsecutive_gateway_failure = 0\n\
             success_rate_stdev_factor = 0\n"
        ));
        let outcome = run(&scenario, &weir(&scenario, "round_robin"), 1);
        outcome.failed[Failed::Error as usize]
    };
    let without = errors("");
    // Twenty tries before it is judged, five times a second, and then three trials at a time.
    let with = errors("[group.breaker]\nerror_percent = 40\n");
    assert!(without > 400, "{without}");
    assert!((5..100).contains(&with), "{with} of {without}");
}

/// A crash with retries left is seen by no client.
#[test]
fn a_crash_is_not_seen_by_clients() {
    let scenario = load(
        "warmup = \"1s\"\nduration = \"10s\"\n[nodes]\ncount = 2\n[traffic]\nload = 0.5\n\
         [work]\nmean = \"20ms\"\n[[backends]]\ncount = 20\n\
         [[failure]]\nkind = \"crash\"\nat = \"3s\"\nlasts = \"4s\"\ncount = 2\n",
    );
    let outcome = run(&scenario, &weir(&scenario, "least_request"), 2);
    assert_eq!(outcome.answered, outcome.requests);
    assert!(outcome.retries > 0);
}

#[test]
fn what_a_scenario_gets_wrong_is_told_with_its_line() {
    let wrong = "[traffic]\nload = 0.9\nlaod = 1\n[[backends]]\ncount = 0\n\
        [[entrant]]\nname = \"x\"\n[work]\nmean = \"10\"\n";
    let errors = scenario::load(wrong, "x.toml").unwrap_err().to_string();
    for expected in [
        "x.toml:3:1: traffic.laod: unknown key; fix: write load",
        "x.toml:5:9: backends[#1].count: 0 is out of bounds",
        "entrant[x]: either a policy or a model is needed",
        "\"10\" is no time",
    ] {
        assert!(errors.contains(expected), "{expected} in:\n{errors}");
    }
    let group = "[traffic]\nrate = 1\n[[backends]]\n[group]\nretires = 1\n\
        [[entrant]]\npolicy = \"round_robin\"\n";
    let errors = scenario::load(group, "x.toml").unwrap_err().to_string();
    assert!(errors.contains("retires: unknown key"), "{errors}");
}
