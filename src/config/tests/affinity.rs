//! Stickiness, queues and what groups place by: what is refused, and how it is said.

use super::*;

/// The one mistake of a group with these lines.
fn group_error(lines: &str, expected: &str) {
    one_error(&format!("{LISTENER}{GROUP}{lines}"), expected);
}

#[test]
fn stickiness_is_by_cookie_or_by_source() {
    let cookie = "[group.sticky]\ncookie = \"weir\"\nsecret = \"0123456789abcdef\"\n";
    let config = sound(&format!("{LISTENER}{GROUP}{cookie}"));
    let sticky = config.groups[0].sticky.as_ref().unwrap();
    assert_eq!(sticky.drain_timeout, Some(Duration::from_secs(1800)));
    let StickyBy::Cookie(cookie) = &sticky.by else {
        panic!("{sticky:?}");
    };
    assert_eq!(
        (&*cookie.name, &*cookie.secret.0),
        ("weir", "0123456789abcdef")
    );
    assert_eq!((cookie.ttl, cookie.same_site), (None, SameSite::Lax));
    let source = "[group.sticky]\nsource = true\ndrain_timeout = \"none\"\n";
    let source = sound(&format!("{LISTENER}{GROUP}{source}"));
    let endless = Sticky {
        by: StickyBy::Source,
        drain_timeout: None,
    };
    assert_eq!(source.groups[0].sticky, Some(endless));
    assert!(
        !format!("{config:?}").contains("0123456789"),
        "a secret is not shown"
    );
}

#[test]
fn mistakes_of_stickiness_are_named() {
    group_error(
        "[group.sticky]\ncookie = \"weir\"\nsecret = \"short\"\n",
        "weir.toml:10:10: group[app].sticky.secret: is too short to keep a cookie from being \
         forged; fix: write at least 16 letters that nobody can guess",
    );
    group_error(
        "[group.sticky]\nsource = true\nttl = \"1h\"\n",
        "weir.toml:10:7: group[app].sticky.ttl: has a meaning for a cookie only; fix: remove \
         it, or write cookie = \"NAME\" instead of source",
    );
    group_error(
        "[group.sticky]\nsource = true\ndrain_timeout = \"25h\"\n",
        "weir.toml:10:17: group[app].sticky.drain_timeout: 25h is out of range; fix: write a value \
         from 0s to 24h",
    );
    group_error(
        "[group.sticky]\ncookie = \"a b\"\nsecret = \"0123456789abcdef\"\n",
        "weir.toml:9:10: group[app].sticky.cookie: \"a b\" is no name for a cookie; fix: write \
         letters, digits, '-' and '_' only",
    );
    group_error(
        "[group.sticky]\ncookie = \"a\"\nsecret = \"0123456789abcdef\"\nsame_site = \"none\"\n",
        "weir.toml:11:13: group[app].sticky.same_site: is refused by browsers without secure; \
         fix: write secure = true, or same_site = \"lax\"",
    );
}

#[test]
fn a_queue_has_a_bound_and_a_time() {
    let queue = "[group.queue]\nrequests_max = 7\ntimeout = \"250ms\"\n";
    let config = sound(&format!("{LISTENER}{GROUP}{queue}"));
    let queue = config.groups[0].queue;
    assert_eq!(
        (queue.requests_max, queue.timeout),
        (7, Duration::from_millis(250))
    );
    let default = sound(&format!("{LISTENER}{GROUP}")).groups[0].queue;
    assert_eq!(
        (default.requests_max, default.timeout),
        (1024, Duration::from_secs(5))
    );
}

#[test]
fn only_policies_that_place_look_at_keys_and_never_at_bodies() {
    let placed = "policy = \"maglev\"\nhash_on = { header = \"x-user\" }\n";
    let config = sound(&format!("{LISTENER}{GROUP}{placed}"));
    let expected = Some(KeySource::Header("x-user".into()));
    assert_eq!(config.groups[0].hash_on, expected);
    group_error(
        "hash_on = { header = \"x-user\" }\n",
        "weir.toml:8:11: group[app].hash_on: has a meaning for maglev, ring_hash and rendezvous \
         only; fix: remove it, or write policy = \"rendezvous\"",
    );
    group_error(
        "policy = \"maglev\"\nhash_on = { json = \"/user\" }\n",
        "weir.toml:9:11: group[app].hash_on: cannot be known inside a group; fix: write a \
         shard rule: a group is entered before bodies are read",
    );
}
