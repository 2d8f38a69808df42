//! `/v1/debug/profile`: where the time of requests went in the last minute.
//!
//! Sums are noted every ten seconds, and an answer is the difference between now and the oldest of
//! those kept, so nobody waits and the hot path pays nothing but what it counts anyway: the whole
//! time at listeners, the time to the answer's head at backends, and, of the few requests that have
//! them, the times a core notes by itself. What was tried again counts at each backend it was with.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Sources;

/// How often sums are noted.
const EVERY: Duration = Duration::from_secs(10);

/// Sums that are kept: one minute.
const KEPT: usize = 7;

/// Sums of some moments, oldest first.
#[derive(Default)]
pub struct Profile(Mutex<VecDeque<Sums>>);

/// What all requests took so far, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Sums {
    at: Instant,
    requests: u64,
    whole: u64,
    client_wait: u64,
    queue: u64,
    connect: u64,
    /// To the answer's head, the time to connect included.
    upstream: u64,
}

/// Notes sums again and again.
pub(super) async fn follow(sources: Arc<Sources>) {
    loop {
        sources.profile.note(Sums::of(&sources));
        tokio::time::sleep(EVERY).await;
    }
}

/// The profile now.
pub(super) fn show(sources: &Sources) -> Value {
    let now = Sums::of(sources);
    now.since(&sources.profile.oldest().unwrap_or(now))
}

impl Profile {
    fn note(&self, sums: Sums) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back(sums);
    }

    fn oldest(&self) -> Option<Sums> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.front().copied()
    }
}

impl Sums {
    fn of(sources: &Sources) -> Sums {
        let mut sums = Sums {
            at: Instant::now(),
            requests: 0,
            whole: 0,
            client_wait: 0,
            queue: 0,
            connect: 0,
            upstream: 0,
        };
        for core in &sources.cores {
            sums.client_wait += core.phases.client_wait.sum_micros();
            sums.queue += core.phases.queue.sum_micros();
            sums.connect += core.phases.connect.sum_micros();
        }
        if let Some(view) = &*sources.view.load() {
            for core in view.listeners().iter().flat_map(|entry| entry.stats.iter()) {
                sums.requests += core.requests.total();
                sums.whole += core.latency.sum_micros();
            }
            for core in view.backends().iter().flat_map(|entry| entry.stats.iter()) {
                sums.upstream += core.latency.sum_micros();
            }
        }
        sums
    }

    /// What went on since `before`. Counters of what left the configuration are gone, so that a
    /// difference may be less than nothing and then is nothing.
    fn since(&self, before: &Sums) -> Value {
        let of = |sum: fn(&Sums) -> u64| sum(self).saturating_sub(sum(before));
        let (requests, whole) = (of(|sums| sums.requests), of(|sums| sums.whole));
        let (client_wait, queue) = (of(|sums| sums.client_wait), of(|sums| sums.queue));
        let (connect, upstream) = (of(|sums| sums.connect), of(|sums| sums.upstream));
        let before_relay = client_wait + queue + upstream;
        let parts = [
            ("client_wait", client_wait),
            ("queue", queue),
            ("connect", connect),
            ("upstream", upstream.saturating_sub(connect)),
            ("relay", whole.saturating_sub(before_relay)),
        ];
        let mean = |micros: u64| match requests {
            0 => 0.0,
            _ => micros as f64 / requests as f64 / 1e3,
        };
        let share = |micros: u64| match whole {
            0 => 0.0,
            _ => micros as f64 / whole as f64,
        };
        let part = |(name, micros): (&str, u64)| {
            let (share, mean) = (share(micros), mean(micros));
            json!({"part": name, "share": share, "mean_ms": mean})
        };
        json!({
            "seconds": self.at.duration_since(before.at).as_secs_f64(),
            "requests": requests,
            "mean_ms": mean(whole),
            "parts": parts.map(part),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(at: Instant, requests: u64) -> Sums {
        Sums {
            at,
            requests,
            whole: requests * 10_000,
            client_wait: requests * 1000,
            queue: requests * 2000,
            connect: requests * 500,
            upstream: requests * 4000,
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let began = Instant::now();
        let profile = sums(began + Duration::from_secs(60), 150).since(&sums(began, 50));
        assert_eq!(profile["seconds"], 60.0);
        assert_eq!(
            (&profile["requests"], &profile["mean_ms"]),
            (&json!(100), &json!(10.0))
        );
        let parts = profile["parts"].as_array().unwrap();
        let means: Vec<f64> = parts
            .iter()
            .map(|part| part["mean_ms"].as_f64().unwrap())
            .collect();
        assert_eq!(means, [1.0, 2.0, 0.5, 3.5, 3.0]);
        let shares: f64 = parts
            .iter()
            .map(|part| part["share"].as_f64().unwrap())
            .sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    }

    #[test]
    fn a_minute_is_kept_and_nothing_is_divided_by_nothing() {
        let profile = Profile::default();
        assert!(profile.oldest().is_none());
        let began = Instant::now();
        for round in 0..20 {
            profile.note(sums(began + round * EVERY, u64::from(round)));
        }
        assert_eq!(profile.oldest().unwrap().requests, 13);
        let nothing = sums(began, 5).since(&sums(began, 9));
        assert_eq!(
            (&nothing["requests"], &nothing["mean_ms"]),
            (&json!(0), &json!(0.0))
        );
    }
}
