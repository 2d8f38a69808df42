//! What the control thread can be told, by signals and by a channel.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// One order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Finish what runs, then end; at once if told twice. SIGTERM.
    Drain,
    /// Read the configuration again and reopen the logs. SIGHUP.
    Reload,
    /// Reopen the logs. SIGUSR1.
    ReopenLogs,
    /// End at once. SIGINT.
    Stop,
    /// Start the program anew and hand everything over to it. SIGUSR2.
    Upgrade,
}

/// Where orders come from.
pub(super) struct Orders {
    signals: Option<Signals>,
    channel: Option<mpsc::Receiver<Order>>,
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    user1: Signal,
    user2: Signal,
}

impl Orders {
    pub(super) fn new(signals: bool, channel: Option<mpsc::Receiver<Order>>) -> io::Result<Self> {
        let signals = if signals { Some(Signals::new()?) } else { None };
        Ok(Orders { signals, channel })
    }

    /// The next order; waits for ever when there is no source left.
    pub(super) async fn next(&mut self) -> Order {
        let Orders { signals, channel } = self;
        tokio::select! {
            order = by_signal(signals) => order,
            order = by_channel(channel) => order,
        }
    }
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }
}

async fn by_signal(signals: &mut Option<Signals>) -> Order {
    let Some(signals) = signals else {
        return pending().await;
    };
    tokio::select! {
        Some(()) = signals.hangup.recv() => Order::Reload,
        Some(()) = signals.interrupt.recv() => Order::Stop,
        Some(()) = signals.terminate.recv() => Order::Drain,
        Some(()) = signals.user1.recv() => Order::ReopenLogs,
        Some(()) = signals.user2.recv() => Order::Upgrade,
        else => pending().await,
    }
}

async fn by_channel(channel: &mut Option<mpsc::Receiver<Order>>) -> Order {
    if let Some(open) = channel {
        if let Some(order) = open.recv().await {
            return order;
        }
        *channel = None;
    }
    pending().await
}
