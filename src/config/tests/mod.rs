//! Every mistake is found, placed and told how to fix.

use std::time::Duration;

use super::checked::*;
use super::*;

mod admin;
mod affinity;
mod backends;
mod cluster;
mod discovery;
mod health;
mod load;
mod logs;
mod probe;
mod require;
pub(crate) mod round_trip;
mod routes;
mod shards;

const GROUP: &str = "[[group]]\nname = \"app\"\nbackends = [\"127.0.0.1:9001\"]\n";
const LISTENER: &str =
    "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\ngroup = \"app\"\n";

fn sound(text: &str) -> Config {
    load(text, "weir.toml").unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn errors(text: &str) -> Vec<String> {
    let found = load(text, "weir.toml").expect_err("the file has mistakes");
    assert!(!found.errors.is_empty());
    found.errors.iter().map(Problem::to_string).collect()
}

/// Exactly one error is found in the text, and it reads like this.
fn one_error(text: &str, expected: &str) {
    assert_eq!(errors(text), [expected.to_owned()], "{text}");
}

/// The same for a listener `web` with these further lines.
fn listener_error(lines: &str, expected: &str) {
    one_error(&format!("{LISTENER}{lines}{GROUP}"), expected);
}

/// The same for a group with these backends.
fn backend_error(backend: &str, expected: &str) {
    let text = format!("{LISTENER}[[group]]\nname = \"app\"\nbackends = [{backend}]\n");
    let expected = format!("weir.toml:7:13: group[app].backends[#1]: {expected}");
    one_error(&text, &expected);
}

#[test]
fn defaults_are_filled_in() {
    let config = sound(&format!("{LISTENER}{GROUP}"));
    assert_eq!(config.workers, Workers::Auto);
    assert_eq!((&config.admin, &config.access_log), (&None, &None));
    assert_eq!(config.shutdown.drain_timeout, Duration::from_secs(30));
    assert_eq!(config.shutdown.idle_grace, Duration::from_secs(1));
    let listener = &config.listeners[0];
    assert_eq!(listener.protocol, Protocol::Http);
    assert_eq!(listener.forwarded, Forwarded::XForwarded);
    assert!(listener.request_id && !listener.trust_forwarded);
    assert_eq!(listener.limits.head_bytes, 16384);
    assert_eq!(listener.limits.body_bytes, None);
    let group = &config.groups[0];
    assert_eq!(group.policy, Policy::RoundRobin);
    assert_eq!(group.timeouts.connect, Duration::from_secs(5));
    assert!(config.warnings.is_empty());
}

const ALL_WRONG: &str = r#"workers = [0, 0, 5000]
colour = "red"
[admin]
address = "127.0.0.1:80"
[log]
level = "inof"
[shutdown]
drain_timeout = 30
[[listener]]
name = "web"
address = "0.0.0.0:80"
protocol = "tcp"
forwarded = "none"
group = "ap"
[listener.timeouts]
idle = "5min"
[[listener]]
name = "web"
adress = "127.0.0.1:81"
[listener.limits]
head_bytes = "128KiB"
[[listener.route]]
host = "api.example.org:80"
path = "api"
[[group]]
name = "app"
policy = "roundrobin"
backends = ["127.0.0.1:9001", "127.0.0.1:9001", "localhost"]
retries = 99
"#;

const ALL_FOUND: [&str; 20] = [
    "weir.toml:1:15: workers[#2]: CPU 0 is in the list twice; \
         fix: remove one: a core has one worker",
    "weir.toml:1:18: workers[#3]: CPU 5000 is out of range; \
         fix: write a value from 0 to 1023",
    "weir.toml:2:1: colour: unknown key; fix: remove it; known here: workers, admin, log, \
         access_log, decision_log, tracing, heartbeat, cluster, store, hash_seed, shutdown, \
          upgrade, dns, listener, shard, group",
    "weir.toml:6:9: log.level: unknown value \"inof\"; fix: write \"info\"",
    "weir.toml:8:17: shutdown.drain_timeout: a duration without a unit; \
         fix: write a string with a unit, such as drain_timeout = \"500ms\" or \"30s\"",
    "weir.toml:11:11: listener[web].address: 0.0.0.0:80 overlaps with 127.0.0.1:80 of \
         line 4; fix: use another port, or one listener for both",
    "weir.toml:13:13: listener[web].forwarded: has no meaning on a tcp listener; \
         fix: remove it, or write protocol = \"http\"",
    "weir.toml:14:9: listener[web].group: no group is named \"ap\"; fix: write \"app\"",
    "weir.toml:16:8: listener[web].timeouts.idle: \"5min\" is not a duration; \
         fix: write \"5m\"",
    "weir.toml:17:1: listener[web].address: is missing; fix: add address = \"0.0.0.0:80\"",
    "weir.toml:18:8: listener[web].name: a listener named \"web\" is already on line 10; \
         fix: give it another name",
    "weir.toml:19:1: listener[web].adress: unknown key; fix: write address",
    "weir.toml:21:14: listener[web].limits.head_bytes: 128KiB is out of range; \
         fix: write a value from 1KiB to 64KiB",
    "weir.toml:22:1: listener[web].route[#1].group: is missing; fix: add group = \"app\"",
    "weir.toml:23:8: listener[web].route[#1].host: \"api.example.org:80\" has a port; \
         fix: write \"api.example.org\": the port of a request is not compared",
    "weir.toml:24:8: listener[web].route[#1].path: \"api\" does not begin with '/'; \
         fix: write \"/api\"",
    "weir.toml:27:10: group[app].policy: unknown value \"roundrobin\"; \
         fix: write \"round_robin\"",
    "weir.toml:28:31: group[app].backends[#2]: 127.0.0.1:9001 is already in this group, \
         on line 28; fix: remove one of the two",
    "weir.toml:28:49: group[app].backends[#3]: \"localhost\" has no port; \
         fix: add the port: \"localhost:80\"",
    "weir.toml:29:11: group[app].retries: 99 is out of range; \
         fix: write a value from 0 to 15",
];

#[test]
fn every_mistake_is_told_in_one_run() {
    let found = errors(ALL_WRONG);
    for (found, expected) in found.iter().zip(&ALL_FOUND) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), ALL_FOUND.len(), "{found:#?}");
}

