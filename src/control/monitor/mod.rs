//! The monitoring service: collects what nodes and backends are like at this moment and were
//! before, feeds the policies with it, and keeps it for whoever looks.
//!
//! Each node measures itself and its backends once a second, tells the others by gossip, and keeps
//! what it measured and heard. So every node has the same to show (`/v1/monitor`), and there is
//! no place where all of it must pass. Backends are heard by heartbeats and agents, and by their
//! own metrics where a group says how to read them ([`scraping`]).
//!
//! Policies get from here what a node cannot see by itself: what others have under way, for
//! `adaptive`, and how long their answers take, for `adaptive` and for weights that move. Nothing
//! waits for it. Where it is silent a policy goes by what its own node sees, as without it.

mod book;
mod feeding;
mod measuring;
mod page;
mod scraping;
mod series;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::book::Book;
use self::feeding::Telling;
use self::measuring::Measuring;
use crate::config::Config;
use crate::control::breath::{breathe, unhurried};
use crate::control::clock::since_1970;
use crate::control::health::Health;
use crate::gossip::{Figures, Member, Moment};
use crate::routing::table::Table;

pub(in crate::control) use feeding::TELL_EVERY;
pub(in crate::control) use page::{Asked, Page};

/// How often everything is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Measurements of which one is kept.
const KEEP_EVERY: u64 = 5;

/// A way to it; clones are the same one.
#[derive(Clone)]
pub struct Monitor(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    health: Health,
    origin: Instant,
    /// Another table is published.
    changed: Notify,
}

struct State {
    me: Arc<str>,
    book: Book,
    measuring: Measuring,
    telling: Telling,
    scraped: scraping::Plan,
    measured: u64,
}

impl Monitor {
    /// Of a node of this name, which takes so many connections of clients at most.
    #[must_use]
    pub(in crate::control) fn new(me: Arc<str>, cores: usize, health: &Health) -> Monitor {
        Monitor(Arc::new(Shared {
            state: Mutex::new(State {
                me,
                book: Book::default(),
                measuring: Measuring::new(cores),
                telling: Telling::default(),
                scraped: scraping::Plan::default(),
                measured: 0,
            }),
            health: health.clone(),
            origin: Instant::now(),
            changed: Notify::new(),
        }))
    }

    /// Another table is published.
    pub(in crate::control) fn adopt(&self, table: &Arc<Table>, config: &Config) {
        let now = self.now();
        let mut state = self.state();
        let State {
            book,
            measuring,
            telling,
            scraped,
            ..
        } = &mut *state;
        if measuring.adopt(table, config) {
            breathe();
            book.adopt(unhurried(measuring.places()));
            breathe();
            telling.adopt(measuring);
        }
        breathe();
        scraped.adopt(table, config, now);
        drop(state);
        self.0.changed.notify_one();
    }

    /// Measures and reads metrics as long as the runtime lives.
    pub(in crate::control) fn start(&self) {
        let monitor = self.clone();
        tokio::spawn(async move {
            let mut turn = interval(MEASURE_EVERY);
            turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                turn.tick().await;
                monitor.measure();
            }
        });
        tokio::spawn(scraping::live(self.clone()));
    }

    fn measure(&self) {
        let claims = self.0.health.claims();
        let (now, unix) = (self.now(), since_1970());
        let mut state = self.state();
        let State {
            me,
            book,
            measuring,
            telling,
            measured,
            ..
        } = &mut *state;
        let figures = measuring.measure(book, &claims, now);
        book.see(&Arc::clone(me), figures, now);
        telling.node_is(figures);
        *measured += 1;
        if measured.is_multiple_of(KEEP_EVERY) {
            book.keep(unix.as_secs(), now);
        }
        let others = feeding::latencies(book, measuring, now);
        drop(state);
        self.0.health.heard_elsewhere(&others);
    }

    /// What is to be told to the other nodes now, in so many messages; what they said until now
    /// reaches the policies.
    pub(in crate::control) fn tell(&self) -> Vec<Figures> {
        let now = self.now();
        let mut state = self.state();
        let State {
            book,
            measuring,
            telling,
            ..
        } = &mut *state;
        let micros = u64::try_from(since_1970().as_micros()).unwrap_or(u64::MAX);
        telling.feed(book, measuring, now, micros);
        telling.messages(book, measuring)
    }

    /// Another node has said this.
    pub(in crate::control) fn hear(&self, from: &Member, figures: &Figures) {
        let now = self.now();
        let mut state = self.state();
        let known = state.book.hear(&from.name, figures, now);
        state.telling.heard(known);
    }

    /// It as a page.
    pub(in crate::control) fn page(&self, asked: &Asked) -> Page {
        let state = self.state();
        // Not before: what is measured until it is locked would be of the future.
        let (now, second) = (self.now(), since_1970().as_secs());
        Page::of(&state.book, &state.me, asked, (now, second))
    }

    fn now(&self) -> Moment {
        self.0.origin.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When this process began to measure itself.
fn process() -> crate::telemetry::exposition::ProcessFacts {
    crate::control::process::facts(SystemTime::UNIX_EPOCH)
}
