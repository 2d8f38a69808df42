//! Where this process listens for people and other processes: an address, a unix socket.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::{TcpListener, UnixListener};

/// Only the owner of the process may connect.
const MODE: u32 = 0o600;

pub(super) async fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| told(format!("admin cannot listen on {address}: {error}"), &error))
}

/// A socket another process has opened.
pub(super) fn tcp_from(fd: OwnedFd) -> io::Result<TcpListener> {
    TcpListener::from_std(fd.into())
}

/// A socket another process has opened.
pub(in crate::control) fn unix_from(fd: OwnedFd) -> io::Result<UnixListener> {
    UnixListener::from_std(fd.into())
}

/// A socket that replaces one whose process has ended; `what` it is for is told if it cannot be
/// had. It gets its mode before it gets its name, so that at no time somebody else may connect.
pub(in crate::control) fn unix(path: &Path, what: &str) -> io::Result<UnixListener> {
    let name = path.display();
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let text = format!("{what} cannot listen on {name}: another process does");
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = Path::new(&hidden);
    let bind = || {
        let _ = fs::remove_file(hidden);
        let listener = UnixListener::bind(hidden)?;
        fs::set_permissions(hidden, Permissions::from_mode(MODE))?;
        fs::rename(hidden, path)?;
        Ok(listener)
    };
    bind().map_err(|error: io::Error| {
        let _ = fs::remove_file(hidden);
        told(format!("{what} cannot listen on {name}: {error}"), &error)
    })
}

fn told(text: String, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), text)
}
