//! Upstream connections: shared between clients, and never used again when in doubt.

use crate::support::{Answer, Settings, Upstream, eventually};

#[test]
fn clients_in_turn_share_one_upstream_connection() {
    let upstream = Upstream::named("shared");
    let proxy = Settings::http_to(&[&upstream]).start();
    for _ in 0..20 {
        assert_eq!(proxy.client().get("/").text(), "shared");
    }
    assert_eq!(upstream.accepted(), 1);
    assert_eq!(upstream.request_count(), 20);
}

#[test]
fn there_are_never_more_upstream_connections_than_requests_at_once() {
    let upstream =
        Upstream::http(|_| Answer::text("slow").after(std::time::Duration::from_millis(20)));
    let proxy = Settings::http_to(&[&upstream]).start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = proxy.client();
                for _ in 0..20 {
                    assert_eq!(client.get("/").status(), 200);
                }
            });
        }
    });
    assert_eq!(upstream.request_count(), 160);
    assert!(
        upstream.accepted() <= 8,
        "{} connections",
        upstream.accepted()
    );
}

#[test]
fn a_waiting_client_holds_no_upstream_connection() {
    let upstream = Upstream::named("free");
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn a_response_that_says_close_is_the_last_of_its_connection() {
    // The backend says close but leaves the connection open: using it again would be the mistake.
    let upstream = Upstream::http(|_| Answer::new(200, "Connection: close\r\n", b"last"));
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "last");
    }
    assert_eq!(upstream.accepted(), 4);
    eventually("the proxy closes them", || upstream.open() == 0);
}

#[test]
fn an_http_1_0_response_is_the_last_of_its_connection() {
    let upstream =
        Upstream::http(|_| Answer::raw("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!(answer.text(), "ok");
        assert!(answer.start.starts_with("HTTP/1.1 200"), "{}", answer.start);
    }
    assert_eq!(upstream.accepted(), 3);
}

#[test]
fn bytes_after_a_response_spoil_the_connection() {
    // The second response belongs to nobody: it must not answer the next request.
    let upstream = Upstream::http(|_| {
        Answer::raw(
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood\
             HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
        )
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(upstream.accepted(), 5);
}

#[test]
fn bytes_on_an_idle_connection_spoil_it() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
        // Later, on what is by then an idle connection of the pool.
        std::thread::sleep(std::time::Duration::from_millis(100));
        connection.try_send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
        let _ = connection.read_to_end();
    });
    let proxy = Settings::http_to(&[&upstream]).start();
    for _ in 0..3 {
        assert_eq!(proxy.client().get("/").text(), "good");
        eventually("the proxy gives the connection up", || upstream.open() == 0);
    }
}

#[test]
fn an_idle_connection_is_given_up_after_its_time() {
    let upstream = Upstream::named("brief");
    let proxy = Settings::http_to(&[&upstream])
        .group_timeout("idle", "300ms")
        .start();
    assert_eq!(proxy.client().get("/").status(), 200);
    assert_eq!(upstream.accepted(), 1);
    eventually("the pool lets it go", || upstream.open() == 0);
    assert_eq!(proxy.client().get("/").status(), 200);
    assert_eq!(upstream.accepted(), 2);
}

#[test]
fn requests_are_spread_over_the_group() {
    let (one, two) = (Upstream::named("1"), Upstream::named("2"));
    let proxy = Settings::http_to(&[&one, &two]).start();
    let mut client = proxy.client();
    for _ in 0..40 {
        client.get("/");
    }
    assert_eq!([one.request_count(), two.request_count()], [20, 20]);
}
