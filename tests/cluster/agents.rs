//! Nodes ask agents together: an agent is asked by as many nodes however many there are, and what
//! it says all of them do.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Agent, Nodes, PATIENCE, Proxy, Settings, Upstream, eventually_within};

const NODES: usize = 5;

/// Nodes that ask each agent.
const ASKERS: usize = 2;

/// Five nodes with the backends `one`, which has the agent, and `two`.
fn start(nodes: &Nodes, agent: &Agent, [one, two]: [&Upstream; 2]) -> Vec<Proxy> {
    let settings = Settings::http_to(&[])
        .group_with("agent", "{ interval = \"200ms\", send = \"who\\n\" }")
        .member(one, &format!("id = \"one\"\nagent_port = {}", agent.port()))
        .member(two, "id = \"two\"");
    let started = (0..NODES).map(|node| {
        let section = format!("{}\nobservers = {ASKERS}", nodes.section(node));
        Nodes::beside(&settings).section(&section).start()
    });
    let started: Vec<Proxy> = started.collect();
    eventually_within(2 * PATIENCE, "all know each other", || {
        let others = NODES as u64 - 1;
        started.iter().all(|node| node.nodes("alive") == others)
    });
    started
}

/// What a node says of `one`.
fn seen(node: &Proxy) -> Value {
    node.api().get("/v1/backends/one").expect(200)["items"][0].clone()
}

/// Who asks the agent, as a node sees it.
fn askers(node: &Proxy) -> Vec<String> {
    let seen = seen(node);
    let items = seen["agent"]["askers"]["items"].as_array().unwrap().iter();
    let names = items.map(|asker| asker["node"].as_str().unwrap().to_owned());
    names.collect()
}

/// Whether all see the same who ask, as many as there are to be.
fn agree(nodes: &[&Proxy]) -> bool {
    let first = askers(nodes[0]);
    first.len() == ASKERS && nodes.iter().all(|node| askers(node) == first)
}

/// Waits until all nodes have this status of `one`; tells how long that took.
#[track_caller]
fn all_become(nodes: &[&Proxy], status: &str) {
    let begun = Instant::now();
    eventually_within(PATIENCE, status, || {
        nodes.iter().all(|node| seen(node)["status"] == status)
    });
    eprintln!("all nodes have it {status} after {:?}", begun.elapsed());
}

/// Questions in a second.
fn pace(agent: &Agent) -> f64 {
    let (begun, before) = (Instant::now(), agent.asked());
    sleep(Duration::from_secs(4));
    (agent.asked() - before) as f64 / begun.elapsed().as_secs_f64()
}

#[test]
fn an_agent_is_asked_by_two_of_five_nodes_and_all_do_what_it_says() {
    let agent = Agent::saying("ready up 80%\n");
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let nodes = Nodes::new(NODES);
    let mut started = start(&nodes, &agent, [&one, &two]);
    let all: Vec<&Proxy> = started.iter().collect();
    eventually_within(2 * PATIENCE, "all agree on who asks", || agree(&all));
    eventually_within(PATIENCE, "two ask, and no more", || {
        let asking = all.iter().map(|node| {
            let metrics = node.metrics();
            metrics.count("weir_cluster_agents_asked", &[])
        });
        asking.sum::<f64>() == ASKERS as f64
    });
    // Two nodes that ask five times a second each; five nodes would come to 25.
    eventually_within(2 * PATIENCE, "it is asked as often as by two", || {
        let pace = pace(&agent);
        eprintln!("{pace:.1} questions a second by {NODES} nodes");
        (1.0..12.0).contains(&pace)
    });
    eventually_within(PATIENCE, "all have heard", || {
        all.iter()
            .all(|node| seen(node)["agent"]["weight"] == "80%")
    });
    agent.says("drain\n");
    all_become(&all, "drain");
    for node in &all {
        let agent = &seen(node)["agent"];
        // What a line does not mention stays as it was said before, on all nodes.
        assert_eq!(
            (&agent["state"], &agent["weight"]),
            (&json!("drain"), &json!("80%"))
        );
        assert_eq!(node.client().get("/").text(), "two");
        let heard = &agent["askers"]["items"][0]["heard"];
        assert_eq!(*heard, json!(["drain", "up", "80%"]), "{agent}");
    }
    // One of those who ask dies, and nobody reaches the agent: it has not changed its mind.
    agent.says("nothing that is known\n");
    let asked = askers(all[0]);
    let dies = (0..NODES)
        .find(|node| format!("n{node}") == asked[0])
        .unwrap();
    started[dies].signal(Signal::KILL);
    let died = Instant::now();
    let left: Vec<&Proxy> = (0..NODES)
        .filter(|node| *node != dies)
        .map(|node| &started[node])
        .collect();
    eventually_within(2 * PATIENCE, "its questions are taken over", || {
        let same = |node: &&Proxy| seen(node)["status"] == "drain";
        assert!(left.iter().all(same), "what it has said stays");
        !askers(left[0]).contains(&asked[0]) && agree(&left)
    });
    eprintln!("taken over after {:?}", died.elapsed());
    agent.says("ready\n");
    all_become(&left, "up");
    drop(left);
    // Who comes back knows what was said while it was away and is not said again.
    agent.says("maint\n");
    started[dies].kill_and_start();
    let all: Vec<&Proxy> = started.iter().collect();
    all_become(&all, "maint");
    eventually_within(
        2 * PATIENCE,
        "who is back asks again, and knows what was said",
        || {
            let knows = |node: &&Proxy| seen(node)["agent"]["weight"] == "80%";
            all.iter().all(knows) && agree(&all) && askers(all[0]) == asked
        },
    );
}
