//! A backend as it is imagined: jobs, cores, and somebody else who wants the cores too.
//!
//! Two disciplines. *Sharing*: all jobs run, each at most at the speed of one core, and together
//! they have `capacity` cores (processor sharing). *Queue*: as many jobs run as there are cores,
//! the others wait in the order they came (M/M/c when the work is exponential). Either way all
//! running jobs go at one rate, so a job is done when what each has been given since it began
//! (`given`) has grown by its work: a change of the rate, by an arrival or by an antagonist, costs
//! nothing per job.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// How jobs get at the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// They wait their turn.
    Queue,
    /// They share.
    Sharing,
}

/// A job: which request, and which of its tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) request: u32,
    pub(super) generation: u32,
}

/// A running job, and the point of `given` at which it is done. The one that is done first is the
/// greatest.
#[derive(Clone, Copy)]
struct Running {
    done: f64,
    /// Of two that are done together the one that came first is first.
    number: u64,
    job: Job,
}

impl Ord for Running {
    fn cmp(&self, other: &Running) -> Ordering {
        let by_time = other.done.total_cmp(&self.done);
        by_time.then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Running) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Running) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Running {}

/// One backend.
pub(super) struct Server {
    discipline: Discipline,
    /// Cores there are for it now.
    capacity: f64,
    /// How fast one core is now.
    speed: f64,
    /// How much each running job was given so far, in seconds of one core.
    given: f64,
    /// When that was true.
    at: f64,
    running: BinaryHeap<Running>,
    /// Jobs of `running` nobody waits for any more.
    abandoned: usize,
    waiting: VecDeque<(Job, f64)>,
    numbers: u64,
    /// Work done so far, in seconds of one core.
    done: f64,
}

impl Server {
    pub(super) fn new(discipline: Discipline, capacity: f64, speed: f64) -> Server {
        Server {
            discipline,
            capacity,
            speed,
            given: 0.0,
            at: 0.0,
            running: BinaryHeap::new(),
            abandoned: 0,
            waiting: VecDeque::new(),
            numbers: 0,
            done: 0.0,
        }
    }

    /// Jobs it has, those that wait included.
    pub(super) fn present(&self) -> usize {
        self.busy() + self.waiting.len()
    }

    /// Work done up to `now`, in seconds of one core.
    pub(super) fn done(&mut self, now: f64) -> f64 {
        self.advance(now);
        self.done
    }

    /// Has this much to offer from now on.
    pub(super) fn set(&mut self, now: f64, capacity: f64, speed: f64) {
        self.advance(now);
        self.capacity = capacity;
        self.speed = speed;
        self.start_waiting();
    }

    /// Takes a job in.
    pub(super) fn add(&mut self, now: f64, job: Job, work: f64) {
        self.advance(now);
        if self.discipline == Discipline::Queue && self.busy() >= self.places() {
            self.waiting.push_back((job, work));
        } else {
            self.start(job, work);
        }
    }

    /// Nobody waits for one of its running or waiting jobs any more; `is` tells which.
    pub(super) fn abandon(&mut self, now: f64, job: Job) {
        self.advance(now);
        match self.waiting.iter().position(|(waiting, _)| *waiting == job) {
            Some(at) => {
                self.waiting.remove(at);
            }
            None => self.abandoned += 1,
        }
        self.start_waiting();
    }

    /// Drops everything it has.
    pub(super) fn clear(&mut self, now: f64) {
        self.advance(now);
        self.running.clear();
        self.waiting.clear();
        self.abandoned = 0;
    }

    /// When its next job is done. `is_alive` tells whether somebody still waits for one.
    pub(super) fn next(&mut self, is_alive: impl Fn(Job) -> bool) -> Option<f64> {
        while let Some(first) = self.running.peek()
            && !is_alive(first.job)
        {
            self.running.pop();
            self.abandoned -= 1;
        }
        let first = self.running.peek()?;
        let rate = self.rate();
        (rate > 0.0).then(|| self.at + (first.done - self.given).max(0.0) / rate)
    }

