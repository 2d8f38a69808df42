//! Upgrades: WebSocket through the proxy, and what is not an upgrade.

use crate::support::bulk::Pattern;
use crate::support::websocket::{
    BINARY, CLOSE, TEXT, accept_for, echo, handshake, read_frame, write_frame,
};
use crate::support::{Client, Settings, Upstream};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Shakes hands as a client would.
fn open(client: &mut Client) {
    let answer = client.ask(handshake("/chat", KEY));
    assert_eq!(answer.status(), 101, "{answer:?}");
    assert!(answer.connection("upgrade"));
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(
        answer.field("sec-websocket-accept"),
        Some(&*accept_for(KEY))
    );
}

#[test]
fn the_handshake_of_rfc_6455_is_computed_right() {
    assert_eq!(accept_for(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn frames_of_every_size_come_back() {
    let upstream = Upstream::scripted(echo);
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    open(&mut client);
    let mut pattern = Pattern::new(3);
    for size in [0, 1, 125, 126, 65_535, 65_536, 3_000_000] {
        let payload = pattern.bytes(size);
        std::thread::scope(|scope| {
            let mut writer = crate::support::Wire::new(client.writer());
            let payload = &payload;
            scope.spawn(move || write_frame(&mut writer, BINARY, payload, Some([1, 2, 3, 4])));
            assert_eq!(read_frame(&mut client), (BINARY, payload.clone()));
        });
    }
    write_frame(&mut client, CLOSE, &[3, 232], Some([9, 9, 9, 9]));
    assert_eq!(read_frame(&mut client), (CLOSE, vec![3, 232]));
    client.expect_closed();
    upstream.wait_until_idle();
}

#[test]
fn bytes_right_after_the_101_are_not_lost() {
    let upstream = Upstream::scripted(|mut connection| {
        let request = connection.request();
        let accept = accept_for(request.field("sec-websocket-key").unwrap());
        // Head and first frame in one packet.
        connection.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n\u{1}"
        ));
        assert_eq!(connection.read_exactly(1), b"\x02");
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    open(&mut client);
    assert_eq!(client.read_exactly(1), b"\x01");
    client.send(b"\x02");
    client.expect_closed();
}

#[test]
fn frames_sent_before_the_101_reach_the_backend_after_it() {
    let upstream = Upstream::scripted(echo);
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    let mut packet = handshake("/chat", KEY).into_bytes();
    packet.extend_from_slice(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    assert_eq!(client.ask(packet).status(), 101);
    assert_eq!(read_frame(&mut client), (TEXT, b"hi".to_vec()));
    // The backend takes a connection that ends without a close frame for broken.
    write_frame(&mut client, CLOSE, &[], Some([0; 4]));
    assert_eq!(read_frame(&mut client), (CLOSE, Vec::new()));
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let upstream = Upstream::named("no upgrade here");
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    let answer = client.ask(handshake("/chat", KEY));
    assert_eq!(
        (answer.status(), answer.text()),
        (200, "no upgrade here".to_owned())
    );
    assert_eq!(client.get("/next").status(), 200);
    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn a_refused_upgrade_does_not_open_a_tunnel() {
    // What follows the refused handshake is a request like any other and is checked as one.
    let upstream = Upstream::named("no");
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: test\r\nX_Forwarded_For: 1\r\n\
                    Keep-Alive: 1\r\n\r\n";
    client.send(handshake("/chat", KEY) + smuggled);
    assert_eq!(client.response().status(), 200);
    client.response();
    for request in upstream.requests() {
        assert!(
            !request.has("keep-alive") && !request.has("x_forwarded_for"),
            "{request:?}"
        );
    }
}

#[test]
fn a_101_nobody_asked_for_is_a_bad_gateway() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\n\r\n",
        );
        let _ = connection.read_to_end();
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    assert_eq!(proxy.client().get("/").status(), 502);
    upstream.wait_until_idle();
}

#[test]
fn when_the_client_leaves_the_tunnel_the_backend_sees_it() {
    let upstream = Upstream::scripted(|mut connection| {
        crate::support::websocket::accept(&mut connection);
        let (rest, _) = connection.read_to_end();
        assert!(rest.is_empty());
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    open(&mut client);
    drop(client);
    upstream.wait_until_idle();
}

#[test]
fn a_silent_tunnel_is_closed_after_its_time() {
    let upstream = Upstream::scripted(|mut connection| {
        crate::support::websocket::accept(&mut connection);
        let _ = connection.read_to_end();
    });
    let proxy = Settings::http_to(&[&upstream])
        .group_timeout("tunnel", "400ms")
        .start();
    let mut client = proxy.client();
    open(&mut client);
    client.expect_closed();
    upstream.wait_until_idle();
}
