//! Routes as written.

use super::super::problem::{At, Problems};
use super::super::reader::Section;
use super::{Boolean, Text, Texts};

pub(in super::super) struct Route {
    pub(in super::super) name: Text,
    pub(in super::super) host: Texts,
    pub(in super::super) path: Texts,
    pub(in super::super) path_prefix: Texts,
    pub(in super::super) path_regex: Texts,
    pub(in super::super) method: Texts,
    pub(in super::super) header: Vec<HeaderCondition>,
    pub(in super::super) group: Text,
    pub(in super::super) shard: Text,
    pub(in super::super) require: Texts,
    pub(in super::super) at: At,
}

pub(in super::super) struct HeaderCondition {
    pub(in super::super) name: Text,
    pub(in super::super) value: Text,
    pub(in super::super) prefix: Text,
    pub(in super::super) regex: Text,
    pub(in super::super) present: Boolean,
    pub(in super::super) at: At,
}

pub(super) fn read(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Route {
    let route = Route {
        at: section.at.clone(),
        name: section.text("name", "\"api\"", problems),
        host: section.texts("host", "\"api.example.org\"", problems),
        path: section.texts("path", "\"/exact\"", problems),
        path_prefix: section.texts("path_prefix", "\"/api/\"", problems),
        path_regex: section.texts("path_regex", "\"/v[0-9]+/.*\"", problems),
        method: section.texts("method", "\"GET\"", problems),
        header: section
            .sections("header", problems)
            .into_iter()
            .map(|section| read_header(section, problems))
            .collect(),
        group: section.text("group", "\"app\"", problems),
        shard: section.text("shard", "\"by-tenant\"", problems),
        require: section.texts("require", "[\"gpu\"]", problems),
    };
    section.finish(problems);
    route
}

fn read_header(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> HeaderCondition {
    let header = HeaderCondition {
        at: section.at.clone(),
        name: section.text("name", "\"x-beta\"", problems),
        value: section.text("value", "\"yes\"", problems),
        prefix: section.text("prefix", "\"v2.\"", problems),
        regex: section.text("regex", "\"[0-9]+\"", problems),
        present: section.boolean("present", problems),
    };
    section.finish(problems);
    header
}
