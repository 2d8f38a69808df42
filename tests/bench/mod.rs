//! `weir bench` against its own end and against the proxy: what both count is the same.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Settings, Upstream, eventually, tool};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// An end of the generator.
struct End {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl End {
    fn start(arguments: &[&str]) -> End {
        let mut child = Command::new(WEIR)
            .args(["bench", "serve", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        End {
            address: address.to_owned(),
            child,
            out,
        }
    }

    /// Ends it; what it has counted.
    fn finish(mut self) -> Value {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the generator to its end; what it tells.
fn bench(arguments: &str) -> Value {
    let mut words = vec!["bench"];
    words.extend(arguments.split(' '));
    words.push("--json");
    let said = tool::run(WEIR, &words);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn a_closed_loop_counts_what_its_end_counts() {
    let end = End::start(&["--threads", "2", "--body", "100"]);
    let url = format!("http://{}/x", end.address);
    let told = bench(&format!("http {url} -c 10 -t 2 -d 1"));
    let answered = told["requests"]["answered"].as_u64().unwrap();
    assert!(answered > 100, "{told}");
    assert_eq!(told["requests"]["sent"], answered, "{told}");
    assert_eq!(told["requests"]["statuses"]["200"], answered, "{told}");
    assert_eq!(
        told["requests"]["errors"].as_object().unwrap().len(),
        0,
        "{told}"
    );
    assert_eq!(told["connections"]["established"], 10, "{told}");
    let served = end.finish();
    assert_eq!(served["requests"], answered);
    assert_eq!(served["accepted"], 10);
    assert_eq!(served["open"], 0);
    assert_eq!(served["bytes_received"], told["bytes"]["sent"]);
}

#[test]
fn an_open_loop_keeps_its_rate_and_connections_may_be_one_for_each() {
    let end = End::start(&[]);
    let url = format!("http://{}/", end.address);
    let told = bench(&format!(
        "http {url} -c 20 -d 2 --rate 200 --close --source 127.0.2.0/30"
    ));
    assert_eq!(told["requests"]["sent"], 400, "{told}");
    assert_eq!(told["requests"]["answered"], 400, "{told}");
    assert_eq!(told["requests"]["unsent"], 0, "{told}");
    let served = end.finish();
    assert_eq!(served["accepted"], 400);
    assert_eq!(served["requests"], 400);
}

#[test]
fn a_stall_counts_for_every_request_it_delays() {
    // Each answer takes 100 ms and there is one connection: of 50 a second all but 10 are late.
    let upstream = Upstream::http(|_| Answer::text("ok").after(Duration::from_millis(100)));
    let url = format!("http://{}/", upstream.address());
    let told = bench(&format!("http {url} -c 1 -d 2 --rate 50"));
    let micros = |of: &str, percentile: &str| told[of][percentile].as_f64().unwrap();
    assert!(micros("service_us", "p50") < 400_000.0, "{told}");
    assert!(micros("latency_us", "p50") > 500_000.0, "{told}");
    let unsent = told["requests"]["unsent"].as_u64().unwrap();
    assert!(unsent > 40, "{told}");
    // All that was due is in the figures.
    let sent = told["requests"]["sent"].as_u64().unwrap();
    assert_eq!(sent + unsent, 100, "{told}");
    assert_eq!(told["latency_us"]["count"], 100, "{told}");
}

/// A generator that goes step by step.
struct Stepping {
    child: Child,
    orders: ChildStdin,
    out: BufReader<ChildStdout>,
}

impl Stepping {
    fn start(arguments: &str) -> Stepping {
        let mut child = Command::new(WEIR)
            .arg("bench")
            .args(arguments.split(' '))
            .args(["--steps", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Stepping {
            orders: child.stdin.take().unwrap(),
            out: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn go_on(&mut self) {
        writeln!(self.orders).unwrap();
    }
}

#[test]
fn many_are_held_through_the_proxy_while_few_are_asked_on() {
    let end = End::start(&["--echo"]);
    let backend: std::net::SocketAddr = end.address.parse().unwrap();
    let proxy = Settings::tcp_to(&[&backend]).start();
    let mut bench = Stepping::start(&format!(
        "tcp {} -c 500 --active 2 --rate 100 -d 1 --bytes 10",
        proxy.address()
    ));
    assert_eq!(bench.hear(), "ready 500");
    proxy.wait_for_metric("weir_listener_connections", &[], 500.0);
    bench.go_on();
    assert_eq!(bench.hear(), "done");
    proxy.wait_for_metric("weir_listener_connections", &[], 500.0);
    bench.go_on();
    let told: Value = serde_json::from_str(&bench.hear()).unwrap();
    assert!(bench.child.wait().unwrap().success());
    assert_eq!(told["requests"]["answered"], 100, "{told}");
    assert_eq!(told["connections"]["closed_idle"], 0, "{told}");
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
    proxy.wait_for_metric("weir_listener_received_bytes_total", &[], 1000.0);
    eventually("the end has none left", || {
        proxy.metrics().count("weir_backend_connections", &[]) == 0.0
    });
    let served = end.finish();
    assert_eq!(served["accepted"], 500);
    assert_eq!(served["bytes_received"], 1000);
}

#[test]
fn what_fails_is_counted_by_its_cause() {
    let closed = crate::support::closed_port();
    let told = bench(&format!("tcp {} -c 3 -d 0", closed.address()));
    assert_eq!(told["connections"]["established"], 0, "{told}");
    let errors = told["connections"]["errors"].as_object().unwrap();
    let count: u64 = errors.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(count, 3, "{told}");
    let rude = Upstream::scripted(|mut connection| {
        let _ = connection.try_request();
    });
    let told = bench(&format!("http http://{}/ -c 1 -d 0.3", rude.address()));
    assert!(
        told["requests"]["errors"]["closed before the answer"].as_u64() > Some(0),
        "{told}"
    );
    let output = tool::run_any(WEIR, &["bench", "http", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_answer_may_be_longer_than_a_buffer() {
    let end = End::start(&["--body", "300000"]);
    let url = format!("http://{}/", end.address);
    let told = bench(&format!("http {url} -c 4 -d 1"));
    let answered = told["requests"]["answered"].as_u64().unwrap();
    assert!(answered > 0 && told["bytes"]["received"].as_u64().unwrap() >= answered * 300_000);
    assert_eq!(end.finish()["requests"], answered);
}
