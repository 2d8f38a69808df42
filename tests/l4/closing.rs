//! How connections end: what one side does, the other side sees.

use crate::support::wire::Broken;
use crate::support::{Settings, Upstream, eventually};

fn echo() -> Upstream {
    Upstream::scripted(|mut connection| {
        while let Ok(bytes) = connection.read_some() {
            if bytes.is_empty() || !connection.try_send(&bytes) {
                return;
            }
        }
    })
}

#[test]
fn bytes_come_back_as_they_were_sent() {
    let upstream = echo();
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let mut client = proxy.connect();
    for text in ["hello", "\0\r\n\x7f", "again"] {
        client.send(text);
        assert_eq!(client.read_exactly(text.len()), text.as_bytes());
    }
}

#[test]
fn many_connections_do_not_mix() {
    let upstream = echo();
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let mut clients: Vec<_> = (0..50).map(|_| proxy.connect()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("{number:04}{round:04}"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(
                client.read_exactly(8),
                format!("{number:04}{round:04}").as_bytes()
            );
        }
    }
}

#[test]
fn a_backend_that_speaks_first_is_heard() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.send("220 ready\r\n");
        assert_eq!(connection.read_exactly(4), b"QUIT");
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let mut client = proxy.connect();
    assert_eq!(client.read_exactly(11), b"220 ready\r\n");
    client.send("QUIT");
    client.expect_closed();
}

#[test]
fn a_client_that_finished_sending_still_receives() {
    let upstream = Upstream::scripted(|mut connection| {
        let (question, end) = connection.read_to_end();
        assert_eq!((question.as_slice(), end), (&b"question"[..], Ok(())));
        connection.send("answer after your FIN");
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let mut client = proxy.connect();
    client.send("question").finish();
    let (answer, end) = client.read_to_end();
    assert_eq!(answer, b"answer after your FIN");
    assert_eq!(end, Ok(()));
}

#[test]
fn a_backend_that_finished_sending_still_receives() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.send("all I have").finish();
        let (rest, end) = connection.read_to_end();
        assert_eq!((rest.as_slice(), end), (&b"thank you"[..], Ok(())));
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let mut client = proxy.connect();
    let (bytes, end) = client.read_to_end();
    assert_eq!((bytes.as_slice(), end), (&b"all I have"[..], Ok(())));
    client.send("thank you").finish();
    upstream.wait_until_idle();
}

/// Around the sizes where a proxy changes its way of moving bytes.
const SIZES: [usize; 11] = [
    1, 15_000, 70_000, 140_000, 200_000, 250_000, 300_000, 350_000, 450_000, 600_000, 2_000_000,
];

#[test]
fn bytes_sent_just_before_a_fin_arrive_and_so_does_the_fin() {
    for size in SIZES {
        let upstream = Upstream::scripted(move |mut connection| {
            connection.send(vec![7; size]);
        });
        let proxy = Settings::tcp_to(&[&upstream]).start();
        for round in 0..20 {
            let (bytes, end) = proxy.connect().read_to_end();
            assert_eq!((bytes.len(), end), (size, Ok(())), "round {round}");
        }
    }
}

#[test]
fn bytes_and_fin_of_the_client_arrive_too() {
    for size in SIZES {
        let upstream = Upstream::scripted(move |mut connection| {
            let (bytes, end) = connection.read_to_end();
            assert_eq!((bytes.len(), end), (size, Ok(())));
            connection.send("all");
        });
        let proxy = Settings::tcp_to(&[&upstream]).start();
        for _ in 0..10 {
            let mut client = proxy.connect();
            client.send(vec![7; size]).finish();
            assert_eq!(client.read_to_end(), (b"all".to_vec(), Ok(())));
        }
    }
}

#[test]
fn a_reset_by_the_client_reaches_the_backend() {
    let upstream = Upstream::scripted(|mut connection| {
        assert_eq!(connection.read_exactly(2), b"hi");
        connection.send("ho");
        let (_, end) = connection.read_to_end();
        assert_eq!(end, Err(Broken::Reset));
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let mut client = proxy.connect();
    client.send("hi");
    assert_eq!(client.read_exactly(2), b"ho");
    client.reset();
    upstream.wait_until_idle();
}

#[test]
fn a_reset_by_the_backend_reaches_the_client() {
    let upstream = Upstream::scripted(|mut connection| {
        assert_eq!(connection.read_exactly(2), b"hi");
        connection.into_wire().reset();
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let mut client = proxy.connect();
    client.send("hi").expect_reset();
}

#[test]
fn a_client_that_comes_and_goes_leaves_nothing_behind() {
    let upstream = echo();
    let proxy = Settings::tcp_to(&[&upstream]).start();
    for _ in 0..50 {
        drop(proxy.connect());
    }
    let mut client = proxy.connect();
    client.send("x");
    assert_eq!(client.read_exactly(1), b"x");
    drop(client);
    eventually("the backend's connections end", || upstream.open() == 0);
}
