//! What a part of a group promises: nobody without the labels, the same backends, steady keys.

use proptest::prelude::*;

use crate::base::decision::POLICIES;
use crate::base::epoch::Epoch;
use crate::base::id::{BackendIndex, CoreId, GroupIndex};
use crate::config;
use crate::engine::planner::{Plan, Resolved, plan};
use crate::engine::registry::Registry;
use crate::routing::policy::{Ask, NoPick, PickState, Tried, pick};
use crate::routing::table::Group;

/// A group `app` of backends with these labels and weights, and routes that require these.
fn planned(
    registry: &mut Registry,
    epoch: u64,
    group: &str,
    members: &[String],
    routes: &[&str],
) -> Plan {
    let routes = routes.iter().enumerate().map(|(number, require)| {
        format!("[[listener.route]]\npath = \"/{number}\"\ngroup = \"app\"\nrequire = {require}\n")
    });
    let members = members.iter().enumerate().map(|(number, lines)| {
        format!(
            "[[group.backend]]\nid = \"b{number}\"\naddress = \"127.0.0.1:{}\"\n{lines}\n",
            number + 1
        )
    });
    let text = format!(
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\ngroup = \"app\"\n{}\
         [[group]]\nname = \"app\"\n{group}\n{}",
        routes.collect::<String>(),
        members.collect::<String>()
    );
    let config = config::load(&text, "t").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    plan(&config, &Resolved::default(), Epoch(epoch), registry)
}

fn labelled(labels: &str) -> String {
    format!("labels = [{labels}]")
}

fn pick_by(group: &Group, state: &mut PickState, key: &str) -> Result<BackendIndex, NoPick> {
    let ask = Ask {
        key: Some(group.place_of(key.as_bytes())),
        ..Ask::new(&Tried::NONE, 0)
    };
    pick(group, state, &ask)
}

/// The ids that 1,000 keys are placed on.
fn placed(group: &Group) -> Vec<String> {
    let mut state = PickState::default();
    let keys = (0..1000).map(|number| {
        let index = pick_by(group, &mut state, &number.to_string()).unwrap();
        group.backends[index.index()].id.to_string()
    });
    keys.collect()
}

#[test]
fn rules_that_require_the_same_share_a_part() {
    let members = [
        labelled("\"gpu\""),
        labelled("\"zone=eu\""),
        labelled("\"gpu\", \"zone=eu\""),
    ];
    let routes = [
        "\"gpu\"",
        "[\"zone\", \"gpu\"]",
        "[\"gpu\", \"zone\"]",
        "\"gpu\"",
    ];
    let mut registry = Registry::new(1);
    let table = planned(&mut registry, 1, "", &members, &routes).table;
    let ids = |index: usize| {
        let backends = table.groups[index].backends.iter();
        backends.map(|backend| &*backend.id).collect::<Vec<_>>()
    };
    assert_eq!(table.groups.len(), 3);
    assert_eq!(
        (ids(0), ids(1), ids(2)),
        (vec!["b0", "b1", "b2"], vec!["b0", "b2"], vec!["b2"])
    );
    let group = table.group_named("app").unwrap();
    assert!(group.required.is_empty() && group.backends.len() == 3);
    let slots: Vec<u32> = table.groups.iter().map(|group| group.slot.0).collect();
    assert_eq!((slots, table.group_slots), (vec![0, 1, 2], 3));
    assert_eq!(table.groups[2].backends[0].slot, group.backends[2].slot);
    // The slots stay, also when a part in between goes.
    let next = planned(&mut registry, 2, "", &members, &routes[1..2]).table;
    assert_eq!((next.groups.len(), next.groups[1].slot.0), (2, 2));
    let live = registry.groups().filter(|entry| entry.live);
    assert_eq!(
        live.map(|entry| entry.required.len()).collect::<Vec<_>>(),
        [0, 2]
    );
}

