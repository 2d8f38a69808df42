//! What the agent of one backend says, in HAProxy's protocol: a line of words, polled over TCP.
//!
//! An agent has two things to say: what it wants the backend to be given (`ready`, `drain`,
//! `maint`, a share, a number of requests) and whether the backend serves (`up`, `down`). What a
//! line does not mention stays as it was said before, and nobody but the agent takes it back. An
//! agent that cannot be reached says nothing: that is no failure, because checks are there to find
//! failures, and what it has said last holds on.

mod line;

use std::time::Duration;

pub use line::{LINE_BYTES_MAX, Line, NotALine, Share, parse};

use super::probe::TAKE_OVER_WITHIN;
use super::verdict::{Opinion, Reason, Wish};
use super::{Moment, scattered, share};

/// All an agent has said so far, and not taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What it wants the backend to be given.
    pub wish: Wish,
    /// Whether the backend serves.
    pub opinion: Opinion,
    /// How much of its share.
    pub share: Option<Share>,
    /// Requests it can have under way.
    pub capacity: Option<u32>,
}

impl Said {
    /// What these words of an agent come to, one after the other; one that says nothing is passed
    /// over.
    pub fn by<'a>(words: impl IntoIterator<Item = &'a str>) -> Said {
        let mut said = Said::default();
        for line in words
            .into_iter()
            .filter_map(|word| parse(word.as_bytes()).ok())
        {
            said.hear(&line);
        }
        said
    }

    /// It as words: those that bring it about.
    #[must_use]
    pub fn words(&self) -> [Option<String>; 4] {
        let line = Line {
            wish: (self.wish != Wish::Ready).then_some(self.wish),
            serves: match &self.opinion {
                Opinion::Down(why) => Some(Err(why.clone())),
                Opinion::Unknown => None,
                Opinion::Up => Some(Ok(())),
            },
            share: self.share,
            capacity: self.capacity,
        };
        line.words()
    }

    /// What the backend may be given: one without a share drains, as at HAProxy.
    #[must_use]
    pub fn wish(&self) -> Wish {
        match (self.wish, self.share) {
            (Wish::Ready, Some(Share::Percent(0) | Share::Weight(0))) => Wish::Drain,
            (wish, _) => wish,
        }
    }

    /// How much of the share that `weight` gives it, in percent from 1 to 100. More than the
    /// configured weight is not to be had.
    #[must_use]
    pub fn percent(&self, weight: u16) -> u8 {
        let percent = match self.share {
            None => 100,
            Some(Share::Percent(percent)) => u32::from(percent),
            Some(Share::Weight(wanted)) => u32::from(wanted) * 100 / u32::from(weight.max(1)),
        };
        u8::try_from(percent.clamp(1, 100)).unwrap_or(100)
    }

    fn hear(&mut self, line: &Line) {
        if let Some(wish) = line.wish {
            self.wish = wish;
        }
        match &line.serves {
            None => {}
            Some(Ok(())) => self.opinion = Opinion::Up,
            Some(Err(why)) => self.opinion = Opinion::Down(why.clone()),
        }
        if line.share.is_some() {
            self.share = line.share;
        }
        match line.capacity {
            None => {}
            Some(0) => self.capacity = None,
            Some(most) => self.capacity = Some(most),
        }
    }
}

/// The machine of one agent.
#[derive(Clone, Debug)]
pub struct Agent {
    seed: u64,
    asked: u64,
    due: Moment,
    said: Said,
    heard: Option<Moment>,
    trouble: Option<Reason>,
}

impl Agent {
    /// One that is first asked somewhere in the first interval, by the backend's `identity`.
    #[must_use]
    pub fn new(identity: u64, interval: Duration, now: Moment) -> Agent {
        // Apart from the checks of the same backend.
        let seed = scattered(identity, 1);
        Agent {
            seed,
            asked: 0,
            due: now + interval.mul_f64(share(seed, 0)),
            said: Said::default(),
            heard: None,
            trouble: None,
        }
    }

    /// When it is to be asked next.
    #[must_use]
    pub fn due(&self) -> Moment {
        self.due
    }

    /// What it has said.
    #[must_use]
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// When it last answered.
    #[must_use]
    pub fn heard(&self) -> Option<Moment> {
        self.heard
    }

    /// Why it did not answer the last time, if it did not.
    #[must_use]
    pub fn trouble(&self) -> Option<&Reason> {
        self.trouble.as_ref()
    }

