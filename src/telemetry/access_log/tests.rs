//! Records survive the ring, and no text of a client can forge a line.

mod httplog;

use proptest::prelude::*;
use rtrb::RingBuffer;

use super::batch::Batch;
use super::format::{LineFormat, LineWriter};
use super::frame::{HEADER_BYTES, RecordReader, Texts};
use super::names::LogNames;
use super::*;
use crate::base::epoch::Epoch;
use crate::base::limits::LOG_TEXT_BYTES_MAX;

pub(crate) fn record() -> AccessRecord {
    AccessRecord {
        ended_unix_micros: 1_753_700_000_123_456,
        listener: ListenerSlot(0),
        client: "192.0.2.7:4711".parse().unwrap(),
        backend: Some(BackendSlot(1)),
        status: 200,
        http10: false,
        retries: 1,
        bytes_received: 321,
        bytes_sent: 1234,
        body_bytes_sent: 1000,
        duration_micros: 12_045,
        upstream_micros: 11_999,
        head_micros: 1_000,
        queue_micros: 2_000,
        connect_micros: Some(3_000),
        handed_micros: 3_000,
        reached: Reached::End,
        choice: Choice::default(),
        readers: Readers::default(),
        stickiness: Stickiness::default(),
        epoch: Epoch::of(7).0,
        fault: None,
        request_number: 0xabc,
    }
}

const EVERY: Telling = Telling {
    lines: Some(1),
    decisions: false,
};

/// The record as the log thread gets it.
fn as_line(record: AccessRecord) -> AccessRecord {
    let line = true;
    let readers = Readers {
        line,
        ..record.readers
    };
    AccessRecord { readers, ..record }
}

fn names() -> LogNames {
    LogNames::new(
        ["web"].into_iter(),
        [("app", "10.0.0.1:80"), ("app", "10.0.0.2:80")].into_iter(),
    )
}

const TEXTS: Texts<'static> = Texts {
    method: b"GET",
    target: b"/a?b=c",
    host: b"example.org",
    user_agent: b"curl/8",
    referer: b"",
    route: b"api",
    shard: b"by-tenant",
    trace: b"",
};

fn draft(texts: &Texts<'_>) -> Draft {
    let mut draft = Draft::default();
    draft.write(texts);
    draft
}

fn line(format: LineFormat, record: &AccessRecord, texts: &Texts<'_>) -> String {
    line_of(&names(), format, record, texts)
}

fn line_of(
    names: &LogNames,
    format: LineFormat,
    record: &AccessRecord,
    texts: &Texts<'_>,
) -> String {
    let mut batch = Batch::new(0);
    LineWriter::new(format).write(&mut batch, names, record, texts);
    String::from_utf8(batch.bytes().to_vec()).unwrap()
}

#[test]
fn combined_is_what_apache_and_nginx_write() {
    assert_eq!(
        line(LineFormat::Combined, &record(), &TEXTS),
        "192.0.2.7 - - [28/Jul/2025:10:53:20 +0000] \"GET /a?b=c HTTP/1.1\" 200 1000 \
         \"-\" \"curl/8\"\n"
    );
    let tcp = AccessRecord {
        status: 0,
        client: "[2001:db8::1]:9".parse().unwrap(),
        ..record()
    };
    assert_eq!(
        line(LineFormat::Combined, &tcp, &Texts::default()),
        "2001:db8::1 - - [28/Jul/2025:10:53:20 +0000] \"-\" - 1000 \"-\" \"-\"\n"
    );
}

#[test]
fn json_names_every_fact_once() {
    assert_eq!(
        line(LineFormat::Json, &record(), &TEXTS),
        "{\"time\":\"2025-07-28T10:53:20.123Z\",\"listener\":\"web\",\
         \"route\":\"api\",\"shard\":\"by-tenant\",\
         \"client\":\"192.0.2.7:4711\",\"method\":\"GET\",\"target\":\"/a?b=c\",\
         \"host\":\"example.org\",\"status\":200,\"bytes_received\":321,\"bytes_sent\":1234,\
         \"duration_ms\":12.045,\"upstream_ms\":11.999,\"group\":\"app\",\
         \"backend\":\"10.0.0.2:80\",\"epoch\":7,\
         \"retries\":1,\"request_id\":\"0000000000000abc\",\"user_agent\":\"curl/8\"}\n"
    );
    let refused = AccessRecord {
        backend: None,
        status: 0,
        fault: Some(Fault::ConnectFailed),
        client: "[::1]:9".parse().unwrap(),
        request_number: 0,
        listener: ListenerSlot(9),
        ..record()
    };
    assert_eq!(
        line(LineFormat::Json, &refused, &Texts::default()),
        "{\"time\":\"2025-07-28T10:53:20.123Z\",\"client\":\"[::1]:9\",\
         \"bytes_received\":321,\"bytes_sent\":1234,\"duration_ms\":12.045,\"epoch\":7,\
         \"retries\":1,\"fault\":\"connect_failed\"}\n"
    );
}