#[test]
fn syntax_errors_have_a_place_too() {
    let found = errors("workers = 1\n[log]\nlevel = info\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("weir.toml:3:9: not TOML: "),
        "{found:?}"
    );
    let found = errors("workers = 1\nworkers = 2\n");
    assert!(found[0].ends_with("fix: keep one of the two"), "{found:?}");
    assert!(found[0].starts_with("weir.toml:2:1: "), "{found:?}");
}

#[test]
fn an_empty_file_says_what_is_missing() {
    one_error(
        "",
        "weir.toml:1:1: listener: there is no listener; \
         fix: add a [[listener]] with name, address and group",
    );
}

/// Lines added to a listener, and what is said about them.
const LISTENER_MISTAKES: [(&str, &str); 11] = [
    (
        "via = \"not a token\"\n",
        "5:7: listener[web].via: \"not a token\" is not a pseudonym for Via; fix: write one \
             word such as via = \"weir\", or remove the key to switch Via off",
    ),
    (
        "trust_forwarded = 1\n",
        "5:19: listener[web].trust_forwarded: expected true or false, found an integer; \
             fix: write trust_forwarded = true",
    ),
    (
        "maxconn = 7\n",
        "5:1: listener[web].maxconn: unknown key; fix: write connections_max",
    ),
    (
        "limits.body_bytes = \"64k\"\n",
        "5:21: listener[web].limits.body_bytes: \"64k\" is not a clear size; \
             fix: write \"64KiB\" (65536 bytes) or \"64KB\" (64000 bytes)",
    ),
    (
        "limits = { head_bytes = \"2KiB\", target_bytes = \"4KiB\" }\n",
        "5:48: listener[web].limits.target_bytes: the target is part of the head, which has \
             2048 bytes at most; fix: lower target_bytes or raise head_bytes",
    ),
    (
        "timeouts.head = \"0s\"\n",
        "5:17: listener[web].timeouts.head: 0s is out of range; \
             fix: write a value from 1ms to 24h",
    ),
    (
        "timeouts = \"5s\"\n",
        "5:12: listener[web].timeouts: expected a table, found a string; \
             fix: write it as a section [listener.timeouts]",
    ),
    (
        "route = { group = \"app\" }\n",
        "5:9: listener[web].route: expected a list of tables, found a table; \
             fix: write each one as a section [[listener.route]]",
    ),
    (
        "[[listener]]\nname = \"b c\"\naddress = \"[::]:80\"\ngroup = \"app\"\n",
        "6:8: listener[#2].name: \"b c\" is not a name; fix: write 1 to 64 letters, digits, \
             '-', '_' or '.', such as \"web-1\"",
    ),
    (
        "[[listener]]\nname = \"b\"\naddress = \"127.0.0.1:80\"\ngroup = \"app\"\n",
        "7:11: listener[b].address: 127.0.0.1:80 is already listened on, by line 3; \
             fix: use another port, or one listener for both",
    ),
    (
        "[[listener]]\nname = \"b\"\naddress = \"[::1]:80\"\nprotocol = \"tcp\"\n",
        "5:1: listener[b].group: is missing; fix: add group = \"app\"",
    ),
];

