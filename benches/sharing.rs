//! Question: does a core pay for what another core counts?
//!
//! What a request writes that other cores may read (its backend's and group's load, counters, a
//! histogram) is written a hundred million times by one thread, and then by two on two CPUs at the
//! same time, for the same backend. A common cache line would show as a second column far above the
//! first, as it does for the word that both really share below. Run with `cargo bench --bench
//! sharing`.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use weir::base::id::CoreId;
use weir::routing::load::{Board, Load};
use weir::telemetry::stats::{BackendStats, ListenerStats, PerCore};

const ROUNDS: u64 = 20_000_000;
const CORES: usize = 128;
const REPEATS: usize = 5;

struct Counted {
    backend: Load,
    group: Load,
    of_backend: PerCore<BackendStats>,
    of_listener: PerCore<ListenerStats>,
    shared: AtomicU64,
}

impl Counted {
    /// What one request writes.
    fn request(&self, core: CoreId, micros: u64) {
        self.backend.up(core);
        self.group.up(core);
        let backend = self.of_backend.of(core);
        backend.bytes_sent.add(micros);
        backend.latency.record_micros(micros);
        backend.requests.inc(200);
        let listener = self.of_listener.of(core);
        listener.requests.inc(200);
        listener.latency.record_micros(micros);
        self.backend.down(core);
        self.group.down(core);
    }

    /// The same after a pick that looks at the load of two backends, over all cores.
    fn picked(&self, core: CoreId, micros: u64) {
        black_box(self.backend.in_flight() < self.group.in_flight());
        self.request(core, micros);
    }

    /// What it would be like with one word for all.
    fn shared(&self, _: CoreId, micros: u64) {
        self.shared.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Nanoseconds of one call, on so many CPUs at the same time; the best of some repeats.
fn measure(counted: &Counted, threads: usize, call: fn(&Counted, CoreId, u64)) -> f64 {
    let one = || {
        let barrier = Barrier::new(threads);
        let nanos: Vec<f64> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|index| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        core_affinity::set_for_current(core_affinity::CoreId { id: index });
                        barrier.wait();
                        let begun = Instant::now();
                        for round in 0..ROUNDS {
                            call(counted, CoreId(index as u16), black_box(round & 1023));
                        }
                        begun.elapsed().as_nanos() as f64 / ROUNDS as f64
                    })
                })
                .collect();
            let finished = running.into_iter();
            finished
                .map(|thread| thread.join().expect("a thread that only counts"))
                .collect()
        });
        nanos.into_iter().fold(0.0, f64::max)
    };
    (0..REPEATS).map(|_| one()).fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut board = Board::new(CORES);
    let counted = Counted {
        backend: board.claim(0),
        group: board.claim(1),
        of_backend: PerCore::new(CORES),
        of_listener: PerCore::new(CORES),
        shared: AtomicU64::new(0),
    };
    println!(
        "{:<36} {:>9} {:>9} {:>6}",
        "ns of one request", "one CPU", "two CPUs", "ratio"
    );
    for (name, call) in [
        (
            "what a request writes",
            Counted::request as fn(&Counted, CoreId, u64),
        ),
        ("and a pick by two loads, 128 cores", Counted::picked),
        ("one word for all (for contrast)", Counted::shared),
    ] {
        let (one, two) = (measure(&counted, 1, call), measure(&counted, 2, call));
        println!("{name:<36} {one:>9.2} {two:>9.2} {:>6.2}", two / one);
    }
}
