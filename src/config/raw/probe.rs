//! How backends and their agents are asked whether they are well, as written.

use super::super::problem::{At, Problems};
use super::super::reader::Section;
use super::{Boolean, Integer, Text, Texts};

#[derive(Default)]
pub(in super::super) struct Check {
    pub(in super::super) kind: Text,
    pub(in super::super) method: Text,
    pub(in super::super) path: Text,
    pub(in super::super) host: Text,
    pub(in super::super) expect: Texts,
    pub(in super::super) body: Text,
    pub(in super::super) port: Integer,
    pub(in super::super) interval: Text,
    pub(in super::super) interval_fast: Text,
    pub(in super::super) interval_stable: Text,
    pub(in super::super) interval_down_max: Text,
    pub(in super::super) jitter_percent: Integer,
    pub(in super::super) timeout: Text,
    pub(in super::super) rise: Integer,
    pub(in super::super) fall: Integer,
    pub(in super::super) slow_start: Text,
    pub(in super::super) heartbeat_timeout: Text,
    pub(in super::super) heartbeat_required: Boolean,
}

#[derive(Default)]
pub(in super::super) struct Agent {
    pub(in super::super) port: Integer,
    pub(in super::super) interval: Text,
    pub(in super::super) timeout: Text,
    pub(in super::super) send: Text,
}

pub(super) fn read_agent(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Agent {
    let agent = Agent {
        port: section.integer("port", "9777", problems),
        interval: section.duration("interval", problems),
        timeout: section.duration("timeout", problems),
        send: section.text("send", "\"app\\n\"", problems),
    };
    section.finish(problems);
    agent
}

pub(in super::super) struct HeartbeatDoor {
    pub(in super::super) udp: Text,
    pub(in super::super) token: Text,
    pub(in super::super) at: At,
}

pub(super) fn read_check(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Check {
    let check = Check {
        kind: section.text("kind", "\"http\"", problems),
        method: section.text("method", "\"GET\"", problems),
        path: section.text("path", "\"/health\"", problems),
        host: section.text("host", "\"app.internal\"", problems),
        expect: section.texts("expect", "[\"200-399\"]", problems),
        body: section.text("body", "\"ok\"", problems),
        port: section.integer("port", "8080", problems),
        interval: section.duration("interval", problems),
        interval_fast: section.duration("interval_fast", problems),
        interval_stable: section.duration("interval_stable", problems),
        interval_down_max: section.duration("interval_down_max", problems),
        jitter_percent: section.integer("jitter_percent", "10", problems),
        timeout: section.duration("timeout", problems),
        rise: section.integer("rise", "2", problems),
        fall: section.integer("fall", "3", problems),
        slow_start: section.duration("slow_start", problems),
        heartbeat_timeout: section.duration("heartbeat_timeout", problems),
        heartbeat_required: section.boolean("heartbeat_required", problems),
    };
    section.finish(problems);
    check
}

pub(super) fn read_door(
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> HeartbeatDoor {
    let door = HeartbeatDoor {
        at: section.at.clone(),
        udp: section.text("udp", "\"127.0.0.1:9902\"", problems),
        token: section.text("token", "\"at least 16 letters\"", problems),
    };
    section.finish(problems);
    door
}
