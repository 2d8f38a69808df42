//! A configuration under construction: what a test says about listeners and groups, and the
//! TOML that weir reads.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::port::{FullBacklog, Port};
use super::upstream::Upstream;

/// A configuration.
#[derive(Clone)]
pub struct Settings {
    /// Where the admin API listens.
    pub admin: Port,
    /// Further lines of `[admin]`; `DIRECTORY` is the directory of the proxy.
    pub admin_lines: Vec<String>,
    /// Whether there is a store that lasts.
    pub store: bool,
    /// `workers` as TOML; one core unless told.
    pub workers: String,
    /// Format of the access log, if there is one.
    pub access_log: Option<&'static str>,
    /// Further sections, before the listeners; `DIRECTORY` is the directory of the proxy.
    pub sections: Vec<String>,
    /// `drain_timeout` in the words of the file.
    pub drain_timeout: String,
    /// `idle_grace` in the words of the file.
    pub idle_grace: String,
    /// The listeners.
    pub listeners: Vec<Listener>,
    /// Bodies of `[[shard]]`.
    pub shards: Vec<String>,
    /// The groups.
    pub groups: Vec<Group>,
}

/// A `[[listener]]`.
#[derive(Clone)]
pub struct Listener {
    /// Name.
    pub name: String,
    /// Address.
    pub port: Port,
    /// `http` or `tcp`.
    pub protocol: &'static str,
    /// Default group.
    pub group: Option<String>,
    /// Further keys as TOML.
    pub keys: Vec<(String, String)>,
    /// `[listener.timeouts]` as TOML.
    pub timeouts: Vec<(String, String)>,
    /// `[listener.limits]` as TOML.
    pub limits: Vec<(String, String)>,
    /// Bodies of `[[listener.route]]`.
    pub routes: Vec<String>,
}

/// A `[[group]]`.
#[derive(Clone)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Addresses.
    pub backends: Vec<SocketAddr>,
    /// Names with ports.
    pub names: Vec<String>,
    /// Further keys as TOML.
    pub keys: Vec<(String, String)>,
    /// `[group.timeouts]` as TOML.
    pub timeouts: Vec<(String, String)>,
    /// Bodies of `[[group.backend]]`.
    pub members: Vec<String>,
}

/// What has an address a proxy can connect to.
pub trait Backend {
    /// That address.
    fn backend_address(&self) -> SocketAddr;
}

impl Backend for Upstream {
    fn backend_address(&self) -> SocketAddr {
        self.address()
    }
}

impl Backend for FullBacklog {
    fn backend_address(&self) -> SocketAddr {
        self.address()
    }
}

impl Backend for Port {
    fn backend_address(&self) -> SocketAddr {
        self.address()
    }
}

impl Backend for SocketAddr {
    fn backend_address(&self) -> SocketAddr {
        *self
    }
}

