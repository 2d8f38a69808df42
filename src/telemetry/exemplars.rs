//! One request that stands for each bucket of a listener's latency: whoever sees a slow bucket on
//! a chart can look that request up.
//!
//! The log thread notes them from the records it writes, so the hot path pays nothing, and every
//! exemplar is a request the access log has a line of. Without a log there is none: a number
//! nobody can look up is of no use.

use std::sync::{Arc, Mutex, PoisonError};

use crate::base::id::ListenerSlot;
use crate::telemetry::access_log::AccessRecord;
use crate::telemetry::exposition::{LISTENER_BOUNDS, listener_bucket};

/// A newer request takes the place of one this old.
const KEPT_MICROS: u64 = 1_000_000;

/// Buckets of a listener, the one without a bound included.
const BUCKETS: usize = LISTENER_BOUNDS.len() + 1;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// Its number, as in `X-Request-Id`.
    pub request_number: u64,
    /// How long it took.
    pub duration_micros: u64,
    /// When it ended, microseconds since 1970.
    pub ended_unix_micros: u64,
}

/// The exemplars of one listener, by bucket.
pub type OfListener = [Option<Exemplar>; BUCKETS];

/// What was last made known, by listener slot.
#[derive(Clone, Debug, Default)]
pub struct Exemplars(Arc<Mutex<Arc<[OfListener]>>>);

impl Exemplars {
    /// All of them.
    #[must_use]
    pub fn read(&self) -> Arc<[OfListener]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Gathers them on the log thread.
#[derive(Debug, Default)]
pub struct Collector {
    listeners: Vec<OfListener>,
    changed: bool,
    known: Exemplars,
}

impl Collector {
    /// A collector that makes its findings known by `known`.
    #[must_use]
    pub fn new(known: Exemplars) -> Self {
        Collector {
            known,
            ..Collector::default()
        }
    }

    /// Looks at a request that is being logged.
    #[inline]
    pub fn note(&mut self, record: &AccessRecord) {
        if record.request_number == 0 || record.status == 0 {
            return;
        }
        let ListenerSlot(slot) = record.listener;
        let slot = slot as usize;
        if self.listeners.len() <= slot {
            self.listeners.resize(slot + 1, [None; BUCKETS]);
        }
        let micros = record.duration_micros;
        let bucket = listener_bucket(micros);
        let place = &mut self.listeners[slot][bucket];
        let is_old = |known: Exemplar| known.ended_unix_micros + KEPT_MICROS;
        if place.is_none_or(|known| is_old(known) <= record.ended_unix_micros) {
            *place = Some(Exemplar {
                request_number: record.request_number,
                duration_micros: micros,
                ended_unix_micros: record.ended_unix_micros,
            });
            self.changed = true;
        }
    }

    /// Forgets all: slots may belong to other listeners now.
    pub fn forget(&mut self) {
        self.listeners.clear();
        self.changed = true;
    }

    /// Makes known what is new.
    pub fn publish(&mut self) {
        if std::mem::take(&mut self.changed) {
            let fresh = self.listeners[..].into();
            let mut known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
            *known = fresh;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::tests::record;

    #[test]
    fn one_request_stands_for_its_bucket_until_it_is_old() {
        let known = Exemplars::default();
        let mut collector = Collector::new(known.clone());
        let at = |number, seconds: u64, duration_micros| AccessRecord {
            request_number: number,
            ended_unix_micros: seconds * 1_000_000,
            duration_micros,
            ..record()
        };
        for record in [
            at(1, 100, 600),
            at(2, 100, 700),
            at(3, 100, 100),
            at(0, 100, 5000),
        ] {
            collector.note(&record);
        }
        let numbers = |known: &Exemplars| {
            let listeners = known.read();
            let of_first = listeners.first().into_iter().flatten().flatten();
            let numbers = of_first.map(|exemplar| exemplar.request_number);
            numbers.collect::<Vec<_>>()
        };
        assert!(
            numbers(&known).is_empty(),
            "nothing is known before it is published"
        );
        collector.publish();
        assert_eq!(numbers(&known), [3, 1]);
        collector.note(&at(4, 101, 700));
        collector.publish();
        assert_eq!(numbers(&known), [3, 4]);
        collector.forget();
        collector.publish();
        assert!(numbers(&known).is_empty());
    }
}
