//! Checks, agents and heartbeats as TOML.

use super::super::checked::{Agent, Check, CheckKind, Group, HeartbeatDoor};
use super::Page;

pub(super) fn print_check(check: &Check, page: &mut Page) {
    page.section("[group.check]");
    match &check.kind {
        None => page.text("kind", "none"),
        Some(CheckKind::Tcp) => page.text("kind", "tcp"),
        Some(CheckKind::Http(http)) => {
            page.text("kind", "http");
            page.text("method", &http.method);
            page.text("path", &http.path);
            if let Some(host) = &http.host {
                page.text("host", host);
            }
            let ranges = http.expect.iter();
            page.texts(
                "expect",
                ranges.map(|(first, last)| format!("{first}-{last}")),
            );
            if let Some(body) = &http.body {
                page.text("body", body);
            }
        }
    }
    if let Some(port) = check.port {
        page.raw("port", port);
    }
    page.duration("interval", check.interval);
    page.duration("interval_fast", check.interval_fast);
    page.duration("interval_stable", check.interval_stable);
    page.duration("interval_down_max", check.interval_down_max);
    page.raw("jitter_percent", check.jitter_percent);
    page.duration("timeout", check.timeout);
    page.raw("rise", check.rise);
    page.raw("fall", check.fall);
    page.duration("slow_start", check.slow_start);
    page.duration("heartbeat_timeout", check.heartbeat_timeout);
    page.raw("heartbeat_required", check.heartbeat_required);
}

pub(super) fn print_agent(agent: &Agent, page: &mut Page) {
    page.section("[group.agent]");
    if let Some(port) = agent.port {
        page.raw("port", port);
    }
    page.duration("interval", agent.interval);
    page.duration("timeout", agent.timeout);
    if let Some(send) = &agent.send {
        page.text("send", send);
    }
}

pub(super) fn print_door(door: &HeartbeatDoor, page: &mut Page) {
    page.section("[heartbeat]");
    page.text("udp", &door.udp.to_string());
    if let Some(token) = &door.token {
        page.text("token", &token.0);
    }
}

/// Probes of load, and metrics that are read.
pub(super) fn print_load(group: &Group, page: &mut Page) {
    if let Some(probe) = &group.probe {
        page.section("[group.probe]");
        page.text("path", &probe.path);
        if let Some(port) = probe.port {
            page.raw("port", port);
        }
        page.raw("rate", f64::from(probe.rate_percent) / 100.0);
        page.raw("rate_max", probe.rate_max);
        page.duration("timeout", probe.timeout);
    }
    if let Some(scrape) = &group.scrape {
        page.section("[group.scrape]");
        page.text("path", &scrape.path);
        if let Some(port) = scrape.port {
            page.raw("port", port);
        }
        page.duration("interval", scrape.interval);
        page.duration("timeout", scrape.timeout);
        for (key, metric) in [
            ("active", &scrape.active),
            ("capacity", &scrape.capacity),
            ("cpu", &scrape.cpu),
            ("memory", &scrape.memory),
            ("latency", &scrape.latency),
        ] {
            page.text(key, metric.as_deref().unwrap_or("none"));
        }
    }
}
