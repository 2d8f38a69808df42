//! Health of a group: outliers, breakers and retries.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::checked::{Breaker, Outlier, Retry, RetryOn};
use super::super::problem::Problems;
use super::super::raw::{self, Size, Text};
use super::super::reader::Written;
use super::MILLISECOND;
use super::values::{duration, flag, number, number_or_none, out_of_range, place};

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
        consecutive_broken_answers: number(&raw.consecutive_broken_answers, 5, ROW),
        consecutive_connect_failures: number(&raw.consecutive_connect_failures, 3, ROW),
        ejected_max_percent: number(&raw.ejected_max_percent, 50, PERCENT),
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

/// Things at one time.
const LIMIT: RangeInclusive<u32> = 1..=100_000_000;
/// Requests that must end well; with none an open breaker would never be tried.
const BREAKER_TRIALS: RangeInclusive<u32> = 1..=100;
/// What Envoy allows when nothing is said.
const LIMIT_DEFAULT: u32 = 1024;

pub(super) fn check_breaker(raw: &raw::Breaker, problems: &mut Problems<'_>) -> Breaker {
    let mut limit = |written: &Size, default| match written {
        None => default,
        Some(_) => number_or_none(written, LIMIT, problems),
    };
    let requests_max = limit(&raw.requests_max, Some(LIMIT_DEFAULT));
    let connections_max = limit(&raw.connections_max, Some(LIMIT_DEFAULT));
    let retries_max = limit(&raw.retries_max, None);
    let open_time = Duration::from_secs(5);
    let open_time = duration(&raw.open_time, open_time, MILLISECOND, problems);
    let longest = Duration::from_secs(300).max(open_time);
    let open_max = duration(&raw.open_max, longest, MILLISECOND, problems);
    if let (Some(written), true) = (&raw.open_max, open_max < open_time) {
        let fix = "write at least open_time, which is the shortest";
        problems.error(&written.at, "is shorter than open_time", fix);
    }
    Breaker {
        requests_max,
        connections_max,
        retries_max,
        error_percent: number(&raw.error_percent, 50, PERCENT, problems),
        group_error_percent: number(&raw.group_error_percent, 90, PERCENT, problems),
        error_volume: number(&raw.error_volume, 20, VOLUME, problems),
        open_time,
        open_max,
        trials: number(&raw.trials, 3, BREAKER_TRIALS, problems),
    }
}

/// The longest wait before a second copy; who would wait longer has a slow group.
const HEDGE_MAX: Duration = Duration::from_secs(10);

pub(super) fn check_hedge(written: &Text, problems: &mut Problems<'_>) -> Option<Duration> {
    let text = written.as_ref().filter(|text| text.value != "none")?;
    let delay = duration(written, HEDGE_MAX, MILLISECOND, problems);
    if delay > HEDGE_MAX {
        out_of_range(&text.at, &text.value, "1ms", "10s", problems);
    }
    Some(delay)
}

/// Retries of a node in a second that nobody paid for.
const FLOOR: RangeInclusive<u32> = 0..=10_000;

pub(super) fn check_retry(raw: &raw::Retry, problems: &mut Problems<'_>) -> Retry {
    let mut on = match &raw.on {
        Some(list) => reasons(&list.value, problems),
        None => vec![RetryOn::ConnectFailure, RetryOn::Reset],
    };
    on.sort_unstable();
    on.dedup();
    let written = raw.per_try_timeout.as_ref();
    let per_try = written.map(|_| {
        duration(
            &raw.per_try_timeout,
            Duration::from_secs(1),
            MILLISECOND,
            problems,
        )
    });
    Retry {
        on,
        per_try_timeout: per_try,
        budget_percent: number(&raw.budget_percent, 20, PERCENT, problems),
        budget_floor: number(&raw.budget_floor, 10, FLOOR, problems),
    }
}

fn reasons(written: &[Written<String>], problems: &mut Problems<'_>) -> Vec<RetryOn> {
    let mut found = Vec::new();
    for Written { value, at } in written {
        match value.as_str() {
            "connect-failure" => found.push(RetryOn::ConnectFailure),
            "gateway-error" => found.push(RetryOn::GatewayError),
            "reset" => found.push(RetryOn::Reset),
            "5xx" => found.push(RetryOn::ServerError),
            other => match other.parse() {
                Ok(status @ 400..=599) => found.push(RetryOn::Status(status)),
                _ => {
                    let fix = "write \"connect-failure\", \"reset\", \"gateway-error\", \
                               \"5xx\" or a status from 400 to 599, like \"503\"";
                    problems.error(at, format!("{other:?} is no reason to try again"), fix);
                }
            },
        }
    }
    found
}
