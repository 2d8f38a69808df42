//! Hard limits of a backend: never above, over all cores, and nothing is lost of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::support::{Answer, Client, PATIENCE, Proxy, Settings, Upstream, eventually};

/// A backend that counts how many requests it has at once, and the most it ever had.
fn counting(pause: Duration) -> (Upstream, Arc<AtomicUsize>) {
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let upstream = Upstream::http(move |_| {
        let inside = now.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(inside, Ordering::SeqCst);
        std::thread::sleep(pause);
        now.fetch_sub(1, Ordering::SeqCst);
        Answer::text("ok")
    });
    (upstream, most)
}

fn limited(upstream: &Upstream, limits: &str) -> Settings {
    Settings::http_to(&[])
        .member(upstream, limits)
        .group_with("queue", "{ requests_max = 0 }")
        .workers("2")
}

/// `count` clients at once ask until each was served `rounds` times, each on new connections now
/// and then, so that both cores get some. Returns how often the answer was 503.
fn hammer(proxy: &Proxy, count: usize, rounds: usize) -> usize {
    let refused = AtomicUsize::new(0);
    let address = proxy.address();
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                let mut served = 0;
                while served < rounds {
                    let answer = client.get("/");
                    match answer.status() {
                        200 => served += 1,
                        503 => {
                            assert!(answer.text().contains("group_full"), "{answer:?}");
                            refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        status => panic!("{status}: {answer:?}"),
                    }
                    if served % 7 == 6 {
                        client = Client::connect(address);
                    }
                }
            });
        }
    });
    refused.into_inner()
}

#[test]
fn requests_never_exceed_their_limit_and_all_of_it_comes_back() {
    let (upstream, most) = counting(Duration::from_millis(3));
    let proxy = limited(&upstream, "requests_max = 3").start();
    let refused = hammer(&proxy, 12, 25);
    assert!(refused > 0, "twelve clients are too many for three places");
    assert_eq!(most.load(Ordering::SeqCst), 3, "never more, and all used");
    let full = [("fault", "group_full")];
    proxy.wait_for_metric("weir_listener_faults_total", &full, refused as f64);
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
    // All three places are there again.
    most.store(0, Ordering::SeqCst);
    hammer(&proxy, 8, 10);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn places_of_requests_that_fail_come_back() {
    let upstream = Upstream::http(|request| match request.target() {
        "/dies" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").then_close(),
        "/broken" => Answer::raw("nonsense\r\n\r\n").then_close(),
        "/stays" => Answer::text("late").after(Duration::from_secs(60)),
        _ => Answer::text("ok"),
    });
    let settings = limited(&upstream, "requests_max = 1\nconnections_max = 2");
    let proxy = settings.group_timeout("response", "200ms").start();
    for target in ["/dies", "/broken", "/stays", "/dies", "/broken"] {
        let mut client = proxy.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let _ = client.try_response();
        eventually("the place is free again", || {
            proxy.client().get("/").status() == 200
        });
        let mut leaving = proxy.client();
        leaving.send("GET /stays HTTP/1.1\r\nHost: test\r\n\r\n");
        leaving.into_wire().reset();
        eventually("the place is free again", || {
            proxy.client().get("/").status() == 200
        });
    }
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
}

#[test]
fn the_other_backend_serves_what_one_has_no_place_for() {
    let (small, most) = counting(Duration::from_millis(5));
    let (large, _) = counting(Duration::ZERO);
    let proxy = limited(&small, "requests_max = 1")
        .member(&large, "")
        .start();
    assert_eq!(hammer(&proxy, 8, 20), 0);
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert!(small.request_count() > 0 && large.request_count() > 80);
}

#[test]
fn connections_stay_within_their_limit_and_no_core_keeps_all() {
    let (upstream, most) = counting(Duration::from_millis(1));
    let proxy = limited(&upstream, "connections_max = 2").start();
    let open = || {
        let metrics = proxy.metrics();
        metrics.sum("weir_backend_connections", &[]).unwrap_or(0.0)
    };
    std::thread::scope(|scope| {
        let hammering = scope.spawn(|| hammer(&proxy, 6, 30));
        while !hammering.is_finished() {
            assert!(open() <= 2.0);
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 2);
    // Whichever core a client comes to, it is served soon, whoever keeps idle connections.
    for _ in 0..12 {
        let mut client = proxy.client();
        eventually("a connection is to be had", || {
            client.get("/").status() == 200
        });
    }
}

#[test]
fn a_limit_that_a_reload_brings_counts_what_runs_already() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let upstream = Upstream::http(move |_| {
        // Told by a word, and when nobody can say one any more.
        let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        Answer::text("ok")
    });
    let settings = limited(&upstream, "");
    let mut proxy = settings.start();
    let mut running: Vec<Client> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut running {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    proxy.wait_for_metric("weir_backend_in_flight", &[], 2.0);
    let mut changed = settings.clone();
    changed.groups[0].members[0].push_str("requests_max = 2");
    proxy.reload(changed);
    assert_eq!(proxy.client().get("/").status(), 503);
    drop(release);
    for client in &mut running {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(proxy.client().get("/").status(), 200);
}
