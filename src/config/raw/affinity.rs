//! Sticky sessions and the queue of a group as written.

use super::super::problem::{At, Problems};
use super::super::reader::Section;
use super::{Boolean, Integer, Text};

pub(in super::super) struct Sticky {
    pub(in super::super) cookie: Text,
    pub(in super::super) source: Boolean,
    pub(in super::super) secret: Text,
    pub(in super::super) ttl: Text,
    pub(in super::super) secure: Boolean,
    pub(in super::super) same_site: Text,
    pub(in super::super) drain_timeout: Text,
    pub(in super::super) at: At,
}

#[derive(Default)]
pub(in super::super) struct Queue {
    pub(in super::super) requests_max: Integer,
    pub(in super::super) timeout: Text,
}

pub(super) fn read_sticky(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Sticky {
    let sticky = Sticky {
        at: section.at.clone(),
        cookie: section.text("cookie", "\"weir\"", problems),
        source: section.boolean("source", problems),
        secret: section.text("secret", "\"at least 16 letters\"", problems),
        ttl: section.duration("ttl", problems),
        secure: section.boolean("secure", problems),
        same_site: section.text("same_site", "\"lax\"", problems),
        drain_timeout: section.duration("drain_timeout", problems),
    };
    section.finish(problems);
    sticky
}

pub(super) fn read_queue(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Queue {
    let queue = Queue {
        requests_max: section.integer("requests_max", "1024", problems),
        timeout: section.duration("timeout", problems),
    };
    section.finish(problems);
    queue
}
