//! Backends that are found rather than written down: by DNS and in files.

mod files;
mod names;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{Client, Proxy, eventually};

/// Who answers a request, counted over `requests` of them.
fn shares(proxy: &Proxy, requests: usize) -> BTreeMap<String, usize> {
    let mut client = proxy.client();
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        let answer = client.get("/");
        assert_eq!(answer.status(), 200, "{answer:?}");
        *shares.entry(answer.text()).or_default() += 1;
    }
    shares
}

/// Waits until the table has so many backends as there are names, and exactly these answer. Who
/// answers is not enough beside other traffic: turns may fall on one backend by rhythm alone.
#[track_caller]
fn until_served_by(proxy: &Proxy, names: &[&str]) {
    eventually(&format!("{} backends", names.len()), || {
        let status = proxy.api().get("/v1/status").expect(200);
        let backends = status["groups"][0]["backends"].as_array();
        let live = backends.into_iter().flatten();
        live.filter(|backend| backend["live"] == true).count() == names.len()
    });
    until_answered_by(proxy, names);
}

/// Waits until exactly these answer.
#[track_caller]
fn until_answered_by(proxy: &Proxy, names: &[&str]) {
    let mut client = proxy.client();
    eventually(&format!("answered by {names:?}"), || {
        let answers = (0..8 * names.len()).map(|_| client.get("/"));
        let texts: BTreeSet<String> = answers
            .filter(|answer| answer.status() == 200)
            .map(|answer| answer.text())
            .collect();
        texts.iter().eq(names)
    });
}

/// Runs `change` while requests are made, none of which may fail.
fn under_traffic(proxy: &Proxy, change: impl FnOnce()) {
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = proxy.address();
    std::thread::scope(|scope| {
        for kept_alive in [true, true, false] {
            let (stop, served) = (&stop, &served);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    if !kept_alive {
                        client = Client::connect(address);
                    }
                    let answer = client.post("/", b"body");
                    assert_eq!(answer.status(), 200, "{answer:?}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            change();
            let more = served.load(Ordering::Relaxed) + 20;
            eventually("traffic goes on", || served.load(Ordering::Relaxed) >= more);
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}
