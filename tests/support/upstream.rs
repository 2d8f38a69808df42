//! Backends in threads: a well-behaved HTTP server that answers by a closure, or a script that
//! has the connection to itself and sends any bytes it likes.
//!
//! Every request head read here goes through the canonical-form oracle; a violation, or a panic
//! in a script, fails the test when the upstream is dropped.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::message::{Head, Message};
use super::port::Port;
use super::wire::{Broken, Wire};
use super::{canon, eventually};

/// A backend.
pub struct Upstream {
    port: Port,
    shared: Arc<Shared>,
    listener: TcpListener,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accepted: usize,
    open: HashMap<usize, TcpStream>,
    requests: Vec<Message>,
    forgotten: usize,
    complaints: Vec<String>,
}

/// Requests kept for inspection; a soak only counts the rest.
const REQUESTS_KEPT: usize = 10_000;

/// A connection as a script has it.
pub struct Connection {
    wire: Wire,
    shared: Arc<Shared>,
    /// 0 for the first connection this upstream accepted, and so on.
    pub number: usize,
}

impl Deref for Connection {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

impl Connection {
    /// The next request, or why there is none.
    pub fn try_request(&mut self) -> Result<Message, Broken> {
        let request = self.wire.read_request()?;
        let mut state = self.shared.state.lock().unwrap();
        state
            .complaints
            .extend(canon::judge(&request.head.raw).violations);
        if state.requests.len() < REQUESTS_KEPT {
            let mut kept = request.clone();
            kept.body.truncate(1 << 20);
            state.requests.push(kept);
        } else {
            state.forgotten += 1;
        }
        Ok(request)
    }

    /// The next request.
    #[track_caller]
    pub fn request(&mut self) -> Message {
        match self.try_request() {
            Ok(request) => request,
            Err(broken) => panic!("no request on connection {}: {broken:?}", self.number),
        }
    }

    /// The next request's head only, its body stays on the wire; or why there is none.
    pub fn try_request_head(&mut self) -> Result<Head, Broken> {
        let head = self.wire.read_head()?;
        let violations = canon::judge(&head.raw).violations;
        self.shared
            .state
            .lock()
            .unwrap()
            .complaints
            .extend(violations);
        Ok(head)
    }

    /// The next request's head only; its body stays on the wire.
    #[track_caller]
    pub fn request_head(&mut self) -> Head {
        match self.try_request_head() {
            Ok(head) => head,
            Err(broken) => panic!("no request on connection {}: {broken:?}", self.number),
        }
    }

    /// The bare connection, to be reset.
    pub fn into_wire(self) -> Wire {
        self.wire
    }
}

/// What the well-behaved server says.
pub struct Answer {
    bytes: Vec<u8>,
    delay: Duration,
    close: bool,
}

impl Answer {
    /// 200 with this text.
    pub fn text(body: impl AsRef<str>) -> Answer {
        Answer::new(200, "", body.as_ref().as_bytes())
    }

    /// Any status, extra field lines (each with its CRLF) and a body with its length.
    pub fn new(status: u16, fields: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Any\r\nContent-Length: {length}\r\n{fields}\r\n");
        Answer::raw([head.as_bytes(), body].concat())
    }

    /// Exactly these bytes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
        Answer {
            bytes: bytes.into(),
            delay: Duration::ZERO,
            close: false,
        }
    }

    /// After a while.
    pub fn after(mut self, delay: Duration) -> Answer {
        self.delay = delay;
        self
    }

    /// And then close.
    pub fn then_close(mut self) -> Answer {
        self.close = true;
        self
    }
}

impl Upstream {
    /// An HTTP server that keeps connections alive.
    pub fn http(answer: impl Fn(&Message) -> Answer + Send + Sync + 'static) -> Upstream {
        Upstream::http_at(Port::fresh(), answer)
    }

    /// An HTTP server on a known port, for backends that die and come back.
    pub fn http_at(
        port: Port,
        answer: impl Fn(&Message) -> Answer + Send + Sync + 'static,
    ) -> Upstream {
        Upstream::scripted_at(port, move |mut connection| {
            // A pool may keep a connection much longer than a step of a test takes.
            connection.patient_for(Duration::from_secs(900));
            while let Ok(request) = connection.try_request() {
                let answer = answer(&request);
                thread::sleep(answer.delay);
                let mut bytes = answer.bytes;
                if request.method() == "HEAD" {
                    let end = super::wire::find(&bytes, b"\r\n\r\n").unwrap() + 4;
                    bytes.truncate(end);
                }
                if !connection.try_send(bytes) || answer.close {
                    return;
                }
            }
        })
    }

