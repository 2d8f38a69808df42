//! Nodes find each other, miss each other, and hear nobody else.

use rustix::process::Signal;

use crate::support::{Nodes, PATIENCE, Proxy, Settings, Upstream, eventually, eventually_within};

fn all_alive(nodes: &[&Proxy]) -> bool {
    let others = nodes.len() as u64 - 1;
    nodes.iter().all(|node| node.nodes("alive") == others)
}

#[test]
fn nodes_find_each_other_and_tell_the_dead_from_those_who_left() {
    let upstream = Upstream::named("one");
    let settings = Settings::http_to(&[&upstream]);
    let nodes = Nodes::new(3);
    let mut started: Vec<Proxy> = (0..3).map(|node| nodes.start(node, &settings)).collect();
    let [first, second, third] = &mut started[..] else {
        unreachable!("three nodes");
    };
    eventually("all are found", || all_alive(&[first, second, third]));
    // SWIM takes its time to be sure; a slow machine takes more.
    third.signal(Signal::KILL);
    eventually_within(2 * PATIENCE, "it is missed", || {
        first.nodes("dead") == 1 && second.nodes("dead") == 1
    });
    third.kill_and_start();
    eventually_within(2 * PATIENCE, "it is back", || {
        all_alive(&[first, second, third])
    });
    second.signal(Signal::TERM);
    second.wait_for_exit(PATIENCE);
    eventually("it has left", || {
        first.nodes("left") == 1 && third.nodes("left") == 1
    });
}

#[test]
fn who_has_another_key_is_not_heard() {
    let upstream = Upstream::named("one");
    let settings = Settings::http_to(&[&upstream]);
    let nodes = Nodes::new(2);
    let first = nodes.start(0, &settings);
    let strange = Nodes::beside(&settings).section(&nodes.strange_section(1));
    let strange = strange.start();
    eventually("it is refused", || {
        let labels = [("reason", "foreign")];
        let name = "weir_cluster_datagrams_rejected_total";
        first.metrics().count(name, &labels) >= 2.0
    });
    for node in [&first, &strange] {
        assert_eq!(node.nodes("alive"), 0);
        assert_eq!(
            node.metrics()
                .count("weir_cluster_datagrams_received_total", &[]),
            0.0
        );
    }
}

#[test]
fn a_node_that_is_upgraded_stays_among_the_others() {
    let upstream = Upstream::named("one");
    let settings = Settings::http_to(&[&upstream]);
    let nodes = Nodes::new(2);
    let first = nodes.start(0, &settings);
    let mut second = nodes.start(1, &settings);
    eventually("both are found", || all_alive(&[&first, &second]));
    second.upgrade();
    eventually("the new process has found the other", || {
        all_alive(&[&first, &second])
    });
    assert_eq!((first.nodes("dead"), first.nodes("left")), (0, 0));
}

#[test]
fn a_key_that_is_none_is_told_before_anything_is_served() {
    let upstream = Upstream::named("one");
    let section = "[cluster]\nbind = \"127.0.0.1:1\"\nkey_file = \"DIRECTORY/weir.toml\"";
    let mut node = Settings::http_to(&[&upstream]).section(section).launch();
    assert!(!node.wait_for_exit(PATIENCE).success());
    let said = node.stderr();
    assert!(said.contains("cluster.key_file"), "{said}");
    assert!(said.contains("line 1 is no key"), "{said}");
}
