//! Connections placed by the address they come from.

use std::net::{Ipv4Addr, SocketAddr};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::support::{Settings, Upstream, Wire};

/// A connection from this address.
pub(super) fn connect_from(source: Ipv4Addr, proxy: SocketAddr) -> Wire {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((source, 0))).unwrap();
    connect(&socket, &proxy).unwrap();
    Wire::new(socket.into())
}

/// Asks from this address and tells who answered.
fn ask_from(source: Ipv4Addr, proxy: SocketAddr) -> String {
    let mut wire = connect_from(source, proxy);
    wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    wire.read_response("GET").unwrap().text()
}

#[test]
fn an_address_keeps_its_backend_by_policy_and_by_stickiness() {
    let upstreams = ["a", "b", "c"].map(Upstream::named);
    for (key, value) in [
        ("policy", "\"rendezvous\""),
        ("policy", "\"maglev\""),
        ("sticky", "{ source = true }"),
    ] {
        let mut settings = Settings::tcp_to(&[]).workers("2").group_with(key, value);
        for upstream in &upstreams {
            settings = settings.member(upstream, "");
        }
        let proxy = settings.start();
        let mut used = std::collections::BTreeSet::new();
        for last in 1..=16 {
            let source = Ipv4Addr::new(127, 0, 5, last);
            let owner = ask_from(source, proxy.address());
            assert!(
                (0..3).all(|_| ask_from(source, proxy.address()) == owner),
                "{value}"
            );
            used.insert(owner);
        }
        assert_eq!(used.len(), 3, "{value}: every backend owns some");
    }
}
