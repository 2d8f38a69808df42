//! A client that lands on another node is served by the same backend: by its key, by its address,
//! by its cookie. Nodes agree on that without a word, from the configuration and seed they share.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::model::GROUPS;
use crate::node::Node;
use crate::stage::Stage;
use crate::support::{Client, Message, Wire};

/// Keys, addresses and clients that are tried.
const TRIED: u8 = 40;

/// Asks a node from one of our addresses.
fn ask(node: &Node, from: IpAddr, fields: &str) -> Message {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&node.address().into()).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: t\r\nX-Tenant: tenant-0\r\n{fields}\r\n");
    Client::on(Wire::new(socket.into())).ask(request)
}

fn backend(answer: &Message) -> String {
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.text()
}

/// Makes a change that both nodes serve.
#[track_caller]
fn change(stage: &Stage, method: &str, target: &str, body: Value) {
    let target = format!("{target}?wait=cluster&timeout=30");
    let reply = stage.nodes[0]
        .ask(method, &target, Some(body.to_string()))
        .unwrap();
    assert!(
        matches!(reply.status(), 200 | 201),
        "{target}: {}",
        reply.text
    );
}

/// Asserts that both nodes lead somewhere alike, and not all to one place.
#[track_caller]
fn alike(what: &str, stage: &Stage, ask: impl Fn(&Node, u8) -> String) {
    let [one, two] = [0, 1].map(|node| {
        let node = &stage.nodes[node];
        (0..TRIED)
            .map(|number| ask(node, number))
            .collect::<Vec<_>>()
    });
    assert_eq!(one, two, "{what}");
    let places: BTreeSet<&String> = one.iter().collect();
    assert!(places.len() > 1, "{what}: all at {places:?}");
}

#[test]
fn every_node_has_the_same_backend_for_a_key_an_address_and_a_cookie() {
    let stage = Stage::start(2);
    stage.until_same();
    let own = stage.network.own_address();
    for algorithm in ["rendezvous", "maglev", "ring_hash", "jump"] {
        let groups = GROUPS.map(|group| json!({"group": group, "weight": 1}));
        let rule = json!({
            "key": {"header": "x-key"},
            "hash": {"algorithm": algorithm, "groups": groups},
        });
        change(&stage, "PUT", "/v1/shards/by-key", rule);
        change(
            &stage,
            "PATCH",
            "/v1/listeners/web",
            json!({"shard": "by-key"}),
        );
        alike(algorithm, &stage, |node, key| {
            let answer = ask(node, own, &format!("X-Key: key-{key}\r\n"));
            // Which of the group it is may differ: three backends each.
            let number: usize = backend(&answer)["backend-".len()..].parse().unwrap();
            GROUPS[number / 3].to_owned()
        });
    }
    change(
        &stage,
        "PATCH",
        "/v1/listeners/web",
        json!({"shard": "by-tenant"}),
    );
    let addresses: Vec<IpAddr> = (0..TRIED)
        .map(|number| stage.network.add_address(150 + number))
        .collect();
    for policy in ["rendezvous", "maglev", "ring_hash"] {
        change(&stage, "PATCH", "/v1/groups/red", json!({"policy": policy}));
        alike(policy, &stage, |node, number| {
            backend(&ask(node, addresses[usize::from(number)], ""))
        });
    }
    let sticky = json!({"cookie": "weir", "secret": "0123456789abcdef"});
    let round_robin = json!({"policy": "round_robin", "sticky": sticky});
    change(&stage, "PATCH", "/v1/groups/red", round_robin);
    let cookies: Vec<(String, String)> = (0..TRIED)
        .map(|_| {
            let answer = ask(&stage.nodes[0], own, "");
            let cookie = answer.field("set-cookie").expect("a cookie").to_owned();
            let pair = cookie.split(';').next().unwrap().to_owned();
            (backend(&answer), pair)
        })
        .collect();
    alike("cookie", &stage, |node, number| {
        let (given, pair) = &cookies[usize::from(number)];
        let answer = ask(node, own, &format!("Cookie: {pair}\r\n"));
        assert_eq!(backend(&answer), *given, "{}", node.name());
        given.clone()
    });
}
