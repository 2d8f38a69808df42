//! Nodes that are told of no other find each other through leases in etcd.

use rustix::process::Signal;

use crate::support::{Etcd, Nodes, PATIENCE, Proxy, Settings, Upstream, eventually_within};

fn start(nodes: &Nodes, node: usize, settings: &Settings) -> Proxy {
    let section = nodes.section_alone(node);
    Nodes::beside(settings).section(&section).start()
}

fn all_alive(nodes: &[Proxy]) -> bool {
    nodes
        .iter()
        .all(|node| node.nodes("alive") as usize == nodes.len() - 1)
}

#[test]
fn nodes_find_each_other_in_etcd_and_register_again_when_a_lease_is_lost() {
    let mut etcd = Etcd::start(1);
    let upstream = Upstream::named("one");
    let settings = Settings::http_to(&[&upstream]).section(&etcd.section());
    let nodes = Nodes::new(3);
    let mut started: Vec<Proxy> = (0..2).map(|node| start(&nodes, node, &settings)).collect();
    let registered = |etcd: &Etcd| etcd.keys(0, "/weir/node/");
    eventually_within(2 * PATIENCE, "both know each other", || {
        all_alive(&started) && registered(&etcd) == ["/weir/node/n0", "/weir/node/n1"]
    });
    // What ends without them is made again, maybe before anybody can look.
    assert_eq!(etcd.revoke_leases(0), 2);
    let registrations = |node: &Proxy| node.metrics().count("weir_store_registrations_total", &[]);
    eventually_within(2 * PATIENCE, "both are registered again", || {
        registered(&etcd).len() == 2 && started.iter().all(|node| registrations(node) >= 2.0)
    });
    // So is what somebody removes, and one that comes later is found by all.
    etcd.ctl(0, &["del", "/weir/node/n0"]);
    eventually_within(2 * PATIENCE, "it is registered again", || {
        registered(&etcd).len() == 2
    });
    started.push(start(&nodes, 2, &settings));
    eventually_within(2 * PATIENCE, "all know each other", || all_alive(&started));
    // The address of one that dies goes with its lease.
    started[1].signal(Signal::KILL);
    eventually_within(3 * PATIENCE, "it is not registered any more", || {
        registered(&etcd) == ["/weir/node/n0", "/weir/node/n2"]
    });
    // Without etcd they go on knowing each other, and register when it is back.
    etcd.kill(0);
    started[1].kill_and_start();
    etcd.run(0);
    eventually_within(3 * PATIENCE, "all are there again", || {
        registered(&etcd).len() == 3 && all_alive(&started)
    });
}
