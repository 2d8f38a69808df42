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
const BUCKETS: usize = ((VALUE_BITS_MAX - SUB_BITS + 1) as usize) << SUB_BITS;

/// Microseconds, bucketed. The 16 KB of buckets are made when the first value comes.
#[derive(Default)]
pub struct LatencyHistogram {
    buckets: OnceLock<Box<[Counter]>>,
    sum_micros: Counter,
}

impl LatencyHistogram {
    /// Counts one value. Only the owning core may call it.
    #[inline]
    pub fn record_micros(&self, micros: u64) {
        let buckets = || (0..BUCKETS).map(|_| Counter::default()).collect();
        self.buckets.get_or_init(buckets)[bucket_of(micros)].inc();
        self.sum_micros.add(micros);
    }

    /// Sum of all values in microseconds.
    #[must_use]
    pub fn sum_micros(&self) -> u64 {
        self.sum_micros.read()
    }

    /// Calls `visit(lowest value of the bucket, highest value of the bucket, count)` for every
    /// bucket that is not empty, in rising order.
    pub fn visit(&self, mut visit: impl FnMut(u64, u64, u64)) {
        let buckets = self.buckets.get().into_iter().flatten();
        for (index, bucket) in buckets.enumerate() {
            let count = bucket.read();
            if count > 0 {
                let (low, high) = bounds_of(index);
                visit(low, high, count);
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
        assert!(bucket_of(u64::MAX) < BUCKETS);
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        let mut next = 0;
        for index in 0..BUCKETS {
            let (low, high) = bounds_of(index);
            assert_eq!(low, next);
            next = high + 1;
        }
    }
}
