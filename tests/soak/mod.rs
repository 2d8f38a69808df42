//! Mixed traffic for WEIR_SOAK_SECONDS (15 unless told, 600 by hand) while backends are killed
//! and come back and clients vanish in the middle: afterwards everything is as it was.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::bulk::Dice;
use crate::support::port::Port;
use crate::support::settings::Backend;
use crate::support::websocket::{self, CLOSE, TEXT, handshake, read_frame, write_frame};
use crate::support::{
    Answer, Broken, Client, Message, Proxy, Settings, Upstream, Wire, eventually, from_env, observe,
};

/// What memory may grow by, after a warm-up round of the same traffic.
const GROWTH_MAX: u64 = 16 << 20;

fn serve(request: &Message) -> Answer {
    let mut dice = Dice::new(request.target().len() as u64 ^ request.body.len() as u64);
    match request.target().split('?').next().unwrap_or_default() {
        "/small" => Answer::text("small"),
        "/large" => Answer::new(200, "", &vec![b'L'; 300_000]),
        "/chunked" => Answer::raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        "/close" => Answer::raw("HTTP/1.1 200 OK\r\n\r\nbye").then_close(),
        "/slow" => Answer::text("slow").after(Duration::from_millis(dice.below(30))),
        "/die" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx").then_close(),
        _ => Answer::new(404, "", b"?"),
    }
}

/// Waits for any request of a client, of whatever outcome: backends come and go here.
fn outcome(client: &mut Client) -> Result<u16, Broken> {
    client.try_response().map(|answer| answer.status())
}

struct Traffic {
    stop: AtomicBool,
    served: AtomicU64,
    failed: AtomicU64,
    odd: Mutex<Vec<String>>,
}

