//! Storms of connections, and clients that never finish to ask: those who do are served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Proxy, Settings, Upstream, from_env, observe, tool};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// The slowest of a hundred requests of others may take this long on a machine that runs tests.
const P99_MICROS_MAX: f64 = 1_500_000.0;

/// Others: an even pace on connections of their own. The result is that of `weir bench`.
fn others(address: SocketAddr, seconds: u32) -> Child {
    let seconds = seconds.to_string();
    Command::new(WEIR)
        .args(["bench", "http", &format!("http://{address}/"), "-c", "8"])
        .args(["--rate", "100", "-d", &seconds, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[track_caller]
fn were_served(others: Child, requests: u64) {
    let output = others.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["requests"]["statuses"]["200"], requests, "{told}");
    let p99 = told["latency_us"]["p99"].as_f64().unwrap();
    eprintln!("p99 of others: {:.1} ms", p99 / 1000.0);
    assert!(p99 <= P99_MICROS_MAX, "{told}");
}

fn started() -> (Upstream, Proxy) {
    let upstream = Upstream::named("ok");
    let settings = Settings::http_to(&[&upstream])
        .with("backlog", "65535")
        .timeout("head", "3s");
    let proxy = settings.start();
    (upstream, proxy)
}

#[test]
fn a_storm_of_connections_is_admitted_while_others_are_served() {
    let count = from_env("WEIR_TEST_STORM", 6000);
    let (_upstream, proxy) = started();
    let before = observe::descriptors(proxy.pid());
    let others = others(proxy.address(), 4);
    std::thread::sleep(Duration::from_millis(500));
    let (url, count_text) = (format!("http://{}/", proxy.address()), count.to_string());
    let told = tool::run(
        WEIR,
        &[
            "bench",
            "http",
            &url,
            "-c",
            &count_text,
            "--connect-burst",
            &count_text,
            "-d",
            "0",
            "--source",
            "127.0.3.0/24",
            "--timeout",
            "30",
            "--json",
        ],
    );
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["connections"]["established"], count, "{told}");
    were_served(others, 400);
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
    let accepted = proxy.metrics().count("weir_listener_accepts_total", &[]);
    assert_eq!(accepted as u64, count + 8);
    // What is pooled to the backend stays: one for each of the others at most.
    crate::support::eventually("descriptors are as before", || {
        observe::descriptors(proxy.pid()) <= before + 8 + 2
    });
}

#[test]
fn clients_that_never_finish_to_ask_are_told_so_and_others_are_served() {
    let count = from_env("WEIR_TEST_SLOW_CLIENTS", 3000);
    let (_upstream, proxy) = started();
    let others = others(proxy.address(), 6);
    let mut slow: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(proxy.address()).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
            stream
        })
        .collect();
    // Each adds a field now and then, which moves no deadline.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        for stream in slow.iter_mut().step_by(7) {
            let _ = stream.write_all(b"X: y\r\n");
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    for mut stream in slow {
        let mut text = String::new();
        stream
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        // Who writes after the answer was sent may be reset before it has read it.
        if stream.read_to_string(&mut text).is_ok() {
            assert!(text.starts_with("HTTP/1.1 408 "), "{text:?}");
        }
    }
    were_served(others, 600);
    let late = [("fault", "client_timeout")];
    proxy.wait_for_metric("weir_listener_faults_total", &late, count as f64);
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
}
