//! Ending: SIGTERM lets what runs finish, until a deadline; SIGINT does not.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Answer, Client, PATIENCE, Proxy, Settings, Upstream, Wire, eventually, port};

/// A proxy, and a client of it whose request the backend has and has not answered.
fn under_way(upstream: &Upstream, settings: &Settings) -> (Proxy, Client) {
    let proxy = settings.start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    upstream.wait_for_requests(1);
    (proxy, client)
}

/// A backend that never answers.
fn silent() -> Upstream {
    Upstream::scripted(|mut connection| {
        connection.request();
        let _ = connection.read_to_end();
    })
}

#[test]
fn a_drain_finishes_requests_under_way_and_exits_with_zero() {
    let upstream = Upstream::http(|_| Answer::text("done").after(Duration::from_millis(1500)));
    let (mut proxy, mut client) = under_way(&upstream, &Settings::http_to(&[&upstream]));
    proxy.signal(Signal::TERM);
    eventually("it accepts no more", || !port::listens(proxy.address()));
    let answer = client.response();
    assert_eq!(answer.text(), "done");
    client.expect_closed();
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_drain_closes_idle_connections_after_their_grace() {
    let upstream = Upstream::named("ok");
    for (grace, expected) in [("0s", Duration::ZERO), ("2s", Duration::from_secs(2))] {
        let mut proxy = Settings::http_to(&[&upstream])
            .drain_timeout("60s")
            .idle_grace(grace)
            .start();
        let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
        for client in &mut clients {
            client.get("/");
        }
        let start = Instant::now();
        proxy.signal(Signal::TERM);
        for client in &mut clients {
            client.expect_closed();
        }
        assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
        let took = start.elapsed();
        assert!(
            took >= expected && took < Duration::from_secs(20),
            "{took:?}"
        );
    }
}

#[test]
fn who_asks_within_the_grace_is_answered_and_told_that_it_is_the_last_time() {
    let upstream = Upstream::named("ok");
    let mut proxy = Settings::http_to(&[&upstream])
        .drain_timeout("60s")
        .idle_grace("30s")
        .start();
    let (mut used, mut fresh) = (proxy.client(), proxy.client());
    used.get("/");
    proxy.signal(Signal::TERM);
    eventually("it accepts no more", || !port::listens(proxy.address()));
    for client in [&mut used, &mut fresh] {
        let answer = client.get("/");
        assert!(answer.connection("close"), "{answer:?}");
        client.expect_closed();
    }
    // Nobody is left, so the rest of the time is not waited for.
    let start = Instant::now();
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// Asks on one kept connection until it is told that it ends; how many requests were answered.
/// A client that finds its connection closed before it asks has lost nothing.
fn ask_until_told(mut wire: Wire, pause: Duration) -> usize {
    let mut answered = 0;
    loop {
        if wire.closes_within(pause) {
            return answered;
        }
        assert!(
            wire.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            "closed although it was not told"
        );
        let answer = wire
            .read_response("GET")
            .expect("an answer to what was sent");
        assert_eq!(answer.text(), "ok");
        answered += 1;
        if answer.connection("close") {
            return answered;
        }
    }
}

#[test]
fn under_load_no_request_on_a_kept_connection_is_lost() {
    let upstream = Upstream::named("ok");
    for _ in 0..3 {
        let mut proxy = Settings::http_to(&[&upstream])
            .drain_timeout("60s")
            .idle_grace("10s")
            .start();
        let before = upstream.request_count();
        std::thread::scope(|scope| {
            // All are connected before the signal may come.
            let wires: Vec<Wire> = (0..16).map(|_| proxy.connect()).collect();
            let clients: Vec<_> = wires
                .into_iter()
                .zip((1..).map(Duration::from_millis))
                .map(|(wire, pause)| scope.spawn(move || ask_until_told(wire, pause)))
                .collect();
            upstream.wait_for_requests(before + 300);
            proxy.signal(Signal::TERM);
            for client in clients {
                assert!(client.join().unwrap() > 0);
            }
        });
        assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
    }
}

#[test]
fn during_a_drain_answers_say_close() {
    let upstream = Upstream::http(|_| Answer::text("done").after(Duration::from_millis(1000)));
    let (mut proxy, mut client) = under_way(&upstream, &Settings::http_to(&[&upstream]));
    proxy.signal(Signal::TERM);
    let answer = client.response();
    assert!(answer.connection("close"), "{answer:?}");
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_drain_lets_an_upload_finish() {
    let upstream = Upstream::named("stored");
    let mut proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n0123456789");
    eventually("the upload is under way", || upstream.accepted() == 1);
    proxy.signal(Signal::TERM);
    eventually("it accepts no more", || !port::listens(proxy.address()));
    client.send("0123456789");
    assert_eq!(client.response().text(), "stored");
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_drain_lets_a_relayed_connection_finish() {
    let upstream = Upstream::scripted(|mut connection| {
        assert_eq!(connection.read_exactly(3), b"one");
        connection.send("two");
        assert_eq!(connection.read_exactly(5), b"three");
    });
    let mut proxy = Settings::tcp_to(&[&upstream]).start();
    let mut client = proxy.connect();
    client.send("one");
    assert_eq!(client.read_exactly(3), b"two");
    proxy.signal(Signal::TERM);
    eventually("it accepts no more", || !port::listens(proxy.address()));
    client.send("three").expect_closed();
    // The backend's half is closed; the pair ends when the client's is, too.
    drop(client);
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_drain_is_cut_at_its_deadline() {
    let upstream = silent();
    let (mut proxy, mut client) = under_way(
        &upstream,
        &Settings::http_to(&[&upstream]).drain_timeout("1s"),
    );
    let start = Instant::now();
    proxy.signal(Signal::TERM);
    let status = proxy.wait_for_exit(PATIENCE);
    assert!(status.code().is_some(), "{status:?}");
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(15),
        "{took:?}"
    );
    let (rest, _) = client.read_to_end();
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 503"),
        "{rest:?}"
    );
}

#[test]
fn an_interrupt_ends_it_at_once() {
    let upstream = silent();
    let (mut proxy, _client) = under_way(
        &upstream,
        &Settings::http_to(&[&upstream]).drain_timeout("60s"),
    );
    let start = Instant::now();
    proxy.signal(Signal::INT);
    let status = proxy.wait_for_exit(PATIENCE);
    assert!(status.code().is_some(), "{status:?}");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_interrupt_cuts_a_drain_short() {
    let upstream = silent();
    let (mut proxy, _client) = under_way(
        &upstream,
        &Settings::http_to(&[&upstream]).drain_timeout("60s"),
    );
    proxy.signal(Signal::TERM);
    eventually("it accepts no more", || !port::listens(proxy.address()));
    let start = Instant::now();
    proxy.signal(Signal::INT);
    proxy.wait_for_exit(PATIENCE);
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn while_draining_it_is_not_ready() {
    let upstream = Upstream::http(|_| Answer::text("done").after(Duration::from_secs(2)));
    let (mut proxy, mut client) = under_way(&upstream, &Settings::http_to(&[&upstream]));
    proxy.signal(Signal::TERM);
    eventually("/ready says no", || proxy.admin("/ready").status() == 503);
    assert_eq!(client.response().text(), "done");
    assert_eq!(proxy.wait_for_exit(PATIENCE).code(), Some(0));
}
