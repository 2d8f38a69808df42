//! TCP connections placed by the client's address or by the name in a TLS hello.

use crate::support::{Client, Settings, Upstream};

/// A backend that says its name once it has received `count` bytes, and those bytes.
fn echo(name: &'static str, count: usize) -> Upstream {
    Upstream::scripted(move |connection| {
        let mut wire = connection.into_wire();
        let bytes = wire.read_exactly(count);
        wire.send(name).send(bytes);
    })
}

fn block(bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - bytes..], content].concat()
}

/// A client hello for a name, or without one, in records of `record` bytes.
pub(super) fn hello(name: Option<&str>, record: usize) -> Vec<u8> {
    let extension = name.map_or(Vec::new(), |name| {
        let entry = [vec![0], block(2, name.as_bytes())].concat();
        [vec![0, 0], block(2, &block(2, &entry))].concat()
    });
    let body = [
        vec![3, 3],
        vec![7; 32],
        block(1, &[]),
        block(2, &[0x13, 1]),
        block(1, &[0]),
        block(2, &extension),
    ]
    .concat();
    let message = [vec![1], block(3, &body)].concat();
    let records = message.chunks(record);
    records
        .flat_map(|part| [vec![22, 3, 1], block(2, part)].concat())
        .collect()
}

fn sharded(rule: &str, upstreams: &[&Upstream; 2]) -> Settings {
    Settings::new()
        .listener("relay", "tcp")
        .with("shard", "\"s\"")
        .shard(&format!("name = \"s\"\n{rule}"))
        .group("a", &[upstreams[0]])
        .group("b", &[upstreams[1]])
}

const BY_NAME: &str = "key = { sni = true }\nmap = [{ key = \"a.org\", group = \"a\" }, \
                       { key = \"b.org\", group = \"b\" }]";

#[test]
fn a_hello_goes_where_its_name_leads_as_it_came() {
    for (record, pieces) in [(10_000, 10_000), (20, 10_000), (10_000, 1), (20, 1), (1, 7)] {
        let (first, second) = (hello(Some("A.org"), record), hello(Some("b.org"), record));
        let upstreams = [echo("a", first.len() + 4), echo("b", second.len() + 4)];
        let proxy = sharded(BY_NAME, &[&upstreams[0], &upstreams[1]]).start();
        for (bytes, name) in [(first, "a"), (second, "b")] {
            let mut client = proxy.client();
            for piece in bytes.chunks(pieces) {
                client.send(piece);
            }
            client.send("more");
            let expected = [name.as_bytes(), &bytes, b"more"].concat();
            assert_eq!(client.read_exactly(expected.len()), expected);
        }
    }
}

#[test]
fn what_a_rule_refuses_is_reset_and_no_backend_hears_of_it() {
    let upstreams = [echo("a", 1), echo("b", 1)];
    let proxy = sharded(BY_NAME, &[&upstreams[0], &upstreams[1]]).start();
    for bytes in [
        hello(Some("c.org"), 10_000),
        hello(None, 10_000),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut client = proxy.client();
        client.send(bytes);
        client.expect_reset();
    }
    let mut client = proxy.client();
    client.send(&hello(Some("a.org"), 10_000)[..20]);
    client.finish();
    client.expect_reset();
    assert_eq!((upstreams[0].accepted(), upstreams[1].accepted()), (0, 0));
    let labels = [("listener", "relay")];
    proxy.wait_for_metric("weir_listener_connections", &labels, 0.0);
}

#[test]
fn outcomes_lead_where_they_say() {
    let rule = "key = { sni = true }\nmap = [{ key = \"x.org\", group = \"a\" }]\n\
                missing = { group = \"b\" }\nmalformed = { group = \"a\" }";
    let absent = hello(None, 10_000);
    let upstreams = [echo("a", 4), echo("b", absent.len())];
    let proxy = sharded(rule, &[&upstreams[0], &upstreams[1]]).start();
    let mut client = proxy.client();
    client.send("SSH-");
    assert_eq!(client.read_exactly(5), b"aSSH-");
    let mut client = proxy.client();
    client.send(&absent);
    assert_eq!(client.read_exactly(1), b"b");
}

#[test]
fn a_client_that_says_nothing_is_not_waited_for_for_ever() {
    let upstreams = [echo("a", 1), echo("b", 1)];
    let settings = sharded(BY_NAME, &[&upstreams[0], &upstreams[1]]);
    let proxy = settings.timeout("head", "300ms").start();
    let mut silent = proxy.client();
    let mut slow = proxy.client();
    slow.send(&hello(Some("a.org"), 10_000)[..30]);
    for client in [&mut silent, &mut slow] {
        assert!(client.closes_within(crate::support::PATIENCE));
    }
    assert_eq!(upstreams[0].accepted(), 0);
}

#[test]
fn a_refused_backend_is_retried_with_the_hello_in_hand() {
    let bytes = hello(Some("a.org"), 10_000);
    let dead = crate::support::closed_port();
    let alive = echo("a", bytes.len());
    let proxy = Settings::new()
        .listener("relay", "tcp")
        .with("shard", "\"s\"")
        .shard("name = \"s\"\nkey = { sni = true }\nmap = [{ key = \"a.org\", group = \"a\" }]")
        .group("a", &[&dead, &alive])
        .start();
    for _ in 0..4 {
        let mut client = proxy.client();
        client.send(&bytes);
        assert_eq!(client.read_exactly(1), b"a");
    }
}

#[test]
fn an_address_chooses_at_once() {
    let upstreams = [echo("a", 2), echo("b", 2)];
    let rule = "key = { client_address = true }\nprefix = [{ prefix = \"127.\", group = \"b\" }]";
    let proxy = sharded(rule, &[&upstreams[0], &upstreams[1]]).start();
    let mut client = Client::connect(proxy.address_of("relay"));
    client.send("hi");
    assert_eq!(client.read_exactly(3), b"bhi");
}
