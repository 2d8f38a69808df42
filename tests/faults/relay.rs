//! Connections at layer 4: those of a backend that is gone go to another one.

use crate::fleet::{BACKENDS, Fleet, Size};
use crate::support::Settings;
use crate::tally::Tally;

#[test]
fn connections_of_dead_backends_are_made_elsewhere() {
    let size = Size::wanted();
    // A connection each is what costs most here.
    let rate = size.rate.min(2000);
    let keys = [
        ("retries", "5"),
        (
            "outlier",
            "{ ejected_max_percent = 50, base_ejection = \"1s\" }",
        ),
    ];
    let fleet = Fleet::start(Settings::tcp_to(&[]), &keys, &[]);
    let load = fleet.load(rate, true);
    std::thread::sleep(size.pause);
    let mut deaths = Vec::new();
    for victims in [0..1, 1..BACKENDS / 2] {
        let begin = load.elapsed();
        fleet.servers[victims.clone()]
            .iter()
            .for_each(|server| server.kill());
        deaths.push((begin, load.elapsed()));
        victims.for_each(|number| fleet.becomes(number, "down"));
        std::thread::sleep(size.pause);
    }
    fleet.revive_all();
    (0..BACKENDS).for_each(|number| fleet.becomes(number, "up"));
    std::thread::sleep(size.pause);
    let tally = Tally::of(load.stop());
    eprintln!("L4, a connection each: {tally}");
    // What had reached a backend died with it, as bytes cannot be taken back.
    let lost = tally.lost();
    let excused = |due| {
        let died = |(begin, end): &(_, _)| *begin - size.late.min(*begin) <= due && due < *end;
        deaths.iter().any(died)
    };
    let inexcusable: Vec<_> = lost.iter().filter(|record| !excused(record.due)).collect();
    assert!(inexcusable.is_empty(), "{inexcusable:?}");
    assert!(lost.len() < 50, "{lost:?}");
}
