//! One end of a TCP connection with a read buffer: the bytes of both clients and upstreams.
//!
//! Reading is strict: a message that is not exactly in the grammar is [`Broken::Malformed`], so
//! what the proxy emits is checked by every test that reads it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::PATIENCE;
use super::message::{Framing, Head, Message};

/// Why no complete message could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer closed before the first byte of a message.
    Closed,
    /// What came is not in the grammar.
    Malformed(String),
    /// The peer reset the connection.
    Reset,
    /// Nothing came in time.
    TimedOut,
    /// The peer closed inside a message, after this many bytes of its body.
    Truncated(u64),
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    deadline: Duration,
}

impl Wire {
    /// Wraps a connected stream.
    pub fn new(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Wire {
            stream,
            buffer: Vec::new(),
            start: 0,
            deadline: PATIENCE,
        }
    }

    /// Connects to `address`.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Wire {
        match Wire::try_connect(address) {
            Ok(wire) => wire,
            Err(error) => panic!("connect to {address}: {error}"),
        }
    }

    /// Connects to `address`, where a reset may come at once.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Wire> {
        TcpStream::connect_timeout(&address, PATIENCE).map(Wire::new)
    }

    /// Connects with a receive buffer of about `bytes`, so that a reader that stops is soon felt.
    pub fn connect_narrow(address: SocketAddr, bytes: usize) -> Wire {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect_timeout(&address.into(), PATIENCE).unwrap();
        Wire::new(socket.into())
    }

    /// The stream itself, for what this type does not do.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// A second handle on the same connection, for a thread that writes while this one reads.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// How long a single read may take from now on.
    pub fn patient_for(&mut self, deadline: Duration) {
        self.deadline = deadline;
        self.stream.set_read_timeout(Some(deadline)).unwrap();
    }

    /// Sends all of `bytes`.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Err(error) = self.stream.write_all(bytes.as_ref()) {
            panic!("send: {error}");
        }
        self
    }

    /// Sends what the peer still takes; whether it took all.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends FIN, keeps reading.
    pub fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Closes with RST.
    pub fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Bytes read and not yet taken.
    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.buffer[self.start..self.start + count].to_vec();
        self.start += count;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        taken
    }

    /// Reads more bytes; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, Broken> {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                if self.start > 0 {
                    self.buffer.drain(..self.start);
                    self.start = 0;
                }
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) => Err(match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Broken::TimedOut,
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Broken::Reset,
                _ => Broken::Malformed(format!("read: {error}")),
            }),
        }
    }

    /// Whatever comes next, at least one byte; empty at the end of the stream.
    pub fn read_some(&mut self) -> Result<Vec<u8>, Broken> {
        if self.unread().is_empty() && !self.fill()? {
            return Ok(Vec::new());
        }
        Ok(self.take(self.unread().len()))
    }

    /// Exactly `count` bytes.
    #[track_caller]
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread().len() < count {
            match self.fill() {
                Ok(true) => {}
                other => panic!("{} of {count} bytes, then {other:?}", self.unread().len()),
            }
        }
        self.take(count)
    }

    /// Everything until the peer's FIN, or why there was none.
    pub fn read_to_end(&mut self) -> (Vec<u8>, Result<(), Broken>) {
        let end = loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(broken) => break Err(broken),
            }
        };
        (self.take(self.unread().len()), end)
    }

    /// Asserts that the peer closes (FIN or RST) without a further byte.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let (rest, end) = self.read_to_end();
        assert!(
            rest.is_empty(),
            "bytes before the close: {:?}",
            String::from_utf8_lossy(&rest)
        );
        assert!(
            matches!(end, Ok(()) | Err(Broken::Reset)),
            "not closed: {end:?}"
        );
    }

    /// Asserts that the next thing seen is a RST.
    #[track_caller]
    pub fn expect_reset(&mut self) {
        let (_, end) = self.read_to_end();
        assert_eq!(end, Err(Broken::Reset));
    }

    /// Asserts that neither a byte nor a close comes for `span`.
    #[track_caller]
    pub fn stays_silent(&mut self, span: Duration) {
        self.stream.set_read_timeout(Some(span)).unwrap();
        let filled = self.fill();
        self.stream.set_read_timeout(Some(self.deadline)).unwrap();
        assert_eq!(
            filled,
            Err(Broken::TimedOut),
            "expected silence, got {:?}",
            String::from_utf8_lossy(self.unread())
        );
    }

    /// Whether the peer has closed or reset, waiting no longer than `span` for it.
    pub fn closes_within(&mut self, span: Duration) -> bool {
        let start = Instant::now();
        self.stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let closed = loop {
            match self.fill() {
                Ok(true) | Err(Broken::TimedOut) if start.elapsed() < span => {}
                Ok(false) | Err(Broken::Reset) => break true,
                _ => break false,
            }
        };
        self.stream.set_read_timeout(Some(self.deadline)).unwrap();
        closed
    }

    /// Everything that came until a pause of `idle`; the flag tells whether the peer closed.
    pub fn read_until_quiet(&mut self, idle: Duration) -> (Vec<u8>, bool) {
        self.stream.set_read_timeout(Some(idle)).unwrap();
        let closed = loop {
            match self.fill() {
                Ok(true) if self.unread().len() < 1 << 20 => {}
                Ok(true) | Err(Broken::TimedOut) => break false,
                Ok(false) | Err(_) => break true,
            }
        };
        self.stream.set_read_timeout(Some(self.deadline)).unwrap();
        (self.take(self.unread().len()), closed)
    }

    /// The next message head, start line to empty line.
    pub fn read_head(&mut self) -> Result<Head, Broken> {
        loop {
            if let Some(at) = find(self.unread(), b"\r\n\r\n") {
                let raw = self.take(at + 4);
                return Head::parse(raw).map_err(Broken::Malformed);
            }
            if self.unread().len() > 8 << 20 {
                return Err(Broken::Malformed("endless head".into()));
            }
            if !self.fill()? {
                return Err(match self.unread().len() {
                    0 => Broken::Closed,
                    _ => Broken::Truncated(0),
                });
            }
        }
    }

    /// The next request, body and all.
    pub fn read_request(&mut self) -> Result<Message, Broken> {
        let head = self.read_head()?;
        let framing = head.request_framing();
        self.read_rest(head, framing)
    }

    /// The next response to a request with `method`, interim responses set aside.
    pub fn read_response(&mut self, method: &str) -> Result<Message, Broken> {
        let mut interim = Vec::new();
        loop {
            let head = self.read_head()?;
            let status = head.try_status().map_err(Broken::Malformed)?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(head);
                continue;
            }
            let framing = head.response_framing(method).map_err(Broken::Malformed)?;
            let mut message = self.read_rest(head, framing)?;
            message.interim = interim;
            return Ok(message);
        }
    }

    fn read_rest(&mut self, head: Head, framing: Framing) -> Result<Message, Broken> {
        let mut body = Vec::new();
        let trailers = self.read_body(framing, |bytes| body.extend_from_slice(bytes))?;
        Ok(Message {
            head,
            framing,
            body,
            trailers,
            interim: Vec::new(),
        })
    }

    /// Hands the bytes of a body to `sink` as they come; returns the trailers.
    pub fn read_body(
        &mut self,
        framing: Framing,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<Vec<(String, String)>, Broken> {
        let mut seen = 0;
        match framing {
            Framing::None => {}
            Framing::Length(length) => self.pass(length, &mut seen, &mut sink)?,
            Framing::UntilClose => loop {
                let bytes = self.read_some()?;
                if bytes.is_empty() {
                    break;
                }
                sink(&bytes);
            },
            Framing::Chunked => loop {
                let line = self.read_line(seen)?;
                let size = chunk_size(&line).map_err(Broken::Malformed)?;
                if size == 0 {
                    return self.read_trailers(seen);
                }
                self.pass(size, &mut seen, &mut sink)?;
                if !self.read_line(seen)?.is_empty() {
                    return Err(Broken::Malformed("chunk data without CRLF".into()));
                }
            },
        }
        Ok(Vec::new())
    }

    fn pass(
        &mut self,
        length: u64,
        seen: &mut u64,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<(), Broken> {
        let mut left = length;
        while left > 0 {
            if self.unread().is_empty() && !self.fill()? {
                return Err(Broken::Truncated(*seen));
            }
            let count = self
                .unread()
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let bytes = self.take(count);
            sink(&bytes);
            left -= count as u64;
            *seen += count as u64;
        }
        Ok(())
    }

    fn read_trailers(&mut self, seen: u64) -> Result<Vec<(String, String)>, Broken> {
        let mut trailers = Vec::new();
        loop {
            let line = self.read_line(seen)?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.push(super::message::field(&line).map_err(Broken::Malformed)?);
        }
    }

    fn read_line(&mut self, seen: u64) -> Result<String, Broken> {
        loop {
            if let Some(at) = find(self.unread(), b"\r\n") {
                let line = self.take(at + 2);
                return Ok(super::message::latin1(&line[..at]));
            }
            if self.unread().len() > 64 * 1024 {
                return Err(Broken::Malformed("endless line".into()));
            }
            if !self.fill()? {
                return Err(Broken::Truncated(seen));
            }
        }
    }
}

fn chunk_size(line: &str) -> Result<u64, String> {
    let hex = !line.is_empty() && line.len() <= 16 && line.bytes().all(|b| b.is_ascii_hexdigit());
    match u64::from_str_radix(line, 16) {
        Ok(size) if hex => Ok(size),
        _ => Err(format!("chunk size {line:?}")),
    }
}

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(hay, needle)
}
