//! Another proxy in weir's place, to try the tests themselves: with `WEIR_TEST_PROXY=haproxy`
//! or `nginx` the same settings are written in that proxy's language and it is started instead.
//!
//! What the other proxy cannot do (admin API, epochs, weir's limits) fails there; that is read by
//! a person. A test that fails on every proxy, or passes on one known to be wrong, is suspect.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::settings::{Listener, Settings};

/// Which proxy is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Debian's HAProxy.
    Haproxy,
    /// Debian's nginx.
    Nginx,
    /// The real thing.
    Weir,
}

impl Peer {
    /// From `WEIR_TEST_PROXY`; weir unless told.
    pub fn chosen() -> Peer {
        match std::env::var("WEIR_TEST_PROXY").as_deref() {
            Ok("haproxy") => Peer::Haproxy,
            Ok("nginx") => Peer::Nginx,
            Ok("weir") | Err(_) => Peer::Weir,
            Ok(other) => panic!("WEIR_TEST_PROXY={other}?"),
        }
    }

    /// Writes the settings into `directory` in this proxy's language.
    pub fn write(self, settings: &Settings, directory: &Path) {
        let text = match self {
            Peer::Haproxy => haproxy(settings),
            Peer::Nginx => nginx(settings, directory),
            Peer::Weir => settings.toml(directory),
        };
        std::fs::write(directory.join("weir.toml"), text).unwrap();
    }

    /// How to start it on the file in `directory`.
    pub fn command(self, directory: &Path) -> Command {
        let file = directory.join("weir.toml");
        let mut command;
        match self {
            Peer::Haproxy => {
                command = Command::new("/usr/sbin/haproxy");
                command.arg("-db").arg("-f").arg(file);
            }
            Peer::Nginx => {
                command = Command::new("/usr/sbin/nginx");
                command.arg("-c").arg(file).arg("-p").arg(directory);
            }
            Peer::Weir => {
                command = Command::new(env!("CARGO_BIN_EXE_weir"));
                command.arg("run").arg("-c").arg(file);
            }
        }
        command
    }
}

fn value<'a>(keys: &'a [(String, String)], name: &str, default: &'a str) -> &'a str {
    let found = keys.iter().find(|(key, _)| key == name);
    found.map_or(default, |(_, value)| value.trim_matches('"'))
}

fn haproxy(settings: &Settings) -> String {
    let mut out = String::from("global\n  nbthread 1\n  maxconn 9000\ndefaults\n");
    out.push_str("  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n");
    for listener in &settings.listeners {
        let _ = writeln!(
            out,
            "frontend {}\n  mode {}",
            listener.name, listener.protocol
        );
        let _ = writeln!(out, "  bind {}", listener.port.address());
        let _ = writeln!(
            out,
            "  maxconn {}",
            value(&listener.keys, "connections_max", "9000")
        );
        let idle = value(&listener.timeouts, "idle", "60s");
        if listener.protocol == "tcp" {
            let _ = writeln!(out, "  timeout client {idle}");
        } else {
            let _ = writeln!(
                out,
                "  timeout client {}",
                value(&listener.timeouts, "body", "30s")
            );
            let _ = writeln!(out, "  timeout http-keep-alive {idle}");
            let head = value(&listener.timeouts, "head", "10s");
            let _ = writeln!(out, "  timeout http-request {head}");
            if value(&listener.keys, "forwarded", "x-forwarded") == "x-forwarded" {
                let _ = writeln!(out, "  option forwardfor");
            }
        }
        if let Some(group) = &listener.group {
            let _ = writeln!(out, "  default_backend {group}");
        }
    }
    for group in &settings.groups {
        let mode = settings
            .listeners
            .first()
            .map_or("http", |listener| listener.protocol);
        let _ = writeln!(
            out,
            "backend {}\n  mode {mode}\n  option redispatch 1",
            group.name
        );
        let _ = writeln!(out, "  retries {}", value(&group.keys, "retries", "2"));
        let _ = writeln!(
            out,
            "  timeout connect {}",
            value(&group.timeouts, "connect", "5s")
        );
        let _ = writeln!(
            out,
            "  timeout server {}",
            value(&group.timeouts, "response", "60s")
        );
        let policy = value(&group.keys, "policy", "round_robin");
        let policy = if policy == "least_connections" {
            "leastconn"
        } else {
            "roundrobin"
        };
        let _ = writeln!(out, "  balance {policy}");
        if mode == "http" {
            let _ = writeln!(out, "  http-reuse always");
        }
        for (index, address) in group.backends.iter().enumerate() {
            let _ = writeln!(out, "  server s{index} {address}");
        }
    }
    out
}

fn nginx(settings: &Settings, directory: &Path) -> String {
    let mut out = String::from("daemon off; worker_processes 1; error_log stderr;\n");
    let _ = writeln!(out, "pid {}/nginx.pid;", directory.display());
    out.push_str("events { worker_connections 4096; }\nhttp {\n  access_log off;\n");
    for group in &settings.groups {
        let _ = writeln!(out, "  upstream {} {{", group.name);
        for address in &group.backends {
            let _ = writeln!(out, "    server {address};");
        }
        out.push_str("    keepalive 64;\n  }\n");
    }
    for listener in &settings.listeners {
        nginx_server(&mut out, listener);
    }
    out.push_str("}\n");
    out
}

fn nginx_server(out: &mut String, listener: &Listener) {
    let group = listener.group.as_deref().unwrap_or("none");
    let _ = writeln!(
        out,
        "  server {{ listen {}; client_max_body_size 0; location / {{
    proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
    proxy_request_buffering off; proxy_buffering off; proxy_pass http://{group}; }} }}",
        listener.port.address()
    );
}
