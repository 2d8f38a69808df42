//! Question: does a core pay for what another core counts?
//!
//! What a request writes that other cores may read (its backend's and group's load, counters, a
//! histogram) is written a hundred million times by one thread, and then by two on two CPUs at the
//! same time, for the same backend. A common cache line would show as a second column far above the
//! first, as it does for the word that both really share below.
//!
//! And what does a policy pay that reads loads over all cores, by their number? One thread picks
//! among a thousand backends as one of so many cores; another plays all the others meanwhile, who
//! begin and end as many requests as they can, so what is read was just written on another CPU.
//!
//! Run with `cargo bench --bench sharing`.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

const BACKENDS: u32 = 1000;
const PICKS: u64 = 400_000;

/// A cheap row of numbers, each far from the one before.
fn scattered(state: &mut u64) -> u32 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    (*state >> 33) as u32
}

/// The requests of all cores but the first, until it is told to stop; answers how many they were.
fn others(loads: &[Load], cores: usize, stop: &AtomicBool) -> u64 {
    core_affinity::set_for_current(core_affinity::CoreId { id: 1 });
    let (mut state, mut requests) = (7, 0);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..64 {
            let load = &loads[scattered(&mut state) as usize % loads.len()];
            let core = CoreId((1 + scattered(&mut state) as usize % (cores - 1)) as u16);
            load.up(core);
            load.down(core);
            requests += 1;
        }
    }
    requests
}

/// Nanoseconds of a pick by the loads of so many backends that are drawn.
fn picks(board: &Board, choices: usize) -> f64 {
    core_affinity::set_for_current(core_affinity::CoreId { id: 0 });
    let mut state = 1;
    let one = |state: &mut u64| {
        let drawn = (0..choices).map(|_| scattered(state) % BACKENDS);
        drawn.min_by_key(|slot| board.in_flight(*slot))
    };
    let begun = Instant::now();
    for _ in 0..PICKS {
        black_box(one(&mut state));
    }
    begun.elapsed().as_nanos() as f64 / PICKS as f64
}

/// Undisturbed, and while the others work: nanoseconds of a pick, and the millions of requests a
/// second of the others.
fn with_others(cores: usize, choices: usize) -> (f64, f64, f64) {
    let mut board = Board::new(cores);
    let loads: Vec<Load> = (0..BACKENDS).map(|slot| board.claim(slot)).collect();
    let alone = picks(&board, choices);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let playing = scope.spawn(|| others(&loads, cores, &stop));
        let begun = Instant::now();
        let busy = picks(&board, choices);
        let seconds = begun.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        let requests = playing.join().expect("a thread that only counts");
        (alone, busy, requests as f64 / seconds / 1e6)
    })
}

fn costs_by_cores() {
    println!(
        "\n{:>5} {:>8} {:>10} {:>10} {:>18}",
        "cores", "choices", "ns alone", "ns busy", "others, million/s"
    );
    for choices in [2, 7] {
        for cores in [2, 8, 16, 32, 64, 128] {
            let (alone, busy, rate) = with_others(cores, choices);
            println!("{cores:>5} {choices:>8} {alone:>10.0} {busy:>10.0} {rate:>18.1}");
        }
    }
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
    costs_by_cores();
}
