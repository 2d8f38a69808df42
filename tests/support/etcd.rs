//! A cluster of etcd members, each of which can be killed, paused and started again where it was:
//! on the loopback, or each in a network namespace of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::port::Port;
use super::{PATIENCE, eventually_within};

/// Where a member in a network namespace of its own is asked, and where its peers find it.
const PORTS: [u16; 2] = [2379, 2380];

/// What a client of an etcd with TLS has, in the folder of the members.
const CLIENT_FILES: [(&str, &str); 3] = [
    ("--cacert", "ca.pem"),
    ("--cert", "client.pem"),
    ("--key", "client.key"),
];

/// The user of etcd who may everything, with the password, as `etcdctl` takes it.
const ROOT: &str = "root:root-secret";

/// All members, killed when dropped.
pub struct Etcd {
    members: Vec<Member>,
    folder: tempfile::TempDir,
    /// Clients come by TLS, with a certificate of their own.
    is_secure: bool,
    /// Clients say who they are.
    has_users: bool,
}

struct Member {
    child: Option<Child>,
    clients: SocketAddr,
    peers: SocketAddr,
    /// The network namespace it is in, if not that of the test.
    space: Option<String>,
    _held: Vec<Port>,
}

impl Member {
    fn on_loopback() -> Member {
        let held = [Port::fresh(), Port::fresh()];
        Member {
            child: None,
            clients: held[0].address(),
            peers: held[1].address(),
            space: None,
            _held: held.into(),
        }
    }
}

impl Etcd {
    /// Starts so many members on the loopback and waits until they take writes.
    #[track_caller]
    pub fn start(members: usize) -> Etcd {
        Etcd::of((0..members).map(|_| Member::on_loopback()).collect())
    }

    /// Starts a member in each of these network namespaces, at this address of it.
    #[track_caller]
    pub fn start_in(spaces: &[(String, IpAddr)]) -> Etcd {
        let member = |(space, address): &(String, IpAddr)| Member {
            child: None,
            clients: SocketAddr::from((*address, PORTS[0])),
            peers: SocketAddr::from((*address, PORTS[1])),
            space: Some(space.clone()),
            _held: Vec::new(),
        };
        Etcd::of(spaces.iter().map(member).collect())
    }

    #[track_caller]
    fn of(members: Vec<Member>) -> Etcd {
        let mut etcd = Etcd::with(members);
        etcd.begin();
        etcd
    }

    fn with(members: Vec<Member>) -> Etcd {
        Etcd {
            members,
            folder: folder(),
            is_secure: false,
            has_users: false,
        }
    }

    /// Starts one member that takes clients by TLS alone, with a certificate of its authority, and
    /// from then on only users: this one, who may read and write what begins with a prefix.
    #[track_caller]
    pub fn start_secured(user: &str, password: &str, prefix: &str) -> Etcd {
        let mut etcd = Etcd::with(vec![Member::on_loopback()]);
        etcd.is_secure = true;
        make_certificates(etcd.folder());
        etcd.begin();
        for words in [
            &["user", "add", ROOT][..],
            &["user", "grant-role", "root", "root"],
            &["role", "add", "weir"],
            &[
                "role",
                "grant-permission",
                "weir",
                "readwrite",
                prefix,
                "--prefix",
            ],
            &["user", "add", &format!("{user}:{password}")],
            &["user", "grant-role", user, "weir"],
            &["auth", "enable"],
        ] {
            let said = etcd.ctl(0, words);
            assert!(!said.is_empty(), "etcdctl {words:?}");
        }
        etcd.has_users = true;
        // Passwords are hashed slowly on purpose.
        eventually_within(PATIENCE, "the user of all rights writes", || {
            etcd.takes_writes()
        });
        etcd
    }

    /// Where the data of its members is, and what its clients need.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    #[track_caller]
    fn begin(&mut self) {
        let etcd = self;
        for member in 0..etcd.members.len() {
            etcd.run(member);
        }
        eventually_within(2 * PATIENCE, "etcd takes writes", || etcd.takes_writes());
    }

    /// Where clients find its members, as TOML.
    pub fn endpoints(&self) -> String {
        let members = self.members.iter();
        let urls: Vec<String> = members
            .map(|member| format!("{}://{}", self.scheme(), member.clients))
            .collect();
        format!("{urls:?}")
    }

    /// The `[store]` of a node.
    pub fn section(&self) -> String {
        let etcd = self.endpoints();
        format!("[store]\npath = \"DIRECTORY/copy.redb\"\netcd = {etcd}\ntimeout = \"1s\"")
    }

