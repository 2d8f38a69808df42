//! Labels that routes and shard rules require: nobody without them is ever asked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, Proxy, Settings, Upstream};

/// A group `app` of `gpu`, `eu` and `plain`, a route to it for `/render/` that requires a GPU, and
/// these lines for the group.
fn settings(upstreams: &[Upstream; 3]) -> Settings {
    let [gpu, eu, plain] = upstreams;
    Settings::new()
        .listener("web", "http")
        .to("app")
        .with("decision_headers", "true")
        .workers("2")
        .route("name = \"render\"\npath_prefix = \"/render/\"\ngroup = \"app\"\nrequire = \"gpu\"")
        .group("app", &[])
        .member(gpu, "id = \"gpu\"\nlabels = [\"gpu\", \"zone=us\"]")
        .member(eu, "id = \"eu\"\nlabels = \"zone=eu\"")
        .member(plain, "id = \"plain\"")
}

fn upstreams() -> [Upstream; 3] {
    ["gpu", "eu", "plain"].map(Upstream::named)
}

/// How often each backend answers 60 requests for `target`, each with a key of its own.
fn served(proxy: &Proxy, target: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut client = proxy.client();
    for number in 0..60 {
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nX-User: {number}\r\n\r\n");
        let answer = client.ask(request);
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(answer.field("x-weir-backend"), Some(answer.text().as_str()));
        *counts.entry(answer.text()).or_default() += 1;
    }
    counts
}

#[test]
fn a_route_asks_only_those_that_have_what_it_requires_by_every_policy() {
    let upstreams = upstreams();
    for policy in [
        "round_robin",
        "weighted_round_robin",
        "random",
        "least_connections",
        "weighted_least_connections",
        "least_request",
        "peak_ewma",
        "maglev",
        "ring_hash",
        "rendezvous",
    ] {
        let mut settings = settings(&upstreams).group_with("policy", &format!("{policy:?}"));
        if ["maglev", "ring_hash", "rendezvous"].contains(&policy) {
            settings = settings.group_with("hash_on", "{ header = \"x-user\" }");
        }
        let proxy = settings.start();
        assert_eq!(
            served(&proxy, "/render/x"),
            [("gpu".to_owned(), 60)].into(),
            "{policy}"
        );
        let all = served(&proxy, "/");
        let groups = ["round_robin", "random", "maglev", "rendezvous"];
        assert!(
            !groups.contains(&policy) || all.len() == 3,
            "{policy}: {all:?}"
        );
    }
}

#[test]
fn a_rule_requires_in_every_group_it_leads_to_also_by_its_body() {
    let upstreams = upstreams();
    let other = Upstream::named("other");
    let proxy = settings(&upstreams)
        .group("rest", &[&upstreams[2]])
        .member(&other, "labels = \"zone=eu\"")
        .route("path = \"/json\"\nshard = \"s\"")
        .shard(
            "name = \"s\"\nkey = { json = \"/t\" }\nrequire = \"zone=eu\"\n\
             map = [{ key = \"x\", group = \"app\" }]\ndefault = \"rest\"\n\
             missing = \"default\"",
        )
        .start();
    for (body, expected) in [
        ("{\"t\":\"x\"}", "eu"),
        ("{\"t\":\"y\"}", "other"),
        ("{}", "other"),
    ] {
        for _ in 0..6 {
            let length = body.len();
            let request =
                format!("POST /json HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}");
            assert_eq!(proxy.client().ask(request).text(), expected, "{body}");
        }
    }
}

