//! How another process takes over.

use std::time::Duration;

use super::super::checked::Upgrade;
use super::super::problem::Problems;
use super::super::raw;
use super::values::{duration, path};

/// Starting takes milliseconds; what takes long are names of backends that do not resolve.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

pub(super) fn check(raw: &raw::Upgrade, problems: &mut Problems<'_>) -> Upgrade {
    let fix = "write socket = \"/run/weir/upgrade.sock\"";
    let socket = raw.socket.as_ref();
    Upgrade {
        socket: socket.and_then(|written| path(written, fix, problems)),
        timeout: duration(&raw.timeout, TIMEOUT_DEFAULT, TIMEOUT_MIN, problems),
    }
}
