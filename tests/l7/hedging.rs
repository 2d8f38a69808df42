//! A second copy of a request that takes long: whoever answers first is heard, and nothing is left
//! of the other.

use std::time::{Duration, Instant};

use crate::support::bulk::Dice;
use crate::support::{Answer, Message, Proxy, Settings, Upstream};

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(20);

/// Long enough for a second copy to be sent and answered, on a busy machine too.
const SLOW: Duration = Duration::from_millis(1500);

/// A group of these backends, by the policy that takes one after the other.
fn hedged(upstreams: &[&Upstream]) -> Settings {
    let mut settings = Settings::http_to(&[]).ejecting_nobody();
    for upstream in upstreams {
        settings = settings.member(*upstream, "requests_max = 50");
    }
    settings.group_with("hedge", "\"50ms\"")
}

/// Never answers; its connections end with the proxy.
fn black_hole() -> Upstream {
    Upstream::scripted(|mut connection| {
        connection.patient_for(Duration::from_secs(900));
        while connection.try_request().is_ok() {}
    })
}

/// Says its name and what it was asked for, after a while.
fn naming(name: &'static str, delay: Duration) -> Upstream {
    Upstream::http(move |request: &Message| {
        Answer::text(format!("{name} {}", request.target())).after(delay)
    })
}

fn counts(proxy: &Proxy) -> (f64, f64) {
    let metrics = proxy.metrics();
    let count = |name| metrics.count(name, &[]);
    (
        count("weir_backend_hedges_total"),
        count("weir_backend_hedges_won_total"),
    )
}

/// Waits until nothing is under way anywhere.
fn comes_to_rest(proxy: &Proxy) {
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
}

#[test]
fn requests_of_a_slow_backend_are_answered_in_the_time_of_the_fast_one() {
    let (hole, fast) = (black_hole(), Upstream::named("fast"));
    let proxy = hedged(&[&hole, &fast]).start();
    let mut client = proxy.client();
    let begun = Instant::now();
    assert!((0..10).all(|_| client.get("/").text() == "fast"));
    assert!(
        begun.elapsed() < NEVER,
        "none of them waited for the slow one"
    );
    let (hedges, won) = counts(&proxy);
    assert!(
        won >= 5.0 && hedges >= won,
        "every other one began there: {hedges} {won}"
    );
    assert!(hole.request_count() >= 5);
    comes_to_rest(&proxy);
    hole.wait_until_idle();
    let thought = proxy.metrics();
    assert_eq!(
        thought.sum("weir_backend_faults_total", &[]).unwrap_or(0.0),
        0.0
    );
    assert_eq!(thought.count("weir_backend_retries_total", &[]), 0.0);
}

#[test]
fn who_loses_by_little_is_closed_and_its_answer_reaches_nobody() {
    let upstreams = [naming("slow", SLOW), naming("fast", Duration::ZERO)];
    let proxy = hedged(&[&upstreams[0], &upstreams[1]]).start();
    let mut client = proxy.client();
    for number in 0..24 {
        if number == 20 {
            // The slow one has written its answers, to connections that are closed.
            comes_to_rest(&proxy);
            upstreams[0].wait_until_idle();
        }
        let target = format!(" /{number}");
        let answer = client.get(target.trim()).text();
        assert!(answer.ends_with(&target), "{answer} to {target}");
    }
    assert!(counts(&proxy).1 >= 1.0);
}

#[test]
fn what_must_not_be_sent_twice_is_not() {
    let (slow, fast) = (naming("slow", SLOW), naming("fast", Duration::ZERO));
    let proxy = hedged(&[&slow, &fast]).start();
    let mut client = proxy.client();
    let answers: Vec<String> = (0..6).map(|_| client.post("/", b"pay").text()).collect();
    let slow_ones = answers.iter().filter(|answer| *answer == "slow /").count();
    assert_eq!(
        (slow_ones, slow.request_count(), fast.request_count()),
        (3, 3, 3)
    );
    assert_eq!(counts(&proxy), (0.0, 0.0));
}

