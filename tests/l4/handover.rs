//! A shard rule of a TCP listener hands keys over: connections that are made go to the new owner,
//! to the former one while the new one cannot be reached, and back to it when that is aborted.
//! Those that are open stay where they are.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::placing::connect_from;
use super::sni::hello;
use crate::support::handover::World;
use crate::support::upstream::Connection;
use crate::support::{Client, Upstream, Wire, eventually};

/// Says a name once it has a hello, and then whatever it hears.
fn named(name: &'static str, hello_bytes: usize) -> impl Fn(Connection) + Send + Sync + 'static {
    move |connection| {
        let mut wire = connection.into_wire();
        wire.read_exactly(hello_bytes);
        wire.send(name);
        while let Ok(bytes) = wire.read_some() {
            if bytes.is_empty() || !wire.try_send(bytes) {
                return;
            }
        }
    }
}

/// A rule by which all keys are of the group `old`.
fn world(rule: &str, hello_bytes: usize) -> World {
    let old = Upstream::scripted(named("old", hello_bytes));
    World::start(("relay", "tcp"), &format!("name = \"s\"\n{rule}"), old)
}

impl World {
    fn hand_over(&self, change: Value) {
        let target = "/v1/shards/s?wait=node";
        self.proxy.api().patch(target, change).expect(200);
    }

    fn abort(&self) {
        let api = self.proxy.api();
        api.delete("/v1/shards/s/handover?wait=node").expect(200);
        api.get("/v1/shards/s/handover").refused(404);
    }
}

/// Who is at the other end of a connection that begins with these bytes.
fn owner(mut wire: Wire, hello: &[u8]) -> (String, Wire) {
    wire.send(hello);
    let name = wire.read_exactly(3);
    (String::from_utf8(name).unwrap(), wire)
}

#[track_caller]
fn is_open(wire: &mut Wire) {
    wire.send("still there");
    assert_eq!(wire.read_exactly(11), b"still there");
}

#[test]
fn names_move_with_new_connections_and_come_back_when_it_is_aborted() {
    let length = hello(Some("x.org"), 10_000).len();
    let rule = "key = { sni = true }\n\
                map = [{ key = [\"x.org\", \"y.org\", \"z.org\"], group = \"old\" }]";
    let world = world(rule, length);
    let ask = |name: &str| {
        let wire = Client::connect(world.proxy.address()).into_wire();
        owner(wire, &hello(Some(name), 10_000))
    };
    let (name, mut from_before) = ask("x.org");
    assert_eq!(name, "old");
    world.hand_over(json!({
        "map": [{"key": ["x.org", "y.org"], "group": "new"}, {"key": ["z.org"], "group": "old"}],
        "handover": "10m",
    }));
    // Nobody is at the new owner's place yet.
    assert_eq!(ask("x.org").0, "old");
    assert_eq!(ask("z.org").0, "old");
    world.one_was_taken_by_the_former();
    let new = Upstream::scripted_at(world.place.clone(), named("new", length));
    eventually("the new owner takes what is its own", || {
        ask("y.org").0 == "new"
    });
    let (name, mut moved) = ask("x.org");
    assert_eq!((&*name, &*ask("z.org").0), ("new", "old"));
    is_open(&mut from_before);
    world.abort();
    for name in ["x.org", "y.org", "z.org"] {
        assert_eq!(ask(name).0, "old", "{name}");
    }
    is_open(&mut from_before);
    is_open(&mut moved);
    drop((from_before, moved, new, world));
}

#[test]
fn addresses_of_clients_move_and_come_back() {
    let others = json!({"prefix": "127.0.6.", "group": "old"});
    let prefixes = |group: &str| json!([{"prefix": "127.0.5.", "group": group}, others]);
    let world = world(
        "key = { client_address = true }\nprefix = [{ prefix = \"127.0.5.\", group = \"old\" }, \
         { prefix = \"127.0.6.\", group = \"old\" }]",
        2,
    );
    let ask = |third: u8| {
        let source = Ipv4Addr::new(127, 0, third, 1);
        owner(connect_from(source, world.proxy.address()), b"hi").0
    };
    assert_eq!((&*ask(5), &*ask(6)), ("old", "old"));
    world.hand_over(json!({"prefix": prefixes("new"), "handover": "10m"}));
    assert_eq!((&*ask(5), &*ask(6)), ("old", "old"), "nobody is there yet");
    assert_eq!(world.progress()["requests_to_former"], 1);
    let new = Upstream::scripted_at(world.place.clone(), named("new", 2));
    eventually("the new owner takes what is its own", || ask(5) == "new");
    assert_eq!(ask(6), "old");
    world.abort();
    assert_eq!((&*ask(5), &*ask(6)), ("old", "old"));
    assert!(world.old.accepted() >= 6 && new.accepted() >= 1);
}
