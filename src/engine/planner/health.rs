//! Health and retries of a group, from the words of the file to what a table holds.

use std::sync::Arc;

use super::super::registry::GroupState;
use crate::config::checked::{self, RetryOn};
use crate::routing::breaker::{Breaker, Errors};
use crate::routing::outlier::Outlier;
use crate::routing::retry::{Allowance, Retry, StatusSet};
use crate::routing::standing::Thresholds;

pub(super) fn outlier(outlier: &checked::Outlier) -> Outlier {
    Outlier {
        thresholds: Thresholds {
            server: outlier.consecutive_5xx,
            gateway: outlier.consecutive_gateway_failure,
            connect: outlier.consecutive_connect_failures,
            broken: outlier.consecutive_broken_answers,
        },
        ejected_max_percent: outlier.ejected_max_percent,
        always_eject_one: outlier.always_eject_one,
        base_ejection: outlier.base_ejection,
        ejection_max: outlier.ejection_max,
        interval: outlier.interval,
        success_rate_stdev_factor: outlier.success_rate_stdev_factor,
        success_rate_minimum_hosts: outlier.success_rate_minimum_hosts,
        success_rate_request_volume: outlier.success_rate_request_volume,
        failure_percentage: outlier.failure_percentage,
        failure_percentage_minimum_hosts: outlier.failure_percentage_minimum_hosts,
        failure_percentage_request_volume: outlier.failure_percentage_request_volume,
        latency_stdev_factor: outlier.latency_stdev_factor,
        trials: outlier.trials,
        panic_threshold: outlier.panic_threshold,
    }
}

pub(super) fn breaker(meant: Option<&checked::Breaker>, kept: &GroupState) -> Breaker {
    let accounts = Breaker {
        gate: Arc::clone(&kept.gate),
        overflows: Arc::clone(&kept.overflows),
        ..Breaker::default()
    };
    let Some(meant) = meant else {
        return accounts;
    };
    let judges = meant.error_percent > 0 || meant.group_error_percent > 0;
    Breaker {
        requests_max: meant.requests_max,
        connections_max: meant.connections_max,
        retries_max: meant.retries_max,
        errors: judges.then_some(Errors {
            backend_percent: meant.error_percent,
            group_percent: meant.group_error_percent,
            volume: meant.error_volume,
            open_time: meant.open_time,
            open_max: meant.open_max,
            trials: meant.trials,
        }),
        ..accounts
    }
}

pub(super) fn retry(group: &checked::Group, cores: usize) -> Retry {
    let retry = &group.retry;
    let mut statuses = StatusSet::default();
    for on in &retry.on {
        let range = match on {
            RetryOn::ConnectFailure | RetryOn::Reset => continue,
            RetryOn::GatewayError => 502..=504,
            RetryOn::ServerError => 500..=599,
            RetryOn::Status(status) => *status..=*status,
        };
        range.for_each(|status| statuses.insert(status));
    }
    Retry {
        reset: retry.on.contains(&RetryOn::Reset),
        statuses,
        per_try: retry.per_try_timeout,
        hedge_after: group.hedge,
        allowance: Allowance::of_node(retry.budget_percent, retry.budget_floor, cores),
    }
}
