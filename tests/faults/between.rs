//! A fault proxy: stands before one backend, passes bytes on as they come, and on demand delays,
//! drops, resets or truncates them. What a network between weir and its backends may do without
//! either of them noticing at once, as far as a process can do it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::connect_unspec;
use socket2::SockRef;

use crate::support::port::Port;
use crate::support::upstream::listen;

/// What is done to bytes, from the moment it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers wait so long.
    Delay(Duration),
    /// Nothing passes in either direction; connections stay and new ones come about.
    Drop,
    /// Bytes pass as they come.
    None,
    /// Every connection is reset, also each new one as soon as it is accepted.
    Reset,
    /// Answers come in bits of so many bytes with a pause before each.
    Trickle(usize, Duration),
    /// The connection ends after so many bytes of an answer.
    Truncate(usize),
}

/// The fault proxy of one backend.
pub struct Between {
    port: Port,
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    fault: Mutex<Fault>,
    behind: SocketAddr,
    open: Mutex<Open>,
}

/// Both ends of every connection.
#[derive(Default)]
struct Open {
    next: u64,
    ends: HashMap<u64, [TcpStream; 2]>,
}

impl Between {
    /// Stands before `behind`.
    pub fn before(behind: SocketAddr) -> Between {
        let port = Port::fresh();
        let listener = listen(port.address());
        let shared = Arc::new(Shared {
            fault: Mutex::new(Fault::None),
            behind,
            open: Mutex::default(),
        });
        let (accepting, owner) = (listener.try_clone().unwrap(), Arc::clone(&shared));
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                owner.admit(stream);
            }
        });
        Between {
            port,
            listener,
            shared,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Does this from now on.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
        if fault == Fault::Reset {
            let open = self.shared.open.lock().unwrap();
            open.ends.values().flatten().for_each(reset);
        }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        let open = self.shared.open.lock().unwrap();
        open.ends.values().flatten().for_each(reset);
    }
}

/// Ends a connection with RST whoever else has a handle on it: the way to have that of a socket
/// in use is to dissolve its association, which nothing but a reset can tell the peer.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = connect_unspec(stream);
}

impl Shared {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn admit(self: &Arc<Shared>, near: TcpStream) {
        if self.fault() == Fault::Reset {
            return reset(&near);
        }
        // A backend that is gone refuses; who stands before it has accepted already.
        let Ok(far) = TcpStream::connect(self.behind) else {
            return reset(&near);
        };
        for stream in [&near, &far] {
            stream.set_nodelay(true).unwrap();
        }
        let mut open = self.open.lock().unwrap();
        let number = open.next;
        open.next += 1;
        let twins = || [near.try_clone().unwrap(), far.try_clone().unwrap()];
        open.ends.insert(number, twins());
        drop(open);
        let [asking, asked] = twins();
        let there = Arc::clone(self);
        thread::spawn(move || there.pump(asking, asked, false));
        let back = Arc::clone(self);
        thread::spawn(move || {
            back.pump(far, near, true);
            back.open.lock().unwrap().ends.remove(&number);
        });
    }

    /// Passes bytes on until one side ends; `answers` tells the direction.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, answers: bool) {
        let mut buffer = vec![0; 16 * 1024];
        let ended = loop {
            match from.read(&mut buffer) {
                Ok(0) => break true,
                Ok(count) if self.pass(&mut to, &buffer[..count], answers) => {}
                _ => break false,
            }
        };
        match ended {
            true => drop(to.shutdown(Shutdown::Write)),
            false => [&from, &to].into_iter().for_each(reset),
        }
    }

    /// Passes some bytes on as the fault of the moment has it; false if that ends the connection.
    fn pass(&self, to: &mut TcpStream, bytes: &[u8], answers: bool) -> bool {
        match self.fault() {
            Fault::Drop => true,
            Fault::Reset => false,
            Fault::Delay(delay) if answers => {
                thread::sleep(delay);
                to.write_all(bytes).is_ok()
            }
            Fault::Trickle(bit, pause) if answers => bytes.chunks(bit).all(|bit| {
                thread::sleep(pause);
                to.write_all(bit).is_ok()
            }),
            Fault::Truncate(kept) if answers => {
                let kept = kept.min(bytes.len());
                let _ = to.write_all(&bytes[..kept]);
                let _ = to.shutdown(Shutdown::Both);
                false
            }
            _ => to.write_all(bytes).is_ok(),
        }
    }
}
