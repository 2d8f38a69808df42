//! Much data, byte for byte: WEIR_TEST_BULK_MB sets how much.

use crate::support::bulk::{bulk_bytes, receive_pattern, send_pattern};
use crate::support::{Settings, Upstream};

#[test]
fn an_upload_arrives_unchanged() {
    let total = bulk_bytes();
    let upstream = Upstream::scripted(move |mut connection| {
        receive_pattern(&mut connection.writer(), 1, total, true);
        connection.send("got it");
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let mut client = proxy.connect();
    send_pattern(&mut client.writer(), 1, total).unwrap();
    assert_eq!(client.read_exactly(6), b"got it");
}

#[test]
fn a_download_arrives_unchanged() {
    let total = bulk_bytes();
    let upstream = Upstream::scripted(move |connection| {
        send_pattern(&mut connection.writer(), 2, total).unwrap();
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let client = proxy.connect();
    receive_pattern(&mut client.writer(), 2, total, true);
}

#[test]
fn both_directions_at_once_arrive_unchanged() {
    let total = bulk_bytes() / 2;
    let upstream = Upstream::scripted(move |connection| {
        std::thread::scope(|scope| {
            scope.spawn(|| send_pattern(&mut connection.writer(), 3, total).unwrap());
            receive_pattern(&mut connection.writer(), 4, total, false);
        });
    });
    let proxy = Settings::tcp_to(&[&upstream]).start();
    let client = proxy.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| send_pattern(&mut client.writer(), 4, total).unwrap());
        receive_pattern(&mut client.writer(), 3, total, false);
    });
}
