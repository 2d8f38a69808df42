//! A comparison against what its tables say key by key, and against what placements promise.

use proptest::prelude::*;

use super::*;
use crate::base::epoch::Epoch;
use crate::config;
use crate::engine::planner::{Resolved, plan};
use crate::engine::registry::Registry;

/// The table of a listener that asks the rule `s`, of this rule, and of groups `a` to `d` with
/// these lines.
fn sharded(rule: &str, groups: &str) -> Arc<Table> {
    let named =
        |name| format!("[[group]]\nname = \"{name}\"\nbackends = [\"127.0.0.1:1\"]\n{groups}\n");
    let groups: String = ["a", "b", "c", "d"].map(named).concat();
    table(&format!(
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\nshard = \"s\"\n\
         [[shard]]\nname = \"s\"\nkey = {{ header = \"k\" }}\n{rule}\n{groups}"
    ))
}

/// The table of one group `app` with these lines.
fn grouped(lines: &str) -> Arc<Table> {
    table(&format!(
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\ngroup = \"app\"\n\
         [[group]]\nname = \"app\"\n{lines}"
    ))
}

fn table(text: &str) -> Arc<Table> {
    let config = config::load(text, "t").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    plan(
        &config,
        &Resolved::default(),
        Epoch(1),
        &mut Registry::new(1),
    )
    .table
}

fn backends(count: u32) -> String {
    let backends = (1..=count).map(|port| format!("\"127.0.0.1:{port}\""));
    format!("backends = [{}]\n", backends.collect::<Vec<_>>().join(", "))
}

/// What the shares of a side add up to.
fn sums(shares: &[Share]) -> (f64, f64) {
    let sum = |part: fn(&Share) -> f64| shares.iter().map(part).sum();
    (sum(|share| share.before), sum(|share| share.after))
}

fn near(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() < 1e-9
}

/// Ranges of integers below 100 that do not overlap, with gaps, as TOML; and the group of each.
fn integer_rule() -> impl Strategy<Value = (String, Vec<Option<char>>)> {
    prop::collection::vec((1_usize..30, prop::option::of(0_u8..4)), 1..8).prop_map(|pieces| {
        let mut owners: Vec<Option<char>> = Vec::new();
        let mut ranges = Vec::new();
        for (length, group) in pieces {
            let from = owners.len();
            let group = group.map(|group| char::from(b'a' + group));
            owners.extend(std::iter::repeat_n(group, length));
            if let Some(group) = group {
                let to = owners.len() - 1;
                ranges.push(format!(
                    "{{ from = {from}, to = {to}, group = \"{group}\" }}"
                ));
            }
        }
        if ranges.is_empty() {
            owners = vec![Some('a')];
            ranges.push("{ from = 0, to = 0, group = \"a\" }".to_owned());
        }
        (format!("ranges = [{}]", ranges.join(", ")), owners)
    })
}

/// A map of some of twenty keys, as TOML; and the group of each key.
fn map_rule() -> impl Strategy<Value = (String, Vec<Option<char>>)> {
    prop::collection::vec(prop::option::of(0_u8..4), 20).prop_map(|mut groups| {
        groups[0] = groups[0].or(Some(0));
        let owners: Vec<Option<char>> = groups
            .iter()
            .map(|group| group.map(|group| char::from(b'a' + group)))
            .collect();
        let listed = owners.iter().enumerate();
        let listed = listed.filter_map(|(key, group)| Some((key, (*group)?)));
        let entries =
            listed.map(|(key, group)| format!("{{ key = \"k{key}\", group = \"{group}\" }}"));
        (
            format!("map = [{}]", entries.collect::<Vec<_>>().join(", ")),
            owners,
        )
    })
}

