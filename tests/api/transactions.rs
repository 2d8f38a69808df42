//! Several objects at once: one epoch, or nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::{Settings, Upstream};

#[test]
fn a_transaction_is_one_epoch() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).start();
    let api = proxy.api();
    let before = api.get("/v1/groups").epoch();
    let done = api.post(
        "/v1/transaction?wait=node",
        json!({"operations": [
            {"op": "put", "path": "groups/new", "value": {"backends": [two.address().to_string()]}},
            {"op": "patch", "path": "listeners/web", "value": {"group": "new"}},
            {"op": "delete", "path": "groups/app"},
        ]}),
    );
    done.expect(200);
    assert_eq!(done.epoch(), before + 1);
    assert_eq!(proxy.client().get("/").text(), "two");
    api.get("/v1/groups/app").refused(404);
}

#[test]
fn one_mistake_undoes_all_of_it() {
    let upstream = Upstream::named("kept");
    let proxy = Settings::http_to(&[&upstream]).with_store().start();
    let api = proxy.api();
    let before = api.get("/v1/groups").epoch();
    let good = json!({"op": "put", "path": "groups/new", "value": {"backends": ["127.0.0.1:9"]}});
    for (bad, status) in [
        (json!({"op": "delete", "path": "groups/none"}), 404),
        (
            json!({"op": "patch", "path": "groups/app", "value": {"retries": 99}}),
            422,
        ),
        (json!({"op": "patch", "path": "groups", "value": {}}), 422),
        (json!({"op": "burn", "path": "groups/app"}), 422),
        (json!({"op": "put", "path": "groups/app"}), 422),
    ] {
        let refused = api.post("/v1/transaction", json!({"operations": [good, bad]}));
        refused.refused(status);
    }
    api.post("/v1/transaction", json!({"operations": []}))
        .refused(422);
    let old = api.with("If-Match", "\"0\"");
    old.post("/v1/transaction", json!({"operations": [good]}))
        .refused(412);
    assert_eq!(api.get("/v1/groups").epoch(), before);
    api.get("/v1/groups/new").refused(404);
}

/// Two values that change together are never seen apart, whoever looks and whenever.
#[test]
fn readers_never_see_half_of_a_transaction() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream])
        .group("b", &[&upstream])
        .start();
    let api = proxy.api();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (reader, ended) = (api.clone(), &ended);
        let reading = scope.spawn(move || {
            let mut seen = 0_u32;
            while !ended.load(Ordering::Relaxed) {
                let items = reader.get("/v1/groups").json()["items"].clone();
                let (a, b) = (&items[0]["value"]["retries"], &items[1]["value"]["retries"]);
                assert_eq!(a, b);
                seen += u32::from(!a.is_null());
            }
            seen
        });
        for round in 0..60 {
            let value = json!({"retries": round % 10});
            let ops = ["groups/app", "groups/b"]
                .map(|path| json!({"op": "patch", "path": path, "value": value}));
            api.post("/v1/transaction", json!({"operations": ops}))
                .expect(200);
        }
        ended.store(true, Ordering::Relaxed);
        assert!(reading.join().unwrap() > 0);
    });
}

#[test]
fn writers_beside_each_other_all_get_through() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    let before = api.get("/v1/groups").epoch();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let api = api.clone();
            scope.spawn(move || {
                for round in 0..5 {
                    let target = format!("/v1/groups/g{writer}-{round}");
                    let made = api.put(&target, json!({"backends": ["127.0.0.1:9"]}));
                    made.expect(201);
                }
            });
        }
    });
    assert_eq!(api.get("/v1/groups").epoch(), before + 40);
    assert_eq!(
        api.get("/v1/groups").json()["items"]
            .as_array()
            .unwrap()
            .len(),
        41
    );
}
