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

/// One of ten backends suffers something and recovers, twice over: seen by traffic, then by
/// checks.
#[track_caller]
fn suffers(what: &str, victim: usize, begin: impl Fn(&Fleet), end: impl Fn(&Fleet)) {
    let size = Size::wanted();
    let keys = by_traffic(size);
    let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, &**value)).collect();
    let bound = size.noticed.max(Duration::from_millis(2 * size.per_try));
    suffer(
        &format!("{what}, traffic"),
        &keys,
        ("ejection", bound),
        victim,
        (&begin, &end),
    );
    let keys = by_checks(size);
    let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, &**value)).collect();
    let bound = INTERVAL * FALL + TIMEOUT + size.late;
    suffer(
        &format!("{what}, checks"),
        &keys,
        ("check", bound),
        victim,
        (&begin, &end),
    );
}

#[track_caller]
fn suffer(
    what: &str,
    keys: &[(&str, &str)],
    (source, bound): (&str, Duration),
    victim: usize,
    (begin, end): (&dyn Fn(&Fleet), &dyn Fn(&Fleet)),
) {
    let size = Size::wanted();
    let number = u16::try_from(victim).unwrap();
    let fleet = Fleet::start(Settings::http_to(&[]), keys, &[BEHIND]);
    let load = fleet.load(size.rate, false);
    std::thread::sleep(size.pause);
    let (since, began) = (now_ms(), load.elapsed());
    begin(&fleet);
    fleet.becomes(victim, "down");
    let out = load.elapsed();
    std::thread::sleep(size.pause);
    let found = fleet.transitions(victim, since)[0].clone();
    end(&fleet);
    let healed = load.elapsed();
    fleet.becomes(victim, "up");
    std::thread::sleep(size.pause);
    let tally = Tally::of(load.stop());
    let retries = fleet.sum("weir_backend_retries_total");
    eprintln!(
        "{what}: out after {:?} ({}); {tally}; {retries} retries",
        found.after, found.reason
    );
    assert!(tally.lost().is_empty(), "{what}: lost {:?}", tally.lost());
    assert_eq!((&*found.to, &*found.source), ("down", source), "{what}");
    assert!(
        found.after <= bound,
        "{what}: {:?} > {bound:?}",
        found.after
    );
    let allowed = tally.count() as f64 * 0.2 + 10.0 * tally.permille(1000).as_secs_f64().max(10.0);
    assert!(retries <= allowed, "{what}: {retries} retries");
    // What was under way when it was taken out may still be answered.
    let quiet = tally.between(out + Duration::from_millis(50), healed);
    assert_eq!(quiet.by(number), 0, "{what}: nothing for who is out");
    assert!(
        tally.between(Duration::ZERO, began).by(number) > 0,
        "{what}"
    );
    assert!(
        tally.between(healed, Duration::MAX).by(number) > 0,
        "{what}: it is used again"
    );
}

#[test]
fn killed() {
    suffers(
        "kill -9",
        DIRECT,
        |fleet| fleet.servers[DIRECT].kill(),
        |fleet| fleet.servers[DIRECT].revive(),
    );
}

#[test]
fn stopped() {
    suffers(
        "SIGSTOP",
        DIRECT,
        |fleet| fleet.servers[DIRECT].stop(),
        |fleet| fleet.servers[DIRECT].go_on(),
    );
}

#[test]
fn reset_on_every_accept() {
    suffers(
        "RST on every accept",
        BEHIND,
        |fleet| fleet.between[&BEHIND].set(Fault::Reset),
        |fleet| fleet.between[&BEHIND].set(Fault::None),
    );
}

#[test]
fn an_error_for_every_request() {
    suffers(
        "500 for every request",
        DIRECT,
        |fleet| fleet.servers[DIRECT].answer_with(500),
        |fleet| fleet.servers[DIRECT].answer_with(200),
    );
}

#[test]
fn two_seconds_late_with_every_request() {
    suffers(
        "2 s late",
        DIRECT,
        |fleet| fleet.servers[DIRECT].take_time(Duration::from_secs(2)),
        |fleet| fleet.servers[DIRECT].take_time(Duration::ZERO),
    );
}

#[test]
fn all_bytes_dropped() {
    suffers(
        "black hole",
        BEHIND,
        |fleet| fleet.between[&BEHIND].set(Fault::Drop),
        |fleet| fleet.between[&BEHIND].set(Fault::None),
    );
}
