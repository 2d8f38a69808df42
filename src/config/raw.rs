//! The configuration as written: the shape of the file, one struct per section, nothing judged
//! but types and unknown keys. Every value keeps its place, so that `check` can point at it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{At, Problems};
use super::reader::{Scalar, Section, Written, elements, integer_of, kind};

mod adaptive;
mod affinity;
mod cluster;
mod group;
mod health;
mod load;
mod probe;
mod route;
mod shard;
mod store;
mod telemetry;
mod upgrade;

pub(super) use adaptive::Adaptive;
pub(super) use affinity::{Queue, Sticky};
pub(super) use cluster::Cluster;
pub(super) use group::{Backend, Group, read_backend};
pub(super) use health::{Breaker, Outlier, Retry};
pub(super) use probe::{Agent, Check, HeartbeatDoor};
pub(super) use route::{HeaderCondition, Route};
pub(super) use shard::{
    Hash, HashEntry, KeySource, KeysEntry, OUTCOMES, Outcome, RangeEntry, Shard,
};
pub(super) use store::Store;
pub(super) use telemetry::{DecisionLog, Tracing};
pub(super) use upgrade::Upgrade;

pub(super) type Text = Option<Written<String>>;
pub(super) type Texts = Option<Written<Vec<Written<String>>>>;
pub(super) type Integer = Option<Written<i64>>;
pub(super) type Boolean = Option<Written<bool>>;
pub(super) type Size = Option<Written<Scalar>>;

pub(super) struct File {
    pub(super) workers: Option<Written<Workers>>,
    pub(super) admin: Option<Admin>,
    pub(super) log: Log,
    pub(super) access_log: Option<AccessLog>,
    pub(super) decision_log: Option<DecisionLog>,
    pub(super) tracing: Option<Tracing>,
    pub(super) heartbeat: Option<HeartbeatDoor>,
    pub(super) cluster: Option<Cluster>,
    pub(super) store: Option<Store>,
    pub(super) hash_seed: Integer,
    pub(super) shutdown: Shutdown,
    pub(super) upgrade: Upgrade,
    pub(super) dns: Dns,
    pub(super) listeners: Vec<Listener>,
    pub(super) shards: Vec<Shard>,
    pub(super) groups: Vec<Group>,
    pub(super) at: At,
}

pub(super) enum Workers {
    Cores(Vec<Written<i64>>),
    Count(i64),
    Word(String),
}

pub(super) struct Admin {
    pub(super) address: Text,
    pub(super) unix: Text,
    pub(super) token: Text,
    pub(super) token_file: Text,
    pub(super) at: At,
    pub(super) metrics_detail: Text,
}

#[derive(Default)]
pub(super) struct Dns {
    pub(super) resolver: Text,
    pub(super) servers: Texts,
    pub(super) refresh: Text,
    pub(super) min_ttl: Text,
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) level: Text,
    pub(super) format: Text,
}

pub(super) struct AccessLog {
    pub(super) path: Text,
    pub(super) syslog: Text,
    pub(super) udp: Text,
    pub(super) facility: Text,
    pub(super) format: Text,
    pub(super) sample: Integer,
    pub(super) at: At,
}

#[derive(Default)]
pub(super) struct Shutdown {
    pub(super) drain_timeout: Text,
    pub(super) idle_grace: Text,
}

pub(super) struct Listener {
    pub(super) name: Text,
    pub(super) address: Text,
    pub(super) protocol: Text,
    pub(super) group: Text,
    pub(super) shard: Text,
    pub(super) backlog: Integer,
    pub(super) steering: Text,
    pub(super) connections_max: Integer,
    pub(super) forwarded: Text,
    pub(super) trust_forwarded: Boolean,
    pub(super) request_id: Boolean,
    pub(super) decision_headers: Boolean,
    pub(super) via: Text,
    pub(super) timeouts: ListenerTimeouts,
    pub(super) limits: ListenerLimits,
    pub(super) routes: Vec<Route>,
    pub(super) at: At,
}

#[derive(Default)]
pub(super) struct ListenerTimeouts {
    pub(super) head: Text,
    pub(super) body: Text,
    pub(super) idle: Text,
}

#[derive(Default)]
pub(super) struct ListenerLimits {
    pub(super) head_bytes: Size,
    pub(super) fields: Integer,
    pub(super) target_bytes: Size,
    pub(super) body_bytes: Size,
    pub(super) requests_per_connection: Size,
}

impl File {
    pub(super) fn read(document: &Spanned<DeTable<'_>>, problems: &mut Problems<'_>) -> File {
        let mut root = Section::root(document);
        let file = File {
            at: root.at.clone(),
            workers: root
                .value("workers")
                .and_then(|value| read_workers(&value, problems)),
            admin: root
                .section("admin", problems)
                .map(|section| read_admin(section, problems)),
            log: root
                .section("log", problems)
                .map(|section| read_log(section, problems))
                .unwrap_or_default(),
            access_log: root
                .section("access_log", problems)
                .map(|section| read_access_log(section, problems)),
            decision_log: root
                .section("decision_log", problems)
                .map(|section| telemetry::read_decision_log(section, problems)),
            tracing: root
                .section("tracing", problems)
                .map(|section| telemetry::read_tracing(section, problems)),
            heartbeat: root
                .section("heartbeat", problems)
                .map(|section| probe::read_door(section, problems)),
            cluster: root
                .section("cluster", problems)
                .map(|section| cluster::read(section, problems)),
            store: root
                .section("store", problems)
                .map(|section| store::read(section, problems)),
            hash_seed: root.integer("hash_seed", "1", problems),
            shutdown: root
                .section("shutdown", problems)
                .map(|section| read_shutdown(section, problems))
                .unwrap_or_default(),
            upgrade: root
                .section("upgrade", problems)
                .map(|section| upgrade::read(section, problems))
                .unwrap_or_default(),
            dns: root
                .section("dns", problems)
                .map(|section| read_dns(section, problems))
                .unwrap_or_default(),
            listeners: root
                .sections("listener", problems)
                .into_iter()
                .map(|section| read_listener(section, problems))
                .collect(),
            shards: root
                .sections("shard", problems)
                .into_iter()
                .map(|section| shard::read(section, problems))
                .collect(),
            groups: root
                .sections("group", problems)
                .into_iter()
                .map(|section| group::read(section, problems))
                .collect(),
        };
        root.finish(problems);
        file
    }
}

