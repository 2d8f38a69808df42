//! What every [`Driver`] must do, run on the ring and on epoll.
//!
//! One function per promise of the seam, generic over the driver; the macro at the end makes a
//! test of each for each driver. Peers are plain blocking sockets of the standard library, so a
//! case reads as: ask the driver, act as the other end, expect completions. Waiting is bounded by
//! [`PATIENCE`]; that nothing comes is believed after [`SILENCE`].

mod lifecycle;
mod receiving;
mod sending;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt;

use crate::base::slab::Key;
use crate::runtime::buffers::Segment;
use crate::runtime::driver::{Driver, Event, Readiness};
use crate::runtime::epoll::EpollDriver;
use crate::runtime::kick::Kick;
use crate::runtime::ring::RingDriver;

const PATIENCE: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(60);
const LISTENER: u32 = 3;

/// A driver and what came out of it.
struct Rig<D> {
    driver: D,
    kick: Kick,
}

impl<D: Driver> Rig<D> {
    fn new(make: fn(Kick) -> io::Result<D>) -> Rig<D> {
        let kick = Kick::new().expect("an eventfd");
        let driver = make(kick.clone()).expect("a driver");
        Rig { driver, kick }
    }

    /// The next completion.
    fn event(&mut self) -> Event {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.driver.next() {
                return event;
            }
            assert!(Instant::now() < until, "no completion came");
            self.driver
                .wait(Duration::from_millis(100))
                .expect("a wait");
        }
    }

    fn silent(&mut self) {
        let until = Instant::now() + SILENCE;
        while Instant::now() < until {
            self.driver.wait(SILENCE / 4).expect("a wait");
            if let Some(event) = self.driver.next() {
                panic!("unexpected completion: {}", text(&event));
            }
        }
    }

    fn received(&mut self, key: Key) -> (Result<Option<Vec<u8>>, Errno>, bool) {
        match self.event() {
            Event::Received {
                key: of,
                result,
                more,
            } if of == key => {
                let bytes = result.map(|segment| {
                    segment.map(|segment| {
                        let bytes = segment.bytes().to_vec();
                        self.driver.buffers().give(segment);
                        bytes
                    })
                });
                (bytes, more)
            }
            other => panic!("not received: {}", text(&other)),
        }
    }

    fn sent(&mut self, key: Key) -> (Vec<u8>, Result<usize, Errno>) {
        match self.event() {
            Event::Sent {
                key: of,
                segment,
                result,
            } if of == key => {
                let bytes = segment.bytes().to_vec();
                self.driver.buffers().give(segment);
                (bytes, result)
            }
            other => panic!("not sent: {}", text(&other)),
        }
    }

    fn ready(&mut self, key: Key, readiness: Readiness) {
        match self.event() {
            Event::Ready {
                key: of,
                readiness: which,
            } if of == key && which == readiness => {}
            other => panic!("not ready: {}", text(&other)),
        }
    }

    fn accepted(&mut self) -> OwnedFd {
        match self.event() {
            Event::Accepted {
                listener: LISTENER,
                fd,
            } => fd,
            other => panic!("not accepted: {}", text(&other)),
        }
    }

    fn accept_cancelled(&mut self) {
        let event = self.event();
        let expected = matches!(
            event,
            Event::AcceptEnded {
                listener: LISTENER,
                error: Errno::CANCELED
            }
        );
        assert!(expected, "accept not cancelled: {}", text(&event));
    }

    fn segment(&mut self, bytes: &[u8]) -> Segment {
        let mut segment = self.driver.buffers().empty();
        assert_eq!(segment.append(bytes), bytes.len());
        segment
    }
}

fn key(index: u32) -> Key {
    Key {
        index,
        generation: 7,
    }
}

fn later(key: Key) -> Key {
    Key {
        index: key.index,
        generation: key.generation + 1,
    }
}

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("an option");
    theirs.set_read_timeout(Some(PATIENCE)).expect("an option");
    (ours, theirs)
}

/// A pair that takes a few kilobytes before a send has to wait.
fn narrow_pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = pair();
    sockopt::set_socket_send_buffer_size(&ours, 4096).expect("an option");
    (ours, theirs)
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = listen();
    let address = listener.local_addr().expect("an address");
    let theirs = TcpStream::connect(address).expect("a connection");
    listener.set_nonblocking(false).expect("an option");
    let (ours, _) = listener.accept().expect("a connection");
    ours.set_nonblocking(true).expect("an option");
    theirs.set_nodelay(true).expect("an option");
    theirs.set_read_timeout(Some(PATIENCE)).expect("an option");
    (ours, theirs)
}

fn listen() -> TcpListener {
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let listener = TcpListener::bind(any).expect("a port");
    listener.set_nonblocking(true).expect("an option");
    listener
}

/// Writes until nothing more fits; returns how much did.
fn fill(mut socket: &UnixStream) -> usize {
    let mut count = 0;
    loop {
        match socket.write(&[0; 512]) {
            Ok(written) => count += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

fn take(from: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).expect("a read");
    bytes
}

fn text(event: &Event) -> String {
    match event {
        Event::Accepted { listener, .. } => format!("accepted on {listener}"),
        Event::AcceptEnded { listener, error } => format!("accept on {listener} ended: {error}"),
        Event::Kicked => "kicked".to_owned(),
        Event::Received { key, result, more } => {
            let result = result.as_ref().map(|s| s.as_ref().map(Segment::len));
            format!("received {key:?} {result:?}, more: {more}")
        }
        Event::Sent { key, result, .. } => format!("sent {key:?} {result:?}"),
        Event::Ready { key, readiness } => format!("ready {key:?} {readiness:?}"),
    }
}

macro_rules! contract {
    ($($part:ident: $($promise:ident)*;)*) => {
        mod ring {
            $($(
                #[test]
                fn $promise() {
                    super::$part::$promise(super::Rig::new(super::RingDriver::new));
                }
            )*)*
        }
        mod epoll {
            $($(
                #[test]
                fn $promise() {
                    super::$part::$promise(super::Rig::new(super::EpollDriver::new));
                }
            )*)*
        }
    };
}

contract! {
    lifecycle:
        a_cancelled_wait_ends_as_ready
        a_kick_ends_a_sleep_every_time
        a_reused_descriptor_and_index_belong_to_the_new_key
        a_wait_ends_by_time
        accepting_goes_on_until_cancelled
        cancelling_nothing_says_nothing
        echo
        readiness_is_told_once_and_by_level
        room_to_send_is_told_when_there_is_some;
    receiving:
        a_busy_socket_does_not_starve_a_quiet_one
        a_cancelled_receive_says_so_once_and_loses_nothing
        a_long_stream_arrives_whole_and_in_order
        a_refused_connection_fails_both_ways
        a_reset_ends_the_receive
        an_end_that_comes_later_is_noticed
        received_bytes_have_head_room
        receiving_goes_on_after_calls_behind_its_back
        receiving_once_stops_and_loses_nothing
        the_end_comes_after_the_bytes_and_again_when_asked
        what_waits_for_input_ends_with_it;
    sending:
        a_send_cancelled_half_way_tells_how_much_went
        a_send_that_took_nothing_is_cancelled_as_such
        a_send_under_way_outlives_the_close
        a_slow_reader_gets_all_in_one_send
        a_waiting_send_fails_when_the_reader_goes
        sending_to_nobody_fails
        what_was_asked_before_a_close_is_done;
}
