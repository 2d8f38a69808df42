//! The time of day, for what is written down or compared with what others have written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since 1970; nothing on a clock that is before that.
pub(in crate::control) fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}
