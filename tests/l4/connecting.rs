//! Backends that cannot be reached.

use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Settings, Upstream, Wire, closed_port, full_backlog};

fn greeter(text: &'static str) -> Upstream {
    Upstream::scripted(move |mut connection| {
        connection.send(text);
        let _ = connection.read_to_end();
    })
}

#[test]
fn a_backend_that_refuses_is_passed_over() {
    let (closed, upstream) = (closed_port(), greeter("here"));
    let proxy = Settings::tcp_to(&[&closed, &upstream]).start();
    for _ in 0..10 {
        assert_eq!(proxy.connect().read_exactly(4), b"here");
    }
}

#[test]
fn when_every_backend_refuses_the_client_is_closed() {
    let (one, two) = (closed_port(), closed_port());
    let proxy = Settings::tcp_to(&[&one, &two]).start();
    for _ in 0..10 {
        // The reset may be here before `connect` returns.
        match Wire::try_connect(proxy.address()) {
            Ok(mut client) => client.expect_closed(),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn a_backend_that_never_answers_the_handshake_times_out() {
    let full = full_backlog();
    let settings = Settings::tcp_to(&[&full]).group_with("retries", "0");
    let proxy = settings.group_timeout("connect", "400ms").start();
    let start = Instant::now();
    proxy.connect().expect_closed();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(350), "gave up after {took:?}");
    assert!(took < PATIENCE / 2, "took {took:?}");
}

#[test]
fn after_a_connect_timeout_the_next_backend_is_tried() {
    let (full, upstream) = (full_backlog(), greeter("here"));
    let settings = Settings::tcp_to(&[&full, &upstream]).group_with("retries", "1");
    let proxy = settings.group_timeout("connect", "200ms").start();
    for _ in 0..4 {
        assert_eq!(proxy.connect().read_exactly(4), b"here");
    }
}

#[test]
fn connections_are_spread_over_the_group() {
    let (one, two, three) = (greeter("1"), greeter("2"), greeter("3"));
    let proxy = Settings::tcp_to(&[&one, &two, &three]).start();
    let mut clients: Vec<_> = (0..30).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.read_exactly(1);
    }
    assert_eq!(
        [one.accepted(), two.accepted(), three.accepted()],
        [10, 10, 10]
    );
}

#[test]
fn the_backend_with_the_fewest_connections_is_chosen() {
    let (one, two) = (greeter("1"), greeter("2"));
    let settings = Settings::tcp_to(&[&one, &two]);
    let proxy = settings
        .group_with("policy", "\"least_connections\"")
        .start();
    let mut open: Vec<_> = (0..20).map(|_| proxy.connect()).collect();
    let names: Vec<u8> = open
        .iter_mut()
        .map(|client| client.read_exactly(1)[0])
        .collect();
    assert_eq!([one.open(), two.open()], [10, 10]);
    // All that went to one leave; the next ten must all go there.
    let mut kept = Vec::new();
    for (client, name) in open.into_iter().zip(names) {
        if name == b'2' {
            kept.push(client);
        }
    }
    crate::support::eventually("one's connections ended", || one.open() == 0);
    std::thread::scope(|_| {
        for _ in 0..10 {
            let mut client = proxy.connect();
            assert_eq!(client.read_exactly(1), b"1");
            kept.push(client);
        }
    });
}