impl Settings {
    /// Nothing but an admin address; one worker, on the cores in turn.
    pub fn new() -> Settings {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let core = NEXT.fetch_add(1, Ordering::Relaxed) % cores;
        Settings {
            admin: Port::fresh(),
            admin_lines: Vec::new(),
            store: false,
            workers: format!("[{core}]"),
            access_log: None,
            sections: Vec::new(),
            drain_timeout: "30s".to_owned(),
            idle_grace: "1s".to_owned(),
            listeners: Vec::new(),
            shards: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// An HTTP listener in front of one group.
    pub fn http_to(backends: &[&dyn Backend]) -> Settings {
        Settings::new()
            .listener("web", "http")
            .to("app")
            .group("app", backends)
    }

    /// A TCP listener in front of one group.
    pub fn tcp_to(backends: &[&dyn Backend]) -> Settings {
        Settings::new()
            .listener("relay", "tcp")
            .to("app")
            .group("app", backends)
    }

    /// Adds a listener; the following calls are about it.
    pub fn listener(mut self, name: &str, protocol: &'static str) -> Settings {
        self.listeners.push(Listener {
            name: name.to_owned(),
            port: Port::fresh(),
            protocol,
            group: None,
            keys: Vec::new(),
            timeouts: Vec::new(),
            limits: Vec::new(),
            routes: Vec::new(),
        });
        self
    }

    /// Default group of the last listener.
    pub fn to(mut self, group: &str) -> Settings {
        self.last_listener().group = Some(group.to_owned());
        self
    }

    /// A key of the last listener; `value` is TOML.
    pub fn with(mut self, key: &str, value: &str) -> Settings {
        self.last_listener()
            .keys
            .push((key.to_owned(), value.to_owned()));
        self
    }

    /// A time of the last listener, like `300ms`.
    pub fn timeout(mut self, key: &str, value: &str) -> Settings {
        self.last_listener()
            .timeouts
            .push((key.to_owned(), format!("{value:?}")));
        self
    }

    /// A limit of the last listener; `value` is TOML.
    pub fn limit(mut self, key: &str, value: &str) -> Settings {
        self.last_listener()
            .limits
            .push((key.to_owned(), value.to_owned()));
        self
    }

    /// A route of the last listener; `body` is TOML.
    pub fn route(mut self, body: &str) -> Settings {
        self.last_listener().routes.push(body.to_owned());
        self
    }

    /// Adds a shard rule; `body` is TOML.
    pub fn shard(mut self, body: &str) -> Settings {
        self.shards.push(body.to_owned());
        self
    }

    /// Adds a group.
    pub fn group(mut self, name: &str, backends: &[&dyn Backend]) -> Settings {
        self.groups.push(Group {
            name: name.to_owned(),
            backends: backends
                .iter()
                .map(|backend| backend.backend_address())
                .collect(),
            names: Vec::new(),
            keys: Vec::new(),
            timeouts: Vec::new(),
            members: Vec::new(),
        });
        self
    }

    /// Adds a backend in the long form to the last group; `keys` is TOML.
    pub fn member(mut self, backend: &dyn Backend, keys: &str) -> Settings {
        let group = self.groups.last_mut().expect("a group comes first");
        let address = backend.backend_address();
        group
            .members
            .push(format!("address = \"{address}\"\n{keys}"));
        self
    }

    /// A key of the last group; `value` is TOML.
    pub fn group_with(mut self, key: &str, value: &str) -> Settings {
        let group = self.groups.last_mut().expect("a group comes first");
        group.keys.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Traffic ejects nobody of the last group, so that failures go on.
    pub fn ejecting_nobody(self) -> Settings {
        self.group_with("outlier", "{ ejected_max_percent = 0 }")
    }

    /// A backend of the last group by name and port.
    pub fn named(mut self, name: &str) -> Settings {
        let group = self.groups.last_mut().expect("a group comes first");
        group.names.push(name.to_owned());
        self
    }

    /// A backend of the last group in the long form; `body` is TOML.
    pub fn backend(mut self, body: &str) -> Settings {
        let group = self.groups.last_mut().expect("a group comes first");
        group.members.push(body.to_owned());
        self
    }

    /// A further section of the file; `DIRECTORY` is the directory of the proxy.
    pub fn section(mut self, text: &str) -> Settings {
        self.sections.push(text.to_owned());
        self
    }

    /// A time of the last group, like `300ms`.
    pub fn group_timeout(mut self, key: &str, value: &str) -> Settings {
        let group = self.groups.last_mut().expect("a group comes first");
        group.timeouts.push((key.to_owned(), format!("{value:?}")));
        self
    }

    /// Writes an access log.
    pub fn access_log(mut self, format: &'static str) -> Settings {
        self.access_log = Some(format);
        self
    }

    /// How long a drain may take.
    pub fn drain_timeout(mut self, value: &str) -> Settings {
        value.clone_into(&mut self.drain_timeout);
        self
    }

    /// How long idle clients may ask once more.
    pub fn idle_grace(mut self, value: &str) -> Settings {
        value.clone_into(&mut self.idle_grace);
        self
    }

    /// Keeps changes in a store.
    pub fn with_store(mut self) -> Settings {
        self.store = true;
        self
    }

    /// A further line of `[admin]`; `DIRECTORY` is the directory of the proxy.
    pub fn admin_with(mut self, line: &str) -> Settings {
        self.admin_lines.push(line.to_owned());
        self
    }

    /// Which cores, as TOML.
    pub fn workers(mut self, value: &str) -> Settings {
        value.clone_into(&mut self.workers);
        self
    }

    fn last_listener(&mut self) -> &mut Listener {
        self.listeners.last_mut().expect("a listener comes first")
    }

    /// The file weir reads; the access log goes to `directory`.
    pub fn toml(&self, directory: &Path) -> String {
        let mut out = format!("workers = {}\n", self.workers);
        let _ = writeln!(out, "[admin]\naddress = \"{}\"", self.admin.address());
        for line in &self.admin_lines {
            let _ = writeln!(
                out,
                "{}",
                line.replace("DIRECTORY", &directory.to_string_lossy())
            );
        }
        if self.store {
            let _ = writeln!(out, "[store]\npath = {:?}", directory.join("store.redb"));
        }
        if let Some(format) = self.access_log {
            let path = directory.join("access.log");
            let _ = writeln!(out, "[access_log]\npath = {path:?}\nformat = {format:?}");
        }
        let _ = writeln!(out, "[shutdown]\ndrain_timeout = {:?}", self.drain_timeout);
        let _ = writeln!(out, "idle_grace = {:?}", self.idle_grace);
        for section in &self.sections {
            let section = section.replace("DIRECTORY", &directory.to_string_lossy());
            let _ = writeln!(out, "{section}");
        }
        for listener in &self.listeners {
            listener.write(&mut out);
        }
        for shard in &self.shards {
            let _ = writeln!(out, "[[shard]]\n{shard}");
        }
        let mut groups = String::new();
        for group in &self.groups {
            group.write(&mut groups);
        }
        out + &groups.replace("DIRECTORY", &directory.to_string_lossy())
    }
}

impl Listener {
    fn write(&self, out: &mut String) {
        let address = self.port.address();
        let _ = writeln!(
            out,
            "[[listener]]\nname = {:?}\naddress = \"{address}\"",
            self.name
        );
        let _ = writeln!(out, "protocol = {:?}", self.protocol);
        if let Some(group) = &self.group {
            let _ = writeln!(out, "group = {group:?}");
        }
        write_keys(out, &self.keys);
        write_table(out, "[listener.timeouts]", &self.timeouts);
        write_table(out, "[listener.limits]", &self.limits);
        for route in &self.routes {
            let _ = writeln!(out, "[[listener.route]]\n{route}");
        }
    }
}

impl Group {
    fn write(&self, out: &mut String) {
        let addresses = self.backends.iter().map(ToString::to_string);
        let backends = addresses.chain(self.names.iter().cloned());
        let backends: Vec<String> = backends.map(|a| format!("\"{a}\"")).collect();
        let _ = writeln!(out, "[[group]]\nname = {:?}", self.name);
        if !backends.is_empty() {
            let _ = writeln!(out, "backends = [{}]", backends.join(", "));
        }
        write_keys(out, &self.keys);
        write_table(out, "[group.timeouts]", &self.timeouts);
        for member in &self.members {
            let _ = writeln!(out, "[[group.backend]]\n{member}");
        }
    }
}

fn write_table(out: &mut String, header: &str, keys: &[(String, String)]) {
    if !keys.is_empty() {
        let _ = writeln!(out, "{header}");
        write_keys(out, keys);
    }
}

fn write_keys(out: &mut String, keys: &[(String, String)]) {
    for (key, value) in keys {
        let _ = writeln!(out, "{key} = {value}");
    }
}
