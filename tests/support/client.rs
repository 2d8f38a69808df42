//! A client of the proxy: a wire that can also ask.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use super::message::Message;
use super::wire::{Broken, Wire};

/// A client connection.
pub struct Client(Wire);

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.0
    }
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Client {
        Client(Wire::connect(address))
    }

    /// A client on a wire made elsewhere.
    pub fn on(wire: Wire) -> Client {
        Client(wire)
    }

    /// The bare connection, to be reset or taken apart.
    pub fn into_wire(self) -> Wire {
        self.0
    }

    /// Asks for `target` and reads the answer.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Message {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }

    /// Posts `body` with a length and reads the answer.
    #[track_caller]
    pub fn post(&mut self, target: &str, body: &[u8]) -> Message {
        let length = body.len();
        self.send(format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
        ));
        self.send(body);
        self.response()
    }

    /// Sends `request` as it is and reads the answer.
    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        let method = request
            .split(|&byte| byte == b' ')
            .next()
            .unwrap_or_default();
        let method = String::from_utf8_lossy(method).into_owned();
        self.send(request);
        self.response_to(&method)
    }

    /// The next response, to anything but HEAD.
    #[track_caller]
    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// The next response, to `method`.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Message {
        match self.0.read_response(method) {
            Ok(message) => message,
            Err(broken) => panic!("no response: {broken:?}"),
        }
    }

    /// The next response, or why there is none.
    pub fn try_response(&mut self) -> Result<Message, Broken> {
        self.0.read_response("GET")
    }
}
