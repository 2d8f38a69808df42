//! What is tried again, where, and how much of it a group affords.

use std::time::{Duration, Instant};

use crate::support::{Answer, Settings, Upstream, full_backlog};

/// Reads a request and resets the connection.
fn resetting() -> Upstream {
    Upstream::scripted(|mut connection| {
        if connection.try_request().is_ok() {
            connection.into_wire().reset();
        }
    })
}

/// Takes every request and never answers.
fn black_hole() -> Upstream {
    Upstream::scripted(|mut connection| {
        connection.patient_for(Duration::from_secs(900));
        while connection.try_request().is_ok() {}
    })
}

fn saying(status: u16, text: &'static str) -> Upstream {
    Upstream::http(move |_| Answer::new(status, "", text.as_bytes()))
}

fn attempts(upstreams: &[&Upstream]) -> usize {
    upstreams
        .iter()
        .map(|upstream| upstream.request_count())
        .sum()
}

#[test]
fn a_get_that_is_reset_goes_to_another_backend_each_time() {
    let (one, two, good) = (resetting(), resetting(), Upstream::named("good"));
    let proxy = Settings::http_to(&[&one, &two, &good])
        .ejecting_nobody()
        .start();
    let mut client = proxy.client();
    for _ in 0..30 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(good.request_count(), 30);
    let failed = attempts(&[&one, &two]);
    assert!((20..=60).contains(&failed), "{failed}");
}

#[test]
fn a_post_that_is_reset_is_not_sent_again() {
    let (bad, good) = (resetting(), Upstream::named("good"));
    let proxy = Settings::http_to(&[&bad, &good]).ejecting_nobody().start();
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..20).map(|_| client.post("/", b"pay").status()).collect();
    let refused = statuses.iter().filter(|status| **status == 502).count();
    assert_eq!(attempts(&[&bad, &good]), 20);
    assert_eq!((refused, bad.request_count()), (10, 10));
}

#[test]
fn a_request_whose_connection_is_reset_before_it_is_sent_goes_elsewhere() {
    let (bad, good) = (
        Upstream::scripted(|wire| wire.into_wire().reset()),
        Upstream::named("good"),
    );
    let proxy = Settings::http_to(&[&bad, &good])
        .ejecting_nobody()
        .group_with("retry", "{ budget_percent = 100, budget_floor = 1000 }")
        .start();
    // The reset comes first only now and then: more often when many ask at once.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = proxy.client();
                for _ in 0..250 {
                    assert_eq!(client.get("/").text(), "good");
                }
            });
        }
    });
    assert!(bad.accepted() > 500, "{}", bad.accepted());
}

#[test]
fn resets_are_not_tried_again_where_the_group_does_not_want_it() {
    let (bad, good) = (resetting(), Upstream::named("good"));
    let proxy = Settings::http_to(&[&bad, &good])
        .ejecting_nobody()
        .group_with("retry", "{ on = [] }")
        .start();
    let mut client = proxy.client();
    let refused = (0..20).filter(|_| client.get("/").status() == 502).count();
    assert_eq!((refused, attempts(&[&bad, &good])), (10, 20));
}

#[test]
fn a_status_is_tried_again_where_the_group_wants_it() {
    let (busy, good) = (saying(503, "busy"), Upstream::named("good"));
    let proxy = Settings::http_to(&[&busy, &good])
        .ejecting_nobody()
        .group_with("retry", "{ on = [\"503\"] }")
        .start();
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(busy.request_count(), 10);
    let statuses: Vec<u16> = (0..10).map(|_| client.post("/", b"x").status()).collect();
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert_eq!(refused, 5, "a POST gets what it got");
}

#[test]
fn the_answer_of_the_last_is_given_when_there_is_no_other() {
    let (one, two) = (saying(503, "one"), saying(503, "two"));
    let proxy = Settings::http_to(&[&one, &two])
        .ejecting_nobody()
        .group_with("retry", "{ on = [\"5xx\"] }")
        .start();
    let mut client = proxy.client();
    for _ in 0..10 {
        let answer = client.get("/");
        assert_eq!(answer.status(), 503);
        assert!(["one", "two"].contains(&&*answer.text()));
    }
    assert_eq!((one.request_count(), two.request_count()), (10, 10));
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
}

