//! Health of a group as written: outliers, breakers and retries.

use super::super::problem::Problems;
use super::super::reader::Section;
use super::{Boolean, Integer, Size, Text, Texts};

#[derive(Default)]
pub(in super::super) struct Outlier {
    pub(in super::super) consecutive_5xx: Integer,
    pub(in super::super) consecutive_gateway_failure: Integer,
    pub(in super::super) consecutive_broken_answers: Integer,
    pub(in super::super) consecutive_connect_failures: Integer,
    pub(in super::super) ejected_max_percent: Integer,
    pub(in super::super) always_eject_one: Boolean,
    pub(in super::super) base_ejection: Text,
    pub(in super::super) ejection_max: Text,
    pub(in super::super) interval: Text,
    pub(in super::super) success_rate_stdev_factor: Integer,
    pub(in super::super) success_rate_minimum_hosts: Integer,
    pub(in super::super) success_rate_request_volume: Integer,
    pub(in super::super) failure_percentage: Integer,
    pub(in super::super) failure_percentage_minimum_hosts: Integer,
    pub(in super::super) failure_percentage_request_volume: Integer,
    pub(in super::super) latency_stdev_factor: Integer,
    pub(in super::super) trials: Integer,
    pub(in super::super) panic_threshold: Integer,
}

pub(super) fn read_outlier(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Outlier {
    let mut integer = |key, example| section.integer(key, example, problems);
    let mut outlier = Outlier {
        consecutive_5xx: integer("consecutive_5xx", "5"),
        consecutive_gateway_failure: integer("consecutive_gateway_failure", "5"),
        consecutive_broken_answers: integer("consecutive_broken_answers", "5"),
        consecutive_connect_failures: integer("consecutive_connect_failures", "3"),
        ejected_max_percent: integer("ejected_max_percent", "10"),
        success_rate_stdev_factor: integer("success_rate_stdev_factor", "1900"),
        success_rate_minimum_hosts: integer("success_rate_minimum_hosts", "5"),
        success_rate_request_volume: integer("success_rate_request_volume", "100"),
        failure_percentage: integer("failure_percentage", "85"),
        failure_percentage_minimum_hosts: integer("failure_percentage_minimum_hosts", "5"),
        failure_percentage_request_volume: integer("failure_percentage_request_volume", "50"),
        latency_stdev_factor: integer("latency_stdev_factor", "3000"),
        trials: integer("trials", "3"),
        panic_threshold: integer("panic_threshold", "50"),
        ..Outlier::default()
    };
    outlier.always_eject_one = section.boolean("always_eject_one", problems);
    outlier.base_ejection = section.duration("base_ejection", problems);
    outlier.ejection_max = section.duration("ejection_max", problems);
    outlier.interval = section.duration("interval", problems);
    section.finish(problems);
    outlier
}

pub(in super::super) struct Breaker {
    pub(in super::super) requests_max: Size,
    pub(in super::super) connections_max: Size,
    pub(in super::super) retries_max: Size,
    pub(in super::super) error_percent: Integer,
    pub(in super::super) group_error_percent: Integer,
    pub(in super::super) error_volume: Integer,
    pub(in super::super) open_time: Text,
    pub(in super::super) open_max: Text,
    pub(in super::super) trials: Integer,
}

pub(super) fn read_breaker(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Breaker {
    let breaker = Breaker {
        requests_max: section.scalar("requests_max", "1024", problems),
        connections_max: section.scalar("connections_max", "1024", problems),
        retries_max: section.scalar("retries_max", "3", problems),
        error_percent: section.integer("error_percent", "50", problems),
        group_error_percent: section.integer("group_error_percent", "90", problems),
        error_volume: section.integer("error_volume", "20", problems),
        open_time: section.duration("open_time", problems),
        open_max: section.duration("open_max", problems),
        trials: section.integer("trials", "3", problems),
    };
    section.finish(problems);
    breaker
}

#[derive(Default)]
pub(in super::super) struct Retry {
    pub(in super::super) on: Texts,
    pub(in super::super) per_try_timeout: Text,
    pub(in super::super) budget_percent: Integer,
    pub(in super::super) budget_floor: Integer,
}

pub(super) fn read_retry(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Retry {
    let retry = Retry {
        on: section.texts("on", "[\"connect-failure\", \"reset\"]", problems),
        per_try_timeout: section.duration("per_try_timeout", problems),
        budget_percent: section.integer("budget_percent", "20", problems),
        budget_floor: section.integer("budget_floor", "10", problems),
    };
    section.finish(problems);
    retry
}
