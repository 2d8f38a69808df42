//! A latency histogram with one writer: log-linear buckets of relaxed counters.
//!
//! The hot path does one index computation and one add; the control thread reads the buckets at
//! any time and rebuilds an `hdrhistogram` from them for merging and percentiles. Below 64 us a
//! bucket is 1 us wide, above that each power of two is cut into 64, so a bucket is never wider
//! than 1/64 of its value and its midpoint is within 0.8 % of every value in it.

use std::sync::OnceLock;

use crate::telemetry::counter::Counter;

const SUB_BITS: u32 = 6;
const SUB_COUNT: u64 = 1 << SUB_BITS;
/// Values from 2^36 us (19 hours) on count as that.
const VALUE_BITS_MAX: u32 = 36;
/// The buckets of one power of two lie together.
const RANGES: usize = (VALUE_BITS_MAX - SUB_BITS + 1) as usize;

type Range = OnceLock<Box<[Counter; SUB_COUNT as usize]>>;

/// Microseconds, bucketed. The 512 bytes of each power of two are made when its first value comes,
/// since the latencies of one backend lie in a few: all of them would be 16 KB, for each of ten
/// thousand backends and each core.
#[derive(Default)]
pub struct LatencyHistogram {
    ranges: OnceLock<Box<[Range; RANGES]>>,
    sum_micros: Counter,
}

impl LatencyHistogram {
    /// Counts one value. Only the owning core may call it.
    #[inline]
    pub fn record_micros(&self, micros: u64) {
        if cfg!(weir_uncounted) {
            return;
        }
        self.bucket(micros).inc();
        self.sum_micros.add(micros);
    }

    /// Sets how often values of the bucket `micros` lies in were counted, by another process. Only
    /// the owner may call it.
    pub fn set_bucket(&self, micros: u64, count: u64) {
        self.bucket(micros).set(count);
    }

    /// Sets the sum of what was counted by another process. Only the owner may call it.
    pub fn set_sum_micros(&self, sum: u64) {
        self.sum_micros.set(sum);
    }

    #[inline]
    fn bucket(&self, micros: u64) -> &Counter {
        let bucket = bucket_of(micros);
        let ranges = self.ranges.get_or_init(Box::default);
        let fresh = || Box::new(std::array::from_fn(|_| Counter::default()));
        let range = ranges[bucket >> SUB_BITS].get_or_init(fresh);
        &range[bucket & (SUB_COUNT as usize - 1)]
    }

    /// Sum of all values in microseconds.
    #[must_use]
    pub fn sum_micros(&self) -> u64 {
        self.sum_micros.read()
    }

    /// Calls `visit(lowest value of the bucket, highest value of the bucket, count)` for every
    /// bucket that is not empty, in rising order.
    pub fn visit(&self, mut visit: impl FnMut(u64, u64, u64)) {
        let ranges = self.ranges.get().map_or(&[][..], |ranges| &ranges[..]);
        for (place, range) in ranges.iter().enumerate() {
            let buckets = range.get().map_or(&[][..], |buckets| &buckets[..]);
            for (offset, bucket) in buckets.iter().enumerate() {
                let count = bucket.read();
                if count > 0 {
                    let (low, high) = bounds_of(place << SUB_BITS | offset);
                    visit(low, high, count);
                }
            }
        }
    }
}

fn bucket_of(micros: u64) -> usize {
    let value = micros.min((1 << VALUE_BITS_MAX) - 1);
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(SUB_BITS + 1);
    ((u64::from(shift) << SUB_BITS) + (value >> shift)) as usize
}

fn bounds_of(index: usize) -> (u64, u64) {
    let index = index as u64;
    if index < 2 * SUB_COUNT {
        return (index, index);
    }
    let shift = (index >> SUB_BITS) - 1;
    let low = (index - (shift << SUB_BITS)) << shift;
    (low, low + (1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_no_bucket_is_wide() {
        let mut value = 0_u64;
        while value < 1 << VALUE_BITS_MAX {
            let (low, high) = bounds_of(bucket_of(value));
            assert!(
                low <= value && value <= high,
                "{value} not in {low}..={high}"
            );
            assert!(
                high - low <= value / SUB_COUNT,
                "{value} in too wide a bucket"
            );
            value += 1 + value / 97;
        }
        assert!(bucket_of(u64::MAX) >> SUB_BITS < RANGES);
    }

    #[test]
    fn what_is_recorded_is_visited_in_rising_order() {
        let histogram = LatencyHistogram::default();
        histogram.visit(|_, _, _| panic!("nothing was recorded"));
        for micros in [90_000_000, 7, 70, 7, u64::MAX, 0] {
            histogram.record_micros(micros);
        }
        let mut seen = Vec::new();
        histogram.visit(|low, high, count| seen.push((low, high, count)));
        let counts: Vec<u64> = seen.iter().map(|(_, _, count)| *count).collect();
        assert_eq!(counts, [1, 2, 1, 1, 1]);
        assert!(seen.is_sorted());
        assert!(seen[3].0 <= 90_000_000 && 90_000_000 <= seen[3].1);
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        let mut next = 0;
        for index in 0..RANGES << SUB_BITS {
            let (low, high) = bounds_of(index);
            assert_eq!(low, next);
            next = high + 1;
        }
    }
}
