//! SIGHUP puts a new configuration in place without a failed request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Answer, Client, Proxy, Settings, Upstream, eventually, port};

#[test]
fn new_requests_go_where_the_new_file_says() {
    let (old, new) = (Upstream::named("old"), Upstream::named("new"));
    let settings = Settings::http_to(&[&old]);
    let mut proxy = settings.start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").text(), "old");
    let mut changed = settings.clone();
    changed.groups[0].backends = vec![new.address()];
    proxy.reload(changed);
    // The connection is the same; only where its requests go has changed.
    assert_eq!(client.get("/").text(), "new");
    assert_eq!(proxy.client().get("/").text(), "new");
    eventually("idle connections to the removed backend end", || {
        old.open() == 0
    });
}

#[test]
fn routes_come_and_go() {
    let (app, api) = (Upstream::named("app"), Upstream::named("api"));
    let plain = Settings::http_to(&[&app]).group("api", &[&api]);
    let routed = plain
        .clone()
        .route("path_prefix = \"/api\"\ngroup = \"api\"");
    let mut proxy = plain.start();
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get("/api").text(), "app");
        proxy.reload(routed.clone());
        assert_eq!(client.get("/api").text(), "api");
        proxy.reload(plain.clone());
    }
}

#[test]
fn no_request_fails_while_the_file_changes_under_traffic() {
    let (one, two) = (Upstream::named("1"), Upstream::named("2"));
    let settings = Settings::http_to(&[&one]).workers("2");
    let mut proxy = settings.start();
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = proxy.address();
    std::thread::scope(|scope| {
        for kept_alive in [true, true, true, false] {
            let (stop, served) = (&stop, &served);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    if !kept_alive {
                        client = Client::connect(address);
                    }
                    let answer = client.post("/", b"body");
                    assert_eq!(answer.status(), 200, "{answer:?}");
                    assert!(!answer.connection("close"), "a reload closes nothing");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..20_usize {
                let mut changed = settings.clone();
                changed.groups[0].backends = match round % 3 {
                    0 => vec![two.address()],
                    1 => vec![one.address(), two.address()],
                    _ => vec![one.address()],
                };
                proxy.reload(changed);
                let more = served.load(Ordering::Relaxed) + 20;
                eventually("traffic goes on", || served.load(Ordering::Relaxed) >= more);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    let total = one.request_count() + two.request_count();
    assert_eq!(
        total,
        served.into_inner(),
        "each request was served exactly once"
    );
}

#[test]
fn a_request_under_way_finishes_where_it_began() {
    let old = Upstream::http(|_| Answer::text("old").after(Duration::from_millis(800)));
    let new = Upstream::named("new");
    let settings = Settings::http_to(&[&old]);
    let mut proxy = settings.start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    old.wait_for_requests(1);
    let mut changed = settings.clone();
    changed.groups[0].backends = vec![new.address()];
    proxy.reload(changed);
    assert_eq!(client.response().text(), "old");
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn a_relayed_connection_outlives_its_group() {
    let old = Upstream::scripted(|mut connection| {
        while let Ok(bytes) = connection.read_some() {
            if bytes.is_empty() || !connection.try_send(&bytes) {
                return;
            }
        }
    });
    let new = Upstream::scripted(|mut connection| {
        connection.send("new");
        let _ = connection.read_to_end();
    });
    let settings = Settings::tcp_to(&[&old]);
    let mut proxy = settings.start();
    let mut client = proxy.connect();
    client.send("a");
    assert_eq!(client.read_exactly(1), b"a");
    let mut changed = settings.clone();
    changed.groups[0].backends = vec![new.address()];
    proxy.reload(changed);
    client.send("b");
    assert_eq!(client.read_exactly(1), b"b");
    assert_eq!(proxy.connect().read_exactly(3), b"new");
}

#[test]
fn listeners_come_and_go() {
    let upstream = Upstream::named("ok");
    let one = Settings::http_to(&[&upstream]);
    let mut two = one.clone().listener("second", "http").to("app");
    two.listeners.swap(0, 1);
    let second = two.listeners[0].port.address();
    let mut proxy = one.start();
    assert!(!port::listens(second));
    proxy.reload(two);
    let mut kept = Client::connect(second);
    assert_eq!(kept.get("/").text(), "ok");
    proxy.reload(one);
    eventually("nobody listens there any more", || !port::listens(second));
    assert_eq!(proxy.client().get("/").text(), "ok");
    // What was open there may finish or be told to go, but not hang.
    kept.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let _ = kept.try_response();
    drop(kept);
    eventually("the tables with that listener are given back", || {
        has_one_table(&proxy)
    });
}

/// Whether every core has given back all tables but the one it serves by.
fn has_one_table(proxy: &Proxy) -> bool {
    let epochs = proxy.epochs();
    let cores = epochs["cores"].as_array().unwrap();
    cores
        .iter()
        .all(|core| core["tables_held"].as_array().unwrap().len() <= 1)
}

#[test]
fn epochs_rise_by_one_and_every_core_has_them() {
    let upstream = Upstream::named("ok");
    let settings = Settings::http_to(&[&upstream]).workers("2");
    let mut proxy = settings.start();
    let first = proxy.epoch().unwrap();
    for round in 1..=5 {
        proxy.reload(
            settings
                .clone()
                .group("extra", &[&upstream])
                .limit("fields", &(50 + round).to_string()),
        );
        let epochs = proxy.epochs();
        assert!(proxy.epoch() > Some(first));
        for core in epochs["cores"].as_array().unwrap() {
            assert_eq!(core["adopted"], epochs["published"], "{epochs}");
        }
    }
    eventually("old tables are given back", || has_one_table(&proxy));
}

#[test]
fn counts_survive_a_reload() {
    let upstream = Upstream::named("ok");
    let settings = Settings::http_to(&[&upstream]);
    let mut proxy = settings.start();
    let mut client = proxy.client();
    for _ in 0..7 {
        client.get("/");
    }
    proxy.reload(settings.clone().with("via", "\"weir\""));
    for _ in 0..5 {
        client.get("/");
    }
    proxy.wait_for_metric("weir_listener_requests_total", &[("code", "200")], 12.0);
    proxy.wait_for_metric("weir_backend_requests_total", &[("code", "200")], 12.0);
}
