//! The adaptive policy of a group as written.

use super::super::problem::{At, Problems};
use super::super::reader::Section;
use super::{Integer, Text};

pub(in super::super) struct Adaptive {
    pub(in super::super) choices: Integer,
    pub(in super::super) memory: Text,
    pub(in super::super) tolerance: Integer,
    pub(in super::super) failure_penalty: Integer,
    pub(in super::super) nodes: Integer,
    pub(in super::super) at: At,
}

pub(super) fn read_adaptive(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Adaptive {
    let adaptive = Adaptive {
        at: section.at.clone(),
        choices: section.integer("choices", "10", problems),
        memory: section.duration("memory", problems),
        tolerance: section.integer("tolerance", "30", problems),
        failure_penalty: section.integer("failure_penalty", "20", problems),
        nodes: section.integer("nodes", "1", problems),
    };
    section.finish(problems);
    adaptive
}
