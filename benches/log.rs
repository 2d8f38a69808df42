//! What does an access log record cost: for the worker that queues it, and for the log thread?
//!
//! Run: `cargo bench --bench log`. Each figure is the time of one record of a browser-like
//! request (about 260 bytes in the ring, 250 to 480 bytes as a line).

use std::hint::black_box;
use std::io::{Seek, Write};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rtrb::RingBuffer;
use weir::base::id::{BackendSlot, ListenerSlot};
use weir::base::limits::{LOG_BATCH_BYTES, LOG_RING_BYTES};
use weir::telemetry::access_log::batch::Batch;
use weir::telemetry::access_log::draft::Draft;
use weir::telemetry::access_log::format::{LineFormat, LineWriter};
use weir::telemetry::access_log::frame::{RecordReader, Texts};
use weir::telemetry::access_log::names::LogNames;
use weir::telemetry::access_log::{
    AccessLogSender, AccessRecord, Choice, Reached, Readers, Stickiness, Telling,
};

const EVERY: Telling = Telling {
    lines: Some(1),
    decisions: false,
};

/// Records per measured round: as many as wait when the log thread looks, at 50,000 a second.
const RECORDS: u64 = 500;

fn record(number: u64) -> AccessRecord {
    AccessRecord {
        ended_unix_micros: 1_753_700_000_123_456 + number * 500,
        listener: ListenerSlot(0),
        client: ([192, 0, 2, 7], 40_000 + (number % 1000) as u16).into(),
        backend: Some(BackendSlot((number % 3) as u32)),
        status: 200,
        http10: false,
        retries: 0,
        bytes_received: 431,
        bytes_sent: 10_342,
        body_bytes_sent: 10_101,
        duration_micros: 1234 + number,
        upstream_micros: 1200 + number,
        head_micros: 0,
        queue_micros: 0,
        connect_micros: Some(0),
        handed_micros: 3_000,
        reached: Reached::End,
        choice: Choice::default(),
        readers: Readers::default(),
        stickiness: Stickiness::default(),
        epoch: weir::base::epoch::Epoch::of(17).0,
        fault: None,
        request_number: 0x1234_5678 + number,
    }
}

/// As long as nobody knows them before.
fn texts() -> Texts<'static> {
    black_box(Texts {
        method: b"GET",
        target: b"/articles/2025/07/some-title-here?page=2",
        host: b"www.example.org",
        user_agent: b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        referer: b"https://www.example.org/articles/",
        route: b"articles",
        shard: b"",
        trace: b"",
    })
}

/// A ring, both its ends, and one request's texts.
struct Path {
    sender: AccessLogSender,
    reader: RecordReader,
    draft: Draft,
    names: LogNames,
}

impl Path {
    fn new() -> Self {
        let (producer, consumer) = RingBuffer::new(LOG_RING_BYTES);
        let mut draft = Draft::default();
        draft.write(&texts());
        let backends = [
            ("app", "10.0.0.1:80"),
            ("app", "10.0.0.2:80"),
            ("app", "10.0.0.3:80"),
        ];
        Path {
            sender: AccessLogSender::new(producer, EVERY),
            reader: RecordReader::new(consumer),
            draft,
            names: LogNames::new(["web"].into_iter(), backends.into_iter()),
        }
    }

    fn push(&mut self) {
        for number in 0..RECORDS {
            let draft = black_box(&mut self.draft);
            assert!(self.sender.push(&record(number), draft));
        }
    }

    /// Makes lines of all that waits, and hands them to `write` as the log thread would.
    fn format(&mut self, writer: &mut LineWriter, out: &mut Batch, mut write: impl FnMut(&[u8])) {
        let names = &self.names;
        self.reader.drain(|record, texts| {
            writer.write(out, names, record, texts);
            if out.bytes().len() >= LOG_BATCH_BYTES {
                write(out.bytes());
                out.clear();
            }
            true
        });
        write(out.bytes());
        out.clear();
    }
}

fn queue(criterion: &mut Criterion) {
    let mut path = Path::new();
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("write_texts", |bencher| {
        let mut draft = Draft::default();
        bencher.iter(|| {
            for _ in 0..RECORDS {
                draft.write(&texts());
                black_box(&draft);
            }
        });
    });
    group.bench_function("push_and_drain", |bencher| {
        bencher.iter(|| {
            path.push();
            path.reader.drain(|record, texts| {
                black_box((record, texts));
                true
            });
        });
    });
    group.finish();
}

fn format(criterion: &mut Criterion) {
    let mut path = Path::new();
    let mut out = Batch::new(2 * LOG_BATCH_BYTES);
    let mut file = tempfile::tempfile().expect("a temporary file");
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(RECORDS));
    for (name, format) in [
        ("combined", LineFormat::Combined),
        ("json", LineFormat::Json),
    ] {
        let mut writer = LineWriter::new(format);
        group.bench_function(format!("push_drain_format_{name}"), |bencher| {
            bencher.iter(|| {
                path.push();
                path.format(&mut writer, &mut out, |batch| {
                    black_box(batch);
                });
            });
        });
        group.bench_function(format!("push_drain_format_{name}_write"), |bencher| {
            bencher.iter(|| {
                path.push();
                file.rewind().expect("a file can be rewound");
                path.format(&mut writer, &mut out, |batch| {
                    file.write_all(batch).expect("space for a few batches");
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, queue, format);
criterion_main!(benches);