#[test]
fn a_client_that_sticks_stays_where_it_is_however_long_that_takes() {
    let (slow, fast) = (naming("slow", SLOW), naming("fast", Duration::ZERO));
    let cookie = "{ cookie = \"weir\", secret = \"0123456789abcdef\" }";
    let proxy = hedged(&[&slow, &fast]).group_with("sticky", cookie).start();
    // A POST is answered by whom it was sent to.
    let ask = |line: &str| proxy.client().ask(line);
    let mut first = (0..4).map(|_| ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
    let slow_one = first
        .find(|answer| answer.text() == "slow /")
        .expect("one of two");
    let given = slow_one.field("set-cookie").expect("a cookie");
    let pair = given.split(';').next().unwrap();
    let again = ask(&format!(
        "GET / HTTP/1.1\r\nHost: a\r\nCookie: {pair}\r\n\r\n"
    ));
    assert_eq!(again.text(), "slow /");
    assert_eq!(counts(&proxy), (0.0, 0.0));
}

#[test]
fn second_copies_are_paid_for_as_retries() {
    let (slow, fast) = (naming("slow", SLOW), naming("fast", Duration::ZERO));
    let proxy = hedged(&[&slow, &fast])
        .group_with("retry", "{ budget_percent = 20, budget_floor = 0 }")
        .start();
    let mut client = proxy.client();
    let waited = (0..30)
        .filter(|_| client.get("/").text().starts_with("slow"))
        .count();
    let (hedges, won) = counts(&proxy);
    assert!(
        (1.0..=6.0).contains(&hedges),
        "a fifth of 30 at most: {hedges}"
    );
    assert!(won <= hedges);
    assert!(waited >= 9, "who finds no budget waits: {waited} of 15");
    let metrics = proxy.metrics();
    assert!(metrics.count("weir_backend_retries_refused_total", &[]) >= 1.0);
}

#[test]
fn the_answer_of_the_last_counts_where_both_fail() {
    let slow = Upstream::http(|_| Answer::new(500, "", b"slow").after(SLOW));
    let quick = Upstream::http(|_| Answer::new(503, "", b"quick"));
    let proxy = hedged(&[&slow, &quick]).start();
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..6).map(|_| client.get("/").status()).collect();
    // Where the slow one is asked first the quick one fails before it, and is not the answer.
    assert!(statuses.contains(&500), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [500, 503].contains(status)),
        "{statuses:?}"
    );
    assert!(counts(&proxy).0 >= 1.0);
    comes_to_rest(&proxy);
}

#[test]
fn both_connections_may_break_and_the_client_is_told_once() {
    let breaking = || {
        Upstream::scripted(|mut connection| {
            if connection.try_request().is_ok() {
                std::thread::sleep(SLOW);
                connection.into_wire().reset();
            }
        })
    };
    let (one, two) = (breaking(), breaking());
    let proxy = hedged(&[&one, &two]).group_with("retries", "0").start();
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 502);
    }
    assert_eq!(one.request_count() + two.request_count(), 6);
    comes_to_rest(&proxy);
}

#[test]
fn a_client_that_leaves_takes_both_copies_with_it() {
    let (one, two) = (black_hole(), black_hole());
    let proxy = hedged(&[&one, &two]).start();
    for asked in 1..=3 {
        let mut wire = proxy.connect();
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        one.wait_for_requests(asked);
        two.wait_for_requests(asked);
        wire.reset();
        one.wait_until_idle();
        two.wait_until_idle();
    }
    comes_to_rest(&proxy);
    assert_eq!(counts(&proxy), (3.0, 0.0));
}

/// Does what the target says: answers, at once or late, fails in some way, or never answers.
fn moody() -> Upstream {
    Upstream::scripted(|mut connection| {
        connection.patient_for(Duration::from_secs(900));
        let mut dice = Dice::new(connection.number as u64);
        while let Ok(request) = connection.try_request() {
            let text = request.target();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            std::thread::sleep(Duration::from_millis(dice.below(80)));
            let sent = match dice.below(8) {
                0 => return connection.into_wire().reset(),
                1 => return,
                2 => connection.try_send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
                3 => connection.try_send("HTTP/1.1 200 OK\r\nCont"),
                4 => connection.try_send("what\r\n\r\n"),
                _ => connection.try_send(answer),
            };
            if !sent {
                return;
            }
        }
    })
}

#[test]
fn whatever_happens_nothing_stays_under_way() {
    let upstreams = [moody(), moody(), moody()];
    let mut settings = Settings::http_to(&[]).ejecting_nobody();
    for upstream in &upstreams {
        settings = settings.member(upstream, "requests_max = 2");
    }
    let proxy = settings
        .group_with("hedge", "\"20ms\"")
        .group_with("retry", "{ budget_percent = 100, budget_floor = 1000 }")
        .group_with("breaker", "{ error_percent = 0, group_error_percent = 0 }")
        .group_timeout("response", "200ms")
        .start();
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut dice = Dice::new(seed);
                for number in 0..25 {
                    let target = format!("/{seed}/{number}");
                    let mut wire = proxy.connect();
                    wire.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
                    if dice.below(4) == 0 {
                        std::thread::sleep(Duration::from_millis(dice.below(60)));
                        wire.reset();
                    } else if let Ok(answer) = wire.read_response("GET")
                        && answer.status() == 200
                    {
                        assert_eq!(answer.text(), target);
                    }
                }
            });
        }
    });
    assert!(counts(&proxy).0 > 0.0);
    comes_to_rest(&proxy);
    // Who had lost a right to a request at every backend would be full for ever.
    let before = upstreams.each_ref().map(Upstream::request_count);
    for _ in 0..12 {
        let mut wire = proxy.connect();
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let _ = wire.read_response("GET");
    }
    comes_to_rest(&proxy);
    let after = upstreams.each_ref().map(Upstream::request_count);
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| after > before)
    );
    drop(upstreams);
    proxy.wait_for_metric("weir_backend_connections", &[], 0.0);
}
