//! Times and numbers that bound a relayed connection.

use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Settings, Upstream, eventually};

fn greeter() -> Upstream {
    Upstream::scripted(move |mut connection| {
        connection.send("hello");
        while connection.read_some().is_ok_and(|bytes| !bytes.is_empty()) {
            if !connection.try_send("more") {
                return;
            }
        }
    })
}

#[test]
fn a_silent_connection_is_closed_after_the_idle_time() {
    let upstream = greeter();
    let settings = Settings::tcp_to(&[&upstream]).timeout("idle", "500ms");
    let proxy = settings.group_timeout("response", "500ms").start();
    let mut client = proxy.connect();
    assert_eq!(client.read_exactly(5), b"hello");
    let start = Instant::now();
    client.expect_closed();
    let took = start.elapsed();
    assert!(took > Duration::from_millis(300), "closed after {took:?}");
    assert!(took < PATIENCE / 2, "closed after {took:?}");
    upstream.wait_until_idle();
}

#[test]
fn traffic_keeps_a_connection_open_beyond_the_idle_time() {
    let upstream = greeter();
    let settings = Settings::tcp_to(&[&upstream]).timeout("idle", "1500ms");
    let proxy = settings.group_timeout("response", "1500ms").start();
    let mut client = proxy.connect();
    assert_eq!(client.read_exactly(5), b"hello");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        client.send("x");
        assert_eq!(client.read_exactly(4), b"more");
        client.stays_silent(Duration::from_millis(100));
    }
}

#[test]
fn beyond_the_connection_limit_the_next_client_waits_until_one_leaves() {
    let upstream = greeter();
    let proxy = Settings::tcp_to(&[&upstream])
        .with("connections_max", "3")
        .start();
    let mut admitted: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for client in &mut admitted {
        assert_eq!(client.read_exactly(5), b"hello");
    }
    let mut waiting = proxy.connect();
    waiting.stays_silent(Duration::from_millis(300));
    assert_eq!(upstream.accepted(), 3);
    drop(admitted.pop());
    assert_eq!(waiting.read_exactly(5), b"hello");
    assert_eq!(upstream.accepted(), 4);
    drop(admitted);
    drop(waiting);
    eventually("all are gone", || upstream.open() == 0);
    assert_eq!(proxy.connect().read_exactly(5), b"hello");
}