#[test]
fn a_backend_is_one_backend_however_it_is_reached() {
    let members = [
        format!("{}\nrequests_max = 2", labelled("\"gpu\", \"ssd\"")),
        labelled("\"ssd\""),
        String::new(),
    ];
    let mut registry = Registry::new(1);
    let routes = ["\"gpu\"", "\"ssd\""];
    let table = planned(&mut registry, 1, "", &members, &routes).table;
    let [whole, gpu, ssd] = [0, 1, 2].map(|index| table.group(GroupIndex(index)));
    let core = CoreId(0);
    let loads = || [0, 1, 2].map(|index| table.load(GroupIndex(index)));
    gpu.enter(BackendIndex(0), core);
    assert_eq!(
        (loads(), whole.backends[0].load.in_flight()),
        ([1, 1, 1], 1)
    );
    whole.enter(BackendIndex(1), core);
    assert_eq!(loads(), [2, 1, 2]);
    whole.enter(BackendIndex(2), core);
    assert_eq!(loads(), [3, 1, 2]);
    ssd.enter(BackendIndex(0), core);
    assert_eq!(
        (loads(), whole.backends[0].load.in_flight()),
        ([4, 2, 3], 2)
    );
    // Two by different ways are as many as it may have.
    let mut state = PickState::default();
    assert_eq!(pick_by(gpu, &mut state, "k"), Err(NoPick::Full));
    gpu.leave(BackendIndex(0), core);
    assert!(pick_by(gpu, &mut state, "k").is_ok());
    let permit = gpu.backends[0].take_request().unwrap();
    let other = whole.backends[0].take_request().unwrap();
    assert!(ssd.backends[0].take_request().is_err());
    drop((permit, other));
    ssd.leave(BackendIndex(0), core);
    whole.leave(BackendIndex(1), core);
    whole.leave(BackendIndex(2), core);
    assert_eq!(loads(), [0, 0, 0]);
    let _place = gpu.queue.enter().unwrap();
    assert_eq!((whole.queue.waiting(), ssd.queue.waiting()), (1, 1));
}

#[test]
fn a_rule_leads_to_the_part_in_every_outcome_and_a_plain_one_to_the_whole() {
    let text = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\nshard = \"s\"\n\
                [[listener.route]]\npath = \"/\"\nshard = \"plain\"\n\
                [[shard]]\nname = \"s\"\nkey = { host = true }\nrequire = \"gpu\"\n\
                modulo = [\"a\"]\nmissing = { group = \"b\" }\ndefault = \"b\"\n\
                [[shard]]\nname = \"plain\"\nkey = { host = true }\nmodulo = [\"a\", \"b\"]\n\
                [[group]]\nname = \"a\"\n[[group.backend]]\naddress = \"127.0.0.1:1\"\n\
                labels = \"gpu\"\n\
                [[group]]\nname = \"b\"\n[[group.backend]]\naddress = \"127.0.0.1:2\"\n\
                labels = \"gpu\"\n";
    let config = config::load(text, "t").unwrap_or_else(|errors| panic!("{errors}"));
    let table = plan(
        &config,
        &Resolved::default(),
        Epoch(1),
        &mut Registry::new(1),
    )
    .table;
    let groups = |shard: usize| {
        let groups = table.shards[shard].groups().into_iter();
        groups.map(|group| group.0).collect::<Vec<_>>()
    };
    assert_eq!((groups(0), groups(1)), (vec![2, 3], vec![0, 1]));
    assert_eq!(&*table.groups[3].name, "b");
}

#[test]
fn keys_stay_when_a_backend_that_cannot_serve_them_changes() {
    for policy in ["maglev", "rendezvous", "ring_hash"] {
        let group = format!("policy = \"{policy}\"");
        let gpu = labelled("\"gpu\"");
        let mut members = vec![gpu.clone(), String::new(), gpu.clone(), gpu, String::new()];
        let mut registry = Registry::new(1);
        let first = planned(&mut registry, 1, &group, &members, &["\"gpu\""]).table;
        let before = placed(first.group(GroupIndex(1)));
        members[1] = "weight = 9".to_owned();
        members.pop();
        let second = planned(&mut registry, 2, &group, &members, &["\"gpu\""]).table;
        assert_eq!(placed(second.group(GroupIndex(1))), before, "{policy}");
        assert_ne!(
            placed(second.group(GroupIndex(0))),
            placed(first.group(GroupIndex(0)))
        );
    }
}

