//! Lines as datagrams: to a syslog daemon (RFC 5424, over UDP as in RFC 5426 or over its unix
//! socket), or plain to whoever listens on a UDP port.
//!
//! One datagram is one line, because that is what receivers take for a message. Nothing waits: a
//! line the socket does not take at once is lost and counted. A daemon that was started anew is
//! connected to again with the next batch.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::sink::Written;
use crate::telemetry::access_log::stamp::Stamp;

/// Severity of every line: informational (RFC 5424, table 2).
const SEVERITY: u8 = 6;

/// Longest name of a host in a header (RFC 5424, section 6).
const HOST_CHARS_MAX: usize = 255;

/// Who gets the datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// An address.
    Udp(SocketAddr),
    /// A unix socket, such as `/dev/log`.
    Unix(PathBuf),
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Receiver::Udp(address) => address.fmt(f),
            Receiver::Unix(path) => path.display().fmt(f),
        }
    }
}

/// What stands before each line.
#[derive(Clone, Debug)]
pub struct Syslog {
    /// Number of the facility, 0 to 23.
    pub facility: u8,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

pub(super) struct Datagrams {
    receiver: Receiver,
    socket: Option<Socket>,
    /// What stands before the time and behind it, where the receiver is a syslog daemon.
    header: Option<(String, String)>,
    stamp: Stamp,
    message: Vec<u8>,
}

impl Datagrams {
    pub(super) fn open(receiver: Receiver, syslog: Option<Syslog>) -> io::Result<Datagrams> {
        let header = syslog.map(|syslog| {
            let priority = syslog.facility * 8 + SEVERITY;
            let host = host_name();
            let process = std::process::id();
            (
                format!("<{priority}>1 "),
                format!(" {host} weir {process} access - "),
            )
        });
        Ok(Datagrams {
            socket: Some(Socket::connect(&receiver)?),
            receiver,
            header,
            stamp: Stamp::default(),
            message: Vec::new(),
        })
    }

    /// Sends each line of the batch.
    pub(super) fn write(&mut self, batch: &[u8]) -> Written {
        let mut written = Written::default();
        if self.socket.is_none() {
            self.socket = Socket::connect(&self.receiver).ok();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0));
        for line in batch.split_inclusive(|byte| *byte == b'\n') {
            match self.send(line, now) {
                Ok(bytes) => {
                    written.lines += 1;
                    written.bytes += bytes as u64;
                }
                Err(error) => {
                    written.lost += 1;
                    if is_gone(&error) {
                        self.socket = None;
                    }
                    written.error = Some(error);
                }
            }
        }
        written
    }

    fn send(&mut self, line: &[u8], now_unix_micros: u64) -> io::Result<usize> {
        let Some(socket) = &self.socket else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let Some((before, behind)) = &self.header else {
            return socket.send(line);
        };
        let message = &mut self.message;
        message.clear();
        message.extend_from_slice(before.as_bytes());
        message.extend_from_slice(self.stamp.rfc3339(now_unix_micros));
        message.push(b'.');
        let micros = 1_000_000 + now_unix_micros % 1_000_000;
        message.extend_from_slice(&itoa::Buffer::new().format(micros).as_bytes()[1..]);
        message.push(b'Z');
        message.extend_from_slice(behind.as_bytes());
        message.extend_from_slice(line.trim_ascii_end());
        socket.send(message)
    }
}

/// Whether whoever listened on a unix socket has left it.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
    )
}

impl Socket {
    fn connect(receiver: &Receiver) -> io::Result<Socket> {
        Ok(match receiver {
            Receiver::Udp(address) => {
                let any = match address {
                    SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                    SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                socket.set_nonblocking(true)?;
                Socket::Udp(socket)
            }
            Receiver::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_nonblocking(true)?;
                Socket::Unix(socket)
            }
        })
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            // The error of an earlier datagram is told once, instead of sending this one.
            Socket::Udp(socket) => match socket.send(message) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    socket.send(message)
                }
                done => done,
            },
            Socket::Unix(socket) => socket.send(message),
        }
    }
}

/// The name of this machine as a header may have it.
fn host_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let visible = name.chars().filter(char::is_ascii_graphic);
    let name: String = visible.take(HOST_CHARS_MAX).collect();
    if name.is_empty() {
        "-".to_owned()
    } else {
        name
    }
}
