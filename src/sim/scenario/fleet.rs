//! The backends: what they can do, who disturbs them, and how they fail.

use super::values::{count, number, number_if, time, time_if, word};
use crate::config::problem::Problems;
use crate::config::reader::Section;
use crate::sim::server::Discipline;

/// So many backends alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backends {
    /// How many.
    pub count: usize,
    /// Their weight.
    pub weight: u16,
    /// Cores each has of its own.
    pub capacity: f64,
    /// What it may use of that while nobody disturbs it: 2 is twice.
    pub room: f64,
    /// How fast one core is.
    pub speed: f64,
    /// How jobs get at the cores.
    pub discipline: Discipline,
    /// Jobs it takes; one more is answered with 503 at once.
    pub jobs_max: Option<usize>,
    /// Requests the balancer gives it at one time (`requests_max`).
    pub requests_max: Option<usize>,
    /// Others on the same machine.
    pub contention: Option<Contention>,
    /// How it is after a start: so fast at first, and after so many seconds at full speed.
    pub cold: Option<(f64, f64)>,
}

/// Others who want the same cores: while they do, there is that share of speed and capacity, and
/// none of the room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contention {
    /// Share of the time, and of the backends.
    pub share: f64,
    /// The least that is left.
    pub low: f64,
    /// The most that is left.
    pub high: f64,
    /// How long it lasts in the mean, in seconds.
    pub lasts: f64,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// How.
    pub kind: FailureKind,
    /// Whose.
    pub who: Who,
    /// When, in seconds.
    pub at: f64,
    /// For how long, in seconds.
    pub lasts: f64,
    /// Again after so many seconds, with others.
    pub every: Option<f64>,
}

/// How something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailureKind {
    /// Connections are refused, and what was under way is lost.
    Crash,
    /// It answers with an error, without any work.
    Errors {
        /// The status.
        status: u16,
        /// After so many seconds.
        after: f64,
        /// Share of the requests.
        portion: f64,
    },
    /// It takes everything in and answers nothing.
    Hang,
    /// A node of weir is gone, and what it had under way with it.
    Node,
    /// It has this share of its speed and capacity.
    Slow {
        /// The share.
        factor: f64,
    },
}

/// Whom it hits.
#[derive(Clone, Debug, PartialEq)]
pub enum Who {
    /// So many, by chance.
    Any(usize),
    /// These, by their position.
    These(Vec<usize>),
}

pub(super) fn read_backends(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Backends {
    let words = [
        ("sharing", Discipline::Sharing),
        ("queue", Discipline::Queue),
    ];
    let bounded = |section: &mut Section<'_, '_>, key, problems: &mut Problems<'_>| {
        let max = number_if(section, key, 1.0..=1_000_000.0, problems);
        max.map(|max| max as usize)
    };
    let cold_speed = number_if(&mut section, "cold_speed", 0.001..=1.0, problems);
    let cold_time = time(&mut section, "cold_time", 10.0, problems).max(0.001);
    let backends = Backends {
        count: count(&mut section, "count", 1, 1..=10_000, problems),
        weight: count(&mut section, "weight", 1, 1..=1000, problems) as u16,
        capacity: number(&mut section, "capacity", 1.0, 0.001..=10_000.0, problems),
        room: number(&mut section, "room", 1.0, 0.001..=1000.0, problems),
        speed: number(&mut section, "speed", 1.0, 0.001..=1000.0, problems),
        discipline: word(&mut section, "discipline", &words, problems)
            .unwrap_or(Discipline::Sharing),
        jobs_max: bounded(&mut section, "jobs_max", problems),
        requests_max: bounded(&mut section, "requests_max", problems),
        contention: section
            .section("contention", problems)
            .map(|section| read_contention(section, problems)),
        cold: cold_speed.map(|speed| (speed, cold_time)),
    };
    section.finish(problems);
    backends
}

fn read_contention(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Contention {
    let contention = Contention {
        share: number(&mut section, "share", 0.1, 0.001..=0.999, problems),
        low: number(&mut section, "low", 0.55, 0.001..=1.0, problems),
        high: number(&mut section, "high", 0.95, 0.001..=1.0, problems),
        lasts: time(&mut section, "lasts", 20.0, problems).max(0.001),
    };
    section.finish(problems);
    contention
}

pub(super) fn read_failure(
    mut section: Section<'_, '_>,
    backends: usize,
    problems: &mut Problems<'_>,
) -> Failure {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Crash,
        Errors,
        Hang,
        Node,
        Slow,
    }
    let words = [
        ("crash", Word::Crash),
        ("errors", Word::Errors),
        ("hang", Word::Hang),
        ("node", Word::Node),
        ("slow", Word::Slow),
    ];
    let kind = word(&mut section, "kind", &words, problems).unwrap_or(Word::Crash);
    let kind = match kind {
        Word::Crash => FailureKind::Crash,
        Word::Errors => FailureKind::Errors {
            status: count(&mut section, "status", 503, 400..=599, problems) as u16,
            after: time(&mut section, "after", 0.001, problems),
            portion: number(&mut section, "portion", 1.0, 0.0..=1.0, problems),
        },
        Word::Hang => FailureKind::Hang,
        Word::Node => FailureKind::Node,
        Word::Slow => FailureKind::Slow {
            factor: number(&mut section, "factor", 0.1, 0.0001..=1.0, problems),
        },
    };
    let failure = Failure {
        kind,
        who: read_who(&mut section, backends, problems),
        at: time(&mut section, "at", 0.0, problems),
        lasts: time(&mut section, "lasts", f64::INFINITY, problems),
        every: time_if(&mut section, "every", problems).filter(|every| *every > 0.0),
    };
    section.finish(problems);
    failure
}

/// `count` or `share` of them by chance, or the one at a position from 0 (`backend`).
fn read_who(section: &mut Section<'_, '_>, all: usize, problems: &mut Problems<'_>) -> Who {
    let at = section.at.clone();
    let most = i64::try_from(all).unwrap_or(i64::MAX);
    let one = section.integer("backend", "0", problems);
    let share = number_if(section, "share", 0.0..=1.0, problems);
    let any = count(section, "count", 1, 1..=most, problems);
    match (one, share) {
        (None, None) => Who::Any(any),
        (None, Some(share)) => Who::Any(((share * all as f64).round() as usize).max(1)),
        (Some(one), None) if (0..most).contains(&one.value) => {
            Who::These(vec![usize::try_from(one.value).unwrap_or_default()])
        }
        (Some(one), None) => {
            let fix = format!("write 0 to {}", most - 1);
            problems.error(&one.at, "there is no such backend", fix);
            Who::Any(1)
        }
        (Some(_), Some(_)) => {
            let fix = "keep one of backend, share and count";
            problems.error(&at, "whom it hits is said twice", fix);
            Who::Any(1)
        }
    }
}
