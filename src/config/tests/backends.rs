//! Backends in the long form: what each key means, and every mistake in one.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::drain::{DrainEnd, DrainTerms};

const BEGIN: &str = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\ngroup = \"app\"\n\
                     [[group]]\nname = \"app\"\n";

fn group(text: &str) -> Group {
    (*sound(&format!("{BEGIN}{text}")).groups[0]).clone()
}

fn group_errors(text: &str) -> Vec<String> {
    errors(&format!("{BEGIN}{text}"))
}

#[test]
fn both_forms_stand_in_one_group() {
    let group = group(
        "backends = [\"App.internal:80\"]\n\
         [[group.backend]]\naddress = \"127.0.0.1:9001\"\n\
         [[group.backend]]\nid = \"b2\"\naddress = \"127.0.0.1:9002\"\nweight = 65535\n\
         state = \"drain\"\nlabels = [\"gpu\", \"ssd\"]\nconnections_max = 10\n\
         requests_max = 3\n",
    );
    let [short, plain, full] = &group.backends[..] else {
        panic!("{:?}", group.backends);
    };
    assert_eq!(&*short.id, "App.internal:80");
    assert_eq!((&*plain.id, plain.weight), ("127.0.0.1:9001", 1));
    assert_eq!(plain.state, BackendState::Ready);
    assert_eq!((plain.connections_max, plain.requests_max), (None, None));
    assert_eq!((&*full.id, full.weight), ("b2", 65535));
    assert_eq!(full.state, BackendState::Drain);
    assert_eq!(full.labels, [Arc::from("gpu"), Arc::from("ssd")]);
    assert_eq!(
        (full.connections_max, full.requests_max),
        (Some(10), Some(3))
    );
}

#[test]
fn the_effective_form_is_as_short_as_it_can_be() {
    let text = format!(
        "{BEGIN}backends = [\"App.internal:80\"]\n\
         [[group.backend]]\naddress = \"127.0.0.1:9001\"\n\
         [[group.backend]]\naddress = \"127.0.0.1:9002\"\nweight = 2\n"
    );
    let printed = sound(&text).to_toml();
    assert!(
        printed.contains("backends = [\"App.internal:80\", \"127.0.0.1:9001\"]"),
        "{printed}"
    );
    assert_eq!(printed.matches("[[group.backend]]").count(), 1);
    assert!(!printed.contains("\nid = "), "{printed}");
}

#[test]
fn every_mistake_in_backends_is_told_in_one_run() {
    let found = group_errors(
        "[[group.backend]]\nid = \"a b\"\naddress = \"127.0.0.1:1\"\nweight = 65536\n\
         [[group.backend]]\nid = \"b\"\naddress = \"127.0.0.1:1\"\nstate = \"down\"\n\
         [[group.backend]]\nid = \"b\"\nlabels = [\"x y\", \"z\", \"z\"]\n\
         requests_max = 0\nmax_connections = 3\n",
    );
    let expected = [
        "weir.toml:8:6: group[app].backend[#1].id: \"a b\" is not a name; fix: write 1 to 64 \
         letters, digits, '-', '_' or '.', such as \"web-1\"",
        "weir.toml:10:10: group[app].backend[#1].weight: 65536 is out of range; fix: write a \
         value from 0 to 65535",
        "weir.toml:13:11: group[app].backend[b].address: 127.0.0.1:1 is already in this group, \
         on line 9; fix: remove one of the two",
        "weir.toml:14:9: group[app].backend[b].state: unknown value \"down\"; fix: write one of \
         \"ready\", \"drain\", \"maint\"",
        "weir.toml:15:1: group[app].backend[b].address: is missing; fix: add address = \
         \"127.0.0.1:9001\"",
        "weir.toml:16:6: group[app].backend[b].id: a backend named \"b\" is already on line 12; \
         fix: give it another name",
        "weir.toml:17:11: group[app].backend[b].labels[#1]: \"x y\" is not a label; fix: write a \
         word, or a name and a value, of 1 to 64 letters, digits, '-', '_' or '.' each, such as \
         \"gpu\" or \"zone=eu\"",
        "weir.toml:17:23: group[app].backend[b].labels[#3]: \"z\" is there twice; fix: remove \
         one",
        "weir.toml:18:16: group[app].backend[b].requests_max: 0 is out of range; fix: write a \
         value from 1 to 10000000",
        "weir.toml:19:1: group[app].backend[b].max_connections: unknown key; fix: write \
         connections_max",
    ];
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn a_group_without_backends_is_told_once() {
    let missing = "weir.toml:5:1: group[app].backends: is missing; fix: add backends = \
                   [\"127.0.0.1:9001\"]";
    assert_eq!(group_errors(""), [missing]);
    let empty = group_errors("backends = []\n");
    assert!(empty[0].contains("a group needs a backend"), "{empty:?}");
    let long = "backends = []\n[[group.backend]]\naddress = \"127.0.0.1:9001\"\n";
    assert_eq!(group(long).backends.len(), 1);
}

#[test]
fn a_group_nobody_of_which_takes_traffic_is_suspicious() {
    let nobody = format!(
        "{BEGIN}[[group.backend]]\naddress = \"127.0.0.1:1\"\nweight = 0\n\
         [[group.backend]]\naddress = \"127.0.0.1:2\"\nstate = \"maint\"\n"
    );
    let warnings = sound(&nobody).warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].what,
        "no backend of this group takes new traffic"
    );
}

