//! Health of a group as TOML.

use super::super::checked::{Breaker, Outlier, Retry};
use super::Page;

pub(super) fn print_outlier(outlier: &Outlier, page: &mut Page) {
    page.section("[group.outlier]");
    for (key, value) in [
        ("consecutive_5xx", outlier.consecutive_5xx),
        (
            "consecutive_gateway_failure",
            outlier.consecutive_gateway_failure,
        ),
        (
            "consecutive_broken_answers",
            outlier.consecutive_broken_answers,
        ),
        (
            "consecutive_connect_failures",
            outlier.consecutive_connect_failures,
        ),
        ("ejected_max_percent", outlier.ejected_max_percent),
    ] {
        page.raw(key, value);
    }
    page.raw("always_eject_one", outlier.always_eject_one);
    page.duration("base_ejection", outlier.base_ejection);
    page.duration("ejection_max", outlier.ejection_max);
    page.duration("interval", outlier.interval);
    for (key, value) in [
        (
            "success_rate_stdev_factor",
            outlier.success_rate_stdev_factor,
        ),
        (
            "success_rate_minimum_hosts",
            outlier.success_rate_minimum_hosts,
        ),
        (
            "success_rate_request_volume",
            outlier.success_rate_request_volume,
        ),
        ("failure_percentage", outlier.failure_percentage),
        (
            "failure_percentage_minimum_hosts",
            outlier.failure_percentage_minimum_hosts,
        ),
        (
            "failure_percentage_request_volume",
            outlier.failure_percentage_request_volume,
        ),
        ("latency_stdev_factor", outlier.latency_stdev_factor),
        ("trials", outlier.trials),
        ("panic_threshold", outlier.panic_threshold),
    ] {
        page.raw(key, value);
    }
}

pub(super) fn print_breaker(breaker: &Breaker, page: &mut Page) {
    page.section("[group.breaker]");
    for (key, limit) in [
        ("requests_max", breaker.requests_max),
        ("connections_max", breaker.connections_max),
        ("retries_max", breaker.retries_max),
    ] {
        match limit {
            Some(limit) => page.raw(key, limit),
            None => page.text(key, "none"),
        }
    }
    page.raw("error_percent", breaker.error_percent);
    page.raw("group_error_percent", breaker.group_error_percent);
    page.raw("error_volume", breaker.error_volume);
    page.duration("open_time", breaker.open_time);
    page.duration("open_max", breaker.open_max);
    page.raw("trials", breaker.trials);
}

pub(super) fn print_retry(retry: &Retry, page: &mut Page) {
    page.section("[group.retry]");
    let on: Vec<toml::Value> = retry.on.iter().map(|on| on.text().into()).collect();
    page.raw("on", toml::Value::from(on));
    if let Some(time) = retry.per_try_timeout {
        page.duration("per_try_timeout", time);
    }
    page.raw("budget_percent", retry.budget_percent);
    page.raw("budget_floor", retry.budget_floor);
}
