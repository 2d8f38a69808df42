//! `weir demo`: a few backends and a proxy before them in one process, for a first look.
//!
//! Nothing but this program is needed. The proxy is the real one, started by [`node::run`] on a
//! configuration that is written to a file of its own, so that editing it and reloading is part
//! of the look. The backends are made for being told apart, not for speed.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method, Uri};
use axum::routing::any;
use tokio::net::TcpListener;

use crate::cli::{Demo, Exit, output};
use crate::control::core::Ready;
use crate::node;

mod nodes;

/// Each backend: its name, its group, and how long it takes to answer.
const BACKENDS: [(&str, &str, u64); 5] = [
    ("alpha", "web", 0),
    ("beta", "web", 0),
    ("gamma", "web", 0),
    ("quick", "api", 0),
    ("slow", "api", 300),
];

/// A backend that runs: its name, its group, and where it is.
type Started = (&'static str, &'static str, SocketAddr);

/// Runs the demonstration until Ctrl-C.
#[must_use]
pub fn run(demo: &Demo) -> Exit {
    let stage = match demo.nodes {
        Some(count) => return nodes::run(demo, count),
        None => prepare(demo),
    };
    match stage {
        Ok(stage) => {
            let file = stage.file();
            let shown = file.clone();
            node::show(&file, Box::new(move |ready| explain(&ready, &shown)))
        }
        Err(error) => {
            eprintln!("weir demo cannot start: {error}");
            Exit::Start
        }
    }
}

/// The demonstration's own directory, removed at its end.
struct Stage {
    directory: PathBuf,
}

impl Stage {
    fn file(&self) -> PathBuf {
        self.directory.join("weir.toml")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Stage {
    fn make() -> io::Result<Stage> {
        // Creating fails where something of this name exists: nobody can lay out a trap for it.
        let name = format!("weir-demo-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        Ok(Stage { directory })
    }
}

fn start_backends() -> io::Result<Vec<Started>> {
    let started = BACKENDS.iter().map(|(name, group, delay)| {
        let address = start_backend(name, Duration::from_millis(*delay))?;
        Ok((*name, *group, address))
    });
    started.collect()
}

fn prepare(demo: &Demo) -> io::Result<Stage> {
    let backends = start_backends()?;
    let stage = Stage::make()?;
    let (free, other) = free_addresses()?;
    let listen = demo.listen.unwrap_or(free);
    let admin = demo.admin.unwrap_or(other);
    fs::write(stage.file(), configuration(listen, admin, &backends))?;
    Ok(stage)
}

/// Two addresses nobody listens on, known before the proxy opens them. Another process may take
/// one in between; the proxy then says so and ends.
fn free_addresses() -> io::Result<(SocketAddr, SocketAddr)> {
    let first = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((first.local_addr()?, second.local_addr()?))
}

fn configuration(listen: SocketAddr, admin: SocketAddr, backends: &[Started]) -> String {
    let of = |group: &str| {
        let mine = backends.iter().filter(|(_, of, _)| *of == group);
        let lines = mine.map(|(name, _, address)| format!("  \"{address}\", # {name}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    format!(
        "\
# Written by `weir demo`; gone when it ends.
workers = \"auto\"

[admin]
address = \"{admin}\"

[log]
level = \"info\"

[shutdown]
drain_timeout = \"5s\"

[[listener]]
name = \"demo\"
address = \"{listen}\"
protocol = \"http\"
group = \"web\"
connections_max = 1000

[[listener.route]]
name = \"api\"
path_prefix = \"/api/\"
group = \"api\"

[[group]]
name = \"web\"
policy = \"round_robin\"
backends = [
{web}
]

[[group]]
name = \"api\"
policy = \"least_connections\"
backends = [
{api}
]
",
        web = of("web"),
        api = of("api"),
    )
}

/// A backend on a thread of its own; it ends with the process.
fn start_backend(name: &'static str, delay: Duration) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let hello = move || async move {
        tokio::time::sleep(delay).await;
        format!("{name}\n")
    };
    let headers = move |method: Method, uri: Uri, headers: HeaderMap| async move {
        received(name, &method, &uri, &headers)
    };
    let router = Router::new()
        .route("/headers", any(headers))
        .fallback(any(hello));
    std::thread::Builder::new()
        .name(format!("demo-{name}"))
        .spawn(move || {
            let served = runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                axum::serve(listener, router).await
            });
            if let Err(error) = served {
                tracing::error!(backend = name, %error, "backend ended");
            }
        })?;
    Ok(address)
}

/// The request as the backend got it.
fn received(name: &str, method: &Method, uri: &Uri, headers: &HeaderMap) -> String {
    let mut text = format!("{name} received:\n{method} {uri}\n");
    for (field, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let _ = writeln!(text, "{field}: {value}");
    }
    text
}

fn explain(ready: &Ready, file: &Path) {
    let Some((_, proxy)) = ready.listeners.first() else {
        return;
    };
    let pid = std::process::id();
    let file = file.display();
    let mut text = format!(
        "\
weir demo is ready: 5 backends, 2 groups, one proxy at http://{proxy}

  curl http://{proxy}/              round robin: alpha, beta, gamma (each core its own turn)
  curl http://{proxy}/headers       what a backend receives, added headers included
  curl http://{proxy}/api/          least connections: quick or slow (300 ms)
  for i in $(seq 20); do curl -s http://{proxy}/api/ & done | sort | uniq -c; wait
                                    quick answers most: slow is still busy
"
    );
    if let Some(admin) = ready.admin {
        text += &format!(
            "
  http://{admin}/                   the dashboard, for a browser
  curl http://{admin}/metrics       counters and latencies of every listener and backend
  curl http://{admin}/v1/epoch      which table the cores serve by
"
        );
    }
    text += &format!(
        "
  edit {file} and
  kill -HUP {pid}                   to reload it: the epoch rises, no connection is lost
  kill -TERM {pid}                  to drain and end
  Ctrl-C                            to end at once

"
    );
    output::tell(&text);
}
