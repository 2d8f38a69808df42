//! A backend with all that happens to it: antagonists, failures, a cold start.

use super::scenario::Backends;
use super::server::Server;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    Crashed,
    Errors {
        status: u16,
        after: f64,
        portion: f64,
    },
    Hung,
    Well,
}

/// One backend.
pub(super) struct Site {
    pub(super) server: Server,
    pub(super) like: Backends,
    pub(super) mood: Mood,
    /// What a failure leaves of its speed.
    pub(super) slow: f64,
    /// What antagonists leave of it, while there are any.
    pub(super) contended: Option<f64>,
    /// What a cold start leaves of it, from 0 to 1.
    pub(super) warm: f64,
    /// When it was started.
    pub(super) started: f64,
    /// Requests answered since somebody last asked, and the work that was done then.
    pub(super) answered: u64,
    pub(super) done: f64,
}

impl Site {
    pub(super) fn new(like: &Backends) -> Site {
        let mut site = Site {
            server: Server::new(like.discipline, like.capacity, like.speed),
            like: *like,
            mood: Mood::Well,
            slow: 1.0,
            contended: None,
            warm: 1.0,
            started: 0.0,
            answered: 0,
            done: 0.0,
        };
        site.settle(0.0);
        site
    }

    /// Makes what has changed felt.
    pub(super) fn settle(&mut self, now: f64) {
        let all = self.slow * self.warm;
        let (room, speed) = match self.contended {
            Some(left) => (left, left),
            None => (self.like.room, 1.0),
        };
        let capacity = self.like.capacity * room * all;
        self.server
            .set(now, capacity, self.like.speed * speed * all);
    }

    /// It starts anew.
    pub(super) fn restart(&mut self, now: f64) {
        self.mood = Mood::Well;
        self.started = now;
        self.warm_up(now);
    }

    /// Follows a cold start; true while it is not over.
    pub(super) fn warm_up(&mut self, now: f64) -> bool {
        let Some((cold, lasts)) = self.like.cold else {
            return false;
        };
        let share = ((now - self.started) / lasts).min(1.0);
        self.warm = cold + (1.0 - cold) * share;
        self.settle(now);
        share < 1.0
    }

    pub(super) fn is_full(&self) -> bool {
        let present = self.server.present();
        self.like.jobs_max.is_some_and(|max| present >= max)
    }
}