/// How many owners there are on either side, and how many of these differ.
fn differ(old: &[Option<char>], new: &[Option<char>]) -> (usize, usize) {
    let length = old.len().max(new.len());
    let at = |owners: &[Option<char>], place: usize| owners.get(place).copied().flatten();
    let pairs = (0..length).map(|place| (at(old, place), at(new, place)));
    let owned: Vec<_> = pairs.filter(|pair| *pair != (None, None)).collect();
    (
        owned.len(),
        owned.iter().filter(|(old, new)| old != new).count(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ranges_are_measured_exactly(old in integer_rule(), new in integer_rule()) {
        let (before, after) = (sharded(&old.0, ""), sharded(&new.0, ""));
        let change = &compare(&before, &after, 1).shards[0];
        let (whole, moved) = differ(&old.1, &new.1);
        prop_assert_eq!(change.method, Method::Integers);
        prop_assert!(near(change.moved.unwrap(), moved as f64 / whole as f64), "{:?}", change);
        prop_assert_eq!(change.moves.is_empty(), moved == 0);
        let (sum_before, sum_after) = sums(&change.groups);
        prop_assert!(near(sum_before, 1.0) && near(sum_after, 1.0), "{:?}", change);
    }

    #[test]
    fn maps_are_compared_entry_by_entry(old in map_rule(), new in map_rule()) {
        let (before, after) = (sharded(&old.0, ""), sharded(&new.0, ""));
        let change = &compare(&before, &after, 1).shards[0];
        let (whole, moved) = differ(&old.1, &new.1);
        prop_assert_eq!(change.method, Method::Entries);
        prop_assert_eq!(change.moves.len(), moved);
        prop_assert!(near(change.moved.unwrap(), moved as f64 / whole as f64), "{:?}", change);
    }

    #[test]
    fn nothing_moves_between_equal_tables(
        rule in prop_oneof![integer_rule(), map_rule()],
        count in 1_u32..6,
        policy in prop::sample::select(vec!["maglev", "rendezvous", "ring_hash", "random"]),
    ) {
        let lines = format!("policy = \"{policy}\"\n{}", backends(count));
        for (one, two) in [
            (sharded(&rule.0, ""), sharded(&rule.0, "")),
            (grouped(&lines), grouped(&lines)),
        ] {
            let same = compare(&one, &two, 100);
            prop_assert!(same.groups.is_empty() && same.unserved.is_empty());
            prop_assert!(same.shards.iter().all(|change| change.moved == Some(0.0)));
        }
    }

    #[test]
    fn a_change_and_its_undoing_move_as_much(old in map_rule(), new in integer_rule()) {
        let (one, two) = (sharded(&old.0, ""), sharded(&new.0, ""));
        let (there, back) = (compare(&one, &two, 500), compare(&two, &one, 500));
        let (there, back) = (&there.shards[0], &back.shards[0]);
        prop_assert_eq!(there.moved, back.moved);
        for (there, back) in there.groups.iter().zip(&back.groups) {
            prop_assert_eq!((there.before, there.after), (back.after, back.before));
        }
    }

    #[test]
    fn who_goes_takes_only_its_own_keys_along(count in 2_u32..12) {
        let rule = |count: u32, policy: &str| {
            grouped(&format!("policy = \"{policy}\"\n{}", backends(count)))
        };
        let (before, after) = (rule(count, "rendezvous"), rule(count - 1, "rendezvous"));
        let changed = compare(&before, &after, 4096);
        let change = &changed.groups[0];
        let gone = change.backends.iter().find(|share| share.after == 0.0).unwrap();
        prop_assert!(near(change.moved.unwrap(), gone.before), "{change:?}");
        let stay = change.backends.iter().filter(|share| share.after > 0.0);
        prop_assert!(stay.clone().all(|share| share.after >= share.before));
        prop_assert_eq!(stay.count() as u32, count - 1);
    }
}

#[test]
fn a_further_group_of_a_hash_gets_its_share_and_nobody_else_moves() {
    let rule = |groups: &[&str]| {
        let groups = groups
            .iter()
            .map(|group| format!("{{ group = \"{group}\" }}"));
        let groups = groups.collect::<Vec<_>>().join(", ");
        sharded(
            &format!("hash = {{ algorithm = \"rendezvous\", groups = [{groups}] }}"),
            "",
        )
    };
    let compared = compare(
        &rule(&["a", "b", "c"]),
        &rule(&["a", "b", "c", "d"]),
        KEYS_DEFAULT,
    );
    let change = &compared.shards[0];
    assert_eq!(change.method, Method::Sampled(KEYS_DEFAULT));
    let moved = change.moved.unwrap();
    assert!((moved - 0.25).abs() < 0.01, "{change:?}");
    let new = change.groups.last().unwrap();
    assert_eq!((new.name.as_deref(), new.before), (Some("d"), 0.0));
    assert!(near(new.after, moved), "what moves, moves to d: {change:?}");
}

#[test]
fn text_ranges_and_prefixes_name_what_moves() {
    let old = sharded(
        "ranges = [{ to = \"m\", group = \"a\" }, { from = \"m\", group = \"b\" }]",
        "",
    );
    let new = sharded(
        "ranges = [{ to = \"k\", group = \"a\" }, { from = \"k\", group = \"b\" }]",
        "",
    );
    let change = &compare(&old, &new, 1).shards[0];
    let named = [Move {
        keys: "\"k\"..\"m\"".to_owned(),
        before: Some("a".into()),
        after: Some("b".into()),
    }];
    assert_eq!(
        (change.method, &*change.moves),
        (Method::Pieces, &named[..])
    );

    let old = sharded("prefix = [{ prefix = \"eu-\", group = \"a\" }]", "");
    let longer = "prefix = [{ prefix = \"eu-\", group = \"a\" }, \
                  { prefix = \"eu-de-\", group = \"b\" }]";
    let change = &compare(&old, &sharded(longer, ""), 1).shards[0];
    assert_eq!(change.moves[0].keys, "eu-de-*");
    assert_eq!(change.moved, Some(0.5));
}

#[test]
fn a_rule_that_comes_or_goes_moves_nothing_it_had() {
    let with = sharded("modulo = [\"a\", \"b\"]", "");
    let without = grouped(&backends(1));
    let come = &compare(&without, &with, 100).shards[0];
    assert_eq!((come.moved, come.function_before), (None, None));
    assert_eq!(sums(&come.groups), (0.0, 1.0));
    let gone = &compare(&with, &without, 100).shards[0];
    assert_eq!((gone.moved, gone.function_after), (None, None));
    assert_eq!(sums(&gone.groups), (1.0, 0.0));
}

#[test]
fn shares_of_other_policies_follow_turns_and_weights() {
    let lines = |policy: &str| {
        format!(
            "policy = \"{policy}\"\n\
             [[group.backend]]\nid = \"light\"\naddress = \"127.0.0.1:1\"\n\
             [[group.backend]]\nid = \"heavy\"\naddress = \"127.0.0.1:2\"\nweight = 3\n"
        )
    };
    let (turns, weighted) = (
        grouped(&lines("round_robin")),
        grouped(&lines("weighted_round_robin")),
    );
    let compared = compare(&turns, &weighted, 4000);
    let change = &compared.groups[0];
    assert_eq!(change.moved, None, "no keys are placed");
    let found: Vec<_> = change
        .backends
        .iter()
        .map(|share| (share.name.as_deref().unwrap(), share.before, share.after))
        .collect();
    assert_eq!(found, [("heavy", 0.5, 0.75), ("light", 0.5, 0.25)]);
}

#[test]
fn a_group_nobody_is_ready_in_is_named_if_something_leads_there() {
    let rule = "map = [{ key = \"x\", group = \"b\" }]\nmissing = { group = \"c\" }";
    let (ready, none) = (
        sharded(rule, ""),
        sharded(
            rule,
            "[[group.backend]]\naddress = \"127.0.0.1:2\"\nstate = \"drain\"",
        ),
    );
    // The short form is ready, so nobody is unserved yet.
    assert!(compare(&ready, &none, 1).unserved.is_empty());
    let drained = |rule: &str| {
        let state = "[[group.backend]]\naddress = \"127.0.0.1:1\"\nstate = \"drain\"";
        let group = |name| format!("[[group]]\nname = \"{name}\"\n{state}\n");
        table(&format!(
            "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\nshard = \"s\"\n\
             [[shard]]\nname = \"s\"\nkey = {{ header = \"k\" }}\n{rule}\n{}",
            ["a", "b", "c", "d"].map(group).concat()
        ))
    };
    let drained = drained(rule);
    let names = |compared: Comparison| -> Vec<(String, bool)> {
        let unserved = compared.unserved.into_iter();
        let unserved = unserved.map(|group| {
            assert_eq!(group.reached_by, ["shard rule s"]);
            (group.group.to_string(), group.is_new)
        });
        unserved.collect()
    };
    let (b, c) = ("b".to_owned(), "c".to_owned());
    let found = names(compare(&ready, &drained, 1));
    assert_eq!(found, [(b.clone(), true), (c.clone(), true)]);
    assert_eq!(
        names(compare(&drained, &drained, 1)),
        [(b, false), (c, false)]
    );
}

#[test]
fn routes_that_lead_elsewhere_are_listed_and_others_are_not() {
    let file = |routes: &str, default: &str| {
        let groups = ["a", "b"].map(|name| {
            format!(
                "[[group]]\nname = \"{name}\"\n[[group.backend]]\naddress = \"127.0.0.1:1\"\n\
                 labels = \"gpu\"\n"
            )
        });
        table(&format!(
            "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\n{default}\n{routes}\
             [[shard]]\nname = \"s\"\nkey = {{ header = \"k\" }}\nmodulo = [\"a\", \"b\"]\n{}",
            groups.concat()
        ))
    };
    let route = |name: &str, to: &str| {
        format!("[[listener.route]]\nname = \"{name}\"\npath = \"/{name}\"\n{to}\n")
    };
    let before = file(
        &[
            route("stays", "group = \"a\""),
            route("moves", "group = \"a\""),
            route("gains", "group = \"a\""),
            route("goes", "shard = \"s\""),
        ]
        .concat(),
        "group = \"a\"",
    );
    let after = file(
        &[
            route("comes", "shard = \"s\""),
            route("gains", "group = \"a\"\nrequire = \"gpu\""),
            route("moves", "group = \"b\""),
            route("stays", "group = \"a\"").replace("/stays", "/other"),
        ]
        .concat(),
        "shard = \"s\"",
    );
    let group = |name: &str, required: &[&str]| {
        let required = required.iter().map(|label| Arc::from(*label));
        Some(Target::Group {
            name: name.into(),
            required: required.collect(),
        })
    };
    let rule = || Some(Target::Shard("s".into()));
    let expected = [
        (None, group("a", &[]), rule()),
        (Some("comes"), None, rule()),
        (Some("gains"), group("a", &[]), group("a", &["gpu"])),
        (Some("goes"), rule(), None),
        (Some("moves"), group("a", &[]), group("b", &[])),
    ];
    let expected = expected.map(|(route, before, after)| RouteChange {
        listener: "web".into(),
        route: route.map(Into::into),
        before,
        after,
    });
    let found = compare(&before, &after, 10);
    assert_eq!(found.routes, expected);
    assert!(compare(&after, &after, 10).routes.is_empty());
    let part = found.groups.iter().find(|group| !group.required.is_empty());
    let part = part.expect("the part of a that is required now");
    assert_eq!(
        (part.policy_before, part.policy_after),
        (None, Some("round_robin"))
    );
}
