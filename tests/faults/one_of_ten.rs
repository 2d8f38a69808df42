//! One backend of ten fails in every way there is, under load: no request without side effects is
//! lost, and weir sees it in time, by traffic alone and by checks alone.
//!
//! Processes fail where weir connects to them itself, networks where the fault proxy stands.

use std::time::Duration;

use crate::between::Fault;
use crate::fleet::{Fleet, Size, now_ms};
use crate::support::Settings;
use crate::tally::Tally;

/// Only traffic tells: one may be out, and comes back by time.
fn by_traffic(size: Size) -> [(&'static str, String); 2] {
    let outlier = "{ always_eject_one = true, base_ejection = \"1s\" }".to_owned();
    [("outlier", outlier), ("retry", retry(size))]
}

const INTERVAL: Duration = Duration::from_millis(200);
/// A backend behind a fault proxy.
const BEHIND: usize = 0;
/// A backend that weir connects to itself.
const DIRECT: usize = 4;

const FALL: u32 = 3;
const TIMEOUT: Duration = Duration::from_millis(200);

/// Only checks tell.
fn by_checks(size: Size) -> [(&'static str, String); 3] {
    let off = "{ consecutive_5xx = 0, consecutive_connect_failures = 0, \
               success_rate_minimum_hosts = 1000 }";
    let check = format!(
        "{{ kind = \"http\", interval = \"{INTERVAL:?}\", interval_fast = \"{INTERVAL:?}\", \
         timeout = \"{TIMEOUT:?}\", fall = {FALL}, interval_down_max = \"{INTERVAL:?}\" }}"
    );
    [
        ("outlier", off.to_owned()),
        ("retry", retry(size)),
        ("check", check),
    ]
}

fn retry(size: Size) -> String {
    let per_try = size.per_try;
    format!(
        "{{ on = [\"connect-failure\", \"reset\", \"5xx\"], per_try_timeout = \"{per_try}ms\" }}"
    )
}

/// How a backend fails and recovers.
struct Case {
    what: &'static str,
    victim: usize,
    begin: fn(&Fleet),
    end: fn(&Fleet),
}

/// Who has to see it, and within what time.
struct Expected {
    source: &'static str,
    within: Duration,
}

impl Case {
    /// Seen by traffic alone, then by checks alone.
    #[track_caller]
    fn is_seen(&self) {
        let size = Size::wanted();
        let expected = Expected {
            source: "ejection",
            within: size.noticed.max(Duration::from_millis(2 * size.per_try)),
        };
        self.run(&by_traffic(size), &expected);
        let expected = Expected {
            source: "check",
            within: INTERVAL * FALL + TIMEOUT + size.late_check,
        };
        self.run(&by_checks(size), &expected);
    }

    #[track_caller]
    fn run(&self, keys: &[(&str, String)], expected: &Expected) {
        let (what, source) = (self.what, expected.source);
        let size = Size::wanted();
        let number = u16::try_from(self.victim).unwrap();
        let fleet = Fleet::start(Settings::http_to(&[]), keys, &[BEHIND]);
        let load = fleet.load(size.rate, false);
        std::thread::sleep(size.pause);
        let (since, began) = (now_ms(), load.elapsed());
        (self.begin)(&fleet);
        fleet.becomes(self.victim, "down");
        let out = load.elapsed();
        std::thread::sleep(size.pause);
        let found = fleet.transitions(self.victim, since)[0].clone();
        // Before: a check may pass as soon as it listens, and the rest of its start takes a while.
        let healed = load.elapsed();
        (self.end)(&fleet);
        fleet.becomes(self.victim, "up");
        std::thread::sleep(size.pause);
        let span = load.elapsed();
        let tally = Tally::of(load.stop());
        let retries = fleet.sum("weir_backend_retries_total");
        eprintln!(
            "{what}, by {source}: out after {:?} ({}); {tally}; {retries} retries",
            found.after, found.reason
        );
        assert!(tally.lost().is_empty(), "{what}: lost {:?}", tally.lost());
        assert_eq!((&*found.to, &*found.source), ("down", source), "{what}");
        assert!(
            found.after <= expected.within,
            "{what}: {:?} > {:?}",
            found.after,
            expected.within
        );
        let allowed = tally.count() as f64 * 0.2 + 10.0 * (span.as_secs_f64() + 10.0);
        assert!(retries <= allowed, "{what}: {retries} retries");
        // What was under way when it was taken out may still be answered.
        let quiet = tally.between(out + Duration::from_millis(50), healed);
        assert_eq!(quiet.by(number), 0, "{what}: nothing for who is out");
        let before = tally.between(Duration::ZERO, began);
        assert!(before.by(number) > 0, "{what}");
        let after = tally.between(healed, Duration::MAX);
        assert!(after.by(number) > 0, "{what}: it is used again");
    }
}

#[test]
fn killed() {
    let case = Case {
        what: "kill -9",
        victim: DIRECT,
        begin: |fleet| fleet.servers[DIRECT].kill(),
        end: |fleet| fleet.servers[DIRECT].revive(),
    };
    case.is_seen();
}

#[test]
fn stopped() {
    let case = Case {
        what: "SIGSTOP",
        victim: DIRECT,
        begin: |fleet| fleet.servers[DIRECT].stop(),
        end: |fleet| fleet.servers[DIRECT].go_on(),
    };
    case.is_seen();
}

#[test]
fn reset_on_every_accept() {
    let case = Case {
        what: "RST on every accept",
        victim: BEHIND,
        begin: |fleet| fleet.between[&BEHIND].set(Fault::Reset),
        end: |fleet| fleet.between[&BEHIND].set(Fault::None),
    };
    case.is_seen();
}

#[test]
fn an_error_for_every_request() {
    let case = Case {
        what: "500 for every request",
        victim: DIRECT,
        begin: |fleet| fleet.servers[DIRECT].answer_with(500),
        end: |fleet| fleet.servers[DIRECT].answer_with(200),
    };
    case.is_seen();
}

#[test]
fn two_seconds_late_with_every_request() {
    let case = Case {
        what: "2 s late",
        victim: DIRECT,
        begin: |fleet| fleet.servers[DIRECT].take_time(Duration::from_secs(2)),
        end: |fleet| fleet.servers[DIRECT].take_time(Duration::ZERO),
    };
    case.is_seen();
}

#[test]
fn all_bytes_dropped() {
    let case = Case {
        what: "black hole",
        victim: BEHIND,
        begin: |fleet| fleet.between[&BEHIND].set(Fault::Drop),
        end: |fleet| fleet.between[&BEHIND].set(Fault::None),
    };
    case.is_seen();
}
