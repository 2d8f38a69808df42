//! Clients that ask without an end and write down what they were answered.
//!
//! A client knows what has reached it: a response that was complete before the next request was
//! begun is older than that. So an epoch that goes back is seen from outside, whatever the node
//! says of itself. What a client may lose is what the node had when its process was killed or
//! ended; everything else is written down as lost.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::model::{TENANTS, tenant};
use crate::node::Node;
use crate::support::PATIENCE;
use crate::support::bulk::Dice;
use crate::support::message::Head;
use crate::support::wire::find;

/// One of so many requests is made on a new connection.
const RECONNECT: u64 = 50;

/// What a client was answered.
#[derive(Default)]
pub struct Seen {
    /// How often, by epoch, tenant and backend.
    pub answers: BTreeMap<(u64, usize, String), u64>,
    /// Requests that got nothing, or nothing good, of a node that nobody had done anything to.
    pub lost: BTreeMap<String, u64>,
    /// Requests that got nothing because of what was done to the process of the node.
    pub excused: u64,
    /// Responses with an epoch older than one that had been seen before.
    pub went_back: BTreeMap<String, u64>,
}

/// Asks one node until told to stop.
pub fn load(node: &Node, seed: u64, pause: Duration, stop: &AtomicBool) -> Seen {
    let (mut dice, mut seen) = (Dice::new(seed), Seen::default());
    let mut asker = Asker::new(node.address(), PATIENCE, PATIENCE);
    while !stop.load(Ordering::Relaxed) {
        let number = dice.below(TENANTS as u64) as usize;
        if dice.below(RECONNECT) == 0 {
            asker = Asker::new(node.address(), PATIENCE, PATIENCE);
        }
        let before = node.undisturbed();
        let floor = node.newest.load(Ordering::SeqCst);
        match asker.ask(number) {
            Ok((epoch, backend)) => {
                node.newest.fetch_max(epoch, Ordering::SeqCst);
                if epoch < floor {
                    let name = node.name();
                    let told = format!("{name}: {epoch} after {floor}");
                    *seen.went_back.entry(told).or_default() += 1;
                }
                *seen.answers.entry((epoch, number, backend)).or_default() += 1;
            }
            Err(why) => {
                match before.is_some() && node.undisturbed() == before {
                    true => {
                        let told = format!("{}: {why}", node.name());
                        *seen.lost.entry(told).or_default() += 1;
                    }
                    false => seen.excused += 1,
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        std::thread::sleep(pause);
    }
    seen
}

/// A client with one connection.
pub struct Asker {
    address: SocketAddr,
    connect_within: Duration,
    answer_within: Duration,
    stream: Option<TcpStream>,
}

impl Asker {
    /// Not connected yet.
    pub fn new(address: SocketAddr, connect_within: Duration, answer_within: Duration) -> Asker {
        Asker {
            address,
            connect_within,
            answer_within,
            stream: None,
        }
    }

    /// Whether it has a connection.
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// Connects anew.
    pub fn connect(&mut self) -> io::Result<()> {
        self.stream = None;
        let stream = TcpStream::connect_timeout(&self.address, self.connect_within)?;
        stream.set_read_timeout(Some(self.answer_within))?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// One request: the epoch and the backend of its response. What fails costs the connection.
    pub fn ask(&mut self, number: usize) -> io::Result<(u64, String)> {
        if self.stream.is_none() {
            self.connect()?;
        }
        let mut stream = self.stream.take().expect("it is connected");
        let answer = exchange(&mut stream, number)?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

fn exchange(stream: &mut TcpStream, number: usize) -> io::Result<(u64, String)> {
    let tenant = tenant(number);
    let request = format!("GET / HTTP/1.1\r\nHost: t\r\nX-Tenant: {tenant}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut bytes, mut room) = (Vec::new(), [0; 1024]);
    loop {
        let count = stream.read(&mut room)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&room[..count]);
        if let Some(answer) = answer(&bytes).map_err(io::Error::other)? {
            return Ok(answer);
        }
    }
}

/// A complete answer as epoch and backend; it is the backend it names that has answered.
fn answer(bytes: &[u8]) -> Result<Option<(u64, String)>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n").map(|end| end + 4) else {
        return Ok(None);
    };
    let head = Head::parse(bytes[..end].to_vec())?;
    let length = head
        .field("content-length")
        .and_then(|text| text.parse().ok());
    let length: usize = length.ok_or("no length")?;
    let Some(body) = bytes.get(end..end + length) else {
        return Ok(None);
    };
    let body = String::from_utf8_lossy(body);
    if head.status() != 200 {
        return Err(format!("{head:?} {body}"));
    }
    let backend = head.field("x-weir-backend").ok_or("no backend")?;
    if backend != body {
        return Err(format!("{backend} is named, {body} has answered"));
    }
    let epoch = head.field("x-weir-epoch").ok_or("no epoch")?;
    let revision = epoch.split('.').next().unwrap_or_default();
    let revision = revision.parse().map_err(|_| format!("epoch {epoch}"))?;
    Ok(Some((revision, backend.to_owned())))
}