    /// Kills a member.
    pub fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.members[member].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a member that runs a signal.
    pub fn signal(&self, member: usize, signal: Signal) {
        if let Some(child) = &self.members[member].child {
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    /// Starts a member on what it has.
    pub fn run(&mut self, member: usize) {
        let all = self.members.iter().enumerate();
        let all = all.map(|(number, member)| format!("m{number}=http://{}", member.peers));
        let cluster = all.collect::<Vec<_>>().join(",");
        let at = &self.members[member];
        let clients = format!("{}://{}", self.scheme(), at.clients);
        let peers = format!("http://{}", at.peers);
        let name = format!("m{member}");
        let mut command = match &at.space {
            Some(space) => super::inside(space, "etcd"),
            None => Command::new("etcd"),
        };
        for (option, value) in [
            ("--name", &name),
            ("--initial-cluster", &cluster),
            ("--listen-client-urls", &clients),
            ("--advertise-client-urls", &clients),
            ("--listen-peer-urls", &peers),
            ("--initial-advertise-peer-urls", &peers),
        ] {
            command.args([option, value]);
        }
        if self.is_secure {
            let file = |name| self.folder().join(name);
            command.arg("--client-cert-auth");
            command.arg("--trusted-ca-file").arg(file("ca.pem"));
            command.arg("--cert-file").arg(file("server.pem"));
            command.arg("--key-file").arg(file("server.key"));
        }
        command
            .arg("--data-dir")
            .arg(self.folder.path().join(name))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .expect("etcd is installed (Debian: etcd-server)");
        self.members[member].child = Some(child);
    }

    fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether a write comes through.
    pub fn takes_writes(&self) -> bool {
        self.ctl(0, &["put", "test", "1"]).contains("OK")
    }

    /// The member that leads, as the members say themselves.
    pub fn leader(&self) -> Option<usize> {
        (0..self.len()).find(|member| {
            let told = self.ctl(*member, &["endpoint", "status", "--write-out=json"]);
            let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
            let status = &told[0]["Status"];
            status["leader"].is_u64() && status["leader"] == status["header"]["member_id"]
        })
    }

    /// Waits until every member answers linearizable reads; answers how long that took.
    #[track_caller]
    pub fn until_whole(&self, within: Duration) -> Duration {
        let begun = Instant::now();
        eventually_within(within, "every member of etcd answers", || {
            (0..self.len()).all(|member| self.ctl(member, &["get", "test"]).contains("test"))
        });
        begun.elapsed()
    }

    /// The keys below a prefix, at a member.
    pub fn keys(&self, member: usize, prefix: &str) -> Vec<String> {
        let listed = self.ctl(member, &["get", "--prefix", "--keys-only", prefix]);
        let keys = listed.lines().filter(|line| !line.is_empty());
        keys.map(str::to_owned).collect()
    }

    /// Ends every lease, as if nobody had renewed it.
    pub fn revoke_leases(&self, member: usize) -> usize {
        let listed = self.ctl(member, &["lease", "list"]);
        let leases: Vec<&str> = listed
            .lines()
            .skip(1)
            .filter(|line| !line.is_empty())
            .collect();
        for lease in &leases {
            self.ctl(member, &["lease", "revoke", lease]);
        }
        leases.len()
    }

    /// What `etcdctl` says, asking one member.
    pub fn ctl(&self, member: usize, words: &[&str]) -> String {
        let endpoint = format!("{}://{}", self.scheme(), self.members[member].clients);
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args([
                "--endpoints",
                &endpoint,
                "--command-timeout=2s",
                "--dial-timeout=1s",
            ])
            .args(words);
        if self.is_secure {
            for (option, name) in CLIENT_FILES {
                command.arg(option).arg(self.folder().join(name));
            }
        }
        if self.has_users {
            command.args(["--user", ROOT]);
        }
        let output = command
            .output()
            .expect("etcdctl is installed (Debian: etcd-client)");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("weir-etcd-").tempdir();
    folder.unwrap()
}

/// An authority, what it has signed for the server at 127.0.0.1 and for a client, and another
/// authority that has signed nothing.
fn make_certificates(folder: &Path) {
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        let output = command.current_dir(folder).args(line.split(' ')).output();
        let output = output.expect("openssl is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {line}: {said}");
    };
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    for name in ["ca", "other"] {
        openssl(&format!(
            "req -x509 {curve} -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ));
    }
    for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
        openssl(&format!(
            "req -x509 {curve} -subj /CN={name} -CA ca.pem -CAkey ca.key -keyout {name}.key \
             -out {name}.pem -addext subjectAltName=IP:127.0.0.1 -addext \
             basicConstraints=critical,CA:FALSE -addext extendedKeyUsage={usage}"
        ));
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in 0..self.members.len() {
            self.kill(member);
        }
    }
}
