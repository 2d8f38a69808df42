//! Promises about accepting, readiness, kicks, time, and keys that are reused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::runtime::driver::{Driver, Event, Readiness, Receive};
use crate::runtime::driver_contract::{
    LISTENER, PATIENCE, Rig, fill, key, later, listen, narrow_pair, pair, take, tcp_pair,
};

pub(super) fn echo<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = tcp_pair();
    let key = key(0);
    rig.silent();
    let held = rig.driver.buffers().outstanding();
    rig.driver
        .receive(key, ours.as_raw_fd(), Receive::Continuous);
    for round in 0..3 {
        let words = format!("round {round}");
        theirs.write_all(words.as_bytes()).expect("a write");
        let (bytes, more) = rig.received(key);
        assert_eq!(bytes, Ok(Some(words.clone().into_bytes())));
        assert!(more);
        let segment = rig.segment(words.as_bytes());
        rig.driver.send(key, ours.as_raw_fd(), segment);
        assert_eq!(rig.sent(key), (words.clone().into_bytes(), Ok(words.len())));
        assert_eq!(take(&mut theirs, words.len()), words.as_bytes());
    }
    rig.silent();
    assert_eq!(rig.driver.buffers().outstanding(), held);
}

pub(super) fn a_kick_ends_a_sleep_every_time<D: Driver>(mut rig: Rig<D>) {
    for _ in 0..3 {
        let kick = rig.kick.clone();
        let kicker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            kick.kick();
        });
        let start = Instant::now();
        rig.driver.wait(PATIENCE).expect("a wait");
        assert!(start.elapsed() < PATIENCE / 2, "the kick was not noticed");
        assert!(matches!(rig.event(), Event::Kicked));
        kicker.join().expect("the kicker");
        rig.silent();
    }
}

pub(super) fn a_wait_ends_by_time<D: Driver>(mut rig: Rig<D>) {
    let start = Instant::now();
    rig.driver.wait(Duration::from_millis(30)).expect("a wait");
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(29), "{waited:?}");
    assert!(waited < PATIENCE / 2, "{waited:?}");
    assert!(rig.driver.next().is_none());
}

pub(super) fn accepting_goes_on_until_cancelled<D: Driver>(mut rig: Rig<D>) {
    let listener = listen();
    let address = listener.local_addr().expect("an address");
    let connect = || TcpStream::connect(address).expect("a connection");
    let _early = connect();
    rig.driver.accept(LISTENER, listener.as_raw_fd());
    rig.accepted();
    let _peers = [connect(), connect()];
    for _ in 0..2 {
        let fd = rig.accepted();
        let flags = rustix::fs::fcntl_getfl(&fd).expect("flags");
        assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
        let flags = rustix::io::fcntl_getfd(&fd).expect("flags");
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
    rig.silent();
    rig.driver.cancel_accept(LISTENER);
    rig.accept_cancelled();
    let _waiting = connect();
    rig.silent();
    rig.driver.accept(LISTENER, listener.as_raw_fd());
    rig.accepted();
    rig.driver.cancel_accept(LISTENER);
    rig.accept_cancelled();
    rig.driver.close(listener.into());
    rig.silent();
    assert!(TcpStream::connect(address).is_err(), "it is closed");
}

pub(super) fn cancelling_nothing_says_nothing<D: Driver>(mut rig: Rig<D>) {
    let (ours, _theirs) = pair();
    rig.driver.receive(key(0), ours.as_raw_fd(), Receive::Once);
    rig.silent();
    rig.driver.cancel_receive(later(key(0)));
    rig.driver.cancel_receive(key(1));
    rig.driver.cancel_send(key(0));
    rig.driver.cancel_poll(key(0), Readiness::Readable);
    rig.driver.cancel_poll(key(0), Readiness::Writable);
    rig.driver.cancel_accept(LISTENER);
    rig.silent();
}

pub(super) fn a_reused_descriptor_and_index_belong_to_the_new_key<D: Driver>(mut rig: Rig<D>) {
    let mut key = key(0);
    let mut numbers = Vec::new();
    for round in 0..3 {
        let (ours, mut theirs) = pair();
        let ours = OwnedFd::from(ours);
        numbers.push(ours.as_raw_fd());
        rig.driver
            .receive(key, ours.as_raw_fd(), Receive::Continuous);
        let words = format!("round {round}");
        theirs.write_all(words.as_bytes()).expect("a write");
        assert_eq!(rig.received(key), (Ok(Some(words.into_bytes())), true));
        rig.driver.cancel_receive(key);
        assert_eq!(rig.received(key), (Err(Errno::CANCELED), false));
        rig.driver.close(ours);
        rig.silent();
        assert_eq!(theirs.read(&mut [0; 1]).expect("a read"), 0);
        key = later(key);
    }
}

pub(super) fn readiness_is_told_once_and_by_level<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = narrow_pair();
    let fd = ours.as_raw_fd();
    rig.driver.poll(key(0), fd, Readiness::Readable);
    rig.silent();
    theirs.write_all(b"x").expect("a write");
    rig.ready(key(0), Readiness::Readable);
    rig.silent();
    // The byte is still there, so another wait is over at once.
    rig.driver.poll(key(0), fd, Readiness::Readable);
    rig.ready(key(0), Readiness::Readable);
    assert_eq!((&ours).read(&mut [0; 8]).expect("a read"), 1);
    rig.driver.poll(key(0), fd, Readiness::Readable);
    rig.driver.poll(key(0), fd, Readiness::Writable);
    rig.ready(key(0), Readiness::Writable);
    rig.silent();
    drop(theirs);
    rig.ready(key(0), Readiness::Readable);
}

pub(super) fn room_to_send_is_told_when_there_is_some<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = narrow_pair();
    let filled = fill(&ours);
    rig.driver
        .poll(key(0), ours.as_raw_fd(), Readiness::Writable);
    rig.silent();
    take(&mut theirs, filled);
    rig.ready(key(0), Readiness::Writable);
    rig.silent();
}

pub(super) fn a_cancelled_wait_ends_as_ready<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = narrow_pair();
    let filled = fill(&ours);
    for readiness in [Readiness::Readable, Readiness::Writable] {
        rig.driver.poll(key(0), ours.as_raw_fd(), readiness);
        rig.silent();
        rig.driver.cancel_poll(key(0), readiness);
        rig.ready(key(0), readiness);
    }
    theirs.write_all(b"x").expect("a write");
    take(&mut theirs, filled);
    rig.silent();
}