#[test]
fn a_full_ring_takes_nothing_of_a_record_and_recovers() {
    let (producer, consumer) = RingBuffer::new(2 * draft(&TEXTS).len() + 40);
    let mut sender = AccessLogSender::new(producer, EVERY);
    let mut reader = RecordReader::new(consumer);
    let mut texts = draft(&TEXTS);
    assert!(sender.push(&record(), &mut texts));
    assert!(sender.push(&record(), &mut texts));
    assert!(!sender.push(&record(), &mut texts));
    assert!(!sender.push(&record(), &mut Draft::default()));
    let mut seen = 0;
    assert_eq!(
        reader.drain(|got, texts| {
            assert_eq!((got, texts), (&as_line(record()), &TEXTS));
            seen += 1;
            true
        }),
        0
    );
    assert_eq!(seen, 2);
    assert!(sender.push(&record(), &mut texts));
}

#[test]
fn a_reader_that_stops_goes_on_where_it_stopped() {
    let (producer, consumer) = RingBuffer::new(4096);
    let mut sender = AccessLogSender::new(producer, EVERY);
    let mut reader = RecordReader::new(consumer);
    for epoch in 0..5 {
        assert!(sender.push(&AccessRecord { epoch, ..record() }, &mut Draft::default()));
    }
    let mut seen = Vec::new();
    while reader.fill().0 > 0 {
        reader.drain(|record, _| {
            seen.push(record.epoch);
            false
        });
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn long_texts_are_cut() {
    let long = vec![b'a'; 3 * LOG_TEXT_BYTES_MAX];
    let cut = draft(&Texts {
        method: b"GET",
        target: &long,
        ..Texts::default()
    });
    assert_eq!(cut.len(), HEADER_BYTES + 8 * 2 + 3 + LOG_TEXT_BYTES_MAX);
}

#[test]
fn a_draft_that_is_used_again_has_nothing_of_the_request_before() {
    let (producer, consumer) = RingBuffer::new(1 << 16);
    let mut sender = AccessLogSender::new(producer, EVERY);
    let other = Texts {
        target: b"/",
        user_agent: b"",
        route: b"",
        ..TEXTS
    };
    let mut draft = draft(&TEXTS);
    assert!(sender.push(&record(), &mut draft));
    draft.write(&other);
    assert!(sender.push(&record(), &mut draft));
    draft.clear();
    assert!(sender.push(&record(), &mut draft));
    let mut wanted = vec![Texts::default(), other, TEXTS];
    RecordReader::new(consumer).drain(|_, texts| {
        assert_eq!(Some(*texts), wanted.pop());
        true
    });
    assert!(wanted.is_empty());
}

#[test]
fn lost_framing_is_reported_and_skipped() {
    let (mut producer, consumer) = RingBuffer::new(4096);
    producer.push_entire_slice(&[1; 200]).unwrap();
    producer.push_entire_slice(&[0; 200]).unwrap();
    let mut reader = RecordReader::new(consumer);
    // A length larger than what is there: the rest is still to come.
    assert_eq!(reader.drain(|_, _| true), 0);
    let (mut producer, consumer) = RingBuffer::new(4096);
    producer.push_entire_slice(&[0; 200]).unwrap();
    let mut reader = RecordReader::new(consumer);
    assert_eq!(reader.drain(|_, _| true), 1);
    assert_eq!(reader.fill().0, 0);
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        proptest::collection::vec(
            prop::sample::select(b"a\"\\\n\r\x1b\x7f\xc3 ".to_vec()),
            0..40
        ),
    ]
}

proptest! {
    #[test]
    fn no_text_can_forge_a_line_and_json_gives_the_bytes_back(
        (method, target, host, user_agent, referer) in (bytes(), bytes(), bytes(), bytes(), bytes())
    ) {
        let texts = Texts {
            method: &method,
            target: &target,
            host: &host,
            user_agent: &user_agent,
            referer: &referer,
            ..TEXTS
        };
        for format in [LineFormat::Combined, LineFormat::Httplog, LineFormat::Json] {
            let line = line(format, &record(), &texts);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let printable = |byte: &u8| (0x20..0x7f).contains(byte);
            prop_assert!(line.trim_end().as_bytes().iter().all(printable));
        }
        let json: serde_json::Value =
            serde_json::from_str(&line(LineFormat::Json, &record(), &texts)).unwrap();
        for (key, text) in [("target", &target), ("user_agent", &user_agent), ("host", &host)] {
            let told = json.get(key).map_or(String::new(), |v| v.as_str().unwrap().to_owned());
            let told: Vec<u8> = told.chars().map(|c| u8::try_from(c).unwrap()).collect();
            prop_assert_eq!(&told, text);
        }
        // In the combined format a quote is a delimiter exactly when no backslash escapes it.
        let line = line(LineFormat::Combined, &record(), &texts);
        let mut quotes = 0;
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '"' => quotes += 1,
                _ => {}
            }
        }
        prop_assert_eq!(quotes, 6);
    }

    #[test]
    fn records_come_out_as_they_went_in(
        sizes in proptest::collection::vec((0_usize..300, any::<[u64; 6]>(), any::<u128>()), 1..60)
    ) {
        let (producer, consumer) = RingBuffer::new(1500);
        let mut sender = AccessLogSender::new(producer, EVERY);
        let mut reader = RecordReader::new(consumer);
        let mut wanted = std::collections::VecDeque::new();
        for (size, [a, b, c, d, e, f], address) in sizes {
            let record = AccessRecord {
                ended_unix_micros: a,
                client: SocketAddr::new(std::net::Ipv6Addr::from_bits(address).into(), b as u16),
                backend: (c % 2 == 0).then_some(BackendSlot(c as u32 / 2)),
                status: d as u16,
                http10: d % 2 == 1,
                retries: e as u8,
                duration_micros: f,
                fault: Fault::ALL.get((e % 20) as usize).copied(),
                connect_micros: (a % 3 > 0).then_some(b / 2),
                reached: Reached::ALL[(c % 6) as usize],
                choice: Choice {
                    key: (d % 2 == 0).then_some(e),
                    reason: Reason::ALL[(f % 6) as usize],
                    policy: a as u8,
                    candidates: b as u32,
                    tried: c as u8,
                },
                ..record()
            };
            let target = vec![b'x'; size];
            let mut draft = draft(&Texts { target: &target, ..TEXTS });
            while !sender.push(&record, &mut draft) {
                reader.drain(|got, texts| {
                    let (record, size) = wanted.pop_front().unwrap();
                    assert_eq!((got, texts.target.len()), (&record, size));
                    true
                });
            }
            wanted.push_back((as_line(record), size));
        }
        reader.drain(|got, _| {
            assert_eq!(*got, wanted.pop_front().unwrap().0);
            true
        });
        prop_assert!(wanted.is_empty());
    }
}

