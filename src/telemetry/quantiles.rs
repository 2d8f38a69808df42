//! Percentiles of one latency over all cores, for people: `hdrhistogram` merges and answers.
//!
//! Percentiles of cores cannot be averaged, so the buckets are merged first. Each bucket counts as
//! its midpoint, which is within 0.8 % of every value in it.

use hdrhistogram::Histogram;

use crate::telemetry::histogram::LatencyHistogram;

/// Some percentiles, in microseconds; all zero when nothing was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Values counted.
    pub count: u64,
    /// Half of the values are at most this.
    pub p50: u64,
    /// Nine of ten values are at most this.
    pub p90: u64,
    /// 99 of 100 values are at most this.
    pub p99: u64,
    /// 999 of 1000 values are at most this.
    pub p999: u64,
    /// The largest value.
    pub max: u64,
}

/// The percentiles of all these histograms together.
#[must_use]
pub fn quantiles<'a>(histograms: impl Iterator<Item = &'a LatencyHistogram>) -> Quantiles {
    // One day covers every bucket; three digits, because two would add as much as the buckets have.
    let Ok(mut merged) = Histogram::<u64>::new_with_bounds(1, 86_400_000_000, 3) else {
        return Quantiles::default();
    };
    for histogram in histograms {
        histogram.visit(|low, high, count| {
            merged.saturating_record_n(low.midpoint(high), count);
        });
    }
    if merged.is_empty() {
        return Quantiles::default();
    }
    Quantiles {
        count: merged.len(),
        p50: merged.value_at_quantile(0.5),
        p90: merged.value_at_quantile(0.9),
        p99: merged.value_at_quantile(0.99),
        p999: merged.value_at_quantile(0.999),
        max: merged.max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_cores_together_and_within_one_percent() {
        let cores = [LatencyHistogram::default(), LatencyHistogram::default()];
        for micros in 1..=100_000_u64 {
            cores[usize::from(micros > 90_000)].record_micros(micros);
        }
        let got = quantiles(cores.iter());
        assert_eq!(got.count, 100_000);
        let wanted = [50_000, 90_000, 99_000, 99_900, 100_000];
        for (got, wanted) in [got.p50, got.p90, got.p99, got.p999, got.max]
            .into_iter()
            .zip(wanted)
        {
            let wrong = got.abs_diff(wanted);
            assert!(wrong * 100 <= wanted, "{got} instead of {wanted}");
        }
    }

    #[test]
    fn nothing_counted_is_all_zero() {
        assert_eq!(
            quantiles([LatencyHistogram::default()].iter()),
            Quantiles::default()
        );
    }
}
