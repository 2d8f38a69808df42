//! The limit of connections of the whole node: keep-alive ends, idle ones go, new ones are refused.

use std::time::Duration;

use super::{is_served, shed, silent, wait_for_action};
use crate::support::{Client, Proxy, Settings, Upstream, Wire, eventually};

fn limited(upstream: &Upstream, lines: &str) -> Settings {
    let all = "stop_keep_alive = \"never\"\nclose_idle = \"never\"\nrefuse = \"never\"\n";
    let rest: String = all
        .lines()
        .filter(|line| !lines.contains(line.split(' ').next().unwrap_or_default()))
        .map(|line| format!("{line}\n"))
        .collect();
    Settings::http_to(&[upstream])
        .timeout("head", "60s")
        .section(&format!(
            "[overload]\nconnections_max = 20\nidle_min = \"0s\"\n{lines}\n{rest}"
        ))
}

fn status(proxy: &Proxy) -> serde_json::Value {
    let whole = proxy.admin("/v1/status");
    let whole: serde_json::Value = serde_json::from_slice(&whole.body).unwrap();
    whole["overload"].clone()
}

#[test]
fn answers_end_their_connections_until_there_is_room_again() {
    let upstream = Upstream::named("ok");
    let proxy = limited(&upstream, "stop_keep_alive = 80").start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").field("connection"), None);
    let mut others = silent(&proxy, 15);
    wait_for_action(&proxy, "stop_keep_alive", 1.0);
    let answer = client.get("/");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.field("connection"), Some("close"));
    client.into_wire().expect_closed();
    assert_eq!(shed(&proxy, "keep_alive"), 1.0);
    let told = status(&proxy);
    assert_eq!(told["actions"]["stop_keep_alive"], true, "{told}");
    assert_eq!(told["actions"]["refuse"], false, "{told}");
    assert_eq!(told["shed"]["keep_alive"], 1, "{told}");
    let pressure = told["pressure"]["connections"].as_f64().unwrap();
    assert!((0.75..=0.8).contains(&pressure), "{told}");
    others.truncate(5);
    wait_for_action(&proxy, "stop_keep_alive", 0.0);
    let mut client = proxy.client();
    assert!(is_served(&mut client) && is_served(&mut client));
}

#[test]
fn who_is_idle_longest_is_closed_first_and_nobody_else() {
    let upstream = Upstream::named("ok");
    let proxy = limited(&upstream, "close_idle = 90").start();
    let old = silent(&proxy, 4);
    std::thread::sleep(Duration::from_millis(300));
    let young = silent(&proxy, 16);
    // 85 % of 20 is 17: three too many.
    eventually("three are closed", || shed(&proxy, "closed_client") >= 3.0);
    proxy.wait_for_metric("weir_listener_connections", &[], 17.0);
    let closed = old
        .into_iter()
        .filter_map(|mut wire| wire.closes_within(Duration::from_millis(200)).then_some(()));
    assert_eq!(closed.count(), 3);
    for wire in young {
        assert!(is_served(&mut Client::on(wire)));
    }
    assert_eq!(shed(&proxy, "closed_client"), 3.0);
    let faults = [("fault", "overload")];
    proxy.wait_for_metric("weir_listener_faults_total", &faults, 3.0);
}

#[test]
fn an_exchange_under_way_is_never_closed() {
    let upstream =
        Upstream::http(|_| crate::support::Answer::text("late").after(Duration::from_millis(1500)));
    let proxy = limited(&upstream, "close_idle = 50").start();
    let mut asking: Vec<Client> = (0..12).map(|_| proxy.client()).collect();
    for client in &mut asking {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    let _silent = silent(&proxy, 8);
    eventually("the silent ones are closed", || {
        shed(&proxy, "closed_client") == 8.0
    });
    for client in &mut asking {
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn new_ones_are_told_and_then_reset_while_others_are_served() {
    let upstream = Upstream::named("ok");
    let proxy = limited(&upstream, "refuse = 90\nhysteresis = 5").start();
    let mut served = proxy.client();
    assert!(is_served(&mut served));
    let others = silent(&proxy, 17);
    wait_for_action(&proxy, "refuse", 1.0);
    let mut refused = proxy.client();
    let answer = refused.get("/");
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("overload"), "{answer:?}");
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(answer.field("retry-after"), Some("1"));
    refused.into_wire().expect_closed();
    assert_eq!(shed(&proxy, "answered"), 1.0);
    assert!(is_served(&mut served), "who was there before is served");
    // Who is to be told counts as well: half-way to the end nobody is told any more.
    let further = (0..2).filter_map(|_| Wire::try_connect(proxy.address()).ok());
    let waiting: Vec<Wire> = further.collect();
    eventually("a new one is reset", || {
        if let Ok(wire) = Wire::try_connect(proxy.address()) {
            let mut wire = wire;
            wire.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        shed(&proxy, "reset") >= 1.0
    });
    assert!(is_served(&mut served), "who was there before is served");
    drop(waiting);
    drop(others);
    wait_for_action(&proxy, "refuse", 0.0);
    assert!(is_served(&mut proxy.client()));
    drop(served);
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
}

#[test]
fn by_policy_new_ones_are_reset_at_once() {
    let upstream = Upstream::named("ok");
    let lines = "refuse = 90\nrefuse_with = \"reset\"";
    let proxy = limited(&upstream, lines).start();
    let _others = silent(&proxy, 18);
    wait_for_action(&proxy, "refuse", 1.0);
    proxy.expect_refusal();
    assert_eq!(shed(&proxy, "reset"), 1.0);
}

#[test]
fn a_listener_for_tcp_resets_and_closes_silent_relays() {
    let upstream = Upstream::scripted(|mut connection| {
        while let Ok(bytes) = connection.read_some() {
            if bytes.is_empty() || !connection.try_send(bytes) {
                return;
            }
        }
    });
    let settings = Settings::tcp_to(&[&upstream]);
    let settings = settings.section(
        "[overload]\nconnections_max = 20\nrefuse = 95\nclose_idle = \"never\"\nidle_min = \"1s\"",
    );
    let mut proxy = settings.start();
    let mut relays = silent(&proxy, 19);
    wait_for_action(&proxy, "refuse", 1.0);
    proxy.expect_refusal();
    let mut busy = relays.remove(7);
    busy.send("a");
    assert_eq!(busy.read_exactly(1), b"a");
    // From now on silent ones are closed: by new terms, without a restart.
    let mut changed = settings.clone();
    changed.sections = vec!["[overload]\nconnections_max = 20\nclose_idle = 50".to_owned()];
    proxy.reload(changed);
    eventually("the silent relays go", || {
        busy.send("b");
        assert_eq!(busy.read_exactly(1), b"b");
        shed(&proxy, "closed_relay") >= 10.0
    });
    let mut gone = 0;
    for mut wire in relays {
        gone += usize::from(wire.closes_within(Duration::from_millis(50)));
    }
    assert!((10..=18).contains(&gone), "{gone}");
    busy.send("c");
    assert_eq!(busy.read_exactly(1), b"c");
    assert!(proxy.connect().send("d").read_exactly(1) == b"d");
}
