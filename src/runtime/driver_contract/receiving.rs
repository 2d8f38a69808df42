//! Promises about receiving.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt;

use crate::base::limits::BUFFER_BYTES;
use crate::runtime::buffers::HEAD_ROOM;
use crate::runtime::driver::{Driver, Event, Readiness, Receive};
use crate::runtime::driver_contract::{PATIENCE, Rig, key, listen, pair, tcp_pair, text};
use crate::runtime::net;

pub(super) fn received_bytes_have_head_room<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = pair();
    rig.driver.receive(key(0), ours.as_raw_fd(), Receive::Once);
    theirs.write_all(b"body").expect("a write");
    let Event::Received {
        result: Ok(Some(mut segment)),
        ..
    } = rig.event()
    else {
        panic!("not received");
    };
    assert!(segment.prepend(&[b'h'; HEAD_ROOM]));
    assert_eq!(segment.room(), BUFFER_BYTES - 4);
    rig.driver.buffers().give(segment);
}

pub(super) fn receiving_once_stops_and_loses_nothing<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = tcp_pair();
    let sent: Vec<u8> = (0..3 * BUFFER_BYTES).map(|i| (i % 251) as u8).collect();
    theirs.write_all(&sent).expect("a write");
    let mut got = Vec::new();
    while got.len() < sent.len() {
        rig.driver.receive(key(0), ours.as_raw_fd(), Receive::Once);
        let (bytes, more) = rig.received(key(0));
        assert!(!more);
        got.extend(bytes.expect("no error").expect("no end"));
        rig.silent();
    }
    assert_eq!(got, sent);
}

pub(super) fn a_long_stream_arrives_whole_and_in_order<D: Driver>(mut rig: Rig<D>) {
    const LENGTH: usize = 8 * 1024 * 1024;
    let (ours, mut theirs) = tcp_pair();
    let writer = std::thread::spawn(move || {
        let sent: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
        theirs.write_all(&sent).expect("a write");
    });
    let mut count = 0;
    let mut receiving = false;
    loop {
        if !receiving {
            rig.driver
                .receive(key(0), ours.as_raw_fd(), Receive::Continuous);
        }
        let (bytes, more) = rig.received(key(0));
        receiving = more;
        match bytes {
            Ok(Some(bytes)) => {
                let in_order = |(at, byte): (usize, &u8)| *byte == ((count + at) % 251) as u8;
                assert!(bytes.iter().enumerate().all(in_order));
                count += bytes.len();
            }
            Ok(None) => break,
            Err(error) => assert_eq!(error, Errno::NOBUFS),
        }
    }
    assert_eq!(count, LENGTH);
    assert!(!receiving);
    writer.join().expect("the writer");
}

pub(super) fn the_end_comes_after_the_bytes_and_again_when_asked<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = tcp_pair();
    theirs.write_all(b"last words").expect("a write");
    drop(theirs);
    rig.driver
        .receive(key(0), ours.as_raw_fd(), Receive::Continuous);
    assert_eq!(rig.received(key(0)), (Ok(Some(b"last words".into())), true));
    assert_eq!(rig.received(key(0)), (Ok(None), false));
    rig.silent();
    rig.driver.receive(key(0), ours.as_raw_fd(), Receive::Once);
    assert_eq!(rig.received(key(0)), (Ok(None), false));
}

pub(super) fn an_end_that_comes_later_is_noticed<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = tcp_pair();
    rig.driver
        .receive(key(0), ours.as_raw_fd(), Receive::Continuous);
    theirs.write_all(b"x").expect("a write");
    assert_eq!(rig.received(key(0)), (Ok(Some(b"x".into())), true));
    rig.silent();
    drop(theirs);
    assert_eq!(rig.received(key(0)), (Ok(None), false));
}

pub(super) fn a_reset_ends_the_receive<D: Driver>(mut rig: Rig<D>) {
    let (ours, theirs) = tcp_pair();
    rig.driver
        .receive(key(0), ours.as_raw_fd(), Receive::Continuous);
    rig.silent();
    sockopt::set_socket_linger(&theirs, Some(Duration::ZERO)).expect("an option");
    drop(theirs);
    assert_eq!(rig.received(key(0)), (Err(Errno::CONNRESET), false));
    rig.silent();
}

