//! How another process takes over, as written.

use super::super::problem::Problems;
use super::super::reader::Section;
use super::Text;

#[derive(Default)]
pub(in super::super) struct Upgrade {
    pub(in super::super) socket: Text,
    pub(in super::super) timeout: Text,
}

pub(super) fn read(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Upgrade {
    let upgrade = Upgrade {
        socket: section.text("socket", "\"/run/weir/upgrade.sock\"", problems),
        timeout: section.duration("timeout", problems),
    };
    section.finish(problems);
    upgrade
}
