//! Health of a group, as meant: outliers, breakers and retries.

use std::time::Duration;

/// How outliers are found and treated: words and defaults of Envoy. Factors are in thousandths; 0
/// turns a judgement off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Failed exchanges in a row that are too many.
    pub consecutive_5xx: u32,
    /// Those that failed as at a gateway: 502, 503, 504, broken off, not in time.
    pub consecutive_gateway_failure: u32,
    /// Answers in a row that broke off after they had begun.
    pub consecutive_broken_answers: u32,
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

/// How much a group may have under way, and when its backends and itself are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Requests at one time, all cores together; `None` for no limit.
    pub requests_max: Option<u32>,
    /// Open connections at one time, idle ones included.
    pub connections_max: Option<u32>,
    /// Requests that are tried again at one time, beside the budget.
    pub retries_max: Option<u32>,
    /// Failures of a backend in ten seconds, in percent of its tries, that open its breaker; 0 for
    /// never.
    pub error_percent: u32,
    /// The same of the whole group.
    pub group_error_percent: u32,
    /// Tries in ten seconds before that is judged.
    pub error_volume: u32,
    /// How long it stays open the first time; each further time lasts twice as long.
    pub open_time: Duration,
    /// The longest.
    pub open_max: Duration,
    /// Requests that must end well before it closes.
    pub trials: u32,
}

/// What is tried again, beside connections that could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The reasons, in order, each once.
    pub on: Vec<RetryOn>,
    /// How long each try may wait for its answer; as long as the group when `None`.
    pub per_try_timeout: Option<Duration>,
    /// Retries in percent of requests, over ten seconds.
    pub budget_percent: u32,
    /// Retries a second beside that.
    pub budget_floor: u32,
}

/// A reason to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryOn {
    /// No connection came about; holds always.
    ConnectFailure,
    /// 502, 503 or 504.
    GatewayError,
    /// The answer broke off before it began, or did not come in time.
    Reset,
    /// Any status from 500 to 599.
    ServerError,
    /// This status.
    Status(u16),
}

impl RetryOn {
    /// The word of the file.
    pub(in super::super) fn text(self) -> String {
        let word = match self {
            RetryOn::ConnectFailure => "connect-failure",
            RetryOn::GatewayError => "gateway-error",
            RetryOn::Reset => "reset",
            RetryOn::ServerError => "5xx",
            RetryOn::Status(status) => return status.to_string(),
        };
        word.to_owned()
    }
}
