//! Policies that place a request by what it says: the same key, the same backend.

use std::collections::BTreeMap;

use crate::support::{Proxy, Settings, Upstream};

const KINDS: [&str; 3] = ["maglev", "rendezvous", "ring_hash"];

fn start(upstreams: &[Upstream], policy: &str, hash_on: &str) -> Proxy {
    let mut settings = Settings::http_to(&[]).workers("2");
    for upstream in upstreams {
        settings = settings.member(upstream, "");
    }
    let settings = settings.group_with("policy", &format!("{policy:?}"));
    settings.group_with("hash_on", hash_on).start()
}

fn ask(proxy: &Proxy, target: &str, lines: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n");
    proxy.client().ask(request).text()
}

/// Who serves each of some users, each asked for twice.
fn owners(proxy: &Proxy) -> BTreeMap<usize, String> {
    let owner = |user: usize| {
        let lines = format!("X-User: user-{user}\r\n");
        let owner = ask(proxy, "/", &lines);
        assert_eq!(ask(proxy, "/other", &lines), owner);
        (user, owner)
    };
    (0..40).map(owner).collect()
}

#[test]
fn a_key_keeps_its_backend_on_another_node_and_when_others_leave() {
    let upstreams: Vec<Upstream> = ["a", "b", "c", "d"].map(Upstream::named).into();
    for policy in KINDS {
        let hash_on = "{ header = \"x-user\" }";
        let first = owners(&start(&upstreams, policy, hash_on));
        let second = owners(&start(&upstreams, policy, hash_on));
        assert_eq!(first, second, "{policy}");
        let used: std::collections::BTreeSet<&String> = first.values().collect();
        assert_eq!(used.len(), 4, "{policy}: {first:?}");
        let without = owners(&start(&upstreams[..3], policy, hash_on));
        let moved = first
            .iter()
            .filter(|(user, owner)| *owner != "d" && without[*user] != **owner)
            .count();
        assert!(
            moved <= if policy == "maglev" { 6 } else { 0 },
            "{policy}: {moved}"
        );
    }
}

#[test]
fn keys_are_taken_from_cookies_queries_and_paths_as_well() {
    let upstreams: Vec<Upstream> = ["a", "b", "c", "d"].map(Upstream::named).into();
    for (hash_on, target, lines) in [
        ("{ cookie = \"id\" }", "/", "Cookie: id=KEY; x=1\r\n"),
        ("{ query = \"id\" }", "/?x=1&id=KEY", ""),
        ("{ path_segment = 2 }", "/users/KEY/x", ""),
    ] {
        let proxy = start(&upstreams, "rendezvous", hash_on);
        let mut used = std::collections::BTreeSet::new();
        for key in 0..24 {
            let fill = |text: &str| text.replace("KEY", &format!("k{key}"));
            let owner = ask(&proxy, &fill(target), &fill(lines));
            assert_eq!(ask(&proxy, &fill(target), &fill(lines)), owner);
            used.insert(owner);
        }
        assert!(used.len() > 2, "{hash_on}: {used:?}");
    }
}

#[test]
fn a_request_without_the_key_is_served_all_the_same() {
    let upstreams: Vec<Upstream> = ["a", "b"].map(Upstream::named).into();
    for policy in KINDS {
        let proxy = start(&upstreams, policy, "{ header = \"x-user\" }");
        assert!(["a", "b"].contains(&&*ask(&proxy, "/", "")));
    }
}