    /// An HTTP server that answers everything with its name.
    pub fn named(name: &'static str) -> Upstream {
        Upstream::http(move |_| Answer::text(name))
    }

    /// The same at an address, unless something else is there.
    pub fn named_at(name: &str, address: &str) -> Option<Upstream> {
        let name = name.to_owned();
        let port = Port::at(address.parse().unwrap())?;
        Some(Upstream::http_at(port, move |_| Answer::text(&name)))
    }

    /// Runs `script` in a thread of its own for every connection.
    pub fn scripted(script: impl Fn(Connection) + Send + Sync + 'static) -> Upstream {
        Upstream::scripted_at(Port::fresh(), script)
    }

    /// As [`Upstream::scripted`], on a known port.
    pub fn scripted_at(
        port: Port,
        script: impl Fn(Connection) + Send + Sync + 'static,
    ) -> Upstream {
        let listener = listen(port.address());
        let shared = Arc::new(Shared::default());
        let (accepting, owner) = (listener.try_clone().unwrap(), Arc::clone(&shared));
        let script = Arc::new(script);
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let (script, shared) = (Arc::clone(&script), Arc::clone(&owner));
                let number = shared.enter(&stream);
                thread::spawn(move || {
                    let wire = Wire::new(stream);
                    let mine = Arc::clone(&shared);
                    let connection = Connection {
                        wire,
                        shared: mine,
                        number,
                    };
                    let ended = catch_unwind(AssertUnwindSafe(|| script(connection)));
                    shared.leave(number, ended.err().map(|panic| describe(&*panic)));
                });
            }
        });
        Upstream {
            port,
            shared,
            listener,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its port, to come back on after it was dropped.
    pub fn port(&self) -> Port {
        self.port.clone()
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.state.lock().unwrap().accepted
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.shared.state.lock().unwrap().open.len()
    }

    /// Requests received so far, in the order they were complete.
    pub fn requests(&self) -> Vec<Message> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// How many requests were received so far.
    pub fn request_count(&self) -> usize {
        let state = self.shared.state.lock().unwrap();
        state.requests.len() + state.forgotten
    }

    /// The only request received so far.
    #[track_caller]
    pub fn only_request(&self) -> Message {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "requests: {:?}", starts(&requests));
        requests[0].clone()
    }

    /// Waits until `count` requests were received.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) {
        eventually(&format!("{count} requests upstream"), || {
            self.request_count() >= count
        });
    }

    /// Waits until no connection is open.
    #[track_caller]
    pub fn wait_until_idle(&self) {
        eventually("all upstream connections closed", || self.open() == 0);
    }

    /// Closes every open connection, as a backend that restarts does; goes on listening.
    pub fn close_connections(&self) {
        for stream in self.shared.state.lock().unwrap().open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Resets every open connection when this upstream is dropped.
    pub fn drop_by_reset(self) {
        for stream in self.shared.state.lock().unwrap().open.values() {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        self.close_connections();
        let complaints = std::mem::take(&mut self.shared.state.lock().unwrap().complaints);
        if !thread::panicking() {
            assert!(
                complaints.is_empty(),
                "upstream {}: {complaints:#?}",
                self.address()
            );
        }
    }
}

impl Shared {
    fn enter(&self, stream: &TcpStream) -> usize {
        let mut state = self.state.lock().unwrap();
        let number = state.accepted;
        state.accepted += 1;
        state.open.insert(number, stream.try_clone().unwrap());
        number
    }

    fn leave(&self, number: usize, complaint: Option<String>) {
        let mut state = self.state.lock().unwrap();
        state.open.remove(&number);
        state.complaints.extend(complaint);
    }
}

/// Listens at an address that a [`Port`] keeps.
pub fn listen(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(1024).unwrap();
    socket.into()
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => format!("script: {text}"),
        (_, Some(text)) => format!("script: {text}"),
        _ => "script panicked".to_owned(),
    }
}

fn starts(requests: &[Message]) -> Vec<&str> {
    requests
        .iter()
        .map(|request| request.start.as_str())
        .collect()
}
