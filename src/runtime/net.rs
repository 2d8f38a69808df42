#![allow(unsafe_code)]
//! Socket calls that are not worth a trip through the ring: they never block, and come once per
//! connection or only in rare states.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, SpliceFlags};

/// Starts a connection, from this address of the machine if one is given. It is usable at once:
/// what is sent or received waits in the kernel until the handshake is done and fails with its
/// error if it fails.
///
/// The port is chosen when the connection is made and not when the address is bound
/// (`IP_BIND_ADDRESS_NO_PORT`, of IPv6 sockets as well), so it need only be free towards `address`.
///
/// # Errors
/// Out of descriptors or ports, or an address that cannot be reached at all. `ADDRNOTAVAIL` also
/// when `source` is no address of this machine.
pub fn connect(address: &SocketAddr, source: Option<IpAddr>) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    if let Some(source) = source {
        bind_without_port(&fd)?;
        rustix::net::bind(&fd, &SocketAddr::new(source, 0))?;
    }
    match rustix::net::connect(&fd, address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(error),
    }
}

/// Binding takes an address alone from now on.
fn bind_without_port(fd: &OwnedFd) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: the option reads one int through the pointer, which points to `on`; the descriptor is
    // open because it is borrowed.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// Has the kernel prefer this listening socket, of those on its address, for connections whose
/// first packet comes in on the CPU of the calling thread; or takes that back. It is
/// `SO_INCOMING_CPU`, which counts among sockets of SO_REUSEPORT since Linux 6.2.
///
/// # Errors
/// The kernel does not know it.
pub fn prefer_own_cpu(listener: &OwnedFd, wanted: bool) -> Result<(), Errno> {
    /// What the kernel takes as none (-1).
    const NONE: u32 = u32::MAX;
    let cpu = u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(NONE);
    sockopt::set_socket_incoming_cpu(listener, if wanted { cpu } else { NONE })
}

/// Takes a connection out of the backlog of a listening socket.
///
/// # Errors
/// `AGAIN` when there is none.
pub fn accept(listener: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

/// A descriptor that stands for nothing: given away, it leaves room for one that is needed.
///
/// # Errors
/// Out of descriptors.
pub fn spare() -> Result<OwnedFd, Errno> {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)
}

/// Whether the handshake of a connection begun by [`connect`] is done.
#[must_use]
pub fn is_connected(fd: BorrowedFd<'_>) -> bool {
    rustix::net::getpeername(fd).is_ok_and(|peer| peer.is_some())
}

/// Why a connection that is not established failed, if it did.
#[must_use]
pub fn pending_error(fd: BorrowedFd<'_>) -> Option<Errno> {
    sockopt::socket_error(fd).ok()?.err()
}

/// The other end's address.
#[must_use]
pub fn peer_address(fd: BorrowedFd<'_>) -> Option<SocketAddr> {
    rustix::net::getpeername(fd).ok().flatten()?.try_into().ok()
}

/// Bytes sent and not acknowledged by the other end yet, or `None` if the kernel does not say.
#[must_use]
pub fn unacknowledged(fd: BorrowedFd<'_>) -> Option<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int through the pointer, which
    // points to `bytes`; the descriptor is open because it is borrowed.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 {
        u32::try_from(bytes).ok()
    } else {
        None
    }
}

/// Tells the other end that nothing more will come.
pub fn finish_sending(fd: BorrowedFd<'_>) {
    // Fails only when the connection is gone already, which its receive reports.
    let _ = rustix::net::shutdown(fd, Shutdown::Write);
}

/// Ends what waits for input of this connection, as if the other end had sent its last byte;
/// whether it did. What has come and was not read is still received first.
#[must_use]
pub fn finish_receiving(fd: BorrowedFd<'_>) -> bool {
    rustix::net::shutdown(fd, Shutdown::Read).is_ok()
}

/// Makes the coming close a reset, so that the other end learns that data may be missing.
pub fn reset_on_close(fd: BorrowedFd<'_>) {
    let _ = sockopt::set_socket_linger(fd, Some(Duration::ZERO));
}

/// A pipe for [`splice_in`] and [`splice_out`].
///
/// # Errors
/// Out of descriptors.
pub fn pipe(capacity: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Beyond /proc/sys/fs/pipe-max-size or the user's quota the default size stays: slower, not
    // wrong.
    let _ = rustix::pipe::fcntl_setpipe_size(&write, capacity);
    Ok((read, write))
}

/// Moves up to `count` bytes from a socket into a pipe without copying; 0 is the end.
///
/// # Errors
/// `AGAIN` when nothing is there or the pipe is full.
pub fn splice_in(socket: BorrowedFd<'_>, pipe: &OwnedFd, count: usize) -> Result<usize, Errno> {
    splice(socket, pipe.as_fd(), count, SpliceFlags::empty())
}

/// Moves up to `count` bytes from a pipe into a socket; `more` when further bytes follow.
///
/// # Errors
/// `AGAIN` when the socket's buffer is full.
pub fn splice_out(
    pipe: &OwnedFd,
    socket: BorrowedFd<'_>,
    count: usize,
    more: bool,
) -> Result<usize, Errno> {
    let flags = if more {
        SpliceFlags::MORE
    } else {
        SpliceFlags::empty()
    };
    splice(pipe.as_fd(), socket, count, flags)
}

fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    count: usize,
    flags: SpliceFlags,
) -> Result<usize, Errno> {
    rustix::pipe::splice(from, None, to, None, count, flags | SpliceFlags::NONBLOCK)
}
