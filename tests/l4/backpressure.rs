//! A reader that does not read stops the writer, and costs the proxy a bounded amount of memory.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::bulk::{Pattern, receive_pattern};
use crate::support::{Settings, Upstream, Wire, observe};

/// More than all socket buffers on the way can hold together (the kernel lets each grow to some
/// MiB), and far less than a proxy that stores everything would be sent.
const PLENTY: u64 = 256 << 20;
/// What the proxy itself may grow by for one stuck connection.
const GROWTH_MAX: u64 = 8 << 20;

/// Writes the pattern until nobody takes more for two seconds; returns how much was taken.
fn write_until_stuck(stream: &TcpStream, seed: u64) -> u64 {
    stream
        .set_write_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let mut pattern = Pattern::new(seed);
    let mut accepted = 0;
    let mut stream = stream;
    while accepted < PLENTY {
        let piece = pattern.bytes(64 * 1024);
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(count) => {
                    accepted += count as u64;
                    rest = &rest[count..];
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return accepted;
                }
                Err(error) => panic!("write: {error}"),
            }
        }
    }
    accepted
}

#[test]
fn a_backend_that_does_not_read_stops_the_client() {
    let (release, released) = channel::<u64>();
    let released = Mutex::new(released);
    let upstream = Upstream::scripted(move |connection| {
        let total = released.lock().unwrap().recv().unwrap();
        receive_pattern(&mut connection.writer(), 5, total, false);
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let before = observe::resident_bytes(proxy.pid());
    let mut client = proxy.connect();
    let accepted = write_until_stuck(client.stream(), 5);
    assert!(
        accepted < PLENTY / 2,
        "{accepted} bytes taken though nobody reads"
    );
    let growth = observe::resident_bytes(proxy.pid()).saturating_sub(before);
    assert!(
        growth < GROWTH_MAX,
        "{growth} bytes more for one stuck connection"
    );
    release.send(accepted).unwrap();
    client.finish().expect_closed();
}

#[test]
fn a_client_that_does_not_read_stops_the_backend() {
    let accepted = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&accepted);
    let upstream = Upstream::scripted(move |connection| {
        *seen.lock().unwrap() = write_until_stuck(connection.stream(), 6);
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let before = observe::resident_bytes(proxy.pid());
    let client = Wire::connect_narrow(proxy.address(), 64 * 1024);
    crate::support::eventually("the backend is stuck", || *accepted.lock().unwrap() > 0);
    let accepted = *accepted.lock().unwrap();
    assert!(
        accepted < PLENTY / 2,
        "{accepted} bytes taken though nobody reads"
    );
    let growth = observe::resident_bytes(proxy.pid()).saturating_sub(before);
    assert!(
        growth < GROWTH_MAX,
        "{growth} bytes more for one stuck connection"
    );
    receive_pattern(&mut client.writer(), 6, accepted, false);
}

#[test]
fn one_stuck_connection_does_not_slow_the_others() {
    let upstream = Upstream::scripted(|mut connection| {
        let first = connection.read_exactly(1);
        if first == b"s" {
            // Sends what nobody reads, until the test ends.
            while connection.try_send(vec![0; 1 << 20]) {}
            return;
        }
        connection.send("quick");
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let mut wire = Wire::connect_narrow(proxy.address(), 16 * 1024);
            wire.send("s");
            wire
        })
        .collect();
    for _ in 0..100 {
        let mut client = proxy.connect();
        client.send("q");
        assert_eq!(client.read_exactly(5), b"quick");
    }
    drop(stuck);
}
