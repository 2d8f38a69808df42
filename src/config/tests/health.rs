//! Outliers and retries: defaults, and what is refused.

use super::*;

/// The one mistake of a group with these lines.
fn group_error(lines: &str, expected: &str) {
    one_error(&format!("{LISTENER}{GROUP}{lines}"), expected);
}

#[test]
fn outliers_are_as_envoy_has_them() {
    let outlier = sound(&format!("{LISTENER}{GROUP}")).groups[0]
        .outlier
        .clone();
    assert_eq!(
        (outlier.consecutive_5xx, outlier.consecutive_gateway_failure),
        (5, 0)
    );
    assert_eq!(
        (outlier.ejected_max_percent, outlier.always_eject_one),
        (10, false)
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
