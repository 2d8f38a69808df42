//! Thousands of changes under load: no request fails, and none is served by a backend that the
//! table of its own epoch does not allow.
//!
//! Clients ask without a pause for random tenants while the API adds, removes, drains and weighs
//! backends, moves tenants, requires labels and switches policies. Each response names its epoch
//! and its backend; a model that knows nothing of weir judges all of them afterwards.
//! `WEIR_TEST_CHANGES` says how many changes (300; 10000 by hand).

mod model;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Client, Proxy, Settings, Upstream};
use model::{BACKENDS, GROUPS, History, TENANTS, World, labels, name, tenant};

/// Clients at once.
const CLIENTS: usize = 4;

/// One response.
struct Seen {
    epoch: u64,
    tenant: usize,
    backend: String,
    took: Duration,
    /// While tables changed, or before.
    during: bool,
}

fn changes() -> usize {
    let asked = std::env::var("WEIR_TEST_CHANGES").ok();
    asked.map_or(300, |count| count.parse().expect("a number"))
}

/// A small generator: which numbers come is fixed by the seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize
    }
}

fn start(upstreams: &[Upstream]) -> (Proxy, History) {
    let world = World::first();
    let mut settings = Settings::new()
        .listener("web", "http")
        .with("decision_headers", "true")
        .with("shard", "\"by-tenant\"")
        .workers("2");
    let map = world.map().to_string().replace("\":", "\"=");
    let rule = format!("name = \"by-tenant\"\nkey = {{ header = \"x-tenant\" }}\nmap = {map}");
    settings = settings.shard(&rule.replace("\"key\"", "key").replace("\"group\"", "group"));
    for (number, group) in GROUPS.iter().enumerate() {
        settings = settings.group(group, &[]);
        for (backend, upstream) in upstreams.iter().enumerate().skip(3 * number).take(3) {
            let lines = format!("id = \"{}\"\nlabels = {:?}", name(backend), labels(backend));
            settings = settings.member(upstream, &lines);
        }
    }
    let proxy = settings.start();
    let epoch = proxy.api().get("/v1/groups").epoch();
    (proxy, History::new(epoch, world))
}

/// Asks until told to stop.
fn load(proxy: &Proxy, seed: u64, changing: &AtomicBool, stop: &AtomicBool) -> Vec<Seen> {
    let mut random = Random(seed);
    let mut client = Client::connect(proxy.address());
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = random.next() % TENANTS;
        let during = changing.load(Ordering::Relaxed);
        let begun = Instant::now();
        let name = tenant(number);
        let answer = client.ask(format!(
            "GET / HTTP/1.1\r\nHost: t\r\nX-Tenant: {name}\r\n\r\n"
        ));
        assert_eq!(answer.status(), 200, "{answer:?}");
        let backend = answer
            .field("x-weir-backend")
            .expect("a backend")
            .to_owned();
        assert_eq!(answer.text(), backend, "it is the one that answered");
        let epoch = answer.field("x-weir-epoch").expect("an epoch");
        seen.push(Seen {
            epoch: epoch.parse().expect("a number"),
            tenant: number,
            backend,
            took: begun.elapsed(),
            during,
        });
        if random.next().is_multiple_of(50) {
            client = Client::connect(proxy.address());
        }
    }
    seen
}

/// Makes `count` changes, one after the other.
fn change(proxy: &Proxy, upstreams: &[Upstream], history: &mut History, count: usize) {
    let api = proxy.api();
    let mut random = Random(7);
    let mut world = World::first();
    let address = |backend: usize| upstreams[backend].address().to_string();
    let mut done = 0;
    while done < count {
        let numbers = std::array::from_fn(|_| random.next());
        let Some(change) = world.change(numbers) else {
            continue;
        };
        let (method, target, body) = change.request(&world, &address);
        // Every now and then all cores are waited for, so that both ways are used.
        let wait = if done % 10 == 0 { "?wait=node" } else { "" };
        let body = body.map(|body| body.to_string());
        let reply = api.ask(method, &format!("{target}{wait}"), body);
        assert!(matches!(reply.status(), 200 | 201), "{target}: {reply:?}");
        world = world.after(&change);
        let epoch = reply.epoch();
        // A change that changes nothing makes no epoch.
        if !history.knows(epoch) {
            history.add(epoch, world.clone());
        }
        done += 1;
    }
}

fn p99(seen: &[Seen], during: bool) -> Duration {
    let mut times: Vec<Duration> = seen
        .iter()
        .filter(|seen| seen.during == during)
        .map(|seen| seen.took)
        .collect();
    times.sort_unstable();
    times
        .get(times.len() * 99 / 100)
        .copied()
        .unwrap_or_default()
}

#[test]
fn no_request_fails_or_goes_where_its_epoch_does_not_allow() {
    let upstreams: Vec<Upstream> = (0..BACKENDS)
        .map(|backend| Upstream::named(name(backend).leak()))
        .collect();
    let (proxy, mut history) = start(&upstreams);
    let (changing, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let count = changes();
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (proxy, changing, stop) = (&proxy, &changing, &stop);
                scope.spawn(move || load(proxy, 11 * (1 + number as u64), changing, stop))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        changing.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        change(&proxy, &upstreams, &mut history, count);
        eprintln!("{count} changes in {:?}", begun.elapsed());
        changing.store(false, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
        loads
            .into_iter()
            .flat_map(|load| load.join().unwrap())
            .collect()
    });
    let export: toml::Table = proxy.api().get("/v1/export").text.parse().unwrap();
    let groups = export["group"].as_array().unwrap();
    let named = |name: &str| {
        groups
            .iter()
            .find(|group| group["name"].as_str() == Some(name))
    };
    let told = World::told(&export["shard"][0], GROUPS.map(|name| named(name).unwrap()));
    assert_eq!(
        Some(&told),
        history.at(u64::MAX),
        "what is exported is what was made"
    );
    let wrong = seen
        .iter()
        .filter(|seen| !history.allows(seen.epoch, seen.tenant, &seen.backend))
        .count();
    assert_eq!(wrong, 0, "of {}", seen.len());
    let epochs: std::collections::BTreeSet<u64> = seen.iter().map(|seen| seen.epoch).collect();
    assert!(epochs.len() > count / 20, "{} epochs seen", epochs.len());
    let (before, during) = (p99(&seen, false), p99(&seen, true));
    eprintln!(
        "{} requests, {} epochs, p99 {before:?}, changing {during:?}",
        seen.len(),
        epochs.len()
    );
    // Tables are given back and freed: no core holds more than the present one in the end.
    crate::support::eventually("old tables are given back", || {
        let epochs = proxy.epochs();
        let cores = epochs["cores"].as_array().expect("cores").clone();
        cores
            .iter()
            .all(|core| core["held"].as_array().is_none_or(|held| held.len() <= 1))
    });
}
