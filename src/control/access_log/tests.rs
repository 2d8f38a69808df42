//! Lines of records arrive, whatever happens to where they go.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::base::id::{BackendSlot, ListenerSlot};
use crate::base::trace::TraceContext;
use crate::telemetry::access_log::draft::Draft;
use crate::telemetry::access_log::frame::Texts;
use crate::telemetry::access_log::{AccessRecord, Choice, Reached, Readers, Stickiness};
use crate::telemetry::decisions::read::Decisions;

const PATIENCE: Duration = Duration::from_secs(10);

fn start_lines(
    target: Target,
    format: LineFormat,
    cores: usize,
) -> io::Result<(LogHandle, Vec<AccessLogSender>)> {
    let lines = Some(Lines {
        target,
        format,
        sample: 1,
    });
    let wanted = Wanted {
        lines,
        ..Wanted::default()
    };
    start(wanted, cores)
}

fn push(sender: &mut AccessLogSender, target: &str) -> bool {
    push_for(sender, target, None)
}

fn push_traced(sender: &mut AccessLogSender) -> bool {
    push_for(sender, "/traced", Some(TraceContext::begun(1, 2, true)))
}

fn push_for(sender: &mut AccessLogSender, target: &str, trace: Option<TraceContext>) -> bool {
    let trace = trace.map(|trace| trace.to_raw());
    let mut draft = Draft::default();
    let of_request = Texts {
        method: b"GET",
        target: target.as_bytes(),
        host: b"h",
        trace: trace.as_ref().map_or(b"", |raw| &raw[..]),
        ..Texts::default()
    };
    draft.write(&of_request);
    let record = AccessRecord {
        ended_unix_micros: 1_753_700_000_000_000,
        listener: ListenerSlot(0),
        client: ([192, 0, 2, 1], 1).into(),
        backend: Some(BackendSlot(0)),
        status: 200,
        http10: false,
        retries: 0,
        bytes_received: 1,
        bytes_sent: 1,
        body_bytes_sent: 1,
        duration_micros: 1,
        upstream_micros: 1,
        head_micros: 0,
        queue_micros: 0,
        connect_micros: None,
        handed_micros: 0,
        reached: Reached::End,
        choice: Choice::default(),
        readers: Readers {
            spans: trace.is_some(),
            ..Readers::default()
        },
        stickiness: Stickiness::default(),
        epoch: 1,
        fault: None,
        request_number: 1,
    };
    sender.push(&record, &mut draft)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not reached: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn lines_of_all_cores_are_in_the_file_after_finish() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (log, mut senders) = start_lines(Target::File(path.clone()), LineFormat::Json, 2).unwrap();
    log.rename(LogNames::new(
        ["web"].into_iter(),
        [("g", "b:1")].into_iter(),
    ));
    let stats = Arc::clone(log.stats());
    for _ in 0..1000 {
        assert!(push(&mut senders[0], "/zero"));
        assert!(push(&mut senders[1], "/one"));
    }
    assert!(log.finish(PATIENCE));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2000);
    assert_eq!(text.matches("\"listener\":\"web\"").count(), 2000);
    assert_eq!(text.matches("/one").count(), 1000);
    let counted = (stats.lines.read(), stats.bytes.read(), stats.lost.read());
    assert_eq!(counted, (2000, text.len() as u64, 0));
}

#[test]
fn rotation_by_rename_and_reopen_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (
        dir.path().join("access.log"),
        dir.path().join("access.log.1"),
    );
    let (log, mut senders) =
        start_lines(Target::File(path.clone()), LineFormat::Combined, 1).unwrap();
    assert!(push(&mut senders[0], "/before"));
    until("first line", || log.stats().lines.read() == 1);
    fs::rename(&path, &old).unwrap();
    log.reopen();
    until("new file", || path.exists());
    assert!(push(&mut senders[0], "/after"));
    assert!(log.finish(PATIENCE));
    assert!(fs::read_to_string(&old).unwrap().contains("/before"));
    assert!(fs::read_to_string(&path).unwrap().contains("/after"));
}

#[test]
fn a_full_disk_loses_lines_counts_them_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let (log, mut senders) =
        start_lines(Target::File(path.clone()), LineFormat::Combined, 1).unwrap();
    assert!(push(&mut senders[0], "/lost"));
    until("loss", || log.stats().lost.read() == 1);
    fs::remove_file(&path).unwrap();
    log.reopen();
    until("new file", || path.exists());
    assert!(push(&mut senders[0], "/kept"));
    let stats = Arc::clone(log.stats());
    assert!(log.finish(PATIENCE));
    assert_eq!((stats.lost.read(), stats.lines.read()), (1, 1));
    assert!(fs::read_to_string(&path).unwrap().contains("/kept"));
}

