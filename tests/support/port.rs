//! Ports from the kernel, kept for the whole test, and addresses where nobody answers.
//!
//! A port that is looked up and let go can be taken by any other socket of the machine before
//! the proxy binds it. So the port stays bound here by a socket that never listens: with
//! SO_REUSEADDR and SO_REUSEPORT the proxy may bind it too, and nobody else gets it by chance.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Socket, Type};

/// An address that belongs to the test as long as this lives.
#[derive(Clone)]
pub struct Port {
    address: SocketAddr,
    _held: Arc<Socket>,
}

impl Port {
    /// A fresh port of 127.0.0.1.
    pub fn fresh() -> Port {
        Port::at(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port")
    }

    /// This port, unless something has it.
    pub fn at(address: SocketAddr) -> Option<Port> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).ok()?;
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Some(Port {
            address,
            _held: Arc::new(socket),
        })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A port where every connection is refused.
pub fn closed_port() -> Port {
    Port::fresh()
}

/// A listening port that completes no handshake: its backlog is full and it never accepts.
pub struct FullBacklog {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl FullBacklog {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A port where connecting hangs.
pub fn full_backlog() -> FullBacklog {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    let wait = std::time::Duration::from_millis(300);
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let connected = socket.connect_timeout(&address.into(), wait);
        queued.push(socket);
        if connected.is_err() {
            return FullBacklog {
                address,
                _listener: listener,
                _queued: queued,
            };
        }
        assert!(queued.len() < 100, "the backlog of {address} never fills");
    }
}

/// Whether somebody listens at `address`, asked of the kernel so that nobody has to accept. It
/// tells of those who listen first; of the rest there may be a hundred thousand.
pub fn listens(address: SocketAddr) -> bool {
    let table = BufReader::new(File::open("/proc/net/tcp").unwrap());
    let port = format!(":{:04X}", address.port());
    let lines = table.lines().skip(1).map(Result::unwrap);
    let mut listening = lines.map_while(|line| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next()?.to_owned();
        (words.nth(1) == Some("0A")).then_some(local)
    });
    listening.any(|local| local.ends_with(&port))
}
