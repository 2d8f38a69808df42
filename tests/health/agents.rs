//! Agents in HAProxy's protocol: what they say is done, and only they take it back.

use std::collections::BTreeSet;

use serde_json::json;

use super::{becomes, thought_of};
use crate::support::{Agent, Proxy, Settings, Upstream, eventually};

/// `one` with an agent, `two` without.
fn settings(one: &Upstream, two: &Upstream, agent: &Agent) -> Settings {
    Settings::http_to(&[])
        .group_with("agent", "{ interval = \"100ms\", send = \"who\\n\" }")
        .member(one, &format!("id = \"one\"\nagent_port = {}", agent.port()))
        .member(two, "id = \"two\"")
}

fn seen(proxy: &Proxy, requests: usize) -> Vec<String> {
    let mut client = proxy.client();
    (0..requests).map(|_| client.get("/").text()).collect()
}

fn asked(proxy: &Proxy, result: &str) -> f64 {
    let metrics = proxy.metrics();
    metrics.count("weir_agent_checks_total", &[("result", result)])
}

#[test]
fn what_an_agent_says_is_done_and_shown() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let agent = Agent::saying("up\n");
    let proxy = settings(&one, &two, &agent).start();
    eventually("it was asked", || asked(&proxy, "answered") >= 1.0);
    assert_eq!(agent.sent(), b"who\n");
    assert_eq!(thought_of(&proxy, "one")["sources"][3]["says"], "up");
    assert_eq!(thought_of(&proxy, "two")["agent"], json!(null));
    agent.says("down # disk full\r\n");
    becomes(&proxy, "one", "down");
    let thought = thought_of(&proxy, "one");
    assert_eq!(
        (&thought["source"], &thought["reason"]),
        (&json!("agent"), &json!("disk full"))
    );
    assert!(seen(&proxy, 10).iter().all(|name| name == "two"));
    agent.says("up maint");
    becomes(&proxy, "one", "maint");
    agent.says("drain");
    becomes(&proxy, "one", "drain");
    assert_eq!(thought_of(&proxy, "one")["agent"]["state"], "drain");
    assert!(seen(&proxy, 10).iter().all(|name| name == "two"));
    let transitions = proxy
        .metrics()
        .count("weir_backend_transitions_total", &[("source", "agent")]);
    assert_eq!(transitions, 3.0);
    agent.says("ready");
    becomes(&proxy, "one", "up");
    let both: BTreeSet<String> = seen(&proxy, 20).into_iter().collect();
    assert_eq!(both.len(), 2);
}

#[test]
fn a_share_and_a_limit_are_kept_to() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let agent = Agent::saying("20% maxconn:7\n");
    let proxy = settings(&one, &two, &agent).start();
    let said = || thought_of(&proxy, "one")["agent"].clone();
    eventually("it was heard", || said()["weight"] == "20%");
    assert_eq!(said()["capacity"], 7);
    let of_one = seen(&proxy, 400)
        .iter()
        .filter(|name| *name == "one")
        .count();
    // Half of them with its whole share; passed over four times of five, a sixth.
    assert!((25..=125).contains(&of_one), "{of_one}");
    agent.says("maxconn:0 0%");
    becomes(&proxy, "one", "drain");
    assert_eq!(said()["capacity"], json!(null));
}

#[test]
fn an_agent_that_is_gone_has_said_what_it_said_and_is_no_failure() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let settings = settings(&one, &two, &Agent::gone());
    let with = |agent: &str| {
        let mut other = settings.clone();
        other.groups[0].members[0] =
            format!("address = \"{}\"\nid = \"one\"\n{agent}", one.address());
        other
    };
    let mut proxy = settings.clone().start();
    eventually("it cannot be reached", || {
        asked(&proxy, "unreachable") >= 2.0
    });
    let thought = thought_of(&proxy, "one");
    assert_eq!(thought["status"], "up");
    assert_eq!(thought["agent"]["trouble"], "connection refused");
    let agent = Agent::saying("down");
    proxy.reload(with(&format!("agent_port = {}", agent.port())));
    becomes(&proxy, "one", "down");
    agent.says("GET / HTTP/1.1 nonsense");
    eventually("nothing is understood", || {
        asked(&proxy, "not_understood") >= 1.0
    });
    assert_eq!(thought_of(&proxy, "one")["status"], "down");
    // Neither somebody outside nor a check undoes it.
    let passed = json!({"server_id": "one", "group": "app"});
    proxy
        .api()
        .post("/v1/rpc/health_check_passed", passed)
        .expect(200);
    assert_eq!(thought_of(&proxy, "one")["status"], "down");
    proxy.reload(with(""));
    assert_eq!(thought_of(&proxy, "one")["status"], "up", "it has no agent");
}