#[test]
fn an_impossible_path_is_an_error_at_start_and_harmless_at_reopen() {
    let nowhere = Target::File("/nonexistent/log".into());
    assert!(start_lines(nowhere, LineFormat::Json, 1).is_err());
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("logs");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("access.log");
    let (log, mut senders) = start_lines(Target::File(path.clone()), LineFormat::Json, 1).unwrap();
    fs::rename(&folder, dir.path().join("moved")).unwrap();
    log.reopen();
    assert!(push(&mut senders[0], "/still"));
    assert!(log.finish(PATIENCE));
    let kept = fs::read_to_string(dir.path().join("moved/access.log")).unwrap();
    assert!(kept.contains("/still"));
}

#[test]
fn the_pause_follows_the_rings_within_its_bounds() {
    assert_eq!(next_pause(PAUSE_MAX, 0), PAUSE_MAX);
    assert_eq!(next_pause(PAUSE_MAX, 90), PAUSE_MAX / 2);
    assert_eq!(next_pause(PAUSE_MIN, 90), PAUSE_MIN);
    assert_eq!(next_pause(PAUSE_MIN, 0), PAUSE_MIN * 2);
    assert_eq!(next_pause(PAUSE_MIN * 3, 20), PAUSE_MIN * 3);
}

/// The next datagram that `receive` has.
fn text_of(receive: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> String {
    let mut room = vec![0; 64 * 1024];
    let length = receive(&mut room).expect("a datagram in time");
    String::from_utf8(room[..length].to_vec()).unwrap()
}

/// `<PRI>1 TIME HOST weir PID access - MSG` (RFC 5424); answers the priority and the message.
fn read_syslog(text: &str) -> (u32, &str) {
    let mut parts = text.splitn(8, ' ');
    let mut next = || parts.next().unwrap_or_else(|| panic!("too short: {text}"));
    let priority = next()
        .strip_prefix('<')
        .unwrap()
        .strip_suffix(">1")
        .unwrap();
    let time = next();
    let digits = time
        .bytes()
        .map(|byte| if byte.is_ascii_digit() { b'9' } else { byte });
    assert_eq!(digits.collect::<Vec<_>>(), b"9999-99-99T99:99:99.999999Z");
    assert!(!next().is_empty());
    assert_eq!(
        (next(), next(), next(), next()),
        ("weir", &*std::process::id().to_string(), "access", "-",)
    );
    (priority.parse().unwrap(), next())
}

#[test]
fn a_syslog_daemon_gets_a_message_for_each_line() {
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    let receiver = Receiver::Udp(daemon.local_addr().unwrap());
    let target = Target::Datagrams(receiver, Some(Syslog { facility: 17 }));
    let (log, mut senders) = start_lines(target.clone(), LineFormat::Json, 1).unwrap();
    for target in ["/one", "/two"] {
        assert!(push(&mut senders[0], target));
    }
    for target in ["/one", "/two"] {
        let text = text_of(|room| daemon.recv(room));
        let (priority, message) = read_syslog(&text);
        assert_eq!(priority, 17 * 8 + 6);
        let line: serde_json::Value = serde_json::from_str(message).unwrap();
        assert_eq!(line["target"], target);
    }
    let stats = Arc::clone(log.stats());
    assert!(log.finish(PATIENCE));
    assert_eq!((stats.lines.read(), stats.lost.read()), (2, 0));
}

#[test]
fn a_plain_datagram_is_a_line() {
    let daemon = UdpSocket::bind("[::1]:0").unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    let target = Target::Datagrams(Receiver::Udp(daemon.local_addr().unwrap()), None);
    let (log, mut senders) = start_lines(target.clone(), LineFormat::Combined, 1).unwrap();
    assert!(push(&mut senders[0], "/plain"));
    let text = text_of(|room| daemon.recv(room));
    assert!(
        text.starts_with("192.0.2.1 - - [") && text.ends_with('\n'),
        "{text}"
    );
    assert!(log.finish(PATIENCE));
}

#[test]
fn lines_nobody_takes_are_counted_and_a_daemon_that_comes_back_gets_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let target = Target::Datagrams(Receiver::Unix(path.clone()), Some(Syslog { facility: 16 }));
    assert!(
        start_lines(target.clone(), LineFormat::Json, 1).is_err(),
        "nobody listens at first"
    );
    let daemon = UnixDatagram::bind(&path).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    let (log, mut senders) = start_lines(target.clone(), LineFormat::Json, 1).unwrap();
    assert!(push(&mut senders[0], "/first"));
    assert!(text_of(|room| daemon.recv(room)).contains("/first"));
    drop(daemon);
    fs::remove_file(&path).unwrap();
    assert!(push(&mut senders[0], "/lost"));
    until("loss", || log.stats().lost.read() == 1);
    let daemon = UnixDatagram::bind(&path).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(push(&mut senders[0], "/second"));
    assert!(text_of(|room| daemon.recv(room)).contains("/second"));
    let stats = Arc::clone(log.stats());
    assert!(log.finish(PATIENCE));
    assert_eq!((stats.lines.read(), stats.lost.read()), (2, 1));
}

