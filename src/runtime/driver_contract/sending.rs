//! Promises about sending and about closing with a send under way.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::io::Errno;

use crate::base::limits::BUFFER_BYTES;
use crate::runtime::driver::Driver;
use crate::runtime::driver_contract::{Rig, fill, key, narrow_pair, pair, take, tcp_pair};

pub(super) fn a_slow_reader_gets_all_in_one_send<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = narrow_pair();
    let bytes: Vec<u8> = (0..BUFFER_BYTES).map(|i| (i % 251) as u8).collect();
    let segment = rig.segment(&bytes);
    rig.driver.send(key(0), ours.as_raw_fd(), segment);
    rig.silent();
    let count = bytes.len();
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        while got.len() < count {
            std::thread::sleep(Duration::from_millis(2));
            let piece = 1000.min(count - got.len());
            got.extend(take(&mut theirs, piece));
        }
        got
    });
    assert_eq!(rig.sent(key(0)), (bytes.clone(), Ok(count)));
    rig.silent();
    assert_eq!(reader.join().expect("the reader"), bytes);
}

pub(super) fn a_send_that_took_nothing_is_cancelled_as_such<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = narrow_pair();
    let filled = fill(&ours);
    let segment = rig.segment(b"never sent");
    rig.driver.send(key(0), ours.as_raw_fd(), segment);
    rig.silent();
    rig.driver.cancel_send(key(0));
    assert_eq!(
        rig.sent(key(0)),
        (b"never sent".into(), Err(Errno::CANCELED))
    );
    take(&mut theirs, filled);
    rig.silent();
    rig.driver.close(ours.into());
    rig.silent();
    assert_eq!(theirs.read(&mut [0; 1]).expect("a read"), 0);
}

pub(super) fn a_send_cancelled_half_way_tells_how_much_went<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = narrow_pair();
    let bytes: Vec<u8> = (0..BUFFER_BYTES).map(|i| (i % 251) as u8).collect();
    let segment = rig.segment(&bytes);
    rig.driver.send(key(0), ours.as_raw_fd(), segment);
    rig.silent();
    rig.driver.cancel_send(key(0));
    let (back, result) = rig.sent(key(0));
    assert_eq!(back, bytes);
    let count = result.expect("part was sent");
    assert!(0 < count && count < bytes.len());
    rig.driver.close(ours.into());
    rig.silent();
    let mut got = Vec::new();
    theirs.read_to_end(&mut got).expect("a read");
    assert_eq!(got, bytes[..count]);
}

pub(super) fn sending_to_nobody_fails<D: Driver>(mut rig: Rig<D>) {
    let (ours, theirs) = pair();
    drop(theirs);
    let segment = rig.segment(b"hello");
    rig.driver.send(key(0), ours.as_raw_fd(), segment);
    assert_eq!(rig.sent(key(0)), (b"hello".into(), Err(Errno::PIPE)));
    rig.silent();
}

pub(super) fn a_waiting_send_fails_when_the_reader_goes<D: Driver>(mut rig: Rig<D>) {
    let (ours, theirs) = narrow_pair();
    fill(&ours);
    let segment = rig.segment(b"too late");
    rig.driver.send(key(0), ours.as_raw_fd(), segment);
    rig.silent();
    drop(theirs);
    let (back, result) = rig.sent(key(0));
    assert_eq!(back, b"too late");
    let error = result.expect_err("nobody reads");
    assert!(matches!(error, Errno::PIPE | Errno::CONNRESET), "{error}");
}

pub(super) fn what_was_asked_before_a_close_is_done<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = tcp_pair();
    let segment = rig.segment(b"goodbye");
    rig.driver.send(key(0), ours.as_raw_fd(), segment);
    rig.driver.close(ours.into());
    assert_eq!(rig.sent(key(0)), (b"goodbye".into(), Ok(7)));
    let mut got = Vec::new();
    theirs.read_to_end(&mut got).expect("a read");
    assert_eq!(got, b"goodbye");
}

pub(super) fn a_send_under_way_outlives_the_close<D: Driver>(mut rig: Rig<D>) {
    let (ours, mut theirs) = narrow_pair();
    let bytes: Vec<u8> = (0..BUFFER_BYTES).map(|i| (i % 251) as u8).collect();
    let segment = rig.segment(&bytes);
    rig.driver.send(key(0), ours.as_raw_fd(), segment);
    rig.silent();
    rig.driver.close(ours.into());
    rig.silent();
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).map(|_| got)
    });
    let whole = bytes.len();
    assert_eq!(rig.sent(key(0)), (bytes.clone(), Ok(whole)));
    rig.silent();
    let got = reader.join().expect("the reader").expect("a read");
    assert_eq!(got, bytes);
}
