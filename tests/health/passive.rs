//! Backends that fail under traffic are left at once, and no request pays for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::support::{Answer, Proxy, Settings, Upstream, eventually};

fn suspensions(proxy: &Proxy) -> f64 {
    let metrics = proxy.metrics();
    metrics.count("weir_backend_suspensions_total", &[])
}

/// Clients that get until they are told to stop; how many answers there were, and which were not
/// good.
fn under_load(proxy: &Proxy, clients: usize, during: impl FnOnce()) -> (usize, Vec<u16>) {
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let bad = std::thread::scope(|scope| {
        let client = || {
            let (mut client, mut bad) = (proxy.client(), Vec::new());
            while !stop.load(Relaxed) {
                let status = client.get("/").status();
                answers.fetch_add(1, Relaxed);
                if status != 200 {
                    bad.push(status);
                }
            }
            bad
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        eventually("the load runs", || answers.load(Relaxed) > 200);
        during();
        stop.store(true, Relaxed);
        let bad = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        bad.collect()
    });
    (answers.into_inner(), bad)
}

#[test]
fn a_backend_that_dies_under_load_costs_no_get() {
    const CLIENTS: usize = 8;
    let [one, two, dying] = ["one", "two", "three"].map(Upstream::named);
    let address = dying.address();
    let proxy = Settings::http_to(&[&one, &two, &dying]).start();
    let (answers, bad) = under_load(&proxy, CLIENTS, || {
        let killed = Instant::now();
        dying.drop_by_reset();
        eventually("the dead backend is suspended", || {
            suspensions(&proxy) == 1.0
        });
        let took = killed.elapsed();
        eprintln!("suspended within {took:?}");
        // Looking costs time, too, on a machine that is busy with the load.
        assert!(took < Duration::from_secs(1), "{took:?}");
        std::thread::sleep(Duration::from_millis(200));
    });
    assert!(bad.is_empty(), "{bad:?} of {answers}");
    let failures = proxy.metrics().count(
        "weir_backend_connect_failures_total",
        &[("address", &address.to_string())],
    );
    // Three in a row suspend; the others were on their way.
    let most = (3 + CLIENTS) as f64;
    assert!((3.0..=most).contains(&failures), "{failures}");
}

#[test]
fn the_fifth_error_in_a_row_is_the_last() {
    let (one, two) = (Upstream::named("ok"), Upstream::named("ok"));
    let broken = Upstream::http(|_| Answer::new(500, "", b"broken"));
    let proxy = Settings::http_to(&[&one, &broken, &two]).start();
    let mut client = proxy.client();
    let errors = (0..60).filter(|_| client.get("/").status() == 500).count();
    assert_eq!((errors, broken.request_count()), (5, 5));
    assert_eq!(suspensions(&proxy), 1.0);
}

#[test]
fn an_answer_between_errors_begins_the_row_anew() {
    let ok = Upstream::named("ok");
    let served = Arc::new(AtomicUsize::new(0));
    let flaky = Upstream::http(move |_| match served.fetch_add(1, Relaxed) % 5 {
        4 => Answer::text("for once"),
        _ => Answer::new(503, "", b""),
    });
    let proxy = Settings::http_to(&[&ok, &flaky]).start();
    let mut client = proxy.client();
    (0..100).for_each(|_| drop(client.get("/")));
    assert_eq!(flaky.request_count(), 50);
    assert_eq!(suspensions(&proxy), 0.0);
}

#[test]
fn no_more_are_out_than_may_be() {
    let broken = || Upstream::http(|_| Answer::new(500, "", b""));
    let (one, two, three) = (broken(), broken(), broken());
    let proxy = Settings::http_to(&[&one, &two, &three])
        .group_with(
            "outlier",
            "{ ejected_max_percent = 67, panic_threshold = 0 }",
        )
        .start();
    let mut client = proxy.client();
    (0..60).for_each(|_| assert_eq!(client.get("/").status(), 500));
    assert_eq!(suspensions(&proxy), 2.0);
}

#[test]
fn of_three_one_is_out_by_default_and_no_second_one() {
    let broken = || Upstream::http(|_| Answer::new(500, "", b""));
    let (one, two, ok) = (broken(), broken(), Upstream::named("ok"));
    let proxy = Settings::http_to(&[&one, &two, &ok]).start();
    let mut client = proxy.client();
    let errors = (0..60).filter(|_| client.get("/").status() == 500).count();
    let mut requests = [one.request_count(), two.request_count()];
    requests.sort_unstable();
    assert_eq!((requests[0], requests.iter().sum()), (5, errors));
    assert!(requests[1] > 20, "{requests:?}: it is needed");
    assert_eq!(suspensions(&proxy), 1.0);
    let panics = proxy.api().get("/v1/status").expect(200)["groups"][0]["panics"].clone();
    assert_eq!(panics, false, "one of three out is no panic");
}

#[test]
fn when_all_are_out_clients_are_told_when_to_come_again() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one, &two])
        .group_with(
            "outlier",
            "{ ejected_max_percent = 100, panic_threshold = 0, base_ejection = \"1h\", \
             ejection_max = \"1h\" }",
        )
        .start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    one.drop_by_reset();
    two.drop_by_reset();
    let mut answer = client.get("/");
    for _ in 0..20 {
        answer = client.get("/");
    }
    assert_eq!(suspensions(&proxy), 2.0);
    assert_eq!(answer.status(), 503);
    eventually("the first return is known", || {
        let answer = client.get("/");
        let wait: u32 = answer.field("retry-after").unwrap().parse().unwrap();
        // An hour is longer than anybody is told to wait.
        (48..=60).contains(&wait)
    });
}

