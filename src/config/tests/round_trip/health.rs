//! Lines of a group about the health of its backends.

use super::*;

/// What a group says of outliers, retries and checks.
pub(super) fn any_health() -> BoxedStrategy<String> {
    lines(vec![
        number("outlier.consecutive_5xx", 0..=100_000),
        number("outlier.ejected_max_percent", 0..=100),
        key("outlier.always_eject_one", &["true", "false"]),
        time("outlier.base_ejection"),
        number("outlier.latency_stdev_factor", 0..=100_000),
        key(
            "retry.on",
            &["[]", "\"reset\"", "[\"599\", \"5xx\", \"400\"]"],
        ),
        time("retry.per_try_timeout"),
        number("retry.budget_percent", 0..=100),
        key("breaker.requests_max", &["1", "\"none\""]),
        key("breaker.retries_max", &["3", "\"none\""]),
        number("breaker.error_percent", 0..=100),
        number("breaker.trials", 1..=100),
        key("breaker.open_time", &["\"1ms\"", "\"10m\""]),
        key(
            "check.kind",
            &[
                "\"none\"",
                "\"tcp\"\ncheck.port = 8080",
                "\"http\"\ncheck.path = \"/a\"\ncheck.expect = \"204\"\ncheck.body = \"a\\\"\"",
                "\"http\"\ncheck.method = \"HEAD\"\ncheck.host = \"a.org\"",
            ],
        ),
        number("check.rise", 1..=100),
        number("check.fall", 1..=100),
        key(
            "check.interval",
            &["\"10ms\"", "\"1m\"\ncheck.interval_fast = \"2s\""],
        ),
        time("check.timeout"),
        time("check.slow_start"),
        key("agent.port", &["1", "65535\nagent.send = \"a\\n\\\"\""]),
        time("agent.interval"),
        key(
            "sticky.source",
            &["true", "true\nsticky.drain_timeout = \"none\""],
        ),
        key(
            "scrape.path",
            &[
                "\"/m\"",
                "\"/m?a=1\"\nscrape.port = 9\nscrape.cpu = \"none\"",
            ],
        ),
        key("scrape.active", &["\"a:b\"", "\"none\""]),
        time("scrape.timeout"),
        key("check.heartbeat_required", &["true", "false"]),
        time("check.heartbeat_timeout"),
    ])
}
