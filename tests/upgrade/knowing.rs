//! What the new process knows: every acknowledged change, the number of its epoch, and which
//! backends are dead.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::scope;

use serde_json::{Value, json};

use crate::support::{
    Agent, Answer, Ending, Proxy, Settings, Upstream, closed_port, eventually, from_env,
};

fn settings(upstream: &Upstream) -> Settings {
    Settings::http_to(&[upstream]).section("[upgrade]\nsocket = \"DIRECTORY/up.sock\"")
}

/// Puts backends with rising numbers until told to stop; gives the numbers that were acknowledged,
/// and counts them meanwhile.
fn write(proxy: &crate::support::Api, stop: &AtomicBool, count: &AtomicUsize) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let reply = proxy.patch("/v1/groups/app", json!({"retries": number % 6}));
        let path = format!("/v1/groups/app/backends/n{number}");
        let address = format!("127.0.0.1:{}", 20_000 + number);
        let put = proxy.put(&path, json!({"address": address, "state": "maint"}));
        for reply in [reply, put] {
            match reply.status() {
                200 | 201 => {}
                503 => assert!(reply.head.field("retry-after").is_some(), "{reply:?}"),
                status => panic!("{status}: {}", reply.text),
            }
            if reply.status() == 201 {
                acknowledged.push(number);
                count.store(acknowledged.len(), Relaxed);
            }
        }
    }
    acknowledged
}

#[test]
fn every_acknowledged_change_is_there_after_upgrades_and_epochs_only_rise() {
    let upstream = Upstream::named("b");
    let mut proxy = settings(&upstream).with_store().start();
    let api = proxy.api();
    let upgrades = from_env("WEIR_TEST_UPGRADES", 5);
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let acknowledged = scope(|scope| {
        let writing = scope.spawn(|| write(&api, &stop, &count));
        let ending = Ending(&stop);
        let mut epoch = 0;
        for _ in 0..upgrades {
            let before = count.load(Relaxed);
            eventually("two changes", || count.load(Relaxed) > before + 1);
            proxy.upgrade();
            let now = proxy.epochs()["published"].as_u64().unwrap();
            assert!(now > epoch, "{now} after {epoch}");
            epoch = now;
        }
        drop(ending);
        writing.join().unwrap()
    });
    assert!(
        acknowledged.len() as u64 >= 2 * upgrades,
        "{acknowledged:?}"
    );
    proxy.kill_and_start();
    for number in acknowledged {
        let reply = proxy
            .api()
            .get(&format!("/v1/groups/app/backends/n{number}"));
        assert_eq!(reply.status(), 200, "n{number} is forgotten");
    }
}

#[test]
fn a_condition_on_an_epoch_of_the_old_process_holds_in_the_new_one() {
    let upstream = Upstream::named("b");
    let mut proxy = settings(&upstream).with_store().start();
    proxy
        .api()
        .patch("/v1/groups/app", json!({"retries": 3}))
        .expect(200);
    let epoch = proxy.api().get("/v1/groups/app").epoch();
    let _ = proxy.take_over().wait();
    let now = proxy.api().get("/v1/groups/app").epoch();
    let found = proxy.epochs()["found"].as_u64();
    assert_eq!(
        (now, found),
        (epoch, Some(1)),
        "the same revision, a later epoch"
    );
    let change = |epoch: u64, retries: u64| {
        let api = proxy.api().with("If-Match", format!("\"{epoch}\""));
        api.patch("/v1/groups/app", json!({"retries": retries}))
            .status()
    };
    assert_eq!(change(epoch, 4), 200, "nothing has changed since");
    assert_eq!(change(epoch, 5), 412, "something has");
}

/// Two clocks are read for a moment; a busy machine may do something else between.
const CLOCKS_APART_MS: u64 = 1000;

/// What is thought of the backend of this id.
fn thought_of(proxy: &Proxy, id: &str) -> Value {
    let shown = proxy.api().get(&format!("/v1/backends/{id}"));
    shown.expect(200)["items"][0].clone()
}

/// The history of a backend, without moments: each process rounds them by a clock of its own.
fn without_times(thought: &Value) -> Vec<Value> {
    let mut history = thought["history"].as_array().unwrap().clone();
    for was in &mut history {
        was.as_object_mut().unwrap().remove("at_ms");
    }
    history
}

