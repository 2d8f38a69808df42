//! Every way of a request has its explanation, and an explanation changes nothing.

use super::*;
use crate::base::epoch::Epoch;
use crate::base::id::BackendIndex;
use crate::config;
use crate::engine::planner::{Resolved, plan};
use crate::engine::registry::Registry;
use crate::routing::standing::Standing as Unwell;

const TEXT: &str = r#"
[[listener]]
name = "web"
address = "127.0.0.1:80"
[[listener.route]]
host = "a.example.org"
group = "plain"
[[listener.route]]
path_prefix = "/json"
shard = "by-body"
[[listener.route]]
path_prefix = "/t/"
shard = "by-tenant"
[[listener]]
name = "relay"
address = "127.0.0.1:81"
protocol = "tcp"
shard = "by-name"
[[shard]]
name = "by-tenant"
key = { cookie = "tenant" }
hash = { algorithm = "maglev", groups = [{ group = "plain" }] }
missing = { group = "placed" }
[[shard]]
name = "by-body"
key = { json = "/user/id", body_bytes = "1KiB" }
map = [{ key = "7", group = "placed" }]
[[shard]]
name = "by-name"
key = { sni = true }
map = [{ key = "a.example.org", group = "plain" }]
[[group]]
name = "plain"
[[group.backend]]
id = "drained"
address = "127.0.0.1:1"
state = "drain"
[[group.backend]]
id = "small"
address = "127.0.0.1:2"
requests_max = 1
[[group.backend]]
id = "light"
address = "127.0.0.1:3"
weight = 0
[[group.backend]]
id = "last"
address = "127.0.0.1:4"
connections_max = 1
[[group]]
name = "placed"
policy = "rendezvous"
backends = ["127.0.0.1:5", "127.0.0.1:6", "127.0.0.1:7"]
[[listener]]
name = "sticky"
address = "127.0.0.1:82"
group = "sticky"
[[group]]
name = "sticky"
[group.sticky]
source = true
[[group.backend]]
id = "on"
address = "127.0.0.1:8"
[[group.backend]]
id = "off"
address = "127.0.0.1:9"
state = "STATE"
"#;

fn table() -> Arc<Table> {
    table_with("ready")
}

/// The table with this state of the backend `off`.
fn table_with(state: &str) -> Arc<Table> {
    let text = TEXT.replace("STATE", state);
    let config = config::load(&text, "t").unwrap_or_else(|errors| panic!("{errors}"));
    plan(
        &config,
        &Resolved::default(),
        Epoch(1),
        &mut Registry::new(1),
    )
    .table
}

fn on(table: &Table, listener: &str, sketch: &Sketch) -> Explanation {
    let mut listeners = table.listeners.iter().flatten();
    let listener = listeners.find(|found| &*found.name == listener).unwrap();
    explain(table, listener, sketch, 0)
}

fn to(host: &str, target: &str) -> Sketch {
    Sketch {
        method: "GET".to_owned(),
        host: host.to_owned(),
        target: target.to_owned(),
        ..Sketch::default()
    }
}

#[test]
fn a_route_is_named_and_the_default_is_none() {
    let table = table();
    let found = on(&table, "web", &to("A.example.org:80", "/x"));
    assert_eq!(
        (found.route, found.outcome),
        (Some(0), Outcome::Group(GroupIndex(0)))
    );
    assert!(found.ruling.is_none());
    let nowhere = on(&table, "web", &to("b", "/"));
    assert_eq!((nowhere.route, nowhere.outcome), (None, Outcome::NoRoute));
    assert!(nowhere.choice.is_none());
}

#[test]
fn each_backend_says_why_it_can_or_cannot_be_chosen() {
    let table = table();
    let sketch = to("a.example.org", "/");
    let choice = on(&table, "web", &sketch).choice.unwrap();
    let can = |choice: &Choice| {
        choice
            .candidates
            .iter()
            .map(|one| one.can)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        can(&choice),
        [Can::Drain, Can::Yes, Can::Weightless, Can::Yes]
    );
    let small = &table.groups[0].backends[1];
    let permit = small.take_request().unwrap();
    table.groups[0].enter(BackendIndex(1), CoreId(0));
    let choice = on(&table, "web", &sketch).choice.unwrap();
    assert_eq!(
        can(&choice),
        [Can::Drain, Can::Full, Can::Weightless, Can::Yes]
    );
    assert_eq!(choice.candidates[1].in_flight, 1);
    assert_eq!(choice.pick, Ok(BackendIndex(3)));
    drop(permit);
    let group = &table.groups[0];
    group.backends[1].standing.suspend();
    group.backends[3].standing.set(Unwell {
        available: false,
        ..Unwell::default()
    });
    let choice = on(&table, "web", &sketch).choice.unwrap();
    let out = [
        Can::Drain,
        Can::Suspended,
        Can::Weightless,
        Can::Unavailable,
    ];
    assert_eq!(can(&choice), out);
    assert_eq!(choice.pick, Err(NoPick::Nobody));
    group.standing.set_panicking(true);
    let choice = on(&table, "web", &sketch).choice.unwrap();
    assert_eq!(
        can(&choice),
        [Can::Drain, Can::Full, Can::Weightless, Can::Yes]
    );
}

