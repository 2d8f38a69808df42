//! Where the admin interface listens: an address, a unix socket.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::{TcpListener, UnixListener};

/// Only the owner of the process may connect.
const MODE: u32 = 0o600;

pub(super) async fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| told(format!("admin cannot listen on {address}: {error}"), &error))
}

/// A socket that replaces one whose process has ended. It gets its mode before it gets its name,
/// so that at no time somebody else may connect.
pub(super) fn unix(path: &Path) -> io::Result<UnixListener> {
    let name = path.display();
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let text = format!("admin cannot listen on {name}: another process does");
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
        told(format!("admin cannot listen on {name}: {error}"), &error)
    })
}

fn told(text: String, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), text)
}