    /// Takes out the job that is done at `now`, which [`Server::next`] has told.
    pub(super) fn finish(&mut self, now: f64) -> Option<Job> {
        self.advance(now);
        let first = self.running.pop()?;
        self.given = self.given.max(first.done);
        self.start_waiting();
        Some(first.job)
    }

    fn busy(&self) -> usize {
        self.running.len() - self.abandoned
    }

    fn places(&self) -> usize {
        (self.capacity as usize).max(1)
    }

    fn rate(&self) -> f64 {
        match self.discipline {
            Discipline::Queue => self.speed,
            Discipline::Sharing => self.speed.min(self.capacity / self.busy().max(1) as f64),
        }
    }

    fn advance(&mut self, now: f64) {
        let passed = (now - self.at).max(0.0);
        let rate = self.rate();
        self.given += passed * rate;
        self.done += passed * rate * self.busy() as f64;
        self.at = now;
        if self.running.is_empty() {
            // Small numbers are exact ones.
            self.given = 0.0;
        }
    }

    fn start_waiting(&mut self) {
        while self.busy() < self.places()
            && let Some((job, work)) = self.waiting.pop_front()
        {
            self.start(job, work);
        }
    }

    fn start(&mut self, job: Job, work: f64) {
        self.numbers += 1;
        self.running.push(Running {
            done: self.given + work,
            number: self.numbers,
            job,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(request: u32) -> Job {
        Job {
            request,
            generation: 0,
        }
    }

    fn ends(server: &mut Server) -> Vec<(u32, f64)> {
        let mut ends = Vec::new();
        while let Some(at) = server.next(|_| true) {
            let job = server.finish(at).unwrap();
            ends.push((job.request, (at * 1e6).round() / 1e6));
        }
        ends
    }

    #[test]
    fn those_who_share_slow_each_other_down_beyond_the_capacity() {
        let mut server = Server::new(Discipline::Sharing, 1.0, 1.0);
        server.add(0.0, job(1), 1.0);
        server.add(0.5, job(2), 1.0);
        assert_eq!(server.present(), 2);
        assert_eq!(ends(&mut server), [(1, 1.5), (2, 2.0)]);
        assert!((server.done(9.0) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_job_is_never_faster_than_a_core() {
        let mut server = Server::new(Discipline::Sharing, 13.0, 1.0);
        server.add(0.0, job(1), 1.0);
        server.add(0.0, job(2), 2.0);
        assert_eq!(ends(&mut server), [(1, 1.0), (2, 2.0)]);
    }

    #[test]
    fn an_antagonist_slows_what_runs() {
        let mut server = Server::new(Discipline::Sharing, 1.0, 1.0);
        server.add(0.0, job(1), 1.0);
        server.set(0.5, 0.5, 0.5);
        assert_eq!(ends(&mut server), [(1, 1.5)]);
    }

    #[test]
    fn a_queue_serves_in_order_and_forgets_who_left() {
        let mut server = Server::new(Discipline::Queue, 1.0, 1.0);
        (1..=4).for_each(|number| server.add(0.0, job(number), 1.0));
        server.abandon(0.5, job(3));
        assert_eq!(server.present(), 3);
        assert_eq!(ends(&mut server), [(1, 1.0), (2, 2.0), (4, 3.0)]);
    }

    #[test]
    fn the_room_of_one_that_left_while_it_ran_is_for_the_others() {
        let mut server = Server::new(Discipline::Sharing, 1.0, 1.0);
        server.add(0.0, job(1), 1.0);
        server.add(0.0, job(2), 1.0);
        server.abandon(1.0, job(1));
        assert_eq!(server.present(), 1);
        let next = server.next(|job| job.request != 1);
        assert_eq!(next, Some(1.5));
        assert_eq!(server.finish(1.5), Some(job(2)));
        assert_eq!(server.present(), 0);
    }
}
