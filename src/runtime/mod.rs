//! Layer 3: the only door to the kernel, and the only place for `unsafe`.

mod buffer_ring;
pub mod buffers;
pub mod cores;
pub mod driver;
#[cfg(test)]
mod driver_contract;
pub mod epoll;
mod epoll_socket;
pub mod executor;
pub mod kick;
pub mod kick_waiter;
pub mod limits;
pub mod memory;
pub mod net;
mod posting;
pub mod pressure;
pub mod priority;
pub mod probe;
mod probe_ring;
mod receive_limit;
pub mod ring;
mod sends;
pub mod watch;
