//! Health of a group, as meant: outliers and retries.

use std::time::Duration;

/// How outliers are found and treated: words and defaults of Envoy. Factors are in thousandths; 0
/// turns a judgement off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Failed exchanges in a row that are too many.
    pub consecutive_5xx: u32,
    /// Those that failed as at a gateway: 502, 503, 504, broken off, not in time.
    pub consecutive_gateway_failure: u32,
    /// Failed connects in a row that are too many.
    pub consecutive_connect_failures: u32,
    /// Backends that may be out at one time, in percent of all.
    pub ejected_max_percent: u32,
    /// One may be out whatever the percentage, unless it is the only one.
    pub always_eject_one: bool,
    /// How long the first ejection lasts; each further one lasts this much longer.
    pub base_ejection: Duration,
    /// The longest ejection.
    pub ejection_max: Duration,
    /// How often success rates and response times are judged.
    pub interval: Duration,
    /// Success rate: so many standard deviations below the mean are too far.
    pub success_rate_stdev_factor: u32,
    /// Backends with enough requests that make a mean.
    pub success_rate_minimum_hosts: u32,
    /// Requests of one interval that are enough.
    pub success_rate_request_volume: u32,
    /// Failures in percent of its requests that are too many.
    pub failure_percentage: u32,
    /// Backends with enough requests before that is judged.
    pub failure_percentage_minimum_hosts: u32,
    /// Requests of one interval that are enough.
    pub failure_percentage_request_volume: u32,
    /// Response time: so many standard deviations above the mean are too far.
    pub latency_stdev_factor: u32,
    /// Exchanges one that was ejected must pass before it is readmitted; 0 readmits by time alone.
    pub trials: u32,
    /// With less than this percentage available all are used; 0 never does that.
    pub panic_threshold: u32,
}
