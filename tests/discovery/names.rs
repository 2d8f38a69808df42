//! Backends by name: asked again when their TTL ends, kept when DNS fails.

use std::time::Duration;

use super::{shares, under_traffic, until_served_by};
use crate::support::{Dns, Settings, Upstream, eventually};

/// A group of the host `app.test` at a port of its own on several loopback addresses.
fn app(dns: &Dns, port: u16) -> Settings {
    Settings::http_to(&[])
        .named(&format!("app.test:{port}"))
        .section(&dns.section())
}

/// Upstreams at the same port of 127.0.0.1, 127.0.0.2 and 127.0.0.3, named by their addresses.
fn upstreams() -> (u16, [Upstream; 3]) {
    for _ in 0..100 {
        let first = Upstream::named("127.0.0.1");
        let port = first.address().port();
        let at = |ip: &str| Upstream::named_at(ip, &format!("{ip}:{port}"));
        if let (Some(second), Some(third)) = (at("127.0.0.2"), at("127.0.0.3")) {
            return (port, [first, second, third]);
        }
    }
    panic!("no port is free on three addresses");
}

#[test]
fn an_answer_that_changes_is_followed_without_a_failed_request() {
    let (port, _upstreams) = upstreams();
    let dns = Dns::start();
    dns.hosts("app.test", 1, &["127.0.0.1"]);
    let proxy = app(&dns, port).start();
    until_served_by(&proxy, &["127.0.0.1"]);
    assert_eq!(proxy.epoch(), Some(1));
    under_traffic(&proxy, || {
        for addresses in [
            &["127.0.0.1", "127.0.0.2"][..],
            &["127.0.0.2", "127.0.0.3"],
            &["127.0.0.3"],
            &["127.0.0.1", "127.0.0.2", "127.0.0.3"],
        ] {
            dns.hosts("app.test", 1, addresses);
            until_served_by(&proxy, addresses);
        }
    });
    let epochs = proxy.epochs();
    assert_eq!(epochs["published"], 1, "{epochs}");
    assert_eq!(epochs["found"], 4, "one for each answer: {epochs}");
    let configuration = &epochs["configuration"];
    assert_eq!(configuration["epoch"], 1, "{epochs}");
    assert_eq!(configuration["found"], 4, "{epochs}");
    assert_eq!(
        configuration["revision"], 1,
        "what is found is not stored: {epochs}"
    );
    let changed = proxy.api().with("If-Match", "\"1\"");
    let changed = changed.patch("/v1/groups/app", serde_json::json!({"retries": 1}));
    changed.expect(200);
    assert_eq!(changed.epoch(), 2);
    assert_eq!(proxy.epochs()["configuration"]["revision"], 2);
}

#[test]
fn each_name_is_asked_for_again_when_its_own_ttl_ends() {
    let (port, _upstreams) = upstreams();
    let dns = Dns::start();
    dns.hosts("app.test", 1, &["127.0.0.1"]);
    dns.hosts("slow.test", 3, &["127.0.0.2"]);
    dns.hosts("long.test", 3600, &["127.0.0.3"]);
    dns.hosts("none.test", 0, &["127.0.0.3"]);
    let proxy = app(&dns, port)
        .named(&format!("slow.test:{port}"))
        .named(&format!("long.test:{port}"))
        .named(&format!("none.test:{port}"))
        .start();
    let times = |name: &str| dns.asked(name).len();
    eventually("the slow one is asked for three times", || {
        times("slow.test") == 3
    });
    let (app, slow) = (dns.asked("app.test"), dns.asked("slow.test"));
    for (asked, ttl) in [(&app, 1.0), (&slow, 3.0), (&dns.asked("none.test"), 1.0)] {
        for pair in asked.windows(2) {
            let pause = (pair[1] - pair[0]).as_secs_f64();
            assert!(pause > 0.9 * ttl, "{pause} s instead of {ttl}");
        }
    }
    assert!(app.len() > slow.len(), "{} and {}", app.len(), slow.len());
    assert_eq!(times("long.test"), 1, "an hour has not passed");
    assert_eq!(proxy.epoch(), Some(1), "the same answer is no change");
}

#[test]
fn a_name_that_is_gone_or_fails_keeps_its_addresses() {
    let (port, _upstreams) = upstreams();
    let dns = Dns::start();
    dns.hosts("app.test", 1, &["127.0.0.1", "127.0.0.2"]);
    let proxy = app(&dns, port).start();
    let failures = || proxy.metrics().count("weir_resolve_failures_total", &[]);
    let both = ["127.0.0.1", "127.0.0.2"];
    for trouble in [Dns::forget, Dns::fail, Dns::ignore] {
        let before = failures();
        trouble(&dns, "app.test");
        eventually("the trouble is noticed", || failures() > before);
        until_served_by(&proxy, &both);
        assert_eq!(proxy.epoch(), Some(1));
        dns.hosts("app.test", 1, &both);
    }
    dns.hosts("app.test", 1, &["127.0.0.3"]);
    until_served_by(&proxy, &["127.0.0.3"]);
}

#[test]
fn a_name_that_fails_at_the_start_gets_its_backends_later() {
    let (port, _upstreams) = upstreams();
    let dns = Dns::start();
    dns.fail("app.test");
    let proxy = app(&dns, port).start();
    assert_eq!(proxy.client().get("/").status(), 503);
    dns.hosts("app.test", 1, &["127.0.0.2"]);
    eventually("it is served", || proxy.client().get("/").status() == 200);
    until_served_by(&proxy, &["127.0.0.2"]);
}

#[test]
fn a_server_that_is_mute_about_ipv6_takes_no_ipv4_address_away() {
    let (port, _upstreams) = upstreams();
    let dns = Dns::start();
    dns.hosts_v4("app.test", 1, &["127.0.0.1"]);
    let proxy = app(&dns, port).start();
    assert_eq!(shares(&proxy, 2).keys().collect::<Vec<_>>(), ["127.0.0.1"]);
    dns.hosts_v4("app.test", 1, &["127.0.0.2"]);
    until_served_by(&proxy, &["127.0.0.2"]);
    assert_eq!(
        proxy.metrics().count("weir_resolve_failures_total", &[]),
        0.0
    );
}

#[test]
fn names_of_etc_hosts_need_no_server() {
    let upstream = Upstream::named("local");
    let dns = Dns::start();
    dns.ignore("localhost");
    let port = upstream.address().port();
    let proxy = Settings::http_to(&[])
        .named(&format!("localhost:{port}"))
        .section(&dns.section())
        .start();
    assert_eq!(proxy.client().get("/").text(), "local");
    assert!(dns.asked("localhost").is_empty());
    let system = Settings::http_to(&[])
        .named(&format!("localhost:{port}"))
        .section("[dns]\nresolver = \"system\"")
        .start();
    assert_eq!(system.client().get("/").text(), "local");
}

#[test]
fn a_server_that_is_slow_for_one_name_delays_no_other() {
    let (port, _upstreams) = upstreams();
    let dns = Dns::start();
    dns.hosts("app.test", 1, &["127.0.0.1"]);
    dns.hosts("mute.test", 1, &["127.0.0.1"]);
    let proxy = app(&dns, port).named(&format!("mute.test:{port}")).start();
    dns.ignore("mute.test");
    let before = dns.asked("mute.test").len();
    eventually("the mute one is asked for", || {
        dns.asked("mute.test").len() > before
    });
    let asked = dns.asked("app.test").len();
    std::thread::sleep(Duration::from_secs(4));
    let more = dns.asked("app.test").len() - asked;
    assert!(more >= 3, "asked {more} times within 4 s");
    drop(proxy);
}
