//! Out of descriptors: nobody who is served notices, nothing spins, and all of it comes back.

use std::time::{Duration, Instant};

use super::{is_served, shed, start_with_descriptors, wait_for_action};
use crate::support::{Proxy, Settings, Upstream, Wire, eventually, observe};

fn echo() -> Upstream {
    Upstream::scripted(|mut connection| {
        while let Ok(bytes) = connection.read_some() {
            if bytes.is_empty() || !connection.try_send(bytes) {
                return;
            }
        }
    })
}

/// How many of `count` connections answer a byte; the others were reset.
fn connect_many(proxy: &Proxy, count: usize) -> Vec<Wire> {
    let mut served = Vec::new();
    for _ in 0..count {
        let Ok(mut wire) = Wire::try_connect(proxy.address()) else {
            continue;
        };
        if wire.try_send("x") && wire.read_some().is_ok_and(|bytes| bytes == b"x") {
            served.push(wire);
        }
    }
    served
}

/// User and system time so far. From /proc, because the admin interface has no descriptor either
/// when there is none.
fn cpu_seconds(proxy: &Proxy) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    ticks as f64 / 100.0
}

fn shed_at_the_limit(overload: &str) {
    let upstream = echo();
    let settings = Settings::tcp_to(&[&upstream]).section(overload);
    let proxy = start_with_descriptors(&settings, 256);
    let mut first = proxy.connect();
    first.send("x");
    assert_eq!(first.read_exactly(1), b"x");
    let before = observe::descriptors(proxy.pid());
    let mut served = connect_many(&proxy, 300);
    assert!((80..128).contains(&served.len()), "{} served", served.len());
    let refused = 300 - served.len();
    // While it is full it neither spins nor leaves anybody waiting who was there before.
    let (start, cpu) = (Instant::now(), cpu_seconds(&proxy));
    while start.elapsed() < Duration::from_secs(1) {
        first.send("y");
        assert_eq!(first.read_exactly(1), b"y");
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = cpu_seconds(&proxy) - cpu;
    assert!(used < 0.5, "{used} s of CPU in one second");
    for wire in &mut served {
        wire.send("z");
        assert_eq!(wire.read_exactly(1), b"z");
    }
    drop(served);
    eventually("all of it comes back", || {
        observe::descriptors(proxy.pid()) <= before
    });
    proxy.wait_for_metric("weir_listener_connections", &[], 1.0);
    proxy.wait_for_metric("weir_backend_connections", &[], 1.0);
    wait_for_action(&proxy, "refuse", 0.0);
    let unconnected = proxy.metrics();
    let unconnected = unconnected.count("weir_backend_connect_failures_total", &[]);
    let reset = shed(&proxy, "reset");
    assert!(
        reset + unconnected >= refused as f64,
        "{reset} + {unconnected} of {refused}"
    );
    // No backend was blamed.
    let up = [("status", "up")];
    assert_eq!(proxy.metrics().count("weir_group_backends", &up), 1.0);
    assert_eq!(connect_many(&proxy, 5).len(), 5);
}

#[test]
fn before_the_limit_new_connections_are_reset() {
    shed_at_the_limit("[overload]\nclose_idle = \"never\"");
}

#[test]
fn at_the_very_limit_too() {
    shed_at_the_limit(
        "[overload]\nclose_idle = \"never\"\nstop_keep_alive = \"never\"\nrefuse = 100",
    );
}

#[test]
fn idle_clients_make_room_for_those_who_ask() {
    let upstream = Upstream::named("ok");
    let settings = Settings::http_to(&[&upstream])
        .timeout("head", "60s")
        .section("[overload]\nidle_min = \"0s\"");
    let proxy = start_with_descriptors(&settings, 200);
    let mut silent = Vec::new();
    let mut served = 0;
    for round in 0..600 {
        if let Ok(wire) = Wire::try_connect(proxy.address()) {
            silent.push(wire);
        }
        if round % 20 == 0 {
            let mut client = proxy.client();
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            served += usize::from(client.try_response().is_ok_and(|told| told.status() == 200));
            std::thread::sleep(Duration::from_millis(110));
        }
    }
    assert!(
        served >= 25,
        "{served} of 30 were served beside 600 who never ask"
    );
    assert!(shed(&proxy, "closed_client") > 200.0);
    drop(silent);
    eventually("it is served as before", || {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.try_response().is_ok_and(|told| told.status() == 200)
    });
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
    assert!(is_served(&mut proxy.client()));
}