#[test]
fn requirements_and_labels_change_while_it_serves() {
    let upstreams = upstreams();
    let proxy = settings(&upstreams).start();
    let api = proxy.api();
    let route = "/v1/listeners/web/routes/render";
    let only = |name: &str| [(name.to_owned(), 60)].into();
    api.patch(
        &format!("{route}?wait=node"),
        json!({"require": ["zone=eu"]}),
    )
    .expect(200);
    assert_eq!(served(&proxy, "/render/x"), only("eu"));
    // A value of any kind satisfies a word.
    api.patch(&format!("{route}?wait=node"), json!({"require": "zone"}))
        .expect(200);
    assert_eq!(
        served(&proxy, "/render/x").into_keys().collect::<Vec<_>>(),
        ["eu", "gpu"]
    );
    let refused = api.patch(route, json!({"require": "ssd"})).refused(422);
    assert_eq!(refused, ["listeners/web/routes/render require"]);
    let member = "/v1/groups/app/backends/plain?wait=node";
    api.patch(member, json!({"labels": ["ssd"]})).expect(200);
    api.patch(&format!("{route}?wait=node"), json!({"require": "ssd"}))
        .expect(200);
    assert_eq!(served(&proxy, "/render/x"), only("plain"));
    // The last one that has it cannot go, but it can be drained: then it is as an empty group.
    assert!(api.delete("/v1/groups/app/backends/plain").status() >= 400);
    api.post("/v1/groups/app/backends/plain/drain?wait=node", json!({}))
        .expect(200);
    assert_eq!(proxy.client().get("/render/x").status(), 503);
    assert_eq!(
        served(&proxy, "/").len(),
        2,
        "the others serve what requires nothing"
    );
    let export = api.get("/v1/export").text.clone();
    assert!(export.contains("require = \"ssd\""), "{export}");
}

#[test]
fn a_limit_of_a_backend_counts_both_ways_to_it() {
    let slow = Upstream::http(|request| {
        let wait = if request.head.target() == "/slow" {
            600
        } else {
            0
        };
        Answer::text("one").after(Duration::from_millis(wait))
    });
    let proxy = Settings::http_to(&[])
        .route("path = \"/gpu\"\ngroup = \"app\"\nrequire = \"gpu\"")
        .member(&slow, "id = \"one\"\nlabels = \"gpu\"\nrequests_max = 1")
        .group_with("queue.requests_max", "0")
        .start();
    let mut first = proxy.client();
    first.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    slow.wait_for_requests(1);
    assert_eq!(proxy.client().get("/gpu").status(), 503);
    assert_eq!(first.response().status(), 200);
    assert_eq!(proxy.client().get("/gpu").status(), 200);
}

#[test]
fn explain_and_plan_know_what_is_required() {
    let upstreams = upstreams();
    let proxy = settings(&upstreams).start();
    let api = proxy.api();
    let said = api.post("/v1/explain", json!({"host": "t", "path": "/render/x"}));
    let body = said.expect(200);
    let status = api.get("/v1/status").expect(200);
    let groups = status["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "a part is no group of its own: {groups:?}");
    assert_eq!(groups[0]["backends"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&body["group"], &body["require"]),
        (&json!("app"), &json!(["gpu"]))
    );
    assert_eq!(body["candidates"].as_array().unwrap().len(), 1);
    assert_eq!(body["pick"]["id"], "gpu");
    let operations = json!([
        {"op": "patch", "path": "listeners/web/routes/render", "value": {"require": "zone=eu"}},
        {"op": "patch", "path": "groups/app/backends/eu", "value": {"state": "maint"}},
    ]);
    let asked = api.post("/v1/plan", json!({"operations": operations, "keys": 100}));
    let plan = asked.expect(200);
    assert_eq!(
        plan["routes"],
        json!([{
            "listener": "web", "route": "render",
            "before": {"group": "app", "require": ["gpu"]},
            "after": {"group": "app", "require": ["zone=eu"]},
        }])
    );
    let groups: Vec<_> = plan["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| &group["require"])
        .collect();
    assert_eq!(groups, [&json!([]), &json!(["gpu"]), &json!(["zone=eu"])]);
    assert_eq!(
        plan["unserved"],
        json!([
            {"group": "app", "require": ["zone=eu"], "reached_by": ["listener web"], "new": true},
        ])
    );
}
