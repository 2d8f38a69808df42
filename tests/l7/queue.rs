//! Requests that wait while every backend is at its limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::settings::Backend;
use crate::support::{Answer, Client, Message, Settings, Upstream, closed_port};

/// A backend that takes one request at a time, each for `pause`, and answers with its body.
fn one_at_a_time(pause: Duration) -> (Upstream, Arc<AtomicUsize>) {
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let upstream = Upstream::http(move |request| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(pause);
        now.fetch_sub(1, Ordering::SeqCst);
        Answer::new(200, "", &request.body)
    });
    (upstream, most)
}

fn settings(upstream: &Upstream, queue: &str) -> Settings {
    Settings::http_to(&[])
        .member(upstream, "requests_max = 1")
        .group_with("queue", queue)
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    request.extend_from_slice(body);
    request
}

#[test]
fn all_are_served_in_the_end_and_each_gets_its_own_answer() {
    let (upstream, most) = one_at_a_time(Duration::from_millis(2));
    let proxy = settings(&upstream, "{ timeout = \"30s\" }")
        .workers("2")
        .start();
    std::thread::scope(|scope| {
        for number in 0..24 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut client = Client::connect(proxy.address());
                for round in 0..5 {
                    let body = format!("body {number} {round}");
                    let answer = client.ask(post("/", body.as_bytes()));
                    assert_eq!((answer.status(), answer.text()), (200, body));
                }
            });
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert_eq!(upstream.request_count(), 120);
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
}

/// A client whose request occupies the only place for long.
fn occupy(proxy: &crate::support::Proxy, upstream: &Upstream) -> Client {
    let mut first = proxy.client();
    first.send(post("/", b"first"));
    upstream.wait_for_requests(1);
    first
}

/// Asks through a group of one that fails at once and one that is busy: whoever has failed waits.
fn failed_ones_are_served(failing: &dyn Backend, keys: &str) {
    let (upstream, most) = one_at_a_time(Duration::from_millis(100));
    let proxy = settings(&upstream, "{ timeout = \"30s\" }")
        .member(failing, "")
        .group_with("retry", keys)
        .ejecting_nobody()
        .start();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(proxy.client().get("/").status(), 200));
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
    let retries = proxy.metrics().count("weir_backend_retries_total", &[]);
    assert!(retries >= 3.0, "{retries}: else the test shows nothing");
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
}

#[test]
fn who_could_not_connect_elsewhere_waits_for_one_that_is_full() {
    failed_ones_are_served(&closed_port(), "{ on = [\"connect-failure\"] }");
}

#[test]
fn who_was_refused_elsewhere_waits_for_one_that_is_full() {
    let failing = Upstream::http(|_| Answer::new(500, "", b"no"));
    failed_ones_are_served(&failing, "{ on = [\"5xx\"] }");
}

#[test]
fn who_waits_too_long_is_told_to_come_back() {
    let (upstream, _) = one_at_a_time(Duration::from_millis(1500));
    let proxy = settings(&upstream, "{ timeout = \"200ms\" }").start();
    let mut first = occupy(&proxy, &upstream);
    let begun = Instant::now();
    let answer = proxy.client().get("/");
    assert_eq!(answer.status(), 503);
    assert!(answer.has("retry-after"));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(200), "{waited:?}");
    assert_eq!(first.response().text(), "first");
}

#[test]
fn a_full_queue_refuses_at_once_and_a_client_that_leaves_makes_room() {
    let (upstream, _) = one_at_a_time(Duration::from_millis(800));
    let proxy = settings(&upstream, "{ requests_max = 1, timeout = \"10s\" }").start();
    let mut first = occupy(&proxy, &upstream);
    let mut leaving = proxy.client();
    leaving.send(post("/", b"leaving"));
    let refused = |client: &mut Client| {
        let begun = Instant::now();
        let answer = client.get("/");
        answer.status() == 503 && begun.elapsed() < Duration::from_millis(300)
    };
    crate::support::eventually("the queue is full", || refused(&mut proxy.client()));
    leaving.into_wire().reset();
    let mut third = proxy.client();
    crate::support::eventually("there is room again", || {
        third = proxy.client();
        third.send(post("/", b"third"));
        third.patient_for(Duration::from_millis(50));
        third.try_response().is_err()
    });
    third.patient_for(Duration::from_secs(10));
    assert_eq!(third.response().text(), "third");
    assert_eq!(first.response().text(), "first");
    let bodies: Vec<String> = upstream.requests().iter().map(Message::text).collect();
    assert_eq!(bodies, ["first", "third"], "who left is not served");
}

#[test]
fn a_body_that_comes_while_waiting_arrives_whole() {
    let (upstream, _) = one_at_a_time(Duration::from_millis(300));
    let proxy = settings(&upstream, "{ timeout = \"10s\" }").start();
    let mut first = occupy(&proxy, &upstream);
    let body: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut second = proxy.client();
    second.send(post("/", &body));
    second.send(post("/", b"pipelined"));
    assert_eq!(first.response().text(), "first");
    assert_eq!(second.response().body, body);
    assert_eq!(second.response().text(), "pipelined");
}

#[test]
fn a_chunked_body_in_pieces_arrives_whole() {
    let (upstream, _) = one_at_a_time(Duration::from_millis(300));
    let proxy = settings(&upstream, "{ timeout = \"10s\" }").start();
    let mut first = occupy(&proxy, &upstream);
    let mut second = proxy.client();
    second.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    std::thread::sleep(Duration::from_millis(50));
    second.send("llo\r\n6\r\n world\r\n0\r\n\r\n");
    assert_eq!(first.response().text(), "first");
    assert_eq!(second.response().text(), "hello world");
}
