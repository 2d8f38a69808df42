//! What happens when the node runs out of something, as written.

use super::super::problem::Problems;
use super::super::reader::Section;
use super::{Integer, Size, Text};

#[derive(Default)]
pub(in super::super) struct Overload {
    pub(in super::super) connections_max: Size,
    pub(in super::super) memory_max: Size,
    pub(in super::super) stall_max: Size,
    pub(in super::super) stop_keep_alive: Size,
    pub(in super::super) close_idle: Size,
    pub(in super::super) refuse: Size,
    pub(in super::super) hysteresis: Integer,
    pub(in super::super) idle_min: Text,
    pub(in super::super) refuse_with: Text,
}

pub(super) fn read(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Overload {
    let overload = Overload {
        connections_max: section.scalar("connections_max", "100000", problems),
        memory_max: section.scalar("memory_max", "\"4GiB\"", problems),
        stall_max: section.scalar("stall_max", "20", problems),
        stop_keep_alive: section.scalar("stop_keep_alive", "85", problems),
        close_idle: section.scalar("close_idle", "90", problems),
        refuse: section.scalar("refuse", "95", problems),
        hysteresis: section.integer("hysteresis", "5", problems),
        idle_min: section.duration("idle_min", problems),
        refuse_with: section.text("refuse_with", "\"503\"", problems),
    };
    section.finish(problems);
    overload
}