impl Traffic {
    fn note(&self, what: &str, result: &Result<u16, Broken>) {
        match result {
            Ok(200) => self.served.fetch_add(1, Ordering::Relaxed),
            Ok(502..=504) | Err(Broken::Closed | Broken::Reset | Broken::Truncated(_)) => {
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
            other => {
                self.odd.lock().unwrap().push(format!("{what}: {other:?}"));
                0
            }
        };
    }

    /// One client's life: a random mixture of everything a client may do.
    fn client(&self, proxy: &Proxy, seed: u64) {
        let mut dice = Dice::new(seed);
        while !self.stop.load(Ordering::Relaxed) {
            let mut client = proxy.client();
            for _ in 0..1 + dice.below(10) {
                match dice.below(12) {
                    0 => {
                        client.try_send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
                        return_or_reset(client, &mut dice);
                        break;
                    }
                    1 => {
                        client.try_send(
                            "POST /small HTTP/1.1\r\nHost: t\r\nContent-Length: 99\r\n\r\nx",
                        );
                        return_or_reset(client, &mut dice);
                        break;
                    }
                    2 => {
                        client.try_send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
                        let _ = client.read_head();
                        return_or_reset(client, &mut dice);
                        break;
                    }
                    kind => {
                        let target = ["/small", "/large", "/chunked", "/close", "/slow", "/die"]
                            [kind as usize % 6];
                        let length = dice.below(20_000) as usize;
                        client.try_send(format!(
                            "POST {target} HTTP/1.1\r\nHost: test\r\n\
                             Content-Length: {length}\r\n\r\n"
                        ));
                        if !client.try_send(vec![b'b'; length]) {
                            break;
                        }
                        let result = outcome(&mut client);
                        self.note(&format!("{target} {length}"), &result);
                        if result.is_err() {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// A WebSocket and a relayed connection, again and again.
    fn tunnels(&self, proxy: &Proxy) {
        while !self.stop.load(Ordering::Relaxed) {
            let mut client = Client::connect(proxy.address_of("web"));
            client.try_send(handshake("/ws", "dGhlIHNhbXBsZSBub25jZQ=="));
            if outcome(&mut client) == Ok(101) {
                for size in [10, 1000, 70_000] {
                    let payload = vec![b'w'; size];
                    write_frame(&mut client, TEXT, &payload, Some([5, 6, 7, 8]));
                    assert_eq!(read_frame(&mut client), (TEXT, payload));
                }
                write_frame(&mut client, CLOSE, &[], Some([0; 4]));
                read_frame(&mut client);
            }
            // With no backend up, the reset may be here before `connect` returns.
            if let Ok(wire) = Wire::try_connect(proxy.address_of("relay")) {
                let mut relayed = Client::on(wire);
                relayed.try_send("GET /small HTTP/1.1\r\nHost: test\r\n\r\n");
                self.note("relay", &outcome(&mut relayed));
            }
        }
    }
}

fn return_or_reset(client: Client, dice: &mut Dice) {
    if dice.below(2) == 0 {
        client.into_wire().reset();
    }
}

/// Runs the mixture for a while; backends on `ports` die and come back meanwhile.
fn run(proxy: &Proxy, ports: &[Port], span: Duration) -> Traffic {
    let traffic = Traffic {
        stop: AtomicBool::new(false),
        served: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        odd: Mutex::new(Vec::new()),
    };
    std::thread::scope(|scope| {
        for seed in 0..8 {
            let traffic = &traffic;
            scope.spawn(move || traffic.client(proxy, seed));
        }
        scope.spawn(|| traffic.tunnels(proxy));
        let mut upstreams: Vec<_> = ports
            .iter()
            .map(|port| Some(Upstream::http_at(port.clone(), serve)))
            .collect();
        let end = Instant::now() + span;
        let mut dice = Dice::new(42);
        while Instant::now() < end {
            let victim = dice.below(upstreams.len() as u64) as usize;
            std::thread::sleep(Duration::from_millis(200));
            let upstream = upstreams[victim].take().unwrap();
            if dice.below(2) == 0 {
                upstream.drop_by_reset();
            } else {
                drop(upstream);
            }
            std::thread::sleep(Duration::from_millis(200));
            upstreams[victim] = Some(Upstream::http_at(ports[victim].clone(), serve));
        }
        traffic.stop.store(true, Ordering::Relaxed);
    });
    traffic
}

#[test]
fn after_a_storm_everything_is_as_it_was() {
    let ports: Vec<_> = (0..3).map(|_| Port::fresh()).collect();
    let web_socket = Upstream::scripted(websocket::echo);
    let backends: Vec<_> = ports.iter().map(|port| port as &dyn Backend).collect();
    let settings = Settings::new()
        .listener("web", "http")
        .to("app")
        .route("path = \"/ws\"\ngroup = \"ws\"")
        .listener("relay", "tcp")
        .to("app")
        .group("app", &backends)
        .group_timeout("idle", "1s")
        .group("ws", &[&web_socket])
        .access_log("json")
        .workers("2");
    let proxy = settings.start();
    let idle_descriptors = observe::descriptors(proxy.pid());
    run(&proxy, &ports, Duration::from_secs(5));
    settle(&proxy, idle_descriptors);
    let memory = observe::resident_bytes(proxy.pid());

    let seconds = from_env("WEIR_SOAK_SECONDS", 15);
    let traffic = run(&proxy, &ports, Duration::from_secs(seconds));
    let odd = traffic.odd.into_inner().unwrap();
    assert!(
        odd.is_empty(),
        "neither served nor a clean failure: {odd:?}"
    );
    let (served, failed) = (traffic.served.into_inner(), traffic.failed.into_inner());
    assert!(
        served > 20 * seconds,
        "only {served} served, {failed} failed"
    );
    settle(&proxy, idle_descriptors);
    let growth = observe::resident_bytes(proxy.pid()).saturating_sub(memory);
    assert!(
        growth < GROWTH_MAX,
        "{growth} bytes more after {served} requests"
    );
    let said = proxy.stderr();
    assert!(
        !said.contains("ERROR") && !said.contains("panicked"),
        "{said}"
    );
    let metrics = proxy.metrics();
    assert_eq!(metrics.count("weir_access_log_lost_total", &[]), 0.0);
    eprintln!("soak: {served} served, {failed} failed, {growth} bytes grown");
}

/// Waits until nothing is counted and no descriptor is left.
fn settle(proxy: &Proxy, descriptors: usize) {
    for name in [
        "weir_listener_connections",
        "weir_backend_in_flight",
        "weir_backend_connections",
    ] {
        proxy.wait_for_metric(name, &[], 0.0);
    }
    // Pipes for splicing may be kept: a few.
    eventually("descriptors are given back", || {
        observe::descriptors(proxy.pid()) <= descriptors + 40
    });
}