#[test]
fn every_policy_has_its_word() {
    let policies = [
        ("adaptive", Policy::Adaptive(Adaptive::default())),
        ("least_connections", Policy::LeastConnections),
        ("least_request", Policy::LeastRequest { choices: 2 }),
        ("maglev", Policy::Maglev { bounded_load: None }),
        ("peak_ewma", Policy::PeakEwma),
        ("random", Policy::Random),
        ("rendezvous", Policy::Rendezvous { bounded_load: None }),
        ("ring_hash", Policy::RingHash { bounded_load: None }),
        ("round_robin", Policy::RoundRobin),
        (
            "weighted_least_connections",
            Policy::WeightedLeastConnections,
        ),
        ("weighted_round_robin", Policy::WeightedRoundRobin),
    ];
    for (word, policy) in policies {
        let group = group(&format!(
            "policy = \"{word}\"\nbackends = [\"127.0.0.1:1\"]\n"
        ));
        assert_eq!(group.policy, policy);
    }
    let unknown = &group_errors("policy = \"q\"\nbackends = [\"127.0.0.1:1\"]\n")[0];
    let listed = Policy::NAMES.map(|name| format!("{name:?}")).join(", ");
    assert!(
        unknown.ends_with(&format!("write one of {listed}")),
        "{unknown}"
    );
    let three = group("policy = \"least_request\"\nchoices = 3\nbackends = [\"127.0.0.1:1\"]\n");
    assert_eq!(three.policy, Policy::LeastRequest { choices: 3 });
}

#[test]
fn how_adaptive_chooses_and_what_picks_beside() {
    let text = "policy = \"random\"\nshadow = \"adaptive\"\nshadow_every = 4\n\
                backends = [\"127.0.0.1:1\"]\n[group.adaptive]\nmemory = \"500ms\"\nnodes = 3\n";
    let shadow = group(text).shadow.unwrap();
    let expected = Adaptive {
        memory: Duration::from_millis(500),
        nodes: 3,
        ..Adaptive::default()
    };
    assert_eq!(shadow.policy, Policy::Adaptive(expected));
    assert_eq!(shadow.every, 4);
    let wrong = [
        ("[group.adaptive]\nnodes = 1\n", "adaptive only"),
        ("shadow_every = 4\n", "beside shadow only"),
        ("shadow = \"best\"\n", "best"),
        ("shadow = \"adaptive\"\nshadow_every = 0\n", "from 1 to"),
        (
            "policy = \"adaptive\"\n[group.adaptive]\nnodes = 0\n",
            "from 1 to 1000",
        ),
        (
            "policy = \"adaptive\"\n[group.adaptive]\nmemory = \"2h\"\n",
            "longer",
        ),
        (
            "policy = \"adaptive\"\n[group.adaptive]\ntolerance = 1001\n",
            "from 0 to 1000",
        ),
        (
            "policy = \"adaptive\"\n[group.adaptive]\nspeed = 1\n",
            "speed",
        ),
    ];
    for (lines, what) in wrong {
        let found = group_errors(&format!("backends = [\"127.0.0.1:1\"]\n{lines}"));
        assert!(found[0].contains(what), "{lines}: {found:?}");
    }
}