#[test]
fn what_is_known_against_backends_is_known_to_the_new_process() {
    let good = Upstream::named("good");
    let bad = Upstream::http(|_| Answer::new(500, "", b"bad"));
    let dead = closed_port();
    let check = "{ kind = \"tcp\", interval = \"200ms\", rise = 100 }";
    let mut proxy = Settings::http_to(&[])
        .section("[upgrade]\nsocket = \"DIRECTORY/up.sock\"")
        .group_with("outlier", "{ always_eject_one = true }")
        .group_with("check", "{ heartbeat_timeout = \"1h\" }")
        .member(&good, "id = \"good\"")
        .member(&bad, "id = \"bad\"")
        .listener("other", "http")
        .to("checked")
        .group("checked", &[])
        .group_with("check", check)
        .member(&good, "id = \"alive\"")
        .member(&dead, "id = \"dead\"")
        .start();
    let mut client = proxy.client();
    eventually("the bad one is ejected", || {
        client.get("/");
        thought_of(&proxy, "bad")["status"] == "down"
    });
    eventually("the dead one is found", || {
        thought_of(&proxy, "dead")["status"] == "down"
    });
    let spoken = json!({"server_id": "good", "incarnation": 1, "sequence": 7, "active": 0,
        "capacity": 50});
    let heartbeat = |proxy: &Proxy| proxy.api().post("/v1/heartbeat", spoken.clone());
    assert!(heartbeat(&proxy).status() < 300);
    let known = ["bad", "dead", "good"].map(|id| thought_of(&proxy, id));
    eventually("that is longer ago than a page may take", || {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let since = |one: &Value| u128::from(one["since_ms"].as_u64().unwrap());
        let long_ago = now - u128::from(2 * CLOCKS_APART_MS);
        known.iter().all(|one| since(one) < long_ago)
    });
    let asked = bad.request_count();
    drop(client);

    assert_eq!(proxy.take_over().wait().unwrap().code(), Some(0));
    let mut other = crate::support::Client::connect(proxy.address_of("other"));
    for _ in 0..20 {
        assert_eq!(proxy.client().get("/").text(), "good");
        assert_eq!(other.get("/").text(), "good");
    }
    assert_eq!(bad.request_count(), asked, "the ejected one is left alone");
    let failures = proxy
        .metrics()
        .sum("weir_backend_connect_failures_total", &[]);
    assert_eq!(failures, Some(0.0), "the dead one is left alone");
    for (before, id) in known.iter().zip(["bad", "dead", "good"]) {
        let now = thought_of(&proxy, id);
        for key in ["status", "source", "reason"] {
            assert_eq!(now[key], before[key], "{id}: {key}");
        }
        assert_eq!(without_times(&now), without_times(before), "{id}");
        let since = |one: &Value| one["since_ms"].as_u64().unwrap();
        let apart = since(&now).abs_diff(since(before));
        assert!(
            apart < CLOCKS_APART_MS,
            "{id}: the same moment, {apart} ms apart"
        );
    }
    let again = heartbeat(&proxy);
    assert!(again.text.contains("replayed"), "{again:?}");
}

#[test]
fn what_an_agent_has_said_is_known_to_the_new_process_though_it_says_nothing_more() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let agent = Agent::saying("drain 40% maxconn:9\n");
    let mut proxy = Settings::http_to(&[])
        .section("[upgrade]\nsocket = \"DIRECTORY/up.sock\"")
        .group_with("agent", "{ interval = \"100ms\" }")
        .member(
            &one,
            &format!("id = \"one\"\nagent_port = {}", agent.port()),
        )
        .member(&two, "id = \"two\"")
        .start();
    let said = |proxy: &Proxy| {
        let shown = &thought_of(proxy, "one")["agent"];
        ["state", "weight", "capacity"].map(|key| shown[key].clone())
    };
    let expected = [json!("drain"), json!("40%"), json!(9)];
    eventually("it was heard", || said(&proxy) == expected);
    agent.says("nothing that is known\n");
    assert_eq!(proxy.take_over().wait().unwrap().code(), Some(0));
    for _ in 0..20 {
        assert_eq!(proxy.client().get("/").text(), "two");
    }
    assert_eq!(thought_of(&proxy, "one")["status"], "drain");
    assert_eq!(said(&proxy), expected);
    agent.says("ready\n");
    eventually("it is asked as before", || said(&proxy)[0] == "ready");
}
