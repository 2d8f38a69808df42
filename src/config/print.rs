//! The effective configuration as TOML: every default filled in, everything in the order of the
//! documentation. It loads to an equal configuration, which a property test holds it to.

use std::fmt::Write as _;
use std::time::Duration;

use super::checked::{
    Admin, Config, DnsResolver, Forwarded, Listener, LogFormat, LogLevel, MetricsDetail, Protocol,
    Token, Workers,
};
use super::units::{duration_text, size_text};

mod access_log;
mod cluster;
mod group;
mod health;
mod overload;
mod probe;
mod route;
mod shard;
mod store;
mod telemetry;

impl Config {
    /// The effective configuration as TOML, every default filled in. It loads to an equal
    /// [`Config`].
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut page = Page::default();
        page.raw("hash_seed", self.hash_seed);
        self.print_node(&mut page);
        for listener in &self.listeners {
            self.print_listener(listener, &mut page);
        }
        for shard in &self.shards {
            self.print_shard(shard, &mut page);
        }
        for group in &self.groups {
            group::print(group, &mut page);
        }
        page.0
    }

    fn print_node(&self, page: &mut Page) {
        match &self.workers {
            Workers::Auto => page.text("workers", "auto"),
            Workers::Cores(cores) => page.raw("workers", format!("{cores:?}")),
            Workers::Count(count) => page.raw("workers", count),
        }
        let busy_poll = self.busy_poll.unwrap_or_default();
        page.raw("busy_poll_us", busy_poll.as_micros());
        if let Some(admin) = &self.admin {
            print_admin(admin, page);
        }
        page.section("[log]");
        page.text(
            "level",
            match self.log.level {
                LogLevel::Debug => "debug",
                LogLevel::Error => "error",
                LogLevel::Info => "info",
                LogLevel::Trace => "trace",
                LogLevel::Warn => "warn",
            },
        );
        page.text(
            "format",
            match self.log.format {
                LogFormat::Json => "json",
                LogFormat::Text => "text",
            },
        );
        if let Some(access_log) = &self.access_log {
            access_log::print(access_log, page);
        }
        if let Some(log) = &self.decision_log {
            telemetry::print_decision_log(log, page);
        }
        if let Some(tracing) = &self.tracing {
            telemetry::print_tracing(tracing, page);
        }
        if let Some(door) = &self.heartbeat {
            probe::print_door(door, page);
        }
        if let Some(cluster) = &self.cluster {
            cluster::print(cluster, page);
        }
        if let Some(store) = &self.store {
            store::print(store, page);
        }
        page.section("[shutdown]");
        page.duration("drain_timeout", self.shutdown.drain_timeout);
        page.duration("idle_grace", self.shutdown.idle_grace);
        page.section("[upgrade]");
        if let Some(socket) = &self.upgrade.socket {
            page.text("socket", &socket.to_string_lossy());
        }
        page.duration("timeout", self.upgrade.timeout);
        overload::print(&self.overload, page);
        page.section("[dns]");
        page.text(
            "resolver",
            match self.dns.resolver {
                DnsResolver::Dns => "dns",
                DnsResolver::System => "system",
            },
        );
        page.texts("servers", self.dns.servers.iter().map(ToString::to_string));
        page.duration("refresh", self.dns.refresh);
        page.duration("min_ttl", self.dns.min_ttl);
    }

    fn print_listener(&self, listener: &Listener, page: &mut Page) {
        page.section("[[listener]]");
        page.text("name", &listener.name);
        page.text("address", &listener.address.to_string());
        let http = listener.protocol == Protocol::Http;
        page.text("protocol", if http { "http" } else { "tcp" });
        if let Some(destination) = listener.destination {
            self.print_destination(destination, page);
        }
        page.raw("backlog", listener.backlog);
        page.text("steering", if listener.steered { "cpu" } else { "hash" });
        page.raw("connections_max", listener.connections_max);
        if !http {
            page.section("[listener.timeouts]");
            if self.waits_for_hello(listener) {
                page.duration("head", listener.timeouts.head);
            }
            page.duration("idle", listener.timeouts.idle);
            return;
        }
        page.text(
            "forwarded",
            match listener.forwarded {
                Forwarded::Forwarded => "forwarded",
                Forwarded::None => "none",
                Forwarded::XForwarded => "x-forwarded",
            },
        );
        page.raw("trust_forwarded", listener.trust_forwarded);
        page.raw("request_id", listener.request_id);
        page.raw("decision_headers", listener.decision_headers);
        if let Some(via) = &listener.via {
            page.text("via", via);
        }
        page.section("[listener.timeouts]");
        page.duration("head", listener.timeouts.head);
        page.duration("body", listener.timeouts.body);
        page.duration("idle", listener.timeouts.idle);
        print_limits(listener, page);
        for route in &listener.routes {
            self.print_route(route, page);
        }
    }
}

fn print_admin(admin: &Admin, page: &mut Page) {
    page.section("[admin]");
    if let Some(address) = admin.address {
        page.text("address", &address.to_string());
    }
    if let Some(unix) = &admin.unix {
        page.text("unix", &unix.to_string_lossy());
    }
    match &admin.token {
        Some(Token::File(path)) => page.text("token_file", &path.to_string_lossy()),
        Some(Token::Text(token)) => page.text("token", &token.0),
        None => {}
    }
    page.text(
        "metrics_detail",
        match admin.metrics_detail {
            MetricsDetail::Backend => "backend",
            MetricsDetail::Group => "group",
            MetricsDetail::Listener => "listener",
        },
    );
}

fn print_limits(listener: &Listener, page: &mut Page) {
    let limits = &listener.limits;
    page.section("[listener.limits]");
    page.size("head_bytes", limits.head_bytes as u64);
    page.raw("fields", limits.fields);
    page.size("target_bytes", limits.target_bytes as u64);
    match limits.body_bytes {
        Some(bytes) => page.size("body_bytes", bytes),
        None => page.text("body_bytes", "none"),
    }
    match limits.requests_per_connection {
        Some(requests) => page.raw("requests_per_connection", requests),
        None => page.text("requests_per_connection", "none"),
    }
}

/// Lines of TOML.
#[derive(Default)]
struct Page(String);

impl Page {
    fn section(&mut self, header: &str) {
        self.0.push('\n');
        self.0.push_str(header);
        self.0.push('\n');
    }

    fn raw(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.raw(key, toml::Value::from(value));
    }

    /// A list; nothing at all when it is empty.
    fn texts(&mut self, key: &str, values: impl Iterator<Item = String>) {
        let values: Vec<toml::Value> = values.map(toml::Value::from).collect();
        if !values.is_empty() {
            self.raw(key, toml::Value::from(values));
        }
    }

    fn duration(&mut self, key: &str, value: Duration) {
        self.text(key, &duration_text(value));
    }

    fn size(&mut self, key: &str, bytes: u64) {
        self.text(key, &size_text(bytes));
    }
}
