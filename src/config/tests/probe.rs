//! Checks and heartbeats: what is meant when nothing is said, and what is refused.

use super::*;

fn check_of(lines: &str) -> Check {
    let config = sound(&format!("{LISTENER}{GROUP}[group.check]\n{lines}"));
    config.groups[0].check.clone()
}

/// The one mistake of a group with these lines in `[group.check]`.
fn check_error(lines: &str, expected: &str) {
    let text = format!("{LISTENER}{GROUP}[group.check]\n{lines}");
    one_error(&text, &format!("weir.toml:{expected}"));
}

#[test]
fn nothing_is_checked_unless_it_is_said_what() {
    let check = sound(&format!("{LISTENER}{GROUP}")).groups[0].check.clone();
    assert_eq!((check.kind, check.port), (None, None));
    assert_eq!((check.rise, check.fall, check.jitter_percent), (2, 3, 10));
    assert!(!check.heartbeat_required);
}

#[test]
fn times_follow_the_interval() {
    let millis = Duration::from_millis;
    let check = check_of("kind = \"tcp\"\ninterval = \"800ms\"\n");
    assert_eq!(check.kind, Some(CheckKind::Tcp));
    assert_eq!(
        (check.interval_fast, check.interval_stable),
        (millis(200), millis(800))
    );
    assert_eq!(check.timeout, millis(800));
    let slow = check_of("interval = \"1m\"\n");
    assert_eq!(slow.interval_down_max, millis(60_000));
}

#[test]
fn a_request_and_its_answer_are_described() {
    let check = check_of(
        "kind = \"http\"\npath = \"/up?a=b\"\nexpect = [\"204\", \"300-302\"]\nbody = \"^ok\"\n",
    );
    let Some(CheckKind::Http(http)) = check.kind else {
        panic!("{check:?}");
    };
    assert_eq!((&*http.method, &*http.path), ("GET", "/up?a=b"));
    assert_eq!(http.expect, [(204, 204), (300, 302)]);
    assert_eq!(http.body.as_deref(), Some("^ok"));
}

#[test]
fn agents_are_asked_where_a_port_is_known() {
    let agent = sound(&format!("{LISTENER}{GROUP}")).groups[0].agent.clone();
    assert_eq!((agent.port, agent.send), (None, None));
    assert_eq!(agent.interval, Duration::from_secs(2));
    let lines = "[group.agent]\nport = 9777\ninterval = \"5s\"\nsend = \"app\\n\"\n";
    let member = "[[group.backend]]\naddress = \"127.0.0.1:9\"\nagent_port = 9778\n";
    let config = sound(&format!("{LISTENER}{GROUP}{lines}{member}"));
    let group = &config.groups[0];
    let agent = &group.agent;
    assert_eq!(
        (agent.port, agent.send.as_deref()),
        (Some(9777), Some("app\n"))
    );
    assert_eq!(agent.timeout, Duration::from_secs(5), "as the interval");
    let ports: Vec<_> = group.backends.iter().map(|one| one.agent_port).collect();
    assert_eq!(ports.last(), Some(&Some(9778)));
    one_error(
        &format!("{LISTENER}{GROUP}[group.agent]\nport = 0\n"),
        "weir.toml:9:8: group[app].agent.port: 0 is out of range; fix: write a value from 1 to \
         65535",
    );
    one_error(
        &format!("{LISTENER}{GROUP}[group.agent]\nsend = \"\"\n"),
        "weir.toml:9:8: group[app].agent.send: cannot be sent to an agent; fix: write 1 to 1024 \
         bytes, or leave it out",
    );
}

#[test]
fn mistakes_are_named() {
    check_error(
        "path = \"/up\"\n",
        "9:8: group[app].check.path: has a meaning for http only; fix: remove it, or write kind \
         = \"http\"",
    );
    check_error(
        "kind = \"http\"\nexpect = [\"2xx\"]\n",
        "10:11: group[app].check.expect[#1]: \"2xx\" is no status and no range of them; fix: \
         write \"200\" or \"200-399\"",
    );
    check_error(
        "kind = \"http\"\npath = \"up\"\n",
        "10:8: group[app].check.path: \"up\" cannot stand in a request; fix: write something \
         like \"/\"",
    );
    check_error(
        "jitter_percent = 51\n",
        "9:18: group[app].check.jitter_percent: 51 is out of range; fix: write a value from 0 to \
         50",
    );
    check_error(
        "interval = \"1s\"\ninterval_fast = \"2s\"\n",
        "10:17: group[app].check.interval_fast: is longer than interval; fix: write \
         interval_fast <= interval <= the others",
    );
    let open = format!("[heartbeat]\nudp = \"0.0.0.0:9902\"\n{LISTENER}{GROUP}");
    one_error(
        &open,
        "weir.toml:2:7: heartbeat.udp: other machines reach this address, and nobody is asked for \
         a token; fix: listen on 127.0.0.1, or add token = \"what `openssl rand -hex 32` prints\"",
    );
}
