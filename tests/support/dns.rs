//! A DNS server in a thread, on UDP: it says what a test tells it to, counts what it is asked,
//! and remembers when.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

/// A server; dropping it ends it.
pub struct Dns {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    zone: Mutex<HashMap<String, Says>>,
    asked: Mutex<Vec<(Instant, String, u16)>>,
    stop: AtomicBool,
}

#[derive(Clone)]
enum Says {
    Code(u8),
    Hosts(u32, Vec<IpAddr>),
    HostsV4(u32, Vec<IpAddr>),
    Nothing,
    Services(u32, Vec<Service>),
}

/// An SRV record.
#[derive(Clone)]
pub struct Service {
    /// Lower ones first.
    pub priority: u16,
    /// Share.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Target.
    pub target: &'static str,
}

impl Dns {
    /// A server that knows no name.
    pub fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let pause = Duration::from_millis(20);
        socket.set_read_timeout(Some(pause)).unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&socket, &served));
        Dns {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// `[dns]` of a proxy that asks this server and no other.
    pub fn section(&self) -> String {
        format!("[dns]\nservers = [\"{}\"]", self.address)
    }

    /// From now on `name` has these addresses.
    pub fn hosts(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        self.say(name, Says::Hosts(ttl, addresses.collect()));
    }

    /// From now on `name` has these IPv4 addresses, and questions for IPv6 are not answered.
    pub fn hosts_v4(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        self.say(name, Says::HostsV4(ttl, addresses.collect()));
    }

    /// From now on `name` has these SRV records.
    pub fn services(&self, name: &str, ttl: u32, services: &[Service]) {
        self.say(name, Says::Services(ttl, services.to_vec()));
    }

    /// From now on there is no such name.
    pub fn forget(&self, name: &str) {
        self.say(name, Says::Code(NXDOMAIN));
    }

    /// From now on the server fails to find out about the name.
    pub fn fail(&self, name: &str) {
        self.say(name, Says::Code(SERVFAIL));
    }

    /// From now on questions for the name are not answered.
    pub fn ignore(&self, name: &str) {
        self.say(name, Says::Nothing);
    }

    fn say(&self, name: &str, says: Says) {
        let mut zone = self.shared.zone.lock().unwrap();
        zone.insert(name.to_owned(), says);
    }

    /// When `name` was asked for: its SRV records if it has some, else its IPv4 addresses.
    pub fn asked(&self, name: &str) -> Vec<Instant> {
        let asked = self.shared.asked.lock().unwrap();
        let of_name = asked
            .iter()
            .filter(|(_, asked, kind)| asked == name && *kind != AAAA);
        of_name.map(|(at, ..)| *at).collect()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the DNS server panicked"
            );
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut query = [0; 4096];
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut query) else {
            continue;
        };
        if let Some(answer) = answer(&query[..length], shared) {
            let _ = socket.send_to(&answer, client);
        }
    }
}

fn answer(query: &[u8], shared: &Shared) -> Option<Vec<u8>> {
    let (name, end) = read_name(query, 12);
    let kind = u16::from_be_bytes([query[end], query[end + 1]]);
    let now = Instant::now();
    shared.asked.lock().unwrap().push((now, name.clone(), kind));
    let says = shared.zone.lock().unwrap().get(&name).cloned();
    let (code, records) = match says {
        None => (NXDOMAIN, Vec::new()),
        Some(Says::Nothing) => return None,
        Some(Says::HostsV4(..)) if kind == AAAA => return None,
        Some(Says::Code(code)) => (code, Vec::new()),
        Some(Says::Hosts(ttl, addresses) | Says::HostsV4(ttl, addresses)) => {
            let data = addresses
                .iter()
                .filter_map(|address| match (address, kind) {
                    (IpAddr::V4(v4), A) => Some(v4.octets().to_vec()),
                    (IpAddr::V6(v6), AAAA) => Some(v6.octets().to_vec()),
                    _ => None,
                });
            (0, data.map(|data| (ttl, data)).collect())
        }
        Some(Says::Services(ttl, services)) if kind == SRV => (
            0,
            services
                .iter()
                .map(|service| (ttl, service.data()))
                .collect(),
        ),
        Some(Says::Services(..)) => (0, Vec::new()),
    };
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1]);
    out.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
    out.extend([0; 4]);
    out.extend(&query[12..end + 4]);
    for (ttl, data) in records {
        // The name of the question, by a pointer to it.
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(data);
    }
    Some(out)
}

/// The name at a place, in lower case with dots between its labels, and where it ends.
fn read_name(query: &[u8], mut at: usize) -> (String, usize) {
    let mut labels = Vec::new();
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), at + 1)
}

impl Service {
    fn data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for number in [self.priority, self.weight, self.port] {
            data.extend(number.to_be_bytes());
        }
        for label in self.target.split('.') {
            data.push(u8::try_from(label.len()).unwrap());
            data.extend(label.as_bytes());
        }
        data.push(0);
        data
    }
}