#[test]
fn listeners_are_checked() {
    for (address, what) in [
        (
            "127.0.0.1:0",
            "port 0 cannot be listened on; fix: write a port from 1 to 65535",
        ),
        (
            "80",
            "\"80\" is not an IP address and port; fix: write \"0.0.0.0:80\" or \"[::]:80\"",
        ),
        (
            "*:80",
            "\"*:80\" is not an IP address and port; fix: write \"0.0.0.0:80\" or \"[::]:80\"",
        ),
        (
            "::1",
            "\"::1\" is not an IP address and port; fix: add the port: \"[::1]:80\"",
        ),
    ] {
        one_error(
            &format!("{}{GROUP}", LISTENER.replace("127.0.0.1:80", address)),
            &format!("weir.toml:3:11: listener[web].address: {what}"),
        );
    }
    for (lines, expected) in LISTENER_MISTAKES {
        listener_error(lines, &format!("weir.toml:{expected}"));
    }
}

#[test]
fn http_keys_have_no_place_on_a_tcp_listener() {
    let text = format!(
        "{LISTENER}protocol = \"tcp\"\nvia = \"w\"\n[listener.timeouts]\nhead = \"1s\"\n\
         idle = \"1s\"\n[listener.limits]\nfields = 5\n[[listener.route]]\ngroup = \"app\"\n{GROUP}"
    );
    let found = errors(&text);
    let lines = ["6:7", "8:8", "11:10", "12:1"];
    assert_eq!(found.len(), lines.len(), "{found:#?}");
    for (found, line) in found.iter().zip(lines) {
        assert!(found.starts_with(&format!("weir.toml:{line}: ")), "{found}");
        assert!(
            found.contains("has no meaning on a tcp listener"),
            "{found}"
        );
    }
}

#[test]
fn backends_are_checked() {
    for (backend, expected) in [
        (
            "1",
            "expected a string, found an integer; fix: write backends = [\"127.0.0.1:9001\"]",
        ),
        (
            "\"app:0\"",
            "\"app:0\" has no valid port; fix: write a port from 1 to 65535",
        ),
        (
            "\"app:+80\"",
            "\"app:+80\" has no valid port; fix: write a port from 1 to 65535",
        ),
        (
            "\"127.0.0.1\"",
            "\"127.0.0.1\" has no port; fix: add the port: \"127.0.0.1:80\"",
        ),
        (
            "\"::1\"",
            "\"::1\" has no port; fix: add the port: \"[::1]:80\"",
        ),
        (
            "\"http://app/x\"",
            "\"http://app/x\" is a URL; fix: write \"app:80\"",
        ),
        (
            "\"0.0.0.0:80\"",
            "\"0.0.0.0:80\" is no address one can connect to; \
             fix: write \"127.0.0.1:80\" if it is this machine",
        ),
        (
            "\"127.0.0.256:80\"",
            "\"127.0.0.256:80\" looks like an IPv4 address and is none; fix: write it like \
             \"127.0.0.1:9001\", \"[::1]:9001\" or \"app.internal:80\"",
        ),
        (
            "\"a..b:80\"",
            "\"a..b:80\" has the label \"\", which cannot be in a host name; fix: write it like \
             \"127.0.0.1:9001\", \"[::1]:9001\" or \"app.internal:80\"",
        ),
    ] {
        backend_error(backend, expected);
    }
    let text = format!("{LISTENER}[[group]]\nname = \"app\"\n");
    one_error(
        &text,
        "weir.toml:5:1: group[app].backends: is missing; fix: add backends = [\"127.0.0.1:9001\"]",
    );
    one_error(
        &format!("{text}backends = []\n"),
        "weir.toml:7:12: group[app].backends: a group needs a backend; \
         fix: write at least one, such as backends = [\"127.0.0.1:9001\"]",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_one_mistake() {
    for (text, place) in [
        (
            format!("{}{GROUP}", LISTENER.replace("\"web\"", "5")),
            "2:8: listener[#1].name",
        ),
        (
            format!("{}{GROUP}", LISTENER.replace("\"127.0.0.1:80\"", "80")),
            "3:11: listener[web].address",
        ),
        (
            format!("{LISTENER}{}", GROUP.replace("[\"127.0.0.1:9001\"]", "[]")),
            "7:12: group[app].backends",
        ),
        (
            format!(
                "{LISTENER}[[listener.route]]\nhost = [1]\ngroup = \"app\"\n\
                 [[listener.route]]\ngroup = \"app\"\n{GROUP}"
            ),
            "6:9: listener[web].route[#1].host[#1]",
        ),
    ] {
        let found = errors(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("weir.toml:{place}: ")),
            "{found:?}"
        );
    }
}

#[test]
fn what_looks_like_a_slip_is_a_warning() {
    let text = format!(
        "{LISTENER}[[listener.route]]\ngroup = \"app\"\n\
         {GROUP}{}",
        GROUP.replace("app", "spare")
    );
    let config = sound(&text);
    let lines: Vec<usize> = config.warnings.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 11], "{:?}", config.warnings);
    assert!(config.warnings[1].what.contains("leads to group \"spare\""));
}
