//! Objects are created, read, changed and removed, and traffic follows.

use serde_json::json;

use crate::support::port::{Port, listens};
use crate::support::{Client, Settings, Upstream, eventually};

#[test]
fn a_group_and_a_route_to_it_change_where_requests_go() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).start();
    let api = proxy.api();
    let before = api.get("/v1/groups").epoch();
    let backend = two.address().to_string();
    let made = api.put("/v1/groups/new?wait=node", json!({"backends": [backend]}));
    made.expect(201);
    assert_eq!(made.epoch(), before + 1);
    assert_eq!(made.json()["path"], "groups/new");
    let made = api.put(
        "/v1/listeners/web/routes/new?wait=node",
        json!({"path_prefix": "/two", "group": "new"}),
    );
    made.expect(201);
    assert_eq!(
        proxy.epoch(),
        Some(before + 2),
        "every core serves it already"
    );
    let mut client = proxy.client();
    assert_eq!(client.get("/two").text(), "two");
    assert_eq!(client.get("/").text(), "one");
    api.delete("/v1/listeners/web/routes/new?wait=node")
        .expect(200);
    assert_eq!(proxy.client().get("/two").text(), "one");
    api.delete("/v1/groups/new").expect(200);
    api.get("/v1/groups/new").refused(404);
}

#[test]
fn a_listener_is_opened_and_closed() {
    let upstream = Upstream::named("served");
    let proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    let port = Port::fresh();
    let listener = json!({"address": port.address().to_string(), "group": "app"});
    api.put("/v1/listeners/second?wait=node", listener)
        .expect(201);
    assert_eq!(Client::connect(port.address()).get("/").text(), "served");
    let names = api.get("/v1/listeners").json()["items"].clone();
    assert_eq!(
        (&names[0]["path"], &names[1]["path"]),
        (&json!("listeners/web"), &json!("listeners/second"))
    );
    api.delete("/v1/listeners/second?wait=node").expect(200);
    eventually("it is closed", || !listens(port.address()));
}

#[test]
fn a_read_section_can_be_written_back_and_changes_nothing() {
    let upstream = Upstream::named("same");
    let settings = Settings::http_to(&[&upstream])
        .timeout("head", "3s")
        .route("path = \"/a\"\ngroup = \"app\"");
    let proxy = settings.start();
    let api = proxy.api();
    let epoch = api.get("/v1/settings").epoch();
    for target in [
        "/v1/listeners/web",
        "/v1/groups/app",
        "/v1/settings",
        "/v1/listeners/web/routes/route-1",
    ] {
        let value = api.get(target).expect(200)["value"].clone();
        let again = api.put(target, value);
        again.expect(200);
        assert_eq!(again.epoch(), epoch, "{target}");
    }
    assert_eq!(proxy.epoch(), Some(epoch));
}

#[test]
fn a_patch_merges_and_null_removes() {
    let upstream = Upstream::named("merged");
    let proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    let merged = api.patch(
        "/v1/groups/app",
        json!({"retries": 5, "timeouts": {"connect": "1s"}}),
    );
    assert_eq!(
        merged.expect(200)["value"]["timeouts"],
        json!({"connect": "1s"})
    );
    let less = api
        .with("Content-Type", "application/merge-patch+json")
        .patch("/v1/groups/app", json!({"timeouts": {"connect": null}}));
    let value = less.expect(200)["value"].clone();
    assert_eq!(
        (&value["retries"], &value["timeouts"]),
        (&json!(5), &json!({}))
    );
    assert_eq!(
        value["backend"].as_array().unwrap().len(),
        1,
        "its backends stay"
    );
    api.patch("/v1/settings", json!({"shutdown": {"drain_timeout": "1s"}}))
        .expect(200);
    api.patch("/v1/groups/none", json!({})).refused(404);
}