#[test]
fn another_seed_places_otherwise_and_the_same_one_alike() {
    let placed_with = |seed: &str| {
        let text = format!(
            "{seed}[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\nshard = \"s\"\n\
             [[shard]]\nname = \"s\"\nkey = {{ host = true }}\nhash = {{ groups = [\
             {{ group = \"a\" }}, {{ group = \"b\" }}] }}\n\
             [[group]]\nname = \"a\"\npolicy = \"maglev\"\n\
             backends = [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]\n\
             [[group]]\nname = \"b\"\nbackends = [\"127.0.0.1:4\"]\n"
        );
        let config = config::load(&text, "t").unwrap_or_else(|errors| panic!("{errors}"));
        let table = plan(
            &config,
            &Resolved::default(),
            Epoch(1),
            &mut Registry::new(1),
        )
        .table;
        let rule = &table.shards[0].function;
        let groups =
            (0..1000).map(|n| format!("{:?}", rule.place(format!("{n}").as_bytes(), |_| 0)));
        (placed(&table.groups[0]), groups.collect::<Vec<_>>())
    };
    let (zero, one) = (placed_with(""), placed_with("hash_seed = 1\n"));
    assert_eq!(zero, placed_with("hash_seed = 0\n"));
    assert_eq!(one, placed_with("hash_seed = 1\n"));
    let differ = |left: &[String], right: &[String]| {
        left.iter()
            .zip(right)
            .filter(|(left, right)| left != right)
            .count()
    };
    assert!(
        (550..800).contains(&differ(&zero.0, &one.0)),
        "two of three keys move"
    );
    assert!(
        (400..600).contains(&differ(&zero.1, &one.1)),
        "half of the keys move"
    );
}

proptest! {
    #[test]
    fn nobody_without_the_labels_is_ever_chosen(
        members in prop::collection::vec((0_u8..8, 0_u16..5, 0_u8..3, prop::bool::ANY), 1..12),
        required in 1_u8..8,
        policy in prop::sample::select(POLICIES.to_vec()),
        loads in prop::collection::vec(0_u32..6, 12),
    ) {
        let words = |bits: u8| {
            let words = ["\"a\"", "\"b=1\"", "\"c\""].into_iter().enumerate();
            let words = words.filter(|(bit, _)| bits >> bit & 1 == 1);
            words.map(|(_, word)| word).collect::<Vec<_>>().join(", ")
        };
        let lines: Vec<String> = members.iter().map(|(labels, weight, state, limited)| {
            let state = ["ready", "drain", "maint"][usize::from(*state)];
            let limit = if *limited { "3" } else { "\"none\"" };
            format!("labels = [{}]\nweight = {weight}\nstate = \"{state}\"\nrequests_max = {limit}",
                words(*labels))
        }).collect();
        let eligible = |labels: u8| labels & required == required;
        prop_assume!(members.iter().any(|(labels, ..)| eligible(*labels)));
        let requires = format!("[{}]", words(required));
        let group = format!("policy = \"{policy}\"");
        let mut registry = Registry::new(1);
        let table = planned(&mut registry, 1, &group, &lines, &[&requires]).table;
        let part = table.group(GroupIndex(1));
        for (backend, load) in table.groups[0].backends.iter().zip(&loads) {
            backend.load.set(CoreId(0), *load);
        }
        let can = |index: usize| {
            let (labels, weight, state, limited) = members[index];
            let room = !limited || loads[index] < 3;
            eligible(labels) && weight > 0 && state == 0 && room
        };
        let mut state = PickState::default();
        for number in 0..100 {
            match pick_by(part, &mut state, &number.to_string()) {
                Ok(index) => {
                    let id = part.backends[index.index()].id.strip_prefix('b').unwrap();
                    prop_assert!(can(id.parse().unwrap()), "{id}");
                }
                Err(_) => prop_assert!(!(0..members.len()).any(can)),
            }
        }
    }
}