pub(super) fn a_refused_connection_fails_both_ways<D: Driver>(mut rig: Rig<D>) {
    let unused = listen();
    let address = unused.local_addr().expect("an address");
    drop(unused);
    let Ok(ours) = net::connect(&address, None) else {
        return;
    };
    rig.driver
        .receive(key(0), ours.as_raw_fd(), Receive::Continuous);
    let (bytes, more) = rig.received(key(0));
    assert!(!more);
    assert_eq!(bytes, Err(Errno::CONNREFUSED));
    let segment = rig.segment(b"hello");
    rig.driver.send(key(0), ours.as_raw_fd(), segment);
    assert_eq!(rig.sent(key(0)), (b"hello".into(), Err(Errno::PIPE)));
}

pub(super) fn a_cancelled_receive_says_so_once_and_loses_nothing<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = tcp_pair();
    for how in [Receive::Continuous, Receive::Once] {
        rig.driver.receive(key(0), ours.as_raw_fd(), how);
        rig.silent();
        rig.driver.cancel_receive(key(0));
        assert_eq!(rig.received(key(0)), (Err(Errno::CANCELED), false));
    }
    theirs.write_all(b"still here").expect("a write");
    rig.silent();
    rig.driver.receive(key(0), ours.as_raw_fd(), Receive::Once);
    assert_eq!(
        rig.received(key(0)),
        (Ok(Some(b"still here".into())), false)
    );
}

pub(super) fn what_waits_for_input_ends_with_it<D: Driver>(mut rig: Rig<D>) {
    let pairs = [tcp_pair(), tcp_pair(), tcp_pair()];
    for (index, how) in (0..).zip([Receive::Continuous, Receive::Once]) {
        let (ours, mut theirs) = (&pairs[index as usize].0, &pairs[index as usize].1);
        rig.driver.receive(key(index), ours.as_raw_fd(), how);
        rig.silent();
        assert!(net::finish_receiving(ours.as_fd()));
        assert_eq!(rig.received(key(index)), (Ok(None), false));
        // Sending is not over.
        let segment = rig.segment(b"last");
        rig.driver.send(key(index), ours.as_raw_fd(), segment);
        assert_eq!(rig.sent(key(index)).1, Ok(4));
        let mut last = [0; 4];
        theirs.read_exact(&mut last).expect("a read");
        assert_eq!(&last, b"last");
    }
    let ours = &pairs[2].0;
    rig.driver
        .poll(key(2), ours.as_raw_fd(), Readiness::Readable);
    rig.silent();
    assert!(net::finish_receiving(ours.as_fd()));
    rig.ready(key(2), Readiness::Readable);
}

pub(super) fn receiving_goes_on_after_calls_behind_its_back<D: Driver>(mut rig: Rig<D>) {
    // As a bulk transfer does: receive, cancel, read directly, wait for readiness, receive again.
    let (ours, mut theirs) = tcp_pair();
    let fd = ours.as_raw_fd();
    rig.driver.receive(key(0), fd, Receive::Continuous);
    rig.silent();
    rig.driver.cancel_receive(key(0));
    assert_eq!(rig.received(key(0)), (Err(Errno::CANCELED), false));
    theirs.write_all(b"direct").expect("a write");
    rig.driver.poll(key(0), fd, Readiness::Readable);
    rig.ready(key(0), Readiness::Readable);
    assert_eq!((&ours).read(&mut [0; 64]).expect("a read"), 6);
    rig.driver.receive(key(0), fd, Receive::Continuous);
    rig.silent();
    theirs.write_all(b"again").expect("a write");
    assert_eq!(rig.received(key(0)), (Ok(Some(b"again".into())), true));
}

pub(super) fn a_busy_socket_does_not_starve_a_quiet_one<D: Driver>(mut rig: Rig<D>) {
    let (busy, mut flood) = tcp_pair();
    let (quiet, mut drop_of_water) = tcp_pair();
    flood.set_nonblocking(true).expect("an option");
    rig.driver
        .receive(key(0), busy.as_raw_fd(), Receive::Continuous);
    rig.driver
        .receive(key(1), quiet.as_raw_fd(), Receive::Continuous);
    rig.silent();
    drop_of_water.write_all(b"x").expect("a write");
    let until = Instant::now() + PATIENCE;
    loop {
        // Never empty: written to again before each completion is taken.
        while flood.write(&[0; BUFFER_BYTES]).is_ok() {}
        match rig.event() {
            Event::Received { key: of, .. } if of == key(1) => break,
            Event::Received { result, more, .. } => {
                if let Ok(Some(segment)) = result {
                    rig.driver.buffers().give(segment);
                }
                if !more {
                    rig.driver
                        .receive(key(0), busy.as_raw_fd(), Receive::Continuous);
                }
            }
            other => panic!("not received: {}", text(&other)),
        }
        assert!(Instant::now() < until, "the quiet one starves");
    }
}
