//! The node among others, as written.

use super::{At, Integer, Problems, Section, Text, Texts};

pub(in super::super) struct Cluster {
    pub(in super::super) name: Text,
    pub(in super::super) node: Text,
    pub(in super::super) bind: Text,
    pub(in super::super) advertise: Text,
    pub(in super::super) seeds: Texts,
    pub(in super::super) key_file: Text,
    pub(in super::super) limit_owners: Texts,
    pub(in super::super) observers: Integer,
    pub(in super::super) at: At,
}

pub(super) fn read(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Cluster {
    let cluster = Cluster {
        at: section.at.clone(),
        name: section.text("name", "\"weir\"", problems),
        node: section.text("node", "\"node-1\"", problems),
        bind: section.text("bind", "\"0.0.0.0:7946\"", problems),
        advertise: section.text("advertise", "\"10.0.0.1:7946\"", problems),
        seeds: section.texts("seeds", "[\"10.0.0.2:7946\"]", problems),
        limit_owners: section.texts("limit_owners", "[\"node-1\", \"node-2\"]", problems),
        observers: section.integer("observers", "3", problems),
        key_file: section.text("key_file", "\"/etc/weir/cluster.key\"", problems),
    };
    section.finish(problems);
    cluster
}