#[test]
fn the_key_its_outcome_and_its_hash_are_told() {
    let table = table();
    let mut sketch = to("b", "/t/x");
    let missing = on(&table, "web", &sketch);
    let ruling = missing.ruling.unwrap();
    assert_eq!(
        (&*ruling.rule, ruling.key, ruling.hash),
        ("by-tenant", KeyFound::Missing, None)
    );
    assert_eq!(missing.outcome, Outcome::Group(GroupIndex(1)));
    sketch.fields = vec![("Cookie".to_owned(), "x=1; tenant=acme".to_owned())];
    let ruling = on(&table, "web", &sketch).ruling.unwrap();
    assert_eq!(ruling.key, KeyFound::Key(b"acme".to_vec()));
    assert!(ruling.hash.is_some());
    assert_eq!(ruling.decision, Decision::Group(GroupIndex(0)));
    sketch
        .fields
        .push(("cookie".to_owned(), "tenant=other".to_owned()));
    let twice = on(&table, "web", &sketch);
    assert_eq!(twice.outcome, Outcome::Rejected(Reject::Malformed));
}

#[test]
fn a_body_is_looked_at_as_far_as_the_rule_says() {
    let table = table();
    let body = |text: &str| Sketch {
        body: text.as_bytes().to_vec(),
        ..to("b", "/json")
    };
    let blank = " ".repeat(1100);
    for (text, key, outcome) in [
        (
            "{\"user\": {\"id\": 7}}",
            KeyFound::Key(b"7".to_vec()),
            Outcome::Group(GroupIndex(1)),
        ),
        ("", KeyFound::Missing, Outcome::Rejected(Reject::Missing)),
        (
            "{\"user\"",
            KeyFound::Malformed,
            Outcome::Rejected(Reject::Malformed),
        ),
        (
            &blank,
            KeyFound::Oversized,
            Outcome::Rejected(Reject::Oversized),
        ),
        (
            "{\"user\": {\"id\": 8}}",
            KeyFound::Key(b"8".to_vec()),
            Outcome::Rejected(Reject::Unplaced),
        ),
    ] {
        let found = on(&table, "web", &body(text));
        assert_eq!(
            (found.ruling.unwrap().key, found.outcome),
            (key, outcome),
            "{text:?}"
        );
    }
    let packed = Sketch {
        fields: vec![("content-encoding".to_owned(), "gzip".to_owned())],
        ..body("{}")
    };
    assert_eq!(
        on(&table, "web", &packed).outcome,
        Outcome::Rejected(Reject::Compressed)
    );
}

#[test]
fn a_connection_goes_by_the_name_in_its_hello() {
    let table = table();
    let named = Sketch {
        server_name: Some("a.example.org".to_owned()),
        ..Sketch::default()
    };
    assert_eq!(
        on(&table, "relay", &named).outcome,
        Outcome::Group(GroupIndex(0))
    );
    let unnamed = on(&table, "relay", &Sketch::default());
    assert_eq!(unnamed.outcome, Outcome::Rejected(Reject::Missing));
}

#[test]
fn a_client_is_placed_where_the_policy_places_it() {
    let table = table();
    let group = &table.groups[1];
    let mut picked = std::collections::BTreeSet::new();
    for last in 0..32_u8 {
        let client = IpAddr::from([10, 0, 0, last]);
        let sketch = Sketch {
            client: Some(client),
            ..to("b", "/t/")
        };
        let choice = on(&table, "web", &sketch).choice.unwrap();
        assert_eq!(choice.hash, Some(group.place_of_client(client)));
        let ask = Ask {
            key: choice.hash,
            ..Ask::new(&Tried::NONE, 0)
        };
        let served = pick(group, &mut PickState::default(), &ask);
        assert_eq!(choice.pick, served, "as a core would");
        picked.insert(choice.pick.unwrap().0);
    }
    assert_eq!(picked.len(), 3);
}

#[test]
fn a_client_sticks_to_one_that_drains_and_leaves_one_in_maintenance() {
    let sketch = |last: u8| Sketch {
        client: Some(IpAddr::from([10, 0, 0, last])),
        ..to("h", "/")
    };
    let choice_in = |state: &str, last: u8| {
        let found = on(&table_with(state), "sticky", &sketch(last));
        found.choice.unwrap()
    };
    let off = BackendIndex(1);
    let last = (0..64).find(|last| choice_in("ready", *last).preferred == Some(off));
    let last = last.expect("some client belongs to each of two");
    assert_eq!(choice_in("ready", last).pick, Ok(off));
    let drained = choice_in("drain", last);
    assert_eq!(
        (drained.pick, drained.candidates[1].can),
        (Ok(off), Can::Drain)
    );
    let maint = choice_in("maint", last);
    assert_eq!(
        (maint.preferred, maint.pick),
        (Some(off), Ok(BackendIndex(0)))
    );
}

#[test]
fn asking_changes_nothing_any_core_sees() {
    let table = table();
    let last = &table.groups[0].backends[3];
    let permit = last.take_connection().unwrap();
    for _ in 0..3 {
        let choice = on(&table, "web", &to("a.example.org", "/")).choice.unwrap();
        assert_eq!(choice.pick, Ok(on_first_pick(&table)));
    }
    assert!(
        !last.is_starved(),
        "nobody is told to give connections back"
    );
    assert_eq!(table.groups[0].load.in_flight(), 0);
    drop(permit);
}

/// What a core that has not picked yet would choose.
fn on_first_pick(table: &Table) -> BackendIndex {
    let group = &table.groups[0];
    let mut state = PickState::new(0, CoreId(0), group.slot);
    let ask = Ask {
        has_idle: &|_| true,
        ..Ask::new(&Tried::NONE, 0)
    };
    pick(group, &mut state, &ask).unwrap()
}
