//! Outliers and retries: defaults, and what is refused.

use super::*;

/// The one mistake of a group with these lines.
fn group_error(lines: &str, expected: &str) {
    one_error(&format!("{LISTENER}{GROUP}{lines}"), expected);
}

#[test]
fn a_second_copy_is_sent_soon_or_not_at_all() {
    let delay = |line: &str| sound(&format!("{LISTENER}{GROUP}{line}")).groups[0].hedge;
    assert_eq!((delay(""), delay("hedge = \"none\"\n")), (None, None));
    assert_eq!(delay("hedge = \"10s\"\n"), Some(Duration::from_secs(10)));
    one_error(
        &format!("{LISTENER}{GROUP}hedge = \"11s\"\n"),
        "weir.toml:8:9: group[app].hedge: 11s is out of range; fix: write a value from 1ms to 10s",
    );
}

#[test]
fn outliers_are_as_envoy_has_them_but_half_may_be_out() {
    let outlier = sound(&format!("{LISTENER}{GROUP}")).groups[0]
        .outlier
        .clone();
    assert_eq!(
        (outlier.consecutive_5xx, outlier.consecutive_gateway_failure),
        (5, 0)
    );
    assert_eq!(
        (outlier.ejected_max_percent, outlier.always_eject_one),
        (50, false)
    );
    assert_eq!(outlier.base_ejection, Duration::from_secs(30));
    assert_eq!(outlier.ejection_max, Duration::from_secs(300));
    assert_eq!(
        (outlier.success_rate_stdev_factor, outlier.panic_threshold),
        (1900, 50)
    );
    let lines = "[group.outlier]\nconsecutive_connect_failures = 0\nbase_ejection = \"10m\"\n";
    let outlier = sound(&format!("{LISTENER}{GROUP}{lines}")).groups[0]
        .outlier
        .clone();
    assert_eq!(outlier.consecutive_connect_failures, 0);
    assert_eq!(outlier.ejection_max, outlier.base_ejection);
}

#[test]
fn mistakes_about_outliers_are_named() {
    group_error(
        "[group.outlier]\nejected_max_percent = 101\n",
        "weir.toml:9:23: group[app].outlier.ejected_max_percent: 101 is out of range; fix: write \
         a value from 0 to 100",
    );
    group_error(
        "[group.outlier]\nbase_ejection = \"10s\"\nejection_max = \"9s\"\n",
        "weir.toml:10:16: group[app].outlier.ejection_max: is shorter than base_ejection; fix: \
         write at least base_ejection, which is the shortest",
    );
}

#[test]
fn a_breaker_has_the_limits_of_envoy_once_it_is_there() {
    let group = sound(&format!("{LISTENER}{GROUP}")).groups[0].clone();
    assert_eq!(group.breaker, None);
    let breaker_of = |lines: &str| {
        let config = sound(&format!("{LISTENER}{GROUP}[group.breaker]\n{lines}"));
        config.groups[0].breaker.clone().unwrap()
    };
    let breaker = breaker_of("");
    let limits = (
        breaker.requests_max,
        breaker.connections_max,
        breaker.retries_max,
    );
    assert_eq!(
        limits,
        (Some(1024), Some(1024), None),
        "the budget bounds retries"
    );
    let errors = (
        breaker.error_percent,
        breaker.group_error_percent,
        breaker.error_volume,
    );
    assert_eq!((errors, breaker.trials), ((50, 90, 20), 3));
    let breaker = breaker_of("requests_max = \"none\"\nopen_time = \"10m\"\nretries_max = 3\n");
    assert_eq!((breaker.requests_max, breaker.retries_max), (None, Some(3)));
    assert_eq!(breaker.open_max, breaker.open_time);
    group_error(
        "[group.breaker]\nopen_time = \"10s\"\nopen_max = \"9s\"\n",
        "weir.toml:10:12: group[app].breaker.open_max: is shorter than open_time; fix: write at \
         least open_time, which is the shortest",
    );
    group_error(
        "[group.breaker]\ntrials = 0\n",
        "weir.toml:9:10: group[app].breaker.trials: 0 is out of range; fix: write a value from 1 \
         to 100",
    );
}

#[test]
fn reasons_to_try_again_are_words_and_statuses() {
    let retry = sound(&format!("{LISTENER}{GROUP}")).groups[0].retry.clone();
    assert_eq!(retry.on, [RetryOn::ConnectFailure, RetryOn::Reset]);
    assert_eq!((retry.budget_percent, retry.budget_floor), (20, 10));
    assert_eq!(retry.per_try_timeout, None);
    let on = "on = [\"503\", \"5xx\", \"reset\", \"503\"]\nper_try_timeout = \"2s\"\n";
    let config = sound(&format!("{LISTENER}{GROUP}[group.retry]\n{on}"));
    let retry = &config.groups[0].retry;
    let expected = [RetryOn::Reset, RetryOn::ServerError, RetryOn::Status(503)];
    assert_eq!(retry.on, expected);
    assert_eq!(retry.per_try_timeout, Some(Duration::from_secs(2)));
    let none = sound(&format!("{LISTENER}{GROUP}[group.retry]\non = []\n"));
    assert_eq!(none.groups[0].retry.on, []);
    for config in [config, none] {
        assert_eq!(
            sound(&config.to_toml()).groups[0].retry,
            config.groups[0].retry
        );
    }
    group_error(
        "[group.retry]\non = [\"200\"]\n",
        "weir.toml:9:7: group[app].retry.on[#1]: \"200\" is no reason to try again; fix: write \
         \"connect-failure\", \"reset\", \"gateway-error\", \"5xx\" or a status from 400 to 599, \
         like \"503\"",
    );
}
