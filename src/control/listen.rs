//! Opens the listening sockets: one per core for each listener, all on one address by
//! SO_REUSEPORT, so that the kernel spreads connections and no core shares an accept queue.
//!
//! Options that accepted sockets inherit are set here once instead of once per connection. An
//! error names the listener, the address and, where it is known, what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::base::id::ListenerSlot;
use crate::link::ListenSocket;

/// A listener that could not be opened.
#[derive(Debug)]
pub struct ListenError {
    /// Its name.
    pub listener: String,
    /// Its address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "listener \"{}\" cannot listen on {}: ",
            self.listener, self.address
        )?;
        let port = self.address.port();
        match self.source.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "the address is in use; `ss -ltnp sport = :{port}` shows by which process"
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE \
                 (`setcap cap_net_bind_service=+ep` on the program, or AmbientCapabilities= in \
                 its unit) or a lower sysctl net.ipv4.ip_unprivileged_port_start"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "no interface has this address; if it arrives later (a virtual address), set \
                 sysctl net.ipv4.ip_nonlocal_bind=1 (net.ipv6 for IPv6)"
            ),
            _ => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Sockets for `cores` cores, in their order and then from the first again: those another process
/// has handed over, and one more for each core that has none of them. A socket that was handed over
/// is kept even where there are more of them than cores, because connections wait in each. With
/// port 0 the kernel chooses one port for all.
///
/// # Errors
/// When any of them cannot be had; then none stays open.
pub fn open(
    listener: ListenerSlot,
    name: &str,
    address: SocketAddr,
    backlog: u32,
    (cores, handed): (usize, Vec<OwnedFd>),
) -> Result<Vec<ListenSocket>, ListenError> {
    let mut address = address;
    let mut handed = handed.into_iter().fuse();
    let mut sockets = Vec::with_capacity(cores);
    loop {
        let opened = match handed.next() {
            Some(fd) => open_handed(fd, address, backlog),
            None if sockets.len() < cores => open_one(address, backlog),
            None => return Ok(sockets),
        };
        let (fd, bound) = opened.map_err(|source| ListenError {
            listener: name.to_owned(),
            address,
            source,
        })?;
        address = bound;
        sockets.push(ListenSocket {
            listener,
            address: bound,
            fd: Arc::new(fd),
        });
    }
}

/// Everything is as the other process has set it, but the backlog may be another.
fn open_handed(
    fd: OwnedFd,
    address: SocketAddr,
    backlog: u32,
) -> io::Result<(OwnedFd, SocketAddr)> {
    let socket = Socket::from(fd);
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok((socket.into(), address))
}

fn open_one(address: SocketAddr, backlog: u32) -> io::Result<(OwnedFd, SocketAddr)> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(
        domain,
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are then two listeners, as they are written.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket.into(), bound))
}

/// Whether someone else listens on this address already and would share its connections, which
/// SO_REUSEPORT lets happen in silence. Only meaningful before the address is opened here.
#[must_use]
pub fn is_shared(address: SocketAddr) -> bool {
    let probe = || -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())
    };
    probe().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_core_has_its_socket_on_the_same_port() {
        for ip in ["127.0.0.1:0", "[::1]:0"] {
            let sockets = open(ListenerSlot(3), "web", address(ip), 128, (3, vec![])).unwrap();
            let bound = sockets[0].address;
            assert_ne!(bound.port(), 0);
            assert!(
                sockets
                    .iter()
                    .all(|s| s.address == bound && s.listener == ListenerSlot(3))
            );
            assert!(is_shared(bound));
            TcpStream::connect(bound).unwrap();
            drop(sockets);
            assert!(!is_shared(bound));
        }
    }

    #[test]
    fn accepted_sockets_inherit_nodelay_and_the_listener_does_not_block() {
        let sockets = open(
            ListenerSlot(0),
            "web",
            address("127.0.0.1:0"),
            128,
            (1, vec![]),
        )
        .unwrap();
        let bound = sockets[0].address;
        let fd = Arc::into_inner(sockets.into_iter().next().unwrap().fd);
        let listener = TcpListener::from(fd.unwrap());
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let _client = TcpStream::connect(bound).unwrap();
        let accepted = loop {
            match listener.accept() {
                Ok((accepted, _)) => break accepted,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn what_is_handed_over_is_kept_and_what_is_missing_is_opened() {
        let first = open(
            ListenerSlot(0),
            "web",
            address("127.0.0.1:0"),
            16,
            (2, vec![]),
        )
        .unwrap();
        let bound = first[0].address;
        let handed = || -> Vec<OwnedFd> {
            let duplicates = first.iter().map(|socket| socket.fd.try_clone().unwrap());
            duplicates.collect()
        };
        for (cores, sockets) in [(1, 2), (2, 2), (3, 3)] {
            let taken = open(ListenerSlot(1), "web", bound, 32, (cores, handed())).unwrap();
            assert_eq!(taken.len(), sockets, "{cores} cores");
            assert!(taken.iter().all(|socket| socket.address == bound));
        }
        // A connection that waits is there for whoever has the socket, when the others are gone.
        let _client = TcpStream::connect(bound).unwrap();
        let taken = handed();
        drop(first);
        let accepted = taken.into_iter().filter(|fd| {
            let listener = TcpListener::from(fd.try_clone().unwrap());
            listener.accept().is_ok()
        });
        assert_eq!(accepted.count(), 1);
    }

    #[test]
    fn both_wildcards_can_be_had_at_once() {
        let v6 = open(ListenerSlot(0), "six", address("[::]:0"), 16, (1, vec![])).unwrap();
        let v4 = SocketAddr::from(([0, 0, 0, 0], v6[0].address.port()));
        assert!(open(ListenerSlot(1), "four", v4, 16, (1, vec![])).is_ok());
    }

    #[test]
    fn errors_name_listener_address_and_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = taken.local_addr().unwrap();
        let error = open(ListenerSlot(0), "web", bound, 128, (2, vec![]))
            .err()
            .unwrap()
            .to_string();
        let port = bound.port();
        let wanted = format!(
            "listener \"web\" cannot listen on 127.0.0.1:{port}: the address is in use; \
             `ss -ltnp sport = :{port}` shows by which process"
        );
        assert_eq!(error, wanted);
        let foreign = address("192.0.2.1:8080");
        let error = open(ListenerSlot(0), "web", foreign, 128, (1, vec![]))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("ip_nonlocal_bind"), "{error}");
    }
}