fn read_workers(
    written: &Written<&DeValue<'_>>,
    problems: &mut Problems<'_>,
) -> Option<Written<Workers>> {
    const FIX: &str = "write workers = \"auto\", a number, or a list of CPUs such as [0, 1]";
    let at = &written.at;
    let value = if let Some(word) = written.value.as_str() {
        Workers::Word(word.to_owned())
    } else if let Some(count) = integer_of(written.value) {
        Workers::Count(count)
    } else if written.value.is_array() {
        let mut cores = Vec::new();
        for (element, at) in elements(written.value, at) {
            match integer_of(element) {
                Some(value) => cores.push(Written { value, at }),
                None => problems.error(
                    &at,
                    format!("expected the number of a CPU, found {}", kind(element)),
                    FIX,
                ),
            }
        }
        Workers::Cores(cores)
    } else {
        let what = format!(
            "expected \"auto\", a number or a list, found {}",
            kind(written.value)
        );
        problems.error(at, what, FIX);
        return None;
    };
    Some(Written {
        value,
        at: at.clone(),
    })
}

fn read_admin(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Admin {
    let admin = Admin {
        at: section.at.clone(),
        address: section.text("address", "\"127.0.0.1:9901\"", problems),
        unix: section.text("unix", "\"/run/weir.sock\"", problems),
        token: section.text("token", "\"a-long-random-text\"", problems),
        token_file: section.text("token_file", "\"/etc/weir/token\"", problems),
        metrics_detail: section.text("metrics_detail", "\"group\"", problems),
    };
    section.finish(problems);
    admin
}

fn read_dns(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Dns {
    let dns = Dns {
        resolver: section.text("resolver", "\"dns\"", problems),
        servers: section.texts("servers", "[\"127.0.0.1:53\"]", problems),
        refresh: section.duration("refresh", problems),
        min_ttl: section.duration("min_ttl", problems),
    };
    section.finish(problems);
    dns
}

fn read_log(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Log {
    let log = Log {
        level: section.text("level", "\"info\"", problems),
        format: section.text("format", "\"text\"", problems),
    };
    section.finish(problems);
    log
}

fn read_access_log(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> AccessLog {
    let access_log = AccessLog {
        at: section.at.clone(),
        path: section.text("path", "\"/var/log/weir-access.log\"", problems),
        syslog: section.text("syslog", "\"/dev/log\"", problems),
        udp: section.text("udp", "\"10.0.0.1:9000\"", problems),
        facility: section.text("facility", "\"local0\"", problems),
        format: section.text("format", "\"json\"", problems),
        sample: section.integer("sample", "100", problems),
    };
    section.finish(problems);
    access_log
}

fn read_shutdown(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Shutdown {
    let shutdown = Shutdown {
        drain_timeout: section.duration("drain_timeout", problems),
        idle_grace: section.duration("idle_grace", problems),
    };
    section.finish(problems);
    shutdown
}

fn read_listener(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Listener {
    let listener = Listener {
        at: section.at.clone(),
        name: section.text("name", "\"web\"", problems),
        address: section.text("address", "\"0.0.0.0:80\"", problems),
        protocol: section.text("protocol", "\"http\"", problems),
        group: section.text("group", "\"app\"", problems),
        shard: section.text("shard", "\"by-tenant\"", problems),
        backlog: section.integer("backlog", "4096", problems),
        steering: section.text("steering", "\"cpu\"", problems),
        connections_max: section.integer("connections_max", "100000", problems),
        forwarded: section.text("forwarded", "\"x-forwarded\"", problems),
        trust_forwarded: section.boolean("trust_forwarded", problems),
        request_id: section.boolean("request_id", problems),
        decision_headers: section.boolean("decision_headers", problems),
        via: section.text("via", "\"weir\"", problems),
        timeouts: section
            .section("timeouts", problems)
            .map(|section| read_listener_timeouts(section, problems))
            .unwrap_or_default(),
        limits: section
            .section("limits", problems)
            .map(|section| read_listener_limits(section, problems))
            .unwrap_or_default(),
        routes: section
            .sections("route", problems)
            .into_iter()
            .map(|section| route::read(section, problems))
            .collect(),
    };
    section.finish(problems);
    listener
}

fn read_listener_timeouts(
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> ListenerTimeouts {
    let timeouts = ListenerTimeouts {
        head: section.duration("head", problems),
        body: section.duration("body", problems),
        idle: section.duration("idle", problems),
    };
    section.finish(problems);
    timeouts
}

fn read_listener_limits(
    mut section: Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> ListenerLimits {
    let limits = ListenerLimits {
        head_bytes: section.scalar("head_bytes", "\"16KiB\"", problems),
        fields: section.integer("fields", "100", problems),
        target_bytes: section.scalar("target_bytes", "\"8KiB\"", problems),
        body_bytes: section.scalar("body_bytes", "\"10MiB\"", problems),
        requests_per_connection: section.scalar("requests_per_connection", "1000", problems),
    };
    section.finish(problems);
    limits
}