#[test]
fn a_sample_is_one_of_so_many_and_every_failure() {
    let (producer, consumer) = RingBuffer::new(1 << 16);
    let mut sender = AccessLogSender::new(
        producer,
        Telling {
            lines: Some(4),
            ..EVERY
        },
    );
    for number in 1..=12 {
        let record = AccessRecord {
            request_number: number,
            status: if number == 6 { 503 } else { 200 },
            fault: (number == 8).then_some(Fault::Overload),
            ..record()
        };
        assert!(sender.push(&record, &mut draft(&TEXTS)));
    }
    let mut kept = Vec::new();
    RecordReader::new(consumer).drain(|record, _| {
        kept.push(record.request_number);
        true
    });
    assert_eq!(kept, [1, 5, 6, 8, 11]);
}

#[test]
fn who_is_to_be_told_decides_what_is_queued() {
    let (producer, consumer) = RingBuffer::new(1 << 16);
    let telling = Telling {
        lines: Some(4),
        decisions: true,
    };
    let mut sender = AccessLogSender::new(producer, telling);
    let traced = Readers {
        spans: true,
        ..Readers::default()
    };
    for readers in [Readers::default(), traced] {
        assert!(sender.push(
            &AccessRecord {
                readers,
                ..record()
            },
            &mut Draft::default()
        ));
    }
    // A relay is no decision about a request.
    assert!(sender.push(
        &AccessRecord {
            status: 0,
            ..record()
        },
        &mut Draft::default()
    ));
    let mut seen = Vec::new();
    RecordReader::new(consumer).drain(|record, _| {
        let Readers {
            line,
            decision,
            spans,
        } = record.readers;
        seen.push((line, decision, spans));
        true
    });
    assert_eq!(seen, [(true, true, false), (false, true, true)]);
}
