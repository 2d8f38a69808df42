//! Many requests on one client connection, and when it ends.

use crate::support::{Answer, Settings, Upstream};

fn echo_target() -> Upstream {
    Upstream::http(|request| Answer::text(request.target()))
}

#[test]
fn a_connection_carries_many_requests() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for number in 0..100 {
        let answer = client.get(&format!("/{number}"));
        assert_eq!(
            (answer.status(), answer.text()),
            (200, format!("/{number}"))
        );
        assert!(!answer.connection("close"));
    }
}

#[test]
fn requests_in_one_packet_are_answered_in_order() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    let packet: String = (0..20)
        .map(|number| format!("GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n"))
        .collect();
    client.send(packet);
    for number in 0..20 {
        assert_eq!(client.response().text(), format!("/{number}"));
    }
}

#[test]
fn requests_with_bodies_in_one_packet_are_kept_apart() {
    let upstream = Upstream::http(|request| Answer::text(request.text()));
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client.send(
        "POST /1 HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nfirst\
         POST /2 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nond\
         \r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: test\r\n\r\n",
    );
    for expected in ["first", "second", ""] {
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn requests_that_arrive_byte_by_byte_are_understood() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    let requests = "GET /a HTTP/1.1\r\nHost: test\r\n\r\nPOST /b HTTP/1.1\r\nHost: test\r\n\
                    Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    for byte in requests.as_bytes() {
        client.send([*byte]);
        std::thread::yield_now();
    }
    assert_eq!(client.response().text(), "/a");
    assert_eq!(client.response().text(), "/b");
    assert_eq!(upstream.requests()[1].body, b"hi");
}

#[test]
fn a_client_that_asks_for_close_is_closed() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    let answer = client.ask("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert!(answer.connection("close"), "{answer:?}");
    client.expect_closed();
}

#[test]
fn a_client_that_finishes_after_its_request_gets_the_answer() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    client
        .send("GET /fin HTTP/1.1\r\nHost: test\r\n\r\n")
        .finish();
    assert_eq!(client.response().text(), "/fin");
    client.expect_closed();
}

#[test]
fn a_backend_that_closes_does_not_close_the_client() {
    let upstream = Upstream::http(|_| {
        Answer::new(200, "Connection: close\r\n", b"one per connection").then_close()
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..5 {
        let answer = client.get("/");
        assert_eq!(answer.status(), 200);
        assert!(!answer.connection("close"));
    }
    assert_eq!(upstream.accepted(), 5);
}

#[test]
fn an_http_1_0_client_is_closed_after_its_answer() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    let answer = client.ask("GET /old HTTP/1.0\r\nHost: test\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (200, "/old".to_owned()));
    client.expect_closed();
    assert!(upstream.only_request().start.ends_with(" HTTP/1.1"));
}

#[test]
fn an_http_1_0_client_may_ask_to_stay() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for target in ["/1", "/2"] {
        let ask = format!("GET {target} HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.ask(ask);
        assert_eq!(answer.text(), target);
        assert!(answer.connection("keep-alive"), "{answer:?}");
    }
}

#[test]
fn an_http_1_0_client_without_host_is_served() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream]).start();
    let answer = proxy.client().ask("GET /bare HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (200, "/bare".to_owned()));
}

#[test]
fn after_the_allowed_number_of_requests_the_connection_closes() {
    let upstream = echo_target();
    let proxy = Settings::http_to(&[&upstream])
        .limit("requests_per_connection", "3")
        .start();
    let mut client = proxy.client();
    for number in 1..=3 {
        let answer = client.get("/");
        assert_eq!(answer.connection("close"), number == 3, "request {number}");
    }
    client.expect_closed();
}
