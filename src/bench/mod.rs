//! `weir bench`: a generator of load, and an end for it.
//!
//! Its own, because the common ones stop where a balancer becomes interesting: they wait for an
//! answer before they send the next request (so a stall hides the requests it delayed), have one
//! address to connect from (28,000 connections), or none of a million held while a few are asked
//! on. One thread is one ring; threads share nothing but the beginning of their steps.

mod answers;
mod asked;
mod events;
mod load;
mod report;
mod schedule;
mod serve;

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::json;

use crate::base::id::ListenerSlot;
use crate::bench::asked::Asked;
use crate::bench::load::{Loader, Orders};
use crate::bench::report::{Counts, Report};
use crate::bench::serve::{Served, Server};
use crate::cli::{Bench, BenchKind, BenchLoad, BenchServe, Exit, output};
use crate::control::listen;
use crate::runtime::kick::Kick;
use crate::runtime::limits::raise_descriptors;
use crate::runtime::probe;
use crate::runtime::ring::RingDriver;

/// Connections the kernel keeps waiting for the end we are.
const BACKLOG: u32 = 65_535;

/// Generates load, or answers it, as the command line says.
#[must_use]
pub fn run(bench: &Bench) -> Exit {
    let lacks = probe::diagnose(&probe::facts());
    if !lacks.is_empty() {
        for lack in lacks {
            eprintln!("weir bench: {lack}");
        }
        return Exit::Machine;
    }
    // What is in force is enough to know: who asks for more sees connections fail, and why.
    let _ = raise_descriptors();
    let asked = match &bench.kind {
        BenchKind::Serve(serve) => return end(serve_until_told(serve)),
        BenchKind::Http(http) => Asked::http(http),
        BenchKind::Tcp(tcp) => Asked::tcp(tcp),
    };
    match asked {
        Ok(asked) => end(generate(&asked)),
        Err(problem) => {
            eprintln!("weir bench: {problem}");
            Exit::Usage
        }
    }
}

fn end(outcome: io::Result<()>) -> Exit {
    match outcome {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("weir bench: {error}");
            Exit::Start
        }
    }
}

/// What a thread has done.
enum Step {
    Connected(u64),
    Ran,
}

/// Up to where threads may go: 0 to connect, 1 to run, 2 to close.
#[derive(Default)]
struct Gate(AtomicU8);

impl Gate {
    fn open(&self, step: u8) {
        self.0.store(step, Ordering::Release);
    }

    fn is_open(&self, step: u8) -> bool {
        self.0.load(Ordering::Acquire) >= step
    }
}

fn generate(asked: &Asked) -> io::Result<()> {
    let load = &asked.load;
    let gate = Arc::new(Gate::default());
    let (done, steps) = channel();
    let started = Instant::now();
    let mut threads = Vec::new();
    for (index, orders) in asked.orders.iter().enumerate() {
        let (orders, gate, done) = (orders.clone(), Arc::clone(&gate), done.clone());
        threads.push(spawn(index, &load.cpus, move || {
            load_by(orders, started, &gate, &done)
        })?);
    }
    drop(done);
    let connected = wait_for(&steps, threads.len());
    say_and_wait(load, &format!("ready {connected}"))?;
    gate.open(1);
    wait_for(&steps, threads.len());
    say_and_wait(load, "done")?;
    gate.open(2);
    let mut counts = Counts::default();
    for thread in threads {
        let of_thread = thread.join();
        counts.add(&of_thread.map_err(|_| io::Error::other("a thread panicked"))??);
    }
    tell(asked, counts)
}

/// Waits until all threads have done a step, or ended; the sum of what they tell.
fn wait_for(steps: &Receiver<Step>, threads: usize) -> u64 {
    let told = steps.iter().take(threads);
    told.map(|step| match step {
        Step::Connected(count) => count,
        Step::Ran => 0,
    })
    .sum()
}

/// In steps: says where we are and waits for a line, or for the end of input.
fn say_and_wait(load: &BenchLoad, word: &str) -> io::Result<()> {
    if load.steps {
        output::show(&format!("{word}\n"))?;
        io::stdin().lock().read_line(&mut String::new())?;
    }
    Ok(())
}

fn load_by(
    orders: Orders,
    started: Instant,
    gate: &Gate,
    done: &Sender<Step>,
) -> io::Result<Counts> {
    let driver = RingDriver::new(Kick::new()?)?;
    let mut loader = Loader::new(driver, orders, started);
    loader.connect_all()?;
    // Whoever waits for it has ended if it cannot be told.
    let _ = done.send(Step::Connected(loader.counts.established));
    loader.hold(|| gate.is_open(1))?;
    if loader.orders.duration > 0 {
        loader.run()?;
    }
    let _ = done.send(Step::Ran);
    loader.hold(|| gate.is_open(2))?;
    loader.close_all()?;
    Ok(std::mem::take(&mut loader.counts))
}

fn tell(asked: &Asked, counts: Counts) -> io::Result<()> {
    let load = &asked.load;
    let report = Report {
        kind: asked.kind,
        connections: load.connections,
        threads: load.threads,
        rate: load.rate,
        seconds: (load.duration - load.warmup).max(0.0),
        counts,
    };
    let json = report.json();
    if let Some(path) = &load.output {
        std::fs::write(path, format!("{json:#}\n"))?;
    }
    let text = match load.json {
        true => format!("{json}\n"),
        false => report.text(),
    };
    output::show(&text)
}

/// Starts a thread, on the CPU whose turn it is.
fn spawn<T: Send + 'static>(
    index: usize,
    cpus: &[usize],
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let cpu = cpus.get(index % cpus.len().max(1)).copied();
    std::thread::Builder::new()
        .name(format!("bench-{index}"))
        .spawn(move || {
            if let Some(id) = cpu {
                core_affinity::set_for_current(core_affinity::CoreId { id });
            }
            work()
        })
}

fn serve_until_told(serve: &BenchServe) -> io::Result<()> {
    let handed = (serve.threads, Vec::new());
    let sockets = listen::open(ListenerSlot(0), "bench", serve.address, BACKLOG, handed);
    let sockets = sockets.map_err(io::Error::other)?;
    let address = sockets
        .first()
        .map_or(serve.address, |socket| socket.address);
    let served = Arc::new(Served::default());
    let answer = (!serve.echo).then(|| serve::answer(serve.body));
    let mut threads = Vec::new();
    for (index, socket) in sockets.into_iter().enumerate() {
        let (served, answer) = (Arc::clone(&served), answer.clone());
        threads.push(spawn(index, &serve.cpus, move || -> io::Result<()> {
            let driver = RingDriver::new(Kick::new()?)?;
            Server::new(driver, socket.fd, answer, served).run()
        })?);
    }
    output::show(&format!("listening on {address}\n"))?;
    wait_for_signal()?;
    served.ends.store(true, Ordering::Relaxed);
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("a thread panicked"))??;
    }
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let told = json!({
        "accepted": read(&served.accepted),
        "open": read(&served.open),
        "requests": read(&served.requests),
        "bytes_received": read(&served.received),
    });
    output::show(&format!("{told}\n"))
}

fn wait_for_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}
