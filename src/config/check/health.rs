//! Health of a group: outliers and retries.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::checked::Outlier;
use super::super::problem::Problems;
use super::super::raw;
use super::MILLISECOND;
use super::values::{duration, flag, number, place};

const PERCENT: RangeInclusive<u32> = 0..=100;
/// Failures in a row; more than that never come.
const ROW: RangeInclusive<u32> = 0..=100_000;
/// Standard deviations in thousandths.
const FACTOR: RangeInclusive<u32> = 0..=100_000;
const HOSTS: RangeInclusive<u32> = 1..=100_000;
const VOLUME: RangeInclusive<u32> = 1..=1_000_000_000;
const TRIALS: RangeInclusive<u32> = 0..=10;

pub(super) fn check_outlier(raw: &raw::Outlier, problems: &mut Problems<'_>) -> Outlier {
    let mut number = |written, default, range| number(written, default, range, problems);
    let mut outlier = Outlier {
        consecutive_5xx: number(&raw.consecutive_5xx, 5, ROW),
        consecutive_gateway_failure: number(&raw.consecutive_gateway_failure, 0, ROW),
        consecutive_connect_failures: number(&raw.consecutive_connect_failures, 3, ROW),
        ejected_max_percent: number(&raw.ejected_max_percent, 10, PERCENT),
        always_eject_one: flag(&raw.always_eject_one, false),
        base_ejection: Duration::from_secs(30),
        ejection_max: Duration::from_secs(300),
        interval: Duration::from_secs(10),
        success_rate_stdev_factor: number(&raw.success_rate_stdev_factor, 1900, FACTOR),
        success_rate_minimum_hosts: number(&raw.success_rate_minimum_hosts, 5, HOSTS),
        success_rate_request_volume: number(&raw.success_rate_request_volume, 100, VOLUME),
        failure_percentage: number(&raw.failure_percentage, 0, PERCENT),
        failure_percentage_minimum_hosts: number(&raw.failure_percentage_minimum_hosts, 5, HOSTS),
        failure_percentage_request_volume: number(
            &raw.failure_percentage_request_volume,
            50,
            VOLUME,
        ),
        latency_stdev_factor: number(&raw.latency_stdev_factor, 0, FACTOR),
        trials: number(&raw.trials, 0, TRIALS),
        panic_threshold: number(&raw.panic_threshold, 50, PERCENT),
    };
    let mut time = |written, default| duration(written, default, MILLISECOND, problems);
    outlier.base_ejection = time(&raw.base_ejection, outlier.base_ejection);
    outlier.ejection_max = time(&raw.ejection_max, outlier.ejection_max);
    outlier.interval = time(&raw.interval, outlier.interval);
    if outlier.ejection_max < outlier.base_ejection {
        // As Envoy does with a default; who wrote both has made a slip.
        match place(&raw.ejection_max) {
            Some(at) => {
                let fix = "write at least base_ejection, which is the shortest";
                problems.error(at, "is shorter than base_ejection", fix);
            }
            None => outlier.ejection_max = outlier.base_ejection,
        }
    }
    outlier
}
