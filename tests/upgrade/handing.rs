//! What is handed over: connections under way, sockets of more or fewer cores, listeners that
//! come and go, and doors that stay open.

use std::sync::Mutex;
use std::sync::mpsc;
use std::thread::scope;
use std::time::Duration;

use super::load::Load;
use crate::support::{Answer, Api, Broken, PATIENCE, Settings, Upstream, Wire, eventually, port};

/// A weir that `--takeover` finds.
fn settings(upstream: &Upstream) -> Settings {
    Settings::http_to(&[upstream]).section("[upgrade]\nsocket = \"DIRECTORY/up.sock\"")
}

#[test]
fn a_long_request_a_relay_and_an_idle_client_outlive_the_process_that_began_them() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let upstream = Upstream::http(move |request| {
        if request.target() == "/long" {
            released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        Answer::text("here")
    });
    let echo = Upstream::scripted(|mut connection| {
        let mut byte = [0];
        while std::io::Read::read(&mut connection.stream(), &mut byte).is_ok_and(|got| got > 0) {
            connection.send(byte);
        }
    });
    let settings = settings(&upstream)
        .listener("relay", "tcp")
        .to("echo")
        .group("echo", &[&echo]);
    let mut proxy = settings.start();
    let mut relay = Wire::connect(proxy.address_of("relay"));
    relay.send("a");
    assert_eq!(relay.read_exactly(1), b"a");
    let mut idle = proxy.client();
    assert_eq!(idle.get("/").text(), "here");
    let mut long = proxy.client();
    long.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.wait_for_requests(2);
    let mut before = proxy.take_over();
    relay.send("b");
    assert_eq!(relay.read_exactly(1), b"b");
    // Who was idle asks once more, and is told to come back elsewhere.
    let answer = idle.get("/");
    assert_eq!(
        (answer.status(), answer.field("connection")),
        (200, Some("close"))
    );
    assert_eq!(idle.try_response().unwrap_err(), Broken::Closed);
    assert_eq!(proxy.client().get("/").status(), 200);
    release.send(()).unwrap();
    assert_eq!(long.response().text(), "here");
    assert!(before.try_wait().unwrap().is_none(), "the relay goes on");
    relay.send("c");
    assert_eq!(relay.read_exactly(1), b"c");
    drop(relay);
    eventually("the first process has ended", || {
        before.try_wait().unwrap().is_some()
    });
    assert_eq!(before.wait().unwrap().code(), Some(0));
}

#[test]
fn what_outlives_the_drain_is_cut_and_idle_clients_are_closed_without_a_loss() {
    let upstream = Upstream::named("b");
    let mut proxy = settings(&upstream).drain_timeout("1s").start();
    let mut idle = proxy.client();
    assert_eq!(idle.get("/").status(), 200);
    let mut before = proxy.take_over();
    assert_eq!(idle.try_response().unwrap_err(), Broken::Closed);
    assert_eq!(before.wait().unwrap().code(), Some(0));
    assert!(
        proxy.stderr().contains("Ended { cut: 0 }"),
        "{}",
        proxy.stderr()
    );
}

#[test]
fn fewer_and_more_cores_share_the_sockets_there_are() {
    let upstream = Upstream::named("b");
    let mut settings = settings(&upstream).workers("2");
    let mut proxy = settings.start();
    let load = Load::default();
    scope(|scope| {
        let _asking = load.start(scope, proxy.address(), (2, 3));
        for (turn, workers) in ["1", "2", "1", "1", "2"].iter().enumerate() {
            load.wait_for(200 * (turn as u64 + 1));
            settings.workers = (*workers).to_owned();
            proxy.rewrite(settings.clone());
            let mut before = proxy.take_over();
            assert_eq!(before.wait().unwrap().code(), Some(0));
        }
        load.wait_for(1500);
    });
    load.assert_clean("other numbers of cores");
}

#[test]
fn listeners_come_and_go_with_the_configuration_of_the_new_process() {
    let upstream = Upstream::named("b");
    let first = settings(&upstream).listener("old", "http").to("app");
    let mut proxy = first.start();
    let gone = proxy.address_of("old");
    let second = settings(&upstream).listener("new", "http").to("app");
    let mut second = Settings {
        admin: first.admin.clone(),
        ..second
    };
    second.listeners[0] = first.listeners[0].clone();
    proxy.rewrite(second);
    let load = Load::default();
    scope(|scope| {
        let _asking = load.start(scope, proxy.address(), (1, 1));
        load.wait_for(100);
        let mut before = proxy.take_over();
        assert_eq!(before.wait().unwrap().code(), Some(0));
        load.wait_for(200);
    });
    load.assert_clean("the listener that stays");
    let mut client = crate::support::Client::connect(proxy.address_of("new"));
    assert_eq!(client.get("/").status(), 200);
    assert!(!port::listens(gone), "nobody has the one that went");
}

#[test]
fn the_admin_socket_and_the_door_for_the_next_are_never_closed() {
    let upstream = Upstream::named("b");
    let mut proxy = settings(&upstream)
        .admin_with("unix = \"DIRECTORY/admin.sock\"")
        .section(&format!("[heartbeat]\nudp = \"{}\"", heartbeats()))
        .start();
    let api = Api::at_socket(&proxy.directory().join("admin.sock"));
    let (stop, stopped) = mpsc::channel::<()>();
    scope(|scope| {
        let stop = stop;
        let asking = scope.spawn(move || {
            let mut asked = 0;
            let pause = Duration::from_millis(2);
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                let answer = api.get("/ready");
                // Who asked the old process a moment before the end is told so, and not cut off.
                let left = answer.head.field("connection") == Some("close");
                assert!(answer.status() == 200 || left, "{answer:?}");
                asked += 1;
            }
            asked
        });
        for _ in 0..3 {
            let mut before = proxy.take_over();
            assert_eq!(before.wait().unwrap().code(), Some(0));
        }
        stop.send(()).unwrap();
        assert!(asking.join().unwrap() > 3);
    });
}

/// An address for datagrams that nobody has.
fn heartbeats() -> std::net::SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}
