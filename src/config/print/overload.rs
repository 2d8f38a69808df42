//! What happens when the node runs out of something, as TOML.

use super::super::checked::{Overload, RefuseWith};
use super::super::units::size_text;
use super::Page;

pub(super) fn print(overload: &Overload, page: &mut Page) {
    page.section("[overload]");
    let mut limit = |name, value: Option<u32>, without: &str| match value {
        Some(value) => page.raw(name, value),
        None => page.text(name, without),
    };
    limit("connections_max", overload.connections_max, "none");
    limit("stall_max", overload.stall_max, "none");
    limit("stop_keep_alive", overload.stop_keep_alive, "never");
    limit("close_idle", overload.close_idle, "never");
    limit("refuse", overload.refuse, "never");
    let memory = overload.memory_max;
    let memory = memory.map_or_else(|| "none".to_owned(), size_text);
    page.text("memory_max", &memory);
    page.raw("hysteresis", overload.hysteresis);
    page.duration("idle_min", overload.idle_min);
    let how = match overload.refuse_with {
        RefuseWith::Reset => "reset",
        RefuseWith::Unavailable => "503",
    };
    page.text("refuse_with", how);
}
