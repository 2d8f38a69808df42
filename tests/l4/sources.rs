//! The addresses that connections to backends come from.

use crate::support::{Settings, Upstream, tool};

/// Tells each connection where it comes from, over HTTP or without.
fn telling(is_http: bool) -> Upstream {
    Upstream::scripted(move |mut connection| {
        let from = connection.stream().peer_addr().unwrap().ip().to_string();
        if !is_http {
            connection.send(format!("{from}\n"));
            let _ = connection.read_to_end();
            return;
        }
        while connection.try_request().is_ok() {
            let length = from.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{from}"
            ));
        }
    })
}

#[test]
fn relays_come_from_the_addresses_in_turn() {
    let upstream = telling(false);
    let settings = Settings::tcp_to(&[&upstream]);
    let proxy = settings
        .group_with("source", "[\"127.0.0.2\", \"127.0.1.0/30\"]")
        .start();
    let mut seen = Vec::new();
    for _ in 0..6 {
        let mut client = proxy.connect();
        let line = client.read_exactly(10);
        seen.push(String::from_utf8(line).unwrap());
    }
    let expected = ["127.0.0.2\n", "127.0.1.1\n", "127.0.1.2\n"];
    let start = expected.iter().position(|it| *it == seen[0]).unwrap();
    for (index, from) in seen.iter().enumerate() {
        assert_eq!(from, expected[(start + index) % 3], "{seen:?}");
    }
}

#[test]
fn requests_do_too_and_what_is_not_ours_is_passed_over() {
    let upstream = telling(true);
    let settings = Settings::http_to(&[&upstream]);
    // 192.0.2.1 is an address of no machine.
    let proxy = settings
        .group_with("source", "[\"127.0.0.9\", \"192.0.2.1\"]")
        .start();
    for _ in 0..4 {
        assert_eq!(proxy.client().get("/").text(), "127.0.0.9");
    }
}

#[test]
fn a_backend_of_the_other_family_is_reached_all_the_same() {
    let upstream = telling(true);
    let settings = Settings::http_to(&[&upstream]);
    let proxy = settings.group_with("source", "[\"fd00::1\"]").start();
    assert_eq!(proxy.client().get("/").text(), "127.0.0.1");
}

#[test]
fn without_any_port_a_request_is_told_so_and_no_backend_is_blamed() {
    let upstream = telling(true);
    let settings = Settings::http_to(&[&upstream]);
    let proxy = settings.group_with("source", "[\"192.0.2.1\"]").start();
    for _ in 0..10 {
        let answer = proxy.client().get("/");
        assert_eq!(answer.status(), 503);
        assert!(answer.text().contains("overload"), "{answer:?}");
    }
    let up = [("status", "up")];
    assert_eq!(proxy.metrics().count("weir_group_backends", &up), 1.0);
}

#[test]
fn where_the_ports_of_one_address_are_used_up_the_next_is_taken() {
    // In a network of its own, where there are ten ports.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/l4/few_ports.py");
    let enter = "ip link set lo up && exec python3 \"$@\"";
    let said = tool::run(
        "unshare",
        &[
            "-n",
            "sh",
            "-c",
            enter,
            "sh",
            script,
            env!("CARGO_BIN_EXE_weir"),
        ],
    );
    assert_eq!(said.trim(), "20 served from 2 addresses, 5 refused");
}
