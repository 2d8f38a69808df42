//! What a plan must hold: stable slots, the right sockets, and DNS that may fail.

use proptest::prelude::*;

use super::*;
use crate::base::id::{BackendIndex, CoreId, ShardIndex};
use crate::config;
use crate::routing::matcher::Destination;
use crate::routing::policy::PolicyKind;
use crate::routing::shard::key::Plain;

fn load(text: &str) -> Config {
    config::load(text, "test.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A listener `web` at a port, leading to a group `app` of some backends.
fn simple(port: u16, backends: &str) -> Config {
    load(&format!(
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:{port}\"\ngroup = \"app\"\n\
         [[group]]\nname = \"app\"\nbackends = [{backends}]\n"
    ))
}

/// Position of the group a request goes to.
fn group_for(listener: &Listener, host: &str, path: &str) -> Option<usize> {
    let asked = Plain {
        host: host.as_bytes(),
        path: path.as_bytes(),
    };
    match listener.routes.route(&asked)? {
        Destination::Group(group) => Some(group.index()),
        Destination::Shard(_) => None,
    }
}

const ONE: &str = "\"127.0.0.1:9001\"";

#[test]
fn the_first_plan_opens_every_listener() {
    let mut registry = Registry::new(2);
    let plan = plan(
        &simple(8101, ONE),
        &Resolved::default(),
        Epoch(1),
        &mut registry,
    );
    assert_eq!(plan.table.epoch, Epoch(1));
    let listener = plan.table.listener(ListenerSlot(0)).unwrap();
    assert_eq!(&*listener.name, "web");
    assert_eq!(group_for(listener, "h", "/"), Some(0));
    let open = OpenListener {
        slot: ListenerSlot(0),
        address: "127.0.0.1:8101".parse().unwrap(),
        backlog: 4096,
    };
    assert_eq!(plan.open, [open]);
    assert!(plan.closed.is_empty() && plan.warnings.is_empty());
    assert_eq!((plan.table.backend_slots, plan.table.group_slots), (1, 1));
}

#[test]
fn an_unchanged_configuration_keeps_slots_counters_and_sockets() {
    let mut registry = Registry::new(1);
    let config = simple(8101, ONE);
    let first = plan(&config, &Resolved::default(), Epoch(1), &mut registry);
    let stats = &first.table.groups[0].backends[0].stats;
    stats.of(CoreId(0)).connects.add(5);
    let second = plan(&config, &Resolved::default(), Epoch(2), &mut registry);
    assert!(second.open.is_empty() && second.closed.is_empty());
    let backend = &second.table.groups[0].backends[0];
    assert_eq!(backend.slot, first.table.groups[0].backends[0].slot);
    assert_eq!(backend.stats.of(CoreId(0)).connects.read(), 5);
}

#[test]
fn another_address_is_another_socket() {
    let mut registry = Registry::new(1);
    let resolved = Resolved::default();
    let _ = plan(&simple(8101, ONE), &resolved, Epoch(1), &mut registry);
    let second = plan(&simple(8102, ONE), &resolved, Epoch(2), &mut registry);
    assert_eq!(second.open[0].slot, ListenerSlot(1));
    assert_eq!(second.closed, [ListenerSlot(0)]);
    assert!(second.table.listener(ListenerSlot(0)).is_none());
    let third = plan(&simple(8101, ONE), &resolved, Epoch(3), &mut registry);
    assert_eq!(third.open[0].slot, ListenerSlot(0));
    assert_eq!(third.closed, [ListenerSlot(1)]);
    let live: Vec<bool> = registry.listeners().map(|entry| entry.live).collect();
    assert_eq!(live, [true, false]);
}

#[test]
fn another_backlog_needs_a_new_socket_and_says_so() {
    let mut registry = Registry::new(1);
    let text = |backlog: u32| {
        format!(
            "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:1\"\ngroup = \"app\"\n\
             backlog = {backlog}\n[[group]]\nname = \"app\"\nbackends = [{ONE}]\n"
        )
    };
    let resolved = Resolved::default();
    let _ = plan(&load(&text(10)), &resolved, Epoch(1), &mut registry);
    let second = plan(&load(&text(20)), &resolved, Epoch(2), &mut registry);
    assert!(second.open.is_empty());
    let warning = second.warnings[0].to_string();
    assert!(warning.contains("stays at 10"), "{warning}");
}

#[test]
fn a_name_yields_one_backend_for_each_address() {
    let mut registry = Registry::new(1);
    let mut resolved = Resolved::default();
    let config = simple(8101, "\"app.internal:80\", \"127.0.0.1:9001\"");
    let first = plan(&config, &resolved, Epoch(1), &mut registry);
    assert_eq!(first.table.groups[0].backends.len(), 1);
    let kept = |plan: &Plan| match &plan.warnings[..] {
        [PlanWarning::NameUnresolved { kept, .. }] => Some(*kept),
        _ => None,
    };
    assert_eq!(kept(&first), Some(0));
    let found = addresses(&["10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80"]);
    resolved.insert("app.internal", 80, found);
    let second = plan(&config, &resolved, Epoch(2), &mut registry);
    let backends = &second.table.groups[0].backends;
    let found: Vec<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
    assert_eq!(
        found,
        addresses(&["10.0.0.1:80", "10.0.0.2:80", "127.0.0.1:9001"])
    );
    assert_eq!(&*backends[0].id, "app.internal:80");
    assert!(second.warnings.is_empty());
    let third = plan(&config, &Resolved::default(), Epoch(3), &mut registry);
    assert_eq!(third.table.groups[0].backends.len(), 3);
    assert_eq!(kept(&third), Some(2));
    assert_eq!(third.table.groups[0].backends[0].slot, backends[0].slot);
}

#[test]
fn a_name_nobody_uses_any_more_is_forgotten() {
    let mut registry = Registry::new(1);
    let mut resolved = Resolved::default();
    resolved.insert("app", 80, addresses(&["10.0.0.1:80"]));
    let named = simple(8101, "\"app:80\"");
    let _ = plan(&named, &resolved, Epoch(1), &mut registry);
    let none = Resolved::default();
    let _ = plan(&simple(8101, ONE), &none, Epoch(2), &mut registry);
    let back = plan(&named, &none, Epoch(3), &mut registry);
    assert!(back.table.groups[0].backends.is_empty());
}

#[test]
fn too_many_addresses_are_cut() {
    let mut registry = Registry::new(1);
    let mut resolved = Resolved::default();
    let many = (0..300_u16).map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
    resolved.insert("app", 80, many.collect());
    let plan = plan(
        &simple(8101, "\"app:80\""),
        &resolved,
        Epoch(1),
        &mut registry,
    );
    assert_eq!(plan.table.groups[0].backends.len(), ADDRESSES_MAX);
    assert!(
        plan.warnings[0]
            .to_string()
            .contains("more than 256 addresses")
    );
}

#[test]
fn slots_change_hands_only_after_every_table_that_names_them() {
    let mut registry = Registry::new(1);
    let resolved = Resolved::default();
    let slot_of = |plan: &Plan| plan.table.groups[0].backends[0].slot.0;
    let first = simple(8101, "\"127.0.0.1:9001\"");
    let second = simple(8101, "\"127.0.0.1:9002\"");
    let third = simple(8101, "\"127.0.0.1:9003\"");
    let plan_first = plan(&first, &resolved, Epoch(1), &mut registry);
    plan_first.table.groups[0].backends[0]
        .stats
        .of(CoreId(0))
        .connects
        .inc();
    assert_eq!(
        slot_of(&plan(&second, &resolved, Epoch(2), &mut registry)),
        1
    );
    registry.release_before(Epoch(1));
    assert_eq!(registry.backends().count(), 2);
    registry.release_before(Epoch(2));
    assert_eq!(registry.backends().count(), 1);
    let plan_third = plan(&third, &resolved, Epoch(3), &mut registry);
    assert_eq!(slot_of(&plan_third), 0);
    let stats = &plan_third.table.groups[0].backends[0].stats;
    assert_eq!(stats.of(CoreId(0)).connects.read(), 0);
    registry.release_before(Epoch(99));
    assert_eq!(registry.backends().filter(|entry| entry.live).count(), 1);
}

#[test]
fn a_plan_on_a_clone_can_be_thrown_away() {
    let mut registry = Registry::new(1);
    let resolved = Resolved::default();
    let _ = plan(&simple(8101, ONE), &resolved, Epoch(1), &mut registry);
    let mut trial = registry.clone();
    let _ = plan(&simple(8102, ONE), &resolved, Epoch(2), &mut trial);
    let again = plan(&simple(8102, ONE), &resolved, Epoch(3), &mut registry);
    assert_eq!(again.open.len(), 1);
    assert_eq!(registry.groups().count(), 1);
}

#[test]
fn routes_lead_where_the_file_says() {
    let config = load(
        "[[listener]]\nname = \"web\"\naddress = \"[::1]:80\"\ngroup = \"app\"\n\
         via = \"weir\"\n[listener.limits]\nbody_bytes = \"1MiB\"\n\
         [[listener.route]]\nhost = [\"*.Example.org\", \"[::0:1]\"]\npath_prefix = \"/api/\"\n\
         path = \"/api\"\ngroup = \"api\"\n\
         [[group]]\nname = \"app\"\nbackends = [\"127.0.0.1:9001\"]\n\
         [[group]]\nname = \"api\"\npolicy = \"least_connections\"\n\
         backends = [\"127.0.0.1:9002\"]\n",
    );
    let mut registry = Registry::new(1);
    let plan = plan(&config, &Resolved::default(), Epoch(1), &mut registry);
    let listener = plan.table.listener(ListenerSlot(0)).unwrap();
    for (host, path, group) in [
        ("www.example.org", "/api", "api"),
        ("[::1]:80", "/api/x", "api"),
        ("www.example.org", "/apix", "app"),
        ("example.org", "/api", "app"),
    ] {
        let found = group_for(listener, host, path).unwrap();
        assert_eq!(&*plan.table.groups[found].name, group, "{host} {path}");
    }
    assert_eq!(listener.http.body_bytes_max, 1 << 20);
    assert_eq!(listener.http.requests_max, u32::MAX);
    assert_eq!(listener.http.via.as_deref(), Some("weir"));
    assert_eq!(
        plan.table.groups[1].policy.kind(),
        PolicyKind::LeastConnections
    );
}

proptest! {
    /// The loader refuses patterns that no normalised path can equal, and the matcher normalises:
    /// two modules that do not know each other must agree on what the normal form is.
    #[test]
    fn every_path_the_loader_accepts_can_be_reached(path in "/[a./%4 ]{0,8}") {
        let text = format!(
            "[[listener]]\nname = \"web\"\naddress = \"[::1]:80\"\n\
             [[listener.route]]\npath = \"{path}\"\ngroup = \"app\"\n\
             [[group]]\nname = \"app\"\nbackends = [{ONE}]\n"
        );
        let asked = path.replace('%', "%25");
        if let Ok(config) = config::load(&text, "test.toml") {
            let plan = plan(&config, &Resolved::default(), Epoch(1), &mut Registry::new(1));
            let listener = plan.table.listener(ListenerSlot(0)).unwrap();
            prop_assert_eq!(group_for(listener, "h", &asked), Some(0));
        }
    }
}

/// A group `app` with one backend in the long form, and keys of the group.
fn long(group: &str, backend: &str) -> Config {
    load(&format!(
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:8101\"\ngroup = \"app\"\n\
         [[group]]\nname = \"app\"\n{group}\n\
         [[group.backend]]\nid = \"b1\"\naddress = {ONE}\n{backend}\n"
    ))
}

#[test]
fn weight_state_label_limit_and_policy_change_nothing_of_what_is_counted() {
    let mut registry = Registry::new(2);
    let resolved = Resolved::default();
    let first = plan(&long("", ""), &resolved, Epoch(1), &mut registry);
    let group = &first.table.groups[0];
    group.enter(BackendIndex(0), CoreId(1));
    group.backends[0].stats.of(CoreId(1)).connects.add(5);
    let changes = [
        ("policy = \"peak_ewma\"", "weight = 7"),
        ("policy = \"least_request\"", "state = \"drain\""),
        ("policy = \"random\"", "labels = [\"gpu\"]"),
        ("policy = \"round_robin\"", "requests_max = 1"),
    ];
    for (epoch, (policy, keys)) in (2..).map(Epoch).zip(changes) {
        let next = plan(&long(policy, keys), &resolved, epoch, &mut registry);
        let group = &next.table.groups[0];
        let backend = &group.backends[0];
        assert_eq!(backend.slot, first.table.groups[0].backends[0].slot);
        assert_eq!((backend.load.in_flight(), group.load.in_flight()), (1, 1));
        assert_eq!(backend.stats.of(CoreId(1)).connects.read(), 5);
        assert_eq!(backend.gate.is_some(), keys.contains("max"));
    }
    group.leave(BackendIndex(0), CoreId(1));
    let entry = registry.backends().next().unwrap();
    assert_eq!((&*entry.id, entry.load.in_flight()), ("b1", 0));
}

#[test]
fn permits_that_are_out_count_against_the_next_epochs_limit() {
    let mut registry = Registry::new(1);
    let resolved = Resolved::default();
    let first = plan(
        &long("", "requests_max = 5"),
        &resolved,
        Epoch(1),
        &mut registry,
    );
    let permit = first.table.groups[0].backends[0].take_request().unwrap();
    let second = plan(
        &long("", "requests_max = 1"),
        &resolved,
        Epoch(2),
        &mut registry,
    );
    let backend = &second.table.groups[0].backends[0];
    assert!(backend.take_request().is_err());
    drop(permit);
    assert!(backend.take_request().is_ok());
}

#[test]
fn weights_that_make_too_long_a_cycle_are_warned_of() {
    let mut registry = Registry::new(1);
    let config = long(
        "policy = \"weighted_round_robin\"\nbackends = [\"127.0.0.1:9002\"]",
        "weight = 65535",
    );
    let plan = plan(&config, &Resolved::default(), Epoch(1), &mut registry);
    let warning = plan.warnings[0].to_string();
    assert!(
        warning.contains("app") && warning.contains("rounded"),
        "{warning}"
    );
}

#[test]
fn ten_thousand_idle_backends_take_less_than_sixteen_megabytes() {
    const COUNT: usize = 10_000;
    let addresses: Vec<String> = (0..COUNT)
        .map(|index| format!("\"10.{}.{}.1:80\"", index / 256, index % 256))
        .collect();
    let mut registry = Registry::new(2);
    let config = simple(8101, &addresses.join(", "));
    let plan = plan(&config, &Resolved::default(), Epoch(1), &mut registry);
    let group = &plan.table.groups[0];
    let stats: usize = group.backends.iter().map(|b| b.stats.memory_bytes()).sum();
    let names: usize = group.backends.iter().map(|b| b.id.len() + 16).sum();
    let table = COUNT * size_of::<Backend>() + group.policy.memory_bytes();
    let board = registry.memory_bytes();
    let total = stats + names + table + board;
    eprintln!("stats {stats}, names {names}, table {table}, board and slots {board}: {total}");
    assert_eq!(group.backends.len(), COUNT);
    assert!(total < 16 * 1024 * 1024, "{total}");
}

#[test]
fn shard_rules_are_planned_with_all_they_say() {
    use crate::routing::shard::key::{Extracted, JsonKey, KeySource};
    use crate::routing::shard::pointer::Pointer;
    use crate::routing::shard::{Decision, Reject};

    let text = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:8101\"\nshard = \"s1\"\n\
        [[listener.route]]\nmethod = \"PUT\"\nheader = [{ name = \"X-A\", present = false }]\n\
        path_regex = \"/[0-9]+\"\nshard = \"s2\"\n\
        [[shard]]\nname = \"s1\"\nkey = { json = \"/a/b\", body_bytes = \"1KiB\" }\n\
        key_bytes_max = 99\nranges = [{ from = 10, to = 20, group = \"b\" }]\n\
        default = \"a\"\nmissing = { group = \"b\" }\nmalformed = \"reject\"\n\
        compressed = \"default\"\n\
        [[shard]]\nname = \"s2\"\nkey = { header = \"X-T\" }\n\
        map = [{ key = [\"x\", \"y\"], group = \"b\" }]\n\
        [[group]]\nname = \"a\"\nbackends = [\"127.0.0.1:9001\"]\n\
        [[group]]\nname = \"b\"\nbackends = [\"127.0.0.1:9002\"]\n";
    let mut registry = Registry::new(1);
    let plan = plan(&load(text), &Resolved::default(), Epoch(1), &mut registry);
    let table = &plan.table;
    let listener = table.listener(ListenerSlot(0)).unwrap();
    assert_eq!(
        listener.routes.default,
        Some(Destination::Shard(ShardIndex(0)))
    );
    let [first, second] = &table.shards[..] else {
        panic!("two rules");
    };
    let json = JsonKey {
        pointer: Pointer::new("/a/b"),
        body_bytes_max: 1024,
    };
    assert_eq!(first.source, KeySource::Json(json));
    assert_eq!((first.key_bytes_max, second.key_bytes_max), (99, 256));
    assert_eq!(second.source, KeySource::Header("x-t".into()));
    let group = |index| Decision::Group(crate::base::id::GroupIndex(index));
    for (extracted, expected) in [
        (Extracted::Key(b"15"), group(1)),
        (Extracted::Key(b"21"), group(0)),
        (Extracted::Key(b"x"), Decision::Reject(Reject::Malformed)),
        (Extracted::Missing, group(1)),
        (Extracted::Compressed, group(0)),
        (Extracted::Oversized, Decision::Reject(Reject::Oversized)),
    ] {
        assert_eq!(first.decide_by(extracted, |_| 0), expected, "{extracted:?}");
    }
    assert_eq!(second.decide_by(Extracted::Key(b"y"), |_| 0), group(1));
    let nowhere = Decision::Reject(Reject::Unplaced);
    assert_eq!(second.decide_by(Extracted::Key(b"z"), |_| 0), nowhere);
}
