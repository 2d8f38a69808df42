//! A shard rule hands keys over: the new owner comes first, the former one is there for a while,
//! how far it is can be seen, and it can be taken back.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::handover::World;
use crate::support::{Upstream, eventually};

/// A rule over the keys x, y and z, of which all are of the group `old`.
const RULE: &str = "name = \"s\"\nkey = { header = \"x-key\" }\n\
                    map = [{ key = [\"x\", \"y\", \"z\"], group = \"old\" }]";

fn world() -> World {
    World::start(("web", "http"), RULE, Upstream::named("old"))
}

/// What gives x and y to the group `new`.
fn change(window: &str) -> Value {
    json!({"map": [{"key": ["x", "y"], "group": "new"}, {"key": ["z"], "group": "old"}],
           "handover": window})
}

impl World {
    /// Who answers for a key, or with which status weir does.
    #[track_caller]
    fn owner(&self, key: &str) -> String {
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\nX-Key: {key}\r\n\r\n");
        let answer = self.proxy.client().ask(&request);
        match answer.status() {
            200 => answer.text(),
            status => status.to_string(),
        }
    }
}

#[test]
fn the_new_owner_comes_first_and_the_former_one_is_there_for_what_it_cannot_take() {
    let world = world();
    let api = world.proxy.api();
    assert_eq!(world.owner("x"), "old");
    api.get("/v1/shards/s/handover").refused(404);
    let operation = json!({"op": "patch", "path": "shards/s", "value": change("10m")});
    let plan = api
        .post("/v1/plan", json!({"operations": [operation]}))
        .expect(200);
    let planned = &plan["shards"][0];
    assert_eq!(planned["handover"]["window"], "10m", "{plan}");
    assert_eq!(planned["moves"].as_array().unwrap().len(), 2, "{plan}");
    api.patch("/v1/shards/s?wait=node", change("10m"))
        .expect(200);
    // Nobody is at the new owner's place yet.
    assert_eq!(world.owner("x"), "old");
    assert_eq!(world.owner("z"), "old");
    let progress = world.one_was_taken_by_the_former();
    let moves = &progress["moves"];
    assert_eq!(
        moves[0],
        json!({"keys": "x", "before": "old", "after": "new"})
    );
    assert_eq!(moves.as_array().unwrap().len(), 2);
    let new = Upstream::named_at("new", &world.place.address().to_string()).unwrap();
    eventually("the new owner takes what is its own", || {
        world.owner("y") == "new"
    });
    assert_eq!(world.owner("z"), "old");
    let shown = world.proxy.ctl().run("shard handover s");
    assert!(
        shown.contains("the former owner is second choice"),
        "{shown}"
    );
    assert!(shown.contains("x: old -> new"), "{shown}");
    // It can be taken back, which the new owner notices at once.
    world.proxy.ctl().run("--wait shard abort s");
    assert_eq!(world.owner("y"), "old");
    api.get("/v1/shards/s/handover").refused(404);
    api.delete("/v1/shards/s/handover").refused(404);
    let rule = api.get("/v1/shards/s").expect(200);
    let keys = &rule["value"]["map"][0]["key"];
    assert_eq!(*keys, json!(["x", "y", "z"]), "{rule}");
    drop((new, world.old));
}

#[test]
fn a_window_ends_and_needs_keys_that_move() {
    let world = world();
    let api = world.proxy.api();
    let alone = api.patch("/v1/shards/s", json!({"handover": "10m"}));
    let mistakes = alone.refused(422);
    assert!(
        mistakes.iter().any(|told| told.contains("handover")),
        "{}",
        alone.text
    );
    api.patch("/v1/shards/s?wait=node", change("1s"))
        .expect(200);
    sleep(Duration::from_millis(1100));
    let status = world.owner("x");
    assert!(["502", "503"].contains(&&*status), "{status}");
    assert_eq!(world.progress()["open"], false);
    assert_eq!(world.owner("z"), "old");
    // A rule that is written anew has no window any more.
    let rule = json!({"key": {"header": "x-key"}, "map": [{"key": ["x"], "group": "old"}]});
    api.put("/v1/shards/s", rule).expect(200);
    api.get("/v1/shards/s/handover").refused(404);
}