#[test]
fn an_answer_that_began_is_not_asked_for_again() {
    let stuttering = || {
        Upstream::scripted(|mut connection| {
            if connection.try_request().is_ok() {
                connection.send("HTTP/1.1 200 OK\r\nContent-Le");
            }
        })
    };
    let (one, two) = (stuttering(), stuttering());
    let proxy = Settings::http_to(&[&one, &two]).ejecting_nobody().start();
    assert_eq!(proxy.client().get("/").status(), 502);
    assert_eq!(attempts(&[&one, &two]), 1);
}

#[test]
fn a_black_hole_is_left_after_the_time_of_one_try() {
    let (hole, good) = (black_hole(), Upstream::named("good"));
    let proxy = Settings::http_to(&[&hole, &good])
        .group_with("retry", "{ per_try_timeout = \"200ms\" }")
        .start();
    let mut client = proxy.client();
    let started = Instant::now();
    for _ in 0..40 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(hole.request_count(), 5, "then it is suspended");
    let took = started.elapsed();
    assert!(took > Duration::from_millis(5 * 200), "{took:?}");
    proxy.wait_for_metric("weir_backend_suspensions_total", &[], 1.0);
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
}

#[test]
fn a_connection_that_does_not_come_about_is_left_after_the_time_of_one_try() {
    let (full, good) = (full_backlog(), Upstream::named("good"));
    let proxy = Settings::http_to(&[&good])
        .member(&full.address(), "id = \"full\"")
        .group_timeout("connect", "1m")
        .group_with("retry", "{ per_try_timeout = \"200ms\" }")
        .ejecting_nobody()
        .start();
    let mut client = proxy.client();
    for _ in 0..4 {
        // Nothing of it was sent, so it may be any request.
        assert_eq!(client.post("/", b"x").text(), "good");
    }
    let failures = [("backend", "full")];
    proxy.wait_for_metric("weir_backend_connect_failures_total", &failures, 2.0);
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
}

#[test]
fn a_post_in_a_black_hole_ends_with_the_time_of_one_try() {
    let hole = black_hole();
    let proxy = Settings::http_to(&[&hole])
        .ejecting_nobody()
        .group_with("retry", "{ per_try_timeout = \"200ms\" }")
        .start();
    let started = Instant::now();
    assert_eq!(proxy.client().post("/", b"x").status(), 504);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(hole.request_count(), 1);
}

#[test]
fn in_a_total_outage_a_fifth_of_the_requests_is_tried_again() {
    const REQUESTS: usize = 2000;
    let (one, two) = (resetting(), resetting());
    let proxy = Settings::http_to(&[&one, &two])
        .ejecting_nobody()
        .group_with("retry", "{ budget_floor = 0 }")
        .start();
    let mut client = proxy.client();
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").status(), 502);
    }
    let attempts = attempts(&[&one, &two]);
    let most = REQUESTS * 12 / 10;
    assert!(
        (REQUESTS * 11 / 10..=most).contains(&attempts),
        "{attempts}"
    );
    let refused = proxy
        .metrics()
        .count("weir_backend_retries_refused_total", &[]);
    assert_eq!(refused, (2 * REQUESTS - attempts) as f64);
}

#[test]
fn the_floor_keeps_a_quiet_group_going() {
    let (bad, good) = (resetting(), Upstream::named("good"));
    let proxy = Settings::http_to(&[&bad, &good])
        .ejecting_nobody()
        .group_with("retry", "{ budget_percent = 0, budget_floor = 1 }")
        .start();
    let mut client = proxy.client();
    let lost = (0..40).filter(|_| client.get("/").status() == 502).count();
    // Ten retries in ten seconds; the rest of the twenty that met the bad one had none.
    assert!((5..=10).contains(&lost), "{lost}");
}
