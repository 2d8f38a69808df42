//! Heartbeats of one backend: which are believed, what they say, and when their absence means
//! that it failed.
//!
//! A report is a claim by somebody on the network. It is refused when it cannot be true, when it
//! is not the newest, or when another sender speaks for the same backend; it is believed less when
//! it is at odds with what this node itself has under way there: then it is a sign of life and no
//! measure of capacity. Every refusal has its reason, which is counted.
//!
//! A refused report never counts as a sign of life. The order of reports is forgotten after a
//! long silence, so that one forged report with the highest incarnation cannot lock a backend out
//! for ever.

use std::net::IpAddr;
use std::time::Duration;

use super::Moment;
use super::replay::{NotNext, Order};

/// What a backend says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Which start of the backend speaks: higher than at any start before (its start time, say).
    pub incarnation: u64,
    /// Counts the reports of this incarnation.
    pub sequence: u64,
    /// Requests it has under way.
    pub active: f64,
    /// Requests it can have under way.
    pub capacity: Option<f64>,
    /// Its mean time to an answer, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Share of its processors in use, 0 to 1.
    pub cpu: Option<f64>,
    /// Share of its memory in use, 0 to 1.
    pub memory: Option<f64>,
    /// When it was sent, in time since 1970.
    pub sent: Option<Duration>,
    /// Whether it wants traffic.
    pub healthy: bool,
}

/// What this node knows when a report comes.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The moment.
    pub now: Moment,
    /// The same as time since 1970.
    pub unix: Duration,
    /// Who sent it, if that is known.
    pub sender: Option<IpAddr>,
    /// Requests this node has under way there.
    pub in_flight: u32,
    /// No report for so long means failed.
    pub timeout: Duration,
}

/// Why a report is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// Another address speaks for the same backend.
    Contradictory,
    /// It was sent later than now.
    Future,
    /// It cannot be true: not a number, negative, a share above 1, a load above the capacity.
    Impossible,
    /// It cannot be read.
    Malformed,
    /// A newer one came before it.
    OutOfOrder,
    /// It came already.
    Replayed,
    /// It is of an earlier incarnation, or was sent too long ago.
    Stale,
    /// It does not show the token.
    Unauthorized,
    /// There is no such backend.
    Unknown,
}

impl Rejection {
    /// All of them, in order.
    pub const ALL: [Rejection; 9] = [
        Rejection::Contradictory,
        Rejection::Future,
        Rejection::Impossible,
        Rejection::Malformed,
        Rejection::OutOfOrder,
        Rejection::Replayed,
        Rejection::Stale,
        Rejection::Unauthorized,
        Rejection::Unknown,
    ];

    /// Its word in answers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rejection::Contradictory => "contradictory",
            Rejection::Future => "future",
            Rejection::Impossible => "impossible",
            Rejection::Malformed => "malformed",
            Rejection::OutOfOrder => "out_of_order",
            Rejection::Replayed => "replayed",
            Rejection::Stale => "stale",
            Rejection::Unauthorized => "unauthorized",
            Rejection::Unknown => "unknown",
        }
    }
}

/// How far two clocks may be apart before a report is of the future.
pub const CLOCKS_APART_MAX: Duration = Duration::from_secs(5);

/// After so many timeouts of silence the order of reports is forgotten.
const FORGOTTEN_AFTER: u32 = 10;

/// Reports in a row that are at odds with what we measure before one is discounted: a request may
/// be on its way while a report is made.
const ODDS_MIN: u32 = 3;

/// What a backend may have fewer under way than we have there: requests on their way to it.
const ON_THE_WAY: u32 = 8;

/// The last report that was believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// What it said.
    pub report: Report,
    /// When it came.
    pub at: Moment,
    /// Who sent it.
    pub sender: Option<IpAddr>,
    /// Whether its figures are at odds with ours.
    pub discounted: bool,
}

/// The machine of one backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heartbeat {
    last: Option<(Order, Heard)>,
    odds: u32,
}

impl Heartbeat {
    /// The last report that was believed.
    #[must_use]
    pub fn heard(&self) -> Option<&Heard> {
        self.last.as_ref().map(|(_, heard)| heard)
    }

