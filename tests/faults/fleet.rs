//! Ten backends and a weir before them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::between::Between;
use crate::load::{Load, Running};
use crate::server::Server;
use crate::support::{Proxy, Settings, eventually, from_env};

/// How large a scenario is, and what it is held to.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Requests a second.
    pub rate: u64,
    /// How long one try may take, in milliseconds.
    pub per_try: u64,
    /// Within which a backend that failed must be out because of traffic. A busy machine is late
    /// with everything, and at few requests a second it takes a while until there are three.
    pub noticed: Duration,
    /// What the machine may be late with a check; at full size a promise holds to the letter.
    pub late_check: Duration,
    /// What the machine may be late with anything else.
    pub late: Duration,
    /// How long there is load before, between and after.
    pub pause: Duration,
}

impl Size {
    /// As the environment has it.
    pub fn wanted() -> Size {
        let rate = from_env("WEIR_FAULT_RATE", 300);
        match rate >= 5000 {
            true => Size {
                rate,
                per_try: 50,
                noticed: Duration::from_millis(100),
                late_check: Duration::ZERO,
                late: Duration::from_millis(100),
                pause: Duration::from_secs(2),
            },
            false => Size {
                rate,
                per_try: 500,
                noticed: Duration::from_secs(3),
                late_check: Duration::from_secs(3),
                late: Duration::from_secs(3),
                pause: Duration::from_millis(500),
            },
        }
    }
}

/// How many backends there are.
pub const BACKENDS: usize = 10;

/// Requests a backend may have at one time; the rest wait. Who lets a try take 50 ms must not hand
/// over more than is answered within that: when the machine stood still for a moment, all that came
/// meanwhile would be late, be tried again on fresh connections, and never be done with.
const UNDER_WAY_MAX: usize = 50;

/// The backends, and what is before them.
pub struct Fleet {
    /// They are `b0`, `b1` and so on.
    pub servers: Vec<Server>,
    /// The fault proxies before some of them.
    pub between: BTreeMap<usize, Between>,
    /// The weir.
    pub proxy: Proxy,
}

impl Fleet {
    /// Ten backends, some of them behind fault proxies, and a weir with further keys of their
    /// group.
    pub fn start(settings: Settings, keys: &[(&str, impl AsRef<str>)], behind: &[usize]) -> Fleet {
        let servers: Vec<_> = (0..BACKENDS)
            .map(|number| Server::start(&format!("b{number}")))
            .collect();
        let before = |number: &usize| (*number, Between::before(servers[*number].address()));
        let between: BTreeMap<_, _> = behind.iter().map(before).collect();
        let queue = "{ requests_max = 16384, timeout = \"5s\" }";
        let mut settings = settings.workers("2").group_with("queue", queue);
        for (key, value) in keys {
            settings = settings.group_with(key, value.as_ref());
        }
        for (number, server) in servers.iter().enumerate() {
            let proxied = between.get(&number).map(Between::address);
            let address = proxied.unwrap_or(server.address());
            let keys = format!("id = \"b{number}\"\nrequests_max = {UNDER_WAY_MAX}");
            settings = settings.member(&address, &keys);
        }
        Fleet {
            proxy: settings.start(),
            servers,
            between,
        }
    }

    /// So many requests a second, each on a `fresh` connection or not; returns once they are
    /// answered.
    pub fn load(&self, rate: u64, fresh: bool) -> Running {
        let load = Load {
            address: self.proxy.address(),
            rate,
            fresh,
        };
        let running = load.start();
        eventually("the load runs", || running.answered() > rate / 10);
        running
    }

    /// Starts all that are dead, at once.
    pub fn revive_all(&self) {
        std::thread::scope(|scope| {
            for server in &self.servers {
                scope.spawn(|| server.revive());
            }
        });
    }

    /// What weir thinks of a backend.
    pub fn thought_of(&self, number: usize) -> Value {
        let shown = self.proxy.api().get(&format!("/v1/backends/b{number}"));
        shown.expect(200)["items"][0].clone()
    }

    /// Waits until a backend is thought to be this.
    #[track_caller]
    pub fn becomes(&self, number: usize, status: &str) {
        let what = format!("b{number} is {status}");
        eventually(&what, || self.thought_of(number)["status"] == status);
    }

    /// Its transitions since a moment, in milliseconds after it: when, to what, because of whom.
    pub fn transitions(&self, number: usize, since: u64) -> Vec<Transition> {
        let history = self.thought_of(number)["history"].clone();
        let text = |was: &Value, key: &str| was[key].as_str().unwrap().to_owned();
        let read = |was: &Value| Transition {
            after: Duration::from_millis(was["at_ms"].as_u64().unwrap().saturating_sub(since)),
            to: text(was, "to"),
            source: text(was, "source"),
            reason: text(was, "reason"),
        };
        let history = history.as_array().unwrap().iter().rev();
        let since = history.filter(|was| was["at_ms"].as_u64().unwrap() >= since);
        since.map(read).collect()
    }

    /// Sum of a metric over all backends.
    pub fn sum(&self, name: &str) -> f64 {
        self.proxy.metrics().count(name, &[])
    }

    /// How often weir has turned to a backend with a request, whatever became of it.
    pub fn attempts(&self) -> f64 {
        let metrics = self.proxy.metrics();
        let ways = ["connects", "connect_failures", "reuses"];
        let counts = ways.map(|way| metrics.count(&format!("weir_backend_{way}_total"), &[]));
        counts.iter().sum()
    }
}

/// A change of what weir thinks of a backend.
#[derive(Clone, Debug)]
pub struct Transition {
    /// How long after the moment that was asked for.
    pub after: Duration,
    /// `up` or `down`.
    pub to: String,
    /// Who found it.
    pub source: String,
    /// Why.
    pub reason: String,
}

/// Milliseconds since 1970, as weir tells them.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
