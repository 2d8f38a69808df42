//! Reading the configuration again, and what a reload cannot change.

use std::path::Path;

use crate::config::{self, Config};
use crate::control::document::{Split, split};

/// Reads and checks the file; every mistake is logged, each with its place.
#[must_use]
pub fn read(path: &Path) -> Option<(Split, Config)> {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(path = name, %error, "configuration unreadable");
            return None;
        }
    };
    match config::load(&text, &name) {
        Ok(config) => {
            for warning in &config.warnings {
                tracing::warn!(%warning, "configuration");
            }
            match split(&text) {
                Ok(split) => Some((split, config)),
                Err(error) => {
                    tracing::error!(error, "configuration");
                    None
                }
            }
        }
        Err(errors) => {
            for problem in &errors.errors {
                tracing::error!(%problem, "configuration");
            }
            None
        }
    }
}

/// Sections that differ from what the process started with and only count after a restart.
#[must_use]
pub fn needs_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let differing = [
        ("workers", started.workers != now.workers),
        ("busy_poll_us", started.busy_poll != now.busy_poll),
        ("admin", started.admin != now.admin),
        ("heartbeat", started.heartbeat != now.heartbeat),
        ("cluster", started.cluster != now.cluster),
        ("log", started.log != now.log),
        ("upgrade", started.upgrade != now.upgrade),
        ("store", started.store != now.store),
        ("access_log", started.access_log != now.access_log),
        ("decision_log", started.decision_log != now.decision_log),
        ("tracing", started.tracing != now.tracing),
    ];
    differing
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name)
        .collect()
}