    /// The machine after a report that another process believed.
    #[must_use]
    pub fn after(heard: Heard) -> Heartbeat {
        let order = Order::new(heard.report.incarnation, heard.report.sequence);
        Heartbeat {
            last: Some((order, heard)),
            odds: if heard.discounted { ODDS_MIN } else { 0 },
        }
    }

    /// Takes a report in; answers what is believed of it.
    ///
    /// # Errors
    /// Why nothing is.
    pub fn hear(&mut self, report: &Report, around: &Circumstances) -> Result<Heard, Rejection> {
        check_figures(report)?;
        check_time(report, around)?;
        let timeout = around.timeout;
        let forgotten = timeout.saturating_mul(FORGOTTEN_AFTER);
        let known = self
            .last
            .filter(|(_, heard)| around.now.saturating_sub(heard.at) < forgotten);
        let mut order = Order::new(report.incarnation, report.sequence);
        if let Some((before, heard)) = known {
            let silent = around.now.saturating_sub(heard.at) >= timeout;
            let elsewhere = match (heard.sender, around.sender) {
                (Some(before), Some(now)) => before != now,
                _ => false,
            };
            let newer = report.incarnation > before.incarnation();
            if elsewhere && !(silent && newer) {
                return Err(Rejection::Contradictory);
            }
            order = before;
            let taken = order.take(report.incarnation, report.sequence);
            // What was overtaken is remembered as having come.
            self.last = Some((order, heard));
            taken.map_err(rejection_of)?;
        }
        self.odds = match at_odds(report, around.in_flight) {
            true => self.odds.saturating_add(1),
            false => 0,
        };
        let heard = Heard {
            report: *report,
            at: around.now,
            sender: around.sender,
            discounted: self.odds >= ODDS_MIN,
        };
        self.last = Some((order, heard));
        Ok(heard)
    }

    /// Until when it is alive by what it said; `None` when it never said anything.
    #[must_use]
    pub fn alive_until(&self, timeout: Duration) -> Option<Moment> {
        self.heard().map(|heard| heard.at + timeout)
    }

    /// How many requests it can have under way, if it said so and is believed.
    #[must_use]
    pub fn capacity(&self) -> Option<u32> {
        let heard = self.heard().filter(|heard| !heard.discounted)?;
        // Checked when it came: a number from 0 to the highest there is.
        heard.report.capacity.map(|capacity| capacity as u32)
    }
}

fn check_figures(report: &Report) -> Result<(), Rejection> {
    let counts = [Some(report.active), report.capacity, report.latency_ms];
    let shares = [report.cpu, report.memory];
    let within = |figure: f64, most: f64| (0.0..=most).contains(&figure);
    let mut counts = counts.into_iter().flatten();
    let mut shares = shares.into_iter().flatten();
    let overloaded = report.capacity.is_some_and(|most| report.active > most);
    let possible = counts.all(|count| within(count, f64::from(u32::MAX)))
        && shares.all(|share| within(share, 1.0))
        && !overloaded;
    match possible {
        true => Ok(()),
        false => Err(Rejection::Impossible),
    }
}

fn check_time(report: &Report, around: &Circumstances) -> Result<(), Rejection> {
    let Some(sent) = report.sent else {
        return Ok(());
    };
    if sent > around.unix.saturating_add(CLOCKS_APART_MAX) {
        return Err(Rejection::Future);
    }
    let oldest = around.timeout.saturating_add(CLOCKS_APART_MAX);
    match sent.saturating_add(oldest) < around.unix {
        true => Err(Rejection::Stale),
        false => Ok(()),
    }
}

/// Whether it says that it has less than half of what this node alone has under way there.
fn at_odds(report: &Report, in_flight: u32) -> bool {
    let there = in_flight.saturating_sub(ON_THE_WAY);
    report.active * 2.0 < f64::from(there)
}

fn rejection_of(why: NotNext) -> Rejection {
    match why {
        NotNext::Overtaken => Rejection::OutOfOrder,
        NotNext::Replayed => Rejection::Replayed,
        NotNext::Stale => Rejection::Stale,
    }
}

#[cfg(test)]
mod tests;
