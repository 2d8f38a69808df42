//! `/v1/plan` and `weir plan`: what a change would do is what it does, and asking changes nothing.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Proxy, Settings, Upstream};

/// A rule `by-tenant` on the listener, and the groups `a` and `b`.
fn sharded(one: &Upstream, two: &Upstream) -> Settings {
    Settings::new()
        .listener("web", "http")
        .with("shard", "\"by-tenant\"")
        .shard(
            "name = \"by-tenant\"\nkey = { header = \"x-tenant\" }\n\
             map = [{ key = [\"k0\", \"k1\", \"k2\", \"k3\"], group = \"a\" }]",
        )
        .group("a", &[one])
        .group("b", &[two])
}

fn served_by(proxy: &Proxy, key: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\nx-tenant: {key}\r\n\r\n");
    proxy.client().ask(request.as_bytes()).text().to_owned()
}

#[test]
fn what_is_planned_is_what_happens() {
    let (one, two) = (Upstream::named("a"), Upstream::named("b"));
    let proxy = sharded(&one, &two).start();
    let api = proxy.api();
    let operations = json!([{"op": "patch", "path": "shards/by-tenant", "value": {"map": [
        {"key": ["k0", "k1", "k2"], "group": "a"}, {"key": "k3", "group": "b"},
    ]}}]);
    let planned = api.post("/v1/plan", json!({"operations": operations}));
    let plan = planned.expect(200);
    assert_eq!(planned.epoch(), 1);
    assert_eq!(
        plan["changes"],
        json!([{"path": "shards/by-tenant", "change": "changed"}])
    );
    let rule = &plan["shards"][0];
    assert_eq!(
        (&rule["moved"], &rule["method"]),
        (&json!(0.25), &json!("entries"))
    );
    assert_eq!(
        rule["moves"],
        json!([{"keys": "k3", "before": "a", "after": "b"}])
    );
    let keys = ["k0", "k1", "k2", "k3"];
    assert_eq!(keys.map(|key| served_by(&proxy, key)), ["a", "a", "a", "a"]);
    assert_eq!(api.get("/v1/groups").epoch(), 1, "nothing was changed");
    api.post(
        "/v1/transaction?wait=node",
        json!({"operations": operations}),
    )
    .expect(200);
    assert_eq!(keys.map(|key| served_by(&proxy, key)), ["a", "a", "a", "b"]);
}

#[test]
fn a_plan_tells_who_is_left_without_a_backend() {
    let (one, two) = (Upstream::named("a"), Upstream::named("b"));
    let proxy = sharded(&one, &two).start();
    let path = format!("groups/a/backends/{}", one.address());
    let drain = json!({"op": "patch", "path": path, "value": {"state": "drain"}});
    let plan = proxy
        .api()
        .post("/v1/plan", json!({"operations": [drain], "keys": 10}));
    let plan = plan.expect(200);
    let unserved =
        json!([{"group": "a", "require": [], "reached_by": ["shard rule by-tenant"], "new": true}]);
    assert_eq!(plan["unserved"], unserved);
    assert_eq!(
        plan["groups"][0]["backends"],
        json!([
            {"name": Value::Null, "before": 0.0, "after": 1.0},
            {"name": one.address().to_string(), "before": 1.0, "after": 0.0},
        ])
    );
}

#[test]
fn a_plan_is_refused_as_its_change_would_be() {
    let (one, two) = (Upstream::named("a"), Upstream::named("b"));
    let proxy = sharded(&one, &two).start();
    let api = proxy.api();
    let overlap = json!({"map": null, "ranges": [
        {"from": 0, "to": 10, "group": "a"}, {"from": 10, "to": 20, "group": "b"},
    ]});
    for operation in [
        json!({"op": "patch", "path": "shards/by-tenant", "value": overlap}),
        json!({"op": "patch", "path": "groups/none", "value": {}}),
        json!({"op": "delete", "path": "groups/a"}),
        json!({"op": "patch", "path": "groups/a", "value": {"retries": 99, "policy": "x"}}),
    ] {
        let body = json!({"operations": [operation]});
        let (plan, change) = (
            api.post("/v1/plan", body.clone()),
            api.post("/v1/transaction", body),
        );
        assert!(change.status() >= 400, "{operation}");
        assert_eq!(
            (plan.status(), plan.json()),
            (change.status(), change.json()),
            "{operation}"
        );
    }
    let good =
        json!({"operations": [{"op": "patch", "path": "groups/a", "value": {"retries": 1}}]});
    api.with("If-Match", "\"9\"")
        .post("/v1/plan", good.clone())
        .refused(412);
    for keys in [json!(0), json!(1 << 21), json!("all")] {
        let mut body = good.clone();
        body["keys"] = keys;
        assert_eq!(api.post("/v1/plan", body).refused(422), ["- keys"]);
    }
}

#[test]
fn listeners_and_names_that_are_new_are_told() {
    let upstream = Upstream::named("a");
    let proxy = Settings::http_to(&[&upstream]).start();
    let listener = json!({"address": "127.0.0.1:1", "group": "new"});
    let group = json!({"backends": ["host.invalid:80"]});
    let plan = proxy.api().post(
        "/v1/plan",
        json!({"operations": [
            {"op": "put", "path": "groups/new", "value": group},
            {"op": "put", "path": "listeners/second", "value": listener},
        ]}),
    );
    let plan = plan.expect(200);
    assert_eq!(plan["opens"], json!(["second 127.0.0.1:1"]));
    assert_eq!(plan["unknown_names"], json!(["host.invalid:80"]));
    assert_eq!(
        plan["unserved"][0]["reached_by"],
        json!(["listener second"])
    );
}

#[test]
fn the_command_shows_it_and_applies_nothing() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let settings = Settings::http_to(&[&one]).group_with("policy", "\"rendezvous\"");
    let proxy = settings.start();
    let file = proxy.directory().join("change.toml");
    let add = format!(
        "[[operations]]\nop = \"put\"\npath = \"groups/app/backends/second\"\n\
         value.address = \"{}\"\n",
        two.address()
    );
    fs::write(&file, add).unwrap();
    let name = file.to_str().unwrap();
    let ctl = proxy.ctl();
    let said = ctl.weir(&["plan", name]);
    assert_eq!((said.code, &*said.err), (0, ""));
    assert!(
        said.out.starts_with(
            "plan on epoch 1; nothing was changed\n  added groups/app/backends/second\n"
        ),
        "{}",
        said.out
    );
    let json = ctl.weir(&["plan", name, "--json", "--keys", "4096"]);
    let plan: Value = serde_json::from_str(&json.out).unwrap();
    let moved = plan["groups"][0]["moved"].as_f64().unwrap();
    assert!((0.45..0.55).contains(&moved), "{plan}");
    assert_eq!(ctl.weir(&["plan", name, "--if-epoch", "7"]).code, 1);
    fs::write(
        &file,
        "[[operations]]\nop = \"delete\"\npath = \"groups/app\"\n",
    )
    .unwrap();
    let refused = ctl.weir(&["plan", name]);
    assert_eq!((refused.code, &*refused.out), (1, ""));
    assert!(refused.err.contains("409"), "{}", refused.err);
    assert_eq!(proxy.api().get("/v1/groups").epoch(), 1);
}
