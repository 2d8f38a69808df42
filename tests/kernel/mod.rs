//! What the process costs the kernel, and the kernel it.

mod steering;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::support::{Answer, PATIENCE, Settings, Upstream, Wire, from_env, observe, tool};

#[test]
fn no_io_wq_worker_is_ever_needed() {
    // Such a thread means that an operation could not be done without blocking: a whole context
    // switch for what should have been a completion.
    let upstream = Upstream::http(|request| match request.target() {
        "/large" => Answer::new(200, "", &vec![b'L'; 2_000_000]),
        _ => Answer::text("ok"),
    });
    let settings = Settings::http_to(&[&upstream])
        .listener("relay", "tcp")
        .to("app");
    let proxy = settings.access_log("json").start();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6)
            .map(|number| {
                let proxy = &proxy;
                scope.spawn(move || {
                    for round in 0..60 {
                        let name = if number % 2 == 0 { "web" } else { "relay" };
                        let mut client = crate::support::Client::connect(proxy.address_of(name));
                        let target = if round % 3 == 0 { "/large" } else { "/small" };
                        assert_eq!(client.post(target, &[b'x'; 30_000]).status(), 200);
                        assert_eq!(client.get(target).status(), 200);
                    }
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            seen.extend(observe::threads(proxy.pid()));
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    seen.sort_unstable();
    seen.dedup();
    assert!(
        !seen.iter().any(|name| name.starts_with("iou-wrk")),
        "{seen:?}"
    );
    assert!(!seen.is_empty());
}

#[test]
fn an_idle_worker_makes_few_system_calls() {
    const SECONDS: u64 = 5;
    const PER_WORKER_MAX: u64 = 35;
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).workers("2").start();
    proxy.client().get("/");
    let (pid, seconds) = (proxy.pid().to_string(), SECONDS.to_string());
    let command = format!("timeout -s INT {seconds} strace -q -c -f -p {pid} 2>&1; true");
    let table = tool::run("sh", &["-c", &command]);
    let total = table.lines().rfind(|line| line.ends_with(" total"));
    let total = total.unwrap_or_else(|| panic!("strace said: {table}"));
    // "100.00  0.001  6  151  3 total": the calls are the fourth column.
    let calls: u64 = total.split_whitespace().nth(3).unwrap().parse().unwrap();
    // Two workers, and the control thread's share besides.
    let most = SECONDS * (2 * PER_WORKER_MAX + 40);
    assert!(
        calls <= most,
        "{calls} calls in {SECONDS} s, at most {most}:\n{table}"
    );
}

/// Connections of the memory test; each is one descriptor here and one in the proxy.
fn many() -> usize {
    from_env("WEIR_TEST_IDLE_CONNECTIONS", 10_000) as usize
}

fn allow_descriptors(count: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        limit.current = Some(count);
        limit.maximum = limit.maximum.map(|most| most.max(count));
        setrlimit(Resource::Nofile, limit).expect("descriptors for this many connections");
    }
}

/// Connects from another address of 127/8 every few thousand connections, so that ports do not
/// run out.
fn connect_from(number: usize, to: SocketAddr) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let host = 2 + (number / 5000) as u8;
    socket
        .bind(&SocketAddr::from(([127, 0, 0, host], 0)).into())
        .unwrap();
    socket.connect_timeout(&to.into(), PATIENCE).unwrap();
    Wire::new(socket.into())
}

#[test]
fn an_idle_kept_alive_connection_costs_less_than_a_kilobyte() {
    let count = many();
    allow_descriptors(count as u64 + 1000);
    let upstream = Upstream::named("ok");
    let settings = Settings::http_to(&[&upstream])
        .timeout("idle", "600s")
        .timeout("head", "600s");
    let proxy = settings.with("backlog", "4096").start();
    // Whatever grows by steps (slabs, rings) has done so for the first few.
    let mut clients: Vec<_> = (0..200)
        .map(|number| ask(connect_from(number, proxy.address())))
        .collect();
    let before = settled_memory(&proxy);
    for number in clients.len()..count {
        clients.push(ask(connect_from(number, proxy.address())));
    }
    proxy.wait_for_metric("weir_listener_connections", &[], count as f64);
    let growth = settled_memory(&proxy).saturating_sub(before);
    let each = growth / (count as u64 - 200);
    eprintln!("{each} bytes of resident memory for an idle connection");
    assert!(
        each <= 1024,
        "{each} bytes for each of {count} idle connections"
    );
    // They are all alive.
    for client in clients.iter_mut().step_by(97) {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.read_response("GET").unwrap().status(), 200);
    }
    drop(clients);
    proxy.wait_for_metric("weir_listener_connections", &[], 0.0);
}

fn ask(mut wire: Wire) -> Wire {
    wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(wire.read_response("GET").unwrap().status(), 200);
    wire
}

/// Memory once it stands still.
fn settled_memory(proxy: &crate::support::Proxy) -> u64 {
    let mut last = observe::resident_bytes(proxy.pid());
    let mut since = Instant::now();
    let start = Instant::now();
    while since.elapsed() < Duration::from_millis(500) && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
        let now = observe::resident_bytes(proxy.pid());
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}