#[test]
fn choices_belong_to_least_request() {
    let found = group_errors("choices = 3\nbackends = [\"127.0.0.1:1\"]\n");
    let expected = "weir.toml:7:11: group[app].choices: has a meaning for least_request only; \
                    fix: remove it, or write policy = \"least_request\"";
    assert_eq!(found, [expected]);
    let found =
        group_errors("policy = \"least_request\"\nchoices = 17\nbackends = [\"127.0.0.1:1\"]\n");
    assert!(found[0].contains("from 2 to 16"), "{found:?}");
}

#[test]
fn weights_that_move_belong_to_policies_that_go_by_weights_alone() {
    let one = "backends = [\"127.0.0.1:1\"]\n";
    let moves = |lines: &str| group(&format!("{lines}{one}")).dynamic_weights;
    assert_eq!(moves(""), None);
    assert_eq!(moves("dynamic_weights = \"none\"\n"), None);
    let each = Some(Duration::from_secs(2));
    assert_eq!(moves("dynamic_weights = \"2s\"\n"), each);
    assert_eq!(
        moves("policy = \"random\"\ndynamic_weights = \"2s\"\n"),
        each
    );
    let found = group_errors(&format!(
        "policy = \"adaptive\"\ndynamic_weights = \"2s\"\n{one}"
    ));
    let expected = "weir.toml:8:19: group[app].dynamic_weights: has a meaning for round_robin, \
                    weighted_round_robin and random only; fix: remove it, or write policy = \
                    \"weighted_round_robin\"";
    assert_eq!(found, [expected]);
    for (wrong, range) in [("2m", "from 200ms to 1m"), ("1ms", "from 200ms")] {
        let found = group_errors(&format!("dynamic_weights = \"{wrong}\"\n{one}"));
        assert!(found[0].contains(range), "{found:?}");
    }
}

#[test]
fn a_bound_on_the_load_belongs_to_policies_that_place() {
    let bounded =
        group("policy = \"rendezvous\"\nbounded_load = 125\nbackends = [\"127.0.0.1:1\"]\n");
    let bounded_load = Some(125);
    assert_eq!(bounded.policy, Policy::Rendezvous { bounded_load });
    let found = group_errors("bounded_load = 125\nbackends = [\"127.0.0.1:1\"]\n");
    let expected = "weir.toml:7:16: group[app].bounded_load: has a meaning for maglev, ring_hash \
                    and rendezvous only; fix: remove it, or write policy = \"rendezvous\"";
    assert_eq!(found, [expected]);
    let found =
        group_errors("policy = \"maglev\"\nbounded_load = 100\nbackends = [\"127.0.0.1:1\"]\n");
    assert!(found[0].contains("from 101 to 10000"), "{found:?}");
}

#[test]
fn a_drain_may_say_since_when_and_until_when() {
    let drain = |lines: &str| {
        let backend = "[[group.backend]]\naddress = \"127.0.0.1:9001\"\nstate = \"drain\"\n";
        group(&format!("{backend}{lines}")).backends[0].drain
    };
    assert_eq!(drain(""), DrainTerms::default());
    let said =
        drain("drain_since = \"2026-01-31T12:00:00Z\"\ndrain_until = \"2026-01-31T12:00:09Z\"\n");
    let since = Duration::from_secs(1_769_860_800);
    assert_eq!(said.since, Some(since));
    let until = since + Duration::from_secs(9);
    assert_eq!(said.end, Some(DrainEnd::At(until)));
    let never = drain("drain_until = \"never\"\n");
    assert_eq!(never.end, Some(DrainEnd::Never));
}

#[test]
fn mistakes_of_drains_are_named() {
    let backend = "[[group.backend]]\naddress = \"127.0.0.1:9001\"\n";
    let lines =
        "state = \"drain\"\ndrain_since = \"soon\"\ndrain_until = \"2026-02-30T00:00:00Z\"\n";
    assert_eq!(
        group_errors(&format!("{backend}{lines}")),
        [
            "weir.toml:10:15: group[app].backend[#1].drain_since: \"soon\" is not a time; fix: \
             write it in UTC, such as \"2026-01-31T12:00:00Z\"",
            "weir.toml:11:15: group[app].backend[#1].drain_until: \"2026-02-30T00:00:00Z\" is not \
             a time; fix: write it in UTC, such as \"2026-01-31T12:00:00Z\", or \"never\"",
        ]
    );
    assert_eq!(
        group_errors(&format!("{backend}drain_until = \"never\"\n")),
        [
            "weir.toml:9:15: group[app].backend[#1].drain_until: has a meaning for one that drains \
             only; fix: remove it, or write state = \"drain\"",
        ]
    );
}