#[test]
fn a_client_that_sticks_leaves_a_backend_that_failed() {
    let broken = Arc::new(AtomicBool::new(false));
    let servers: Vec<Upstream> = ["one", "two"]
        .into_iter()
        .map(|name| {
            let broken = Arc::clone(&broken);
            Upstream::http(move |_| match broken.load(Relaxed) && name == "one" {
                true => Answer::new(500, "", b"broken"),
                false => Answer::text(name),
            })
        })
        .collect();
    let proxy = Settings::http_to(&[&servers[0], &servers[1]])
        .group_with("sticky", "{ source = true }")
        .start();
    let mut client = proxy.client();
    let home = client.get("/").text();
    if home != "one" {
        // This client's place is with the other, which does not fail.
        broken.store(true, Relaxed);
        assert_eq!(client.get("/").text(), "two");
        return;
    }
    broken.store(true, Relaxed);
    let errors = (0..20).filter(|_| client.get("/").status() == 500).count();
    assert_eq!(errors, 5);
    assert_eq!(client.get("/").text(), "two");
}

#[test]
fn who_is_tried_in_panic_comes_back() {
    let ill = Arc::new(AtomicBool::new(true));
    let flaky = || {
        let ill = Arc::clone(&ill);
        Upstream::http(move |_| match ill.load(Relaxed) {
            true => Answer::new(500, "", b"ill"),
            false => Answer::text("well"),
        })
    };
    let (one, two) = (flaky(), flaky());
    let outlier = "{ ejected_max_percent = 100, base_ejection = \"300ms\", \
                   ejection_max = \"600ms\", trials = 2 }";
    let proxy = Settings::http_to(&[&one, &two])
        .group_with("outlier", outlier)
        .start();
    let groups = || proxy.api().get("/v1/status").expect(200)["groups"].clone();
    let ask = || (0..8).for_each(|_| drop(proxy.client().get("/")));
    eventually("all are out, and used", || {
        ask();
        groups()[0]["panics"] == true
    });
    ill.store(false, Relaxed);
    eventually("both have passed their trials", || {
        ask();
        let up = proxy.metrics().sum("weir_backend_up", &[]);
        up == Some(2.0) && groups()[0]["panics"] == false
    });
}

#[test]
fn a_backend_whose_answers_break_off_is_left() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let nonsense = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n";
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    for (text, reset) in [
        (chunked, false),
        (nonsense, false),
        (short, false),
        (short, true),
    ] {
        let good = Upstream::named("good");
        let cutting = Upstream::scripted(move |mut connection| {
            if connection.try_request().is_ok() {
                connection.send(text);
                if reset {
                    connection.into_wire().reset();
                }
            }
        });
        let proxy = Settings::http_to(&[&cutting, &good]).start();
        for _ in 0..10 {
            let mut wire = proxy.connect();
            wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let answer = wire.read_response("GET");
            assert!(
                answer.is_err() || answer.unwrap().text() == "good",
                "{text}"
            );
        }
        assert_eq!(cutting.request_count(), 5, "{text}");
        assert_eq!(suspensions(&proxy), 1.0);
        let ejections = proxy.metrics();
        let cause = [("cause", "consecutive_broken_answers")];
        assert_eq!(ejections.count("weir_backend_ejections_total", &cause), 1.0);
    }
}

#[test]
fn a_whole_answer_ends_the_row_of_those_that_broke_off() {
    let asked = AtomicUsize::new(0);
    let moody = Upstream::scripted(move |mut connection| {
        if connection.try_request().is_ok() {
            // Every fifth is whole.
            let length = if asked.fetch_add(1, Relaxed) % 5 == 4 {
                5
            } else {
                10
            };
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello"
            ));
        }
    });
    let good = Upstream::named("good");
    let proxy = Settings::http_to(&[&moody, &good]).start();
    for _ in 0..40 {
        let mut wire = proxy.connect();
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let _ = wire.read_response("GET");
    }
    assert_eq!((moody.request_count(), suspensions(&proxy)), (20, 0.0));
}