#[test]
fn weight_policy_and_state_have_ways_of_their_own() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one, &two]).start();
    let api = proxy.api();
    let backend = format!("/v1/groups/app/backends/{}", one.address());
    let value = api
        .put(&format!("{backend}/weight"), json!({"weight": 7}))
        .expect(200);
    assert_eq!(value["value"]["weight"], 7);
    let told = api
        .put(&format!("{backend}/weight"), json!({"weight": 70_000}))
        .refused(422);
    assert_eq!(
        told,
        [format!("groups/app/backends/{} weight", one.address())]
    );
    api.put(&format!("{backend}/weight"), json!({"weight": 1, "x": 1}))
        .refused(422);
    api.put(&format!("{backend}/weight"), json!({}))
        .refused(422);
    let value = api.put(
        "/v1/groups/app/policy",
        json!({"policy": "least_connections"}),
    );
    assert_eq!(value.expect(200)["value"]["policy"], "least_connections");
    api.put("/v1/groups/app/policy", json!({"policy": "worst"}))
        .refused(422);
    for (action, state) in [
        ("drain", json!("drain")),
        ("maint", json!("maint")),
        ("ready", json!(null)),
    ] {
        let value = api
            .ask("POST", &format!("{backend}/{action}"), None)
            .expect(200);
        assert_eq!(value["value"]["state"], state);
    }
    api.ask("POST", &format!("{backend}/explode"), None)
        .expect(404);
}

#[test]
fn a_change_of_policy_keeps_traffic_going() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one, &two]).start();
    let api = proxy.api();
    let mut client = proxy.client();
    for round in 0..10 {
        let policy = ["least_connections", "round_robin"][round % 2];
        let made = api.put("/v1/groups/app/policy?wait=node", json!({"policy": policy}));
        made.expect(200);
        for _ in 0..4 {
            assert_eq!(client.get("/").status(), 200);
        }
    }
}

#[test]
fn routes_have_an_order_that_can_be_chosen() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let settings = Settings::http_to(&[&one]).group("other", &[&two]);
    let proxy = settings.start();
    let api = proxy.api();
    let all = json!({"path_prefix": "/x", "group": "app"});
    api.put("/v1/listeners/web/routes/wide", all).expect(201);
    let narrow = json!({"path_prefix": "/x/y", "group": "other"});
    let late = api
        .put("/v1/listeners/web/routes/narrow", narrow.clone())
        .refused(422);
    assert_eq!(
        late,
        ["listeners/web/routes/narrow "],
        "it could never match"
    );
    let target = "/v1/listeners/web/routes/narrow?before=wide&wait=node";
    api.put(target, narrow).expect(201);
    assert_eq!(proxy.client().get("/x/y").text(), "two");
    assert_eq!(proxy.client().get("/x/z").text(), "one");
}

#[test]
fn what_cannot_be_asked_is_refused_as_the_protocol_wants() {
    let upstream = Upstream::named("untouched");
    let proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    let epoch = api.get("/v1/groups").epoch();
    api.ask("PUT", "/v1/groups/x", Some("{".into()))
        .refused(400);
    api.ask("PUT", "/v1/groups/x", Some("[]".into()))
        .refused(400);
    api.with("Content-Type", "text/plain")
        .put("/v1/groups/x", json!({}))
        .refused(415);
    api.put("/v1/groups/x?wait=for-ever", json!({}))
        .refused(400);
    api.put("/v1/groups/x?wait=node&timeout=0", json!({}))
        .refused(400);
    api.put("/v1/groups/x?nonsense=1", json!({})).refused(400);
    api.get("/v1/groups/none/backends").refused(404);
    api.get("/v1/groups/%2F").refused(404);
    assert_eq!(api.ask("DELETE", "/v1/settings", None).status(), 405);
    assert_eq!(api.get("/v1/nothing").status(), 404);
    let large = json!({"x": "y".repeat(5_000_000)});
    api.put("/v1/groups/x", large).refused(413);
    let told = api
        .put("/v1/groups/x", json!({"backends": ["a"], "retrys": 1}))
        .refused(422);
    assert_eq!(told, ["groups/x/backends/a address", "groups/x retrys"]);
    let told = api
        .patch("/v1/settings", json!({"workers": 2}))
        .refused(422);
    assert_eq!(told, ["settings workers"]);
    let told = api.delete("/v1/groups/app").refused(409);
    assert_eq!(told, ["listeners/web group"]);
    assert_eq!(api.get("/v1/groups").epoch(), epoch);
}

#[test]
fn an_address_in_use_is_a_conflict_and_nothing_is_kept_of_it() {
    let upstream = Upstream::named("untouched");
    let proxy = Settings::http_to(&[&upstream]).with_store().start();
    let api = proxy.api();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let epoch = api.get("/v1/listeners").epoch();
    let listener = json!({"address": address, "group": "app"});
    let refused = api.put("/v1/listeners/second", listener.clone());
    refused.refused(409);
    assert!(refused.text.contains("in use"), "{}", refused.text);
    assert_eq!(api.get("/v1/listeners").epoch(), epoch);
    drop(taken);
    assert_eq!(api.put("/v1/listeners/second", listener).epoch(), epoch + 1);
}