    /// It was asked, and answered or could not be understood.
    pub fn record(&mut self, answer: Result<(), Reason>, interval: Duration, now: Moment) {
        self.asked += 1;
        self.due = now + self.wavering(interval);
        match answer {
            Ok(()) => {
                self.heard = Some(now);
                self.trouble = None;
            }
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    /// It has answered this line to this node, where no others ask.
    pub fn hear(&mut self, line: &Line) {
        self.said.hear(line);
    }

    /// It has said this to somebody.
    pub fn go_by(&mut self, said: Said) {
        self.said = said;
    }

    /// It is asked here from now on, and was elsewhere: soon.
    pub fn take_over(&mut self, interval: Duration, now: Moment) {
        let within = interval.min(TAKE_OVER_WITHIN);
        self.due = now + within.mul_f64(share(self.seed, self.asked));
    }

    /// It is asked at another interval from now on.
    pub fn change_interval(&mut self, interval: Duration, now: Moment) {
        self.due = self.due.min(now + self.wavering(interval));
    }

    /// Nine tenths to eleven tenths of it.
    fn wavering(&self, interval: Duration) -> Duration {
        interval.mul_f64(0.9 + 0.2 * share(self.seed, self.asked + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(2);

    fn after(lines: &[&str]) -> Said {
        let mut agent = Agent::new(7, INTERVAL, Moment::ZERO);
        for line in lines {
            let line = parse(line.as_bytes()).unwrap();
            agent.record(Ok(()), INTERVAL, Moment::ZERO);
            agent.hear(&line);
        }
        let said = agent.said().clone();
        let words = said.words();
        assert_eq!(Said::by(words.iter().flatten().map(String::as_str)), said);
        said
    }

    #[test]
    fn what_is_not_mentioned_stays_and_only_the_agent_takes_it_back() {
        let said = after(&["drain", "75%", "down#disk full", "maxconn:30"]);
        assert_eq!((said.wish(), said.percent(4)), (Wish::Drain, 75));
        assert_eq!(said.opinion, Opinion::Down("disk full".into()));
        assert_eq!(said.capacity, Some(30));
        let said = after(&["drain", "down", "up"]);
        assert_eq!((said.wish(), said.opinion), (Wish::Drain, Opinion::Up));
        let said = after(&["maint", "down", "ready"]);
        assert_eq!(said.wish(), Wish::Ready);
        assert_eq!(said.opinion, Opinion::Down("its agent says down".into()));
        assert_eq!(after(&["maxconn:5", "maxconn:0"]).capacity, None);
    }

    #[test]
    fn a_share_is_of_the_configured_weight_and_none_of_it_drains() {
        let percent = |line| after(&[line]).percent(50);
        assert_eq!(
            ["1%", "100%", "250%", "weight:25", "weight:1", "weight:99"].map(percent),
            [1, 100, 100, 50, 2, 100]
        );
        assert_eq!(after(&["0%"]).wish(), Wish::Drain);
        assert_eq!(after(&["weight:0"]).wish(), Wish::Drain);
        assert_eq!(after(&["maint 0%"]).wish(), Wish::Maint);
        assert_eq!(after(&["0%", "10%"]).wish(), Wish::Ready);
    }

    #[test]
    fn one_that_cannot_be_reached_has_said_what_it_said() {
        let mut agent = Agent::new(1, INTERVAL, Moment::ZERO);
        let down = parse(b"down\n").unwrap();
        agent.record(Ok(()), INTERVAL, INTERVAL);
        agent.hear(&down);
        let said = agent.said().clone();
        agent.record(Err("connection refused".into()), INTERVAL, 2 * INTERVAL);
        assert_eq!((agent.said(), agent.heard()), (&said, Some(INTERVAL)));
        assert_eq!(
            agent.trouble().map(|why| &**why),
            Some("connection refused")
        );
        agent.record(Ok(()), INTERVAL, 3 * INTERVAL);
        assert_eq!(agent.trouble(), None);
    }

    proptest! {
        #[test]
        fn questions_are_about_an_interval_apart(
            identity: u64,
            now in 0_u64..100_000,
            millis in 10_u64..100_000,
        ) {
            let (now, interval) = (Duration::from_millis(now), Duration::from_millis(millis));
            let mut agent = Agent::new(identity, interval, now);
            prop_assert!(agent.due() >= now && agent.due() < now + interval);
            for _ in 0..5 {
                let asked = agent.due();
                agent.record(Err("silent".into()), interval, asked);
                let wait = agent.due() - asked;
                prop_assert!(wait >= interval.mul_f64(0.89) && wait <= interval.mul_f64(1.11));
            }
            let soon = interval / 4;
            agent.change_interval(soon, now);
            prop_assert!(agent.due() <= now + soon.mul_f64(1.11));
            agent.take_over(interval, now);
            prop_assert!(agent.due() >= now && agent.due() <= now + interval.min(TAKE_OVER_WITHIN));
        }
    }
}
