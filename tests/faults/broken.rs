//! Answers that break off, or come in drops: what has begun is not asked for again, so the point
//! is how few requests meet it, and that nobody takes a part for the whole.

use std::time::Duration;

use crate::between::Fault;
use crate::fleet::{Fleet, Size};
use crate::support::{Broken, Settings};
use crate::tally::Tally;

const BEHIND: usize = 3;

fn fleet() -> Fleet {
    let keys = [(
        "outlier",
        "{ always_eject_one = true, base_ejection = \"1m\" }",
    )];
    Fleet::start(Settings::http_to(&[]), &keys, &[BEHIND])
}

#[test]
fn heads_that_break_off_cost_as_many_requests_as_it_takes_to_see_it() {
    let size = Size::wanted();
    let fleet = fleet();
    let load = fleet.load(size.rate, false);
    std::thread::sleep(size.pause);
    fleet.between[&BEHIND].set(Fault::Truncate(20));
    fleet.becomes(BEHIND, "down");
    std::thread::sleep(size.pause);
    let tally = Tally::of(load.stop());
    eprintln!("heads that break off: {tally}");
    let lost = tally.lost();
    assert!(lost.iter().all(|record| record.status == 502), "{lost:?}");
    // Five in a row, and those that were under way then.
    let most = 5 + usize::try_from(size.rate / 1000).unwrap() * 2 + 10;
    assert!((5..=most).contains(&lost.len()), "{} lost", lost.len());
}

#[test]
fn a_body_that_breaks_off_ends_the_connection_of_the_client() {
    let fleet = fleet();
    // The body has two bytes; the second one is missing.
    let mut client = fleet.proxy.client();
    let whole = client.get("/").head.raw.len();
    let received = whole_head_upstream();
    assert!(received < whole, "weir adds to what it got");
    fleet.between[&BEHIND].set(Fault::Truncate(received + 1));
    let mut broken = 0;
    for _ in 0..20 {
        let mut client = fleet.proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        match client.try_response() {
            Ok(answer) => assert_eq!((answer.status(), answer.body.len()), (200, 2)),
            Err(Broken::Truncated(1) | Broken::Reset) => broken += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(broken >= 1);
}

/// How long the head is that a backend sends.
fn whole_head_upstream() -> usize {
    "HTTP/1.1 200 Any\r\nContent-Length: 2\r\n\r\n".len()
}

#[test]
fn answers_in_drops_are_whole_and_nobody_else_is_late() {
    let size = Size::wanted();
    let fleet = fleet();
    let load = fleet.load(size.rate.min(1000), false);
    std::thread::sleep(size.pause);
    fleet.between[&BEHIND].set(Fault::Trickle(10, Duration::from_millis(20)));
    std::thread::sleep(size.pause * 2);
    fleet.between[&BEHIND].set(Fault::None);
    let tally = Tally::of(load.stop());
    eprintln!("answers in drops: {tally}");
    assert!(tally.lost().is_empty(), "{:?}", tally.lost());
    // Four drops of twenty milliseconds each, for a tenth of the requests.
    assert!(tally.permille(999) >= Duration::from_millis(80), "{tally}");
    assert!(tally.permille(500) < Duration::from_millis(80), "{tally}");
}
