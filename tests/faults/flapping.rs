//! A backend that is well and ill in turns, faster than anybody can follow: no request is lost,
//! and it does not take weir with it.

use std::time::Duration;

use crate::fleet::{Fleet, Size, now_ms};
use crate::support::Settings;
use crate::tally::Tally;

const FLAPPING: usize = 7;

/// One state lasts so long.
const HALF: Duration = Duration::from_millis(300);

/// How often it changes its mind.
const TURNS: u32 = 20;

#[test]
fn a_backend_that_flaps_changes_its_state_a_few_times_only() {
    let size = Size::wanted();
    let retry = "{ on = [\"connect-failure\", \"reset\", \"5xx\"] }";
    let keys = [
        ("retry", retry),
        (
            "outlier",
            "{ always_eject_one = true, base_ejection = \"1s\" }",
        ),
        ("check", "{ kind = \"http\", interval = \"400ms\" }"),
    ];
    let fleet = Fleet::start(Settings::http_to(&[]), &keys, &[]);
    let load = fleet.load(size.rate, false);
    std::thread::sleep(size.pause);
    let since = now_ms();
    for turn in 0..TURNS {
        fleet.servers[FLAPPING].answer_with(if turn % 2 == 0 { 500 } else { 200 });
        std::thread::sleep(HALF);
    }
    let changes = fleet.transitions(FLAPPING, since);
    fleet.becomes(FLAPPING, "up");
    let tally = Tally::of(load.stop());
    eprintln!(
        "flapping {TURNS} times: {} state changes; {tally}",
        changes.len()
    );
    for change in &changes {
        eprintln!("  {change:?}");
    }
    assert!(tally.lost().is_empty(), "{:?}", tally.lost());
    assert!(changes.len() <= 10, "{changes:#?}");
}
