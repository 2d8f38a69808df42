//! Families of overload: how near the node is to its ends, and what it sheds.

use std::sync::Arc;

use crate::telemetry::exposition::page::{Kind, Page, labels};
use crate::telemetry::overload::{Action, Resource, Shed};
use crate::telemetry::stats::CoreStats;

pub(super) fn overload(page: &mut Page, cores: &[Arc<CoreStats>]) {
    page.family(
        "weir_overload_pressure_ratio",
        Kind::Gauge,
        "How near a resource is to its limit, 1 being there, as the core sees it that sees most.",
    );
    for resource in Resource::ALL {
        let each = cores
            .iter()
            .map(|core| core.overload.pressures[resource as usize].read());
        let most = each.max().unwrap_or(0);
        page.thousandths(&labels(&[("resource", resource.name())]), u64::from(most));
    }
    page.family(
        "weir_overload_action_cores",
        Kind::Gauge,
        "Cores that take an action against overload now.",
    );
    for action in Action::ALL {
        let on = sum(cores, |core| {
            core.overload.on[action as usize].read().into()
        });
        page.sample_by("", "action", action.name(), on);
    }
    page.family(
        "weir_overload_actions_total",
        Kind::Counter,
        "Times a core began an action against overload.",
    );
    for action in Action::ALL {
        let begun = sum(cores, |core| core.overload.begun[action as usize].read());
        page.sample_by("", "action", action.name(), begun);
    }
    page.family(
        "weir_overload_shed_total",
        Kind::Counter,
        "Connections shed because of overload, by how.",
    );
    for shed in Shed::ALL {
        let count = sum(cores, |core| core.overload.shed[shed as usize].read());
        page.sample_by("", "how", shed.name(), count);
    }
}

fn sum(cores: &[Arc<CoreStats>], of: impl Fn(&CoreStats) -> u64) -> u64 {
    cores.iter().map(|core| of(core)).sum()
}