#[test]
fn a_daemon_that_does_not_read_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let _daemon = UnixDatagram::bind(&path).unwrap();
    let target = Target::Datagrams(Receiver::Unix(path), None);
    let (log, mut senders) = start_lines(target.clone(), LineFormat::Json, 1).unwrap();
    for _ in 0..2000 {
        assert!(push(&mut senders[0], "/x"));
    }
    let stats = Arc::clone(log.stats());
    assert!(log.finish(PATIENCE), "the thread ended in time");
    assert!(stats.lost.read() > 0, "its queue is shorter than that");
    assert_eq!(stats.lines.read() + stats.lost.read(), 2000);
}

fn start_decisions(path: &Path, bytes_max: u64) -> (LogHandle, AccessLogSender) {
    let path = path.to_owned();
    let decisions = Some(DecisionTarget { path, bytes_max });
    let wanted = Wanted {
        decisions,
        ..Wanted::default()
    };
    let (log, mut senders) = start(wanted, 1).unwrap();
    (log, senders.remove(0))
}

/// Decisions in a file, of which nothing may be unreadable.
fn decisions_in(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    Decisions::of(&bytes).unwrap().map(Result::unwrap).count()
}

#[test]
fn a_file_of_decisions_that_is_full_begins_anew_and_the_last_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions");
    let before = dir.path().join("decisions.1");
    let (log, mut sender) = start_decisions(&path, 2000);
    let stats = Arc::clone(log.stats());
    for round in 1..=4 {
        for _ in 0..30 {
            assert!(push(&mut sender, "/x"));
        }
        until("a batch", || stats.decisions.read() == round * 30);
    }
    assert!(log.finish(PATIENCE));
    let (old, new) = (decisions_in(&before), fs::read(&path).unwrap());
    let new = Decisions::of(&new).map_or(0, |all| all.map(Result::unwrap).count());
    assert!(old >= 30 && old + new <= 120, "{old} and {new}");
    assert!(fs::metadata(&before).unwrap().len() < 20_000);
    assert_eq!(
        (stats.decisions.read(), stats.decisions_lost.read()),
        (120, 0)
    );
}

#[test]
fn decisions_that_cannot_be_written_are_counted_and_the_rest_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let (log, mut sender) = start_decisions(&path, 1 << 20);
    let stats = Arc::clone(log.stats());
    assert!(push(&mut sender, "/lost"));
    until("loss", || stats.decisions_lost.read() == 1);
    fs::remove_file(&path).unwrap();
    log.reopen();
    until("new file", || path.exists());
    assert!(push(&mut sender, "/kept"));
    assert!(log.finish(PATIENCE));
    assert_eq!(decisions_in(&path), 1);
    assert_eq!(
        (stats.decisions.read(), stats.decisions_lost.read()),
        (1, 1)
    );
}

#[test]
fn what_a_process_before_left_is_kept_beside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions");
    for _ in 0..2 {
        let (log, mut sender) = start_decisions(&path, 1 << 20);
        assert!(push(&mut sender, "/x"));
        assert!(log.finish(PATIENCE));
    }
    assert_eq!(decisions_in(&path), 1);
    assert_eq!(decisions_in(&dir.path().join("decisions.1")), 1);
}

#[test]
fn spans_nobody_takes_are_dropped_and_counted() {
    let (batches, mut waiting) = tokio::sync::mpsc::channel(1);
    let wanted = Wanted {
        spans: Some(SpanTarget {
            service: "weir".to_owned(),
            batches,
        }),
        ..Wanted::default()
    };
    let (log, mut senders) = start(wanted, 1).unwrap();
    let stats = Arc::clone(log.stats());
    // One batch waits; those after it find no room.
    let mut pushed = 0_u64;
    until("drops", || {
        for _ in 0..100 {
            pushed += u64::from(push_traced(&mut senders[0]));
        }
        stats.spans_dropped.read() > 0
    });
    assert!(log.finish(PATIENCE));
    let batch = waiting.try_recv().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&batch.body).unwrap();
    let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans.as_array().unwrap().len() as u64, batch.spans);
    let each = batch.spans + stats.spans_dropped.read();
    assert_eq!(
        each % pushed,
        0,
        "as many of each request: {each} of {pushed}"
    );
}
