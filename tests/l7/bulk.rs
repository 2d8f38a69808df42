//! Much data through HTTP, byte for byte, in pieces of random size: WEIR_TEST_BULK_MB sets how
//! much.

use crate::support::bulk::{
    Dice, Pattern, bulk_bytes, pause_of_a_slow_reader, send_pattern, send_pattern_chunked,
};
use crate::support::message::Head;
use crate::support::{Framing, Settings, Upstream, Wire};

/// Reads a body and checks it against the pattern.
fn receive_body(wire: &mut Wire, framing: Framing, seed: u64, total: u64, slow: bool) {
    let (mut pattern, mut dice) = (Pattern::new(seed), Dice::new(seed));
    let read = wire.read_body(framing, |bytes| {
        pattern.check(bytes);
        pause_of_a_slow_reader(slow, &mut dice);
    });
    assert_eq!(read, Ok(Vec::new()));
    assert_eq!(pattern.offset(), total);
}

/// A backend that checks the upload and confirms it.
fn upload_checker(total: u64, slow: bool) -> Upstream {
    Upstream::scripted(move |mut connection| {
        for _ in 0..2 {
            let head: Head = connection.request_head();
            let framing = head.request_framing();
            receive_body(&mut connection, framing, 11, total, slow);
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall");
        }
    })
}

#[test]
fn uploads_of_both_framings_arrive_unchanged_on_one_connection() {
    let total = bulk_bytes();
    let upstream = upload_checker(total, true);
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {total}\r\n\r\n"
    ));
    send_pattern(&mut client.writer(), 11, total).unwrap();
    assert_eq!(client.response().text(), "all");
    client.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    send_pattern_chunked(&mut client.writer(), 11, total).unwrap();
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "all");
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn downloads_of_every_framing_arrive_unchanged() {
    let total = bulk_bytes();
    let upstream = Upstream::scripted(move |mut connection| {
        while let Ok(request) = connection.try_request() {
            let mut writer = connection.writer();
            match request.target() {
                "/length" => {
                    connection.send(format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"
                    ));
                    send_pattern(&mut writer, 12, total).unwrap();
                }
                "/chunked" => {
                    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                    send_pattern_chunked(&mut writer, 12, total).unwrap();
                    connection.send("0\r\n\r\n");
                }
                _ => {
                    connection.send("HTTP/1.1 200 OK\r\n\r\n");
                    send_pattern(&mut writer, 12, total).unwrap();
                    return;
                }
            }
        }
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for target in ["/length", "/chunked", "/close"] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let head = client.read_head().unwrap();
        let framing = head.response_framing("GET").unwrap();
        receive_body(&mut client, framing, 12, total, true);
    }
}

#[test]
fn a_client_that_does_not_read_costs_little() {
    use crate::support::observe;
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while connection.try_send(vec![0; 1 << 20]) {}
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    assert!(proxy.connect().stream().peer_addr().is_ok());
    let before = observe::resident_bytes(proxy.pid());
    let stuck: Vec<_> = (0..16)
        .map(|_| {
            let mut wire = Wire::connect_narrow(proxy.address(), 32 * 1024);
            wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            assert_eq!(wire.read_head().unwrap().status(), 200);
            wire
        })
        .collect();
    let mut steady = 0;
    let mut last = 0;
    crate::support::eventually("memory no longer grows", || {
        let now = observe::resident_bytes(proxy.pid());
        steady = if now <= last { steady + 1 } else { 0 };
        last = last.max(now);
        steady > 100
    });
    // Each may hold a receive's limit and what is queued behind it, far below a megabyte; the rest
    // is blocks posted to the kernel and the socket's own.
    let growth = last.saturating_sub(before);
    assert!(
        growth < 16 << 20,
        "{growth} bytes more for 16 stuck clients"
    );
    drop(stuck);
}
