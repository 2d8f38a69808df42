//! Every operation that changes something takes `?wait=`: when it answers, each core serves by the
//! epoch it names, of the node for `wait=node`, and of all nodes for `wait=cluster`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::port::Port;
use crate::support::{Etcd, Nodes, Proxy, Settings, Upstream, eventually};

/// What asks and tells, and makes no epoch.
const CHANGE_NOTHING: [&str; 4] = [
    "POST /v1/explain",
    "POST /v1/heartbeat",
    "POST /v1/plan",
    "POST /v1/rpc/get_next_server",
];

/// Names of the objects the operations are about, for the templates of the description.
const NAMES: [(&str, &str); 5] = [
    ("{group}", "new"),
    ("{backend}", "b"),
    ("{listener}", "second"),
    ("{route}", "r"),
    ("{shard}", "s"),
];

/// An operation and its body, if it has one.
type Operation = (&'static str, Option<Value>);

/// Operations in an order in which each can be made, and the last ones leave nothing. Each changes
/// something in every round.
fn operations(listener: &Port, round: usize) -> Vec<Operation> {
    let drained = |seconds: usize| json!({"shutdown": {"drain_timeout": format!("{seconds}s")}});
    let retries = json!([{"op": "patch", "path": "groups/new", "value": {"retries": 2}}]);
    let last = vec![
        ("PUT /v1/settings", Some(drained(10 + round))),
        ("PATCH /v1/settings", Some(drained(20 + round))),
        ("POST /v1/transaction", Some(json!({"operations": retries}))),
        ("DELETE /v1/groups/{group}/backends/{backend}", None),
        ("DELETE /v1/groups/{group}", None),
    ];
    [of_a_group(), of_a_server(), of_a_listener(listener), last].concat()
}

fn of_a_group() -> Vec<Operation> {
    let group = json!({"backends": ["127.0.0.1:9"]});
    let backend = json!({"address": "127.0.0.1:10"});
    vec![
        ("PUT /v1/groups/{group}", Some(group)),
        ("PATCH /v1/groups/{group}", Some(json!({"retries": 4}))),
        (
            "PUT /v1/groups/{group}/policy",
            Some(json!({"policy": "rendezvous"})),
        ),
        ("PUT /v1/groups/{group}/backends/{backend}", Some(backend)),
        (
            "PATCH /v1/groups/{group}/backends/{backend}",
            Some(json!({"weight": 2})),
        ),
        (
            "PUT /v1/groups/{group}/backends/{backend}/weight",
            Some(json!({"weight": 3})),
        ),
        (
            "POST /v1/groups/{group}/backends/{backend}/drain",
            Some(json!({})),
        ),
        ("POST /v1/groups/{group}/backends/{backend}/maint", None),
        ("POST /v1/groups/{group}/backends/{backend}/ready", None),
    ]
}

fn of_a_server() -> Vec<Operation> {
    let server = json!({"group": "new", "server_id": "s9"});
    let mut with_address = server.clone();
    with_address["address"] = "127.0.0.1:11".into();
    vec![
        ("POST /v1/rpc/add_server", Some(with_address)),
        ("POST /v1/rpc/health_check_failed", Some(server.clone())),
        ("POST /v1/rpc/health_check_passed", Some(server.clone())),
        ("POST /v1/rpc/remove_server", Some(server)),
    ]
}

fn of_a_listener(listener: &Port) -> Vec<Operation> {
    let address = listener.address().to_string();
    let keys = |group: &str| json!([{"key": ["x"], "group": group}]);
    let rule = json!({"key": {"header": "x-key"}, "map": keys("app")});
    let moved = json!({"map": keys("new"), "handover": "10m"});
    let route = json!({"path": "/a", "group": "new"});
    vec![
        ("PUT /v1/shards/{shard}", Some(rule)),
        (
            "PUT /v1/listeners/{listener}",
            Some(json!({"address": address, "shard": "s"})),
        ),
        ("PUT /v1/listeners/{listener}/routes/{route}", Some(route)),
        (
            "PATCH /v1/listeners/{listener}/routes/{route}",
            Some(json!({"path": "/b"})),
        ),
        ("PATCH /v1/shards/{shard}", Some(moved)),
        ("DELETE /v1/shards/{shard}/handover", None),
        ("DELETE /v1/listeners/{listener}/routes/{route}", None),
        (
            "PATCH /v1/listeners/{listener}",
            Some(json!({"shard": null, "group": "new"})),
        ),
        ("DELETE /v1/listeners/{listener}", None),
        ("DELETE /v1/shards/{shard}", None),
    ]
}

/// Of the description, the operations that are no questions: those with the parameter, and others.
fn described(node: &Proxy) -> (BTreeSet<String>, BTreeSet<String>) {
    let description = node.api().get("/v1/openapi.json").expect(200);
    let mut all = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in ["put", "post", "patch", "delete"] {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            let waits = parameters.any(|one| one["$ref"] == "#/components/parameters/Wait");
            all.push((waits, format!("{} {path}", method.to_uppercase())));
        }
    }
    let of = |wanted: bool| {
        let some = all.iter().filter(|(waits, _)| *waits == wanted);
        some.map(|(_, name)| name.clone()).collect()
    };
    (of(true), of(false))
}

fn target(template: &str, wait: &str) -> String {
    let named = NAMES
        .iter()
        .fold(template.to_owned(), |path, (part, name)| {
            path.replace(part, name)
        });
    format!("{named}?wait={wait}")
}

#[test]
fn every_change_is_waited_for_on_all_cores_of_a_node_and_of_all_nodes() {
    let etcd = Etcd::start(1);
    let (upstream, listener) = (Upstream::named("one"), Port::fresh());
    let nodes = Nodes::new(2);
    let settings = Settings::http_to(&[&upstream]).workers("2");
    let settings = settings.section(&etcd.section());
    let started: Vec<Proxy> = (0..2).map(|node| nodes.start(node, &settings)).collect();
    eventually("both know each other", || {
        started.iter().all(|node| node.nodes("alive") == 1)
    });
    let (waiting, others) = described(&started[0]);
    assert_eq!(others, CHANGE_NOTHING.map(str::to_owned).into());
    let mut newest = 1;
    for (round, wait) in ["node", "cluster"].into_iter().enumerate() {
        let operations = operations(&listener, round);
        let made = operations.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(made.collect::<BTreeSet<_>>(), waiting);
        for (turn, (name, body)) in operations.into_iter().enumerate() {
            let (method, template) = name.split_once(' ').unwrap();
            let asked = &started[if wait == "node" { 0 } else { turn % 2 }];
            let body = body.map(|body| body.to_string());
            let done = asked.api().ask(method, &target(template, wait), body);
            let status = done.status();
            assert!([200, 201].contains(&status), "{name}: {}", done.text);
            let epoch = done.epoch();
            assert!(epoch > newest, "{name} makes an epoch");
            newest = epoch;
            let waited = if wait == "node" { 1 } else { 2 };
            for node in &started[..waited] {
                assert!(node.epoch() >= Some(epoch), "{name}: {}", node.epochs());
            }
        }
    }
}
