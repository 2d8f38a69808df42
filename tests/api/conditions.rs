//! Changes under conditions: nobody overwrites what he has not seen.

use serde_json::json;

use crate::support::{Settings, Upstream, eventually};
use rustix::process::Signal;

#[test]
fn if_match_makes_one_of_two_writers_lose() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    let seen = api.get("/v1/groups/app");
    let tag = seen.head.field("etag").unwrap().to_owned();
    let first = api
        .with("If-Match", &tag)
        .patch("/v1/groups/app", json!({"retries": 1}));
    first.expect(200);
    let second = api
        .with("If-Match", &tag)
        .patch("/v1/groups/app", json!({"retries": 3}));
    second.refused(412);
    assert_eq!(second.json()["epoch"], first.epoch());
    assert_eq!(api.get("/v1/groups/app").json()["value"]["retries"], 1);
    let either = format!("\"1\", \"{}\"", first.epoch());
    api.with("If-Match", either)
        .patch("/v1/groups/app", json!({"retries": 4}))
        .expect(200);
    api.with("If-Match", "W/\"1\"")
        .patch("/v1/groups/app", json!({}))
        .refused(400);
}

#[test]
fn creation_and_presence_can_be_demanded() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    let group = json!({"backends": ["127.0.0.1:9"]});
    api.with("If-Match", "*")
        .put("/v1/groups/new", group.clone())
        .refused(412);
    api.with("If-None-Match", "*")
        .put("/v1/groups/new", group.clone())
        .expect(201);
    api.with("If-None-Match", "*")
        .put("/v1/groups/new", group.clone())
        .refused(412);
    api.with("If-Match", "*")
        .put("/v1/groups/new", group)
        .expect(200);
}

#[test]
fn who_has_this_epoch_already_gets_no_body() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    let tag = api.get("/v1/groups").head.field("etag").unwrap().to_owned();
    let same = api.with("If-None-Match", &tag).get("/v1/groups");
    assert_eq!((same.status(), &*same.text), (304, ""));
    api.patch("/v1/groups/app", json!({"retries": 1}))
        .expect(200);
    api.with("If-None-Match", &tag)
        .get("/v1/groups")
        .expect(200);
}

#[test]
fn a_node_that_ends_takes_no_change() {
    let upstream = Upstream::http(|_| {
        crate::support::Answer::text("slow").after(std::time::Duration::from_secs(3))
    });
    let mut proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    upstream.wait_for_requests(1);
    proxy.signal(Signal::TERM);
    eventually("it drains", || api.get("/ready").status() == 503);
    let refused = api.patch("/v1/groups/app", json!({"retries": 1}));
    refused.refused(503);
    assert!(refused.head.has("retry-after"));
    client.response();
    assert_eq!(
        proxy.wait_for_exit(crate::support::PATIENCE).code(),
        Some(0)
    );
}
