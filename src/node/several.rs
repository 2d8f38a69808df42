//! Several nodes in one process, which share a store in memory: for the demonstration. Each has a
//! control thread and one worker of its own and is in all else what `weir run` is, so they gossip
//! over the loopback as processes would. Signals are orders to all of them.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc as queue;

use super::{Setting, ended, examine, io_kind, load, raise_descriptors, serve, start_log, wanted};
use crate::cli::Exit;
use crate::control::core::Ready;
use crate::control::orders::Order;
use crate::control::store::Shared;
use crate::control::truth::{self, Truth};
use crate::data::IoKind;
use crate::runtime::cores::{self, Topology};

/// Orders that wait for a node.
const ORDERS_MAX: usize = 8;

/// A node that runs.
struct Running {
    thread: JoinHandle<Exit>,
    orders: queue::Sender<Order>,
}

/// What the thread of a node needs.
struct Begin {
    truth: Truth,
    file: PathBuf,
    orders: queue::Receiver<Order>,
    cpu: usize,
    io: IoKind,
    /// Dropped when the node has ended.
    _lives: queue::Sender<()>,
}

/// Serves by these files until told to end, and says when all of them do.
#[must_use]
pub fn show_several(files: &[PathBuf], on_ready: impl FnOnce(Vec<Ready>)) -> Exit {
    let (ready, readies) = mpsc::channel();
    let (lives, all_ended) = queue::channel(1);
    let nodes = match start(files, &ready, &lives) {
        Ok(nodes) => nodes,
        Err(exit) => return exit,
    };
    drop((ready, lives));
    // A node that cannot start lets go of its sender without a word.
    let readies: Vec<Ready> = readies.iter().take(nodes.len()).collect();
    if readies.len() == nodes.len() {
        on_ready(readies);
    } else {
        tell(&nodes, Order::Stop);
    }
    if let Err(error) = relay_orders(&nodes, all_ended) {
        eprintln!("weir hears no signals: {error}");
        tell(&nodes, Order::Stop);
    }
    let exits = nodes.into_iter().map(|node| node.thread.join());
    let exits = exits.map(|exit| exit.unwrap_or(Exit::Worker));
    let failed = exits.filter(|exit| *exit != Exit::Ok).last();
    failed.unwrap_or(Exit::Ok)
}

fn start(
    files: &[PathBuf],
    ready: &mpsc::Sender<Ready>,
    lives: &queue::Sender<()>,
) -> Result<Vec<Running>, Exit> {
    let store = Shared::default();
    let io = io_kind();
    let mut nodes = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let (text, config) = load(file).ok_or(Exit::Config)?;
        if index == 0 {
            start_log(&config.log);
            examine(io).map_err(|lacks| told("run on this machine", &lacks, Exit::Machine))?;
            raise_descriptors(&config);
        }
        let cpus = cores::choose(&Topology::read(), &wanted(&config.workers));
        let cpus = cpus.map_err(|error| told("run on this machine", &error, Exit::Machine))?;
        let truth = establish(&text, &config, &store);
        let truth = truth.map_err(|error| told("start", &error, Exit::Start))?;
        let (orders, waiting) = queue::channel(ORDERS_MAX);
        let ready = ready.clone();
        let begin = Begin {
            truth,
            file: file.clone(),
            orders: waiting,
            cpu: cpus[index % cpus.len()],
            io,
            _lives: lives.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("weir-node-{}", index + 1));
        let thread = thread.spawn(move || begin.live(ready));
        let thread = thread.map_err(|error| told("start", &error, Exit::Start))?;
        nodes.push(Running { thread, orders });
    }
    Ok(nodes)
}

impl Begin {
    fn live(self, ready: mpsc::Sender<Ready>) -> Exit {
        let setting = Setting {
            on_ready: Some(Box::new(move |now| {
                // Whoever waited for all may have given up.
                let _ = ready.send(now);
            })),
            config_path: self.file,
            claim: None,
            orders: Some(self.orders),
        };
        match serve(self.truth, setting, &[self.cpu], self.io) {
            Ok(outcome) => ended(&outcome),
            Err(error) => told("start", &error, Exit::Start),
        }
    }
}

fn establish(text: &str, config: &crate::config::Config, store: &Shared) -> io::Result<Truth> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let store = Arc::new(store.clone());
    runtime
        .block_on(truth::establish_in(text, config, store))
        .map_err(io::Error::other)
}

/// Passes signals on until every node has ended.
fn relay_orders(nodes: &[Running], mut all_ended: queue::Receiver<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            let order = tokio::select! {
                _ = hangup.recv() => Order::Reload,
                _ = interrupt.recv() => Order::Stop,
                _ = terminate.recv() => Order::Drain,
                // Nobody sends: it ends with the last sender.
                _ = all_ended.recv() => return Ok(()),
            };
            tell(nodes, order);
        }
    })
}

fn tell(nodes: &[Running], order: Order) {
    for node in nodes {
        // One that has ended takes no orders.
        let _ = node.orders.try_send(order);
    }
}

fn told(what: &str, why: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("weir cannot {what}: {why}");
    exit
}
