//! Half of all backends die at once, then all of them; then one comes back, then all.

use std::time::Duration;

use crate::fleet::{BACKENDS, Fleet, Size};
use crate::server::Server;
use crate::support::{Settings, eventually};
use crate::tally::Tally;

/// Retries that find somebody even while half of the group is dead and nobody knows it yet, and
/// passive detection that may take out as many as have failed. The rest is as it is by default.
const KEYS: [(&str, &str); 3] = [
    ("retries", "5"),
    (
        "outlier",
        "{ ejected_max_percent = 100, base_ejection = \"1s\", ejection_max = \"2s\" }",
    ),
    (
        "check",
        "{ kind = \"http\", interval = \"500ms\", interval_down_max = \"1s\" }",
    ),
];

/// Retries in percent of requests, and beside that in a second, as they are by default.
const BUDGET: (f64, f64) = (0.2, 10.0);

#[test]
fn half_of_all_then_all_then_all_back() {
    let size = Size::wanted();
    let fleet = Fleet::start(Settings::http_to(&[]), &KEYS, &[]);
    let load = fleet.load(size.rate, false);
    let mut phases = vec![("all are well", Duration::ZERO)];
    std::thread::sleep(size.pause);
    let pooled = fleet.sum("weir_backend_connections");

    phases.push(("half are dead", load.elapsed()));
    let half = BACKENDS / 2;
    let kill = |servers: &[Server]| servers.iter().for_each(Server::kill);
    kill(&fleet.servers[..half]);
    (0..half).for_each(|number| fleet.becomes(number, "down"));
    std::thread::sleep(size.pause);

    phases.push(("all are dead", load.elapsed()));
    kill(&fleet.servers[half..]);
    let dead = load.elapsed();
    (half..BACKENDS).for_each(|number| fleet.becomes(number, "down"));
    std::thread::sleep(size.pause * 2);

    phases.push(("one is back", load.elapsed()));
    fleet.servers[0].revive();
    fleet.becomes(0, "up");
    std::thread::sleep(size.pause);

    phases.push(("all are back", load.elapsed()));
    fleet.revive_all();
    let back = load.elapsed();
    (0..BACKENDS).for_each(|number| fleet.becomes(number, "up"));
    eventually("panic is over", || {
        !fleet.thought_of(0)["group_panics"].as_bool().unwrap()
    });
    std::thread::sleep(size.pause);
    let span = load.elapsed();
    let tally = Tally::of(load.stop());

    let ends = phases
        .iter()
        .skip(1)
        .map(|(_, begin)| *begin)
        .chain([Duration::MAX]);
    let parts: Vec<Tally> = phases
        .iter()
        .zip(ends)
        .map(|((_, begin), end)| tally.between(*begin, end))
        .collect();
    for ((name, _), part) in phases.iter().zip(&parts) {
        eprintln!("{name}: {part}");
    }
    let attempts = fleet.attempts();
    let recovered = tally
        .last_lost()
        .map_or(Duration::ZERO, |last| last.saturating_sub(back));
    let first = parts[3].by(0) as f64 / parts[3].count() as f64;
    eprintln!(
        "in all: {tally}; {:.3} attempts a request; the first one back has {:.1} % of the \
         requests; good again {recovered:?} after all were back",
        attempts / tally.count() as f64,
        first * 100.0,
    );
    // Whoever was under way when the last one died had nobody left to turn to.
    let mut lost = [parts[0].lost(), parts[1].lost()].concat();
    lost.retain(|record| record.done < phases[2].1);
    assert!(lost.is_empty(), "{lost:?}");
    // Who was still tried again when the first came back may have been served by it.
    let outage = tally.between(dead, phases[3].1).over_by(phases[3].1);
    assert_eq!(
        outage.lost().len(),
        outage.count(),
        "nobody answers for the dead"
    );
    // Over ten seconds at a time; a pooled connection that died is no retry, and there are no
    // more than there were.
    let paid = BUDGET.1 * (span.as_secs_f64() + 10.0) + pooled;
    let most = tally.count() as f64 * (1.0 + BUDGET.0) + paid;
    assert!(attempts <= most, "{attempts} attempts for {tally}");
    // A tenth, as in panic everybody gets, and what others' retries bring.
    assert!(first < 0.25, "a herd: {first}");
    assert!(recovered <= size.late, "{recovered:?}");
}
