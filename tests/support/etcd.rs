//! A cluster of etcd members on the loopback, each of which can be killed, paused and started
//! again where it was.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::port::Port;
use super::{PATIENCE, eventually_within};

/// All members, killed when dropped.
pub struct Etcd {
    members: Vec<Member>,
    folder: tempfile::TempDir,
}

struct Member {
    child: Option<Child>,
    clients: Port,
    peers: Port,
}

impl Etcd {
    /// Starts so many members and waits until they take writes.
    #[track_caller]
    pub fn start(members: usize) -> Etcd {
        let member = |_| Member {
            child: None,
            clients: Port::fresh(),
            peers: Port::fresh(),
        };
        let mut etcd = Etcd {
            members: (0..members).map(member).collect(),
            folder: tempfile::Builder::new()
                .prefix("weir-etcd-")
                .tempdir()
                .unwrap(),
        };
        for member in 0..members {
            etcd.run(member);
        }
        eventually_within(2 * PATIENCE, "etcd takes writes", || etcd.takes_writes());
        etcd
    }

    /// Where clients find its members, as TOML.
    pub fn endpoints(&self) -> String {
        let members = self.members.iter();
        let urls: Vec<String> = members
            .map(|member| format!("http://{}", member.clients.address()))
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

    /// Starts a member on what it has.
    pub fn run(&mut self, member: usize) {
        let all = self.members.iter().enumerate();
        let all =
            all.map(|(number, member)| format!("m{number}=http://{}", member.peers.address()));
        let cluster = all.collect::<Vec<_>>().join(",");
        let url = |address: SocketAddr| format!("http://{address}");
        let at = &self.members[member];
        let (clients, peers) = (url(at.clients.address()), url(at.peers.address()));
        let mut command = Command::new("etcd");
        command
            .args([
                "--name",
                &format!("m{member}"),
                "--initial-cluster",
                &cluster,
            ])
            .args([
                "--listen-client-urls",
                &clients,
                "--advertise-client-urls",
                &clients,
            ])
            .args([
                "--listen-peer-urls",
                &peers,
                "--initial-advertise-peer-urls",
                &peers,
            ])
            .args([
                "--data-dir".as_ref(),
                self.folder.path().join(format!("m{member}")).as_os_str(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .expect("etcd is installed (Debian: etcd-server)");
        self.members[member].child = Some(child);
    }

    /// Whether a write comes through.
    pub fn takes_writes(&self) -> bool {
        self.ctl(0, &["put", "test", "1"]).contains("OK")
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

    /// Runs etcdctl with these words at a member; answers what it prints.
    pub fn ctl(&self, member: usize, words: &[&str]) -> String {
        let endpoint = self.members[member].clients.address().to_string();
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
        let output = command
            .output()
            .expect("etcdctl is installed (Debian: etcd-client)");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in 0..self.members.len() {
            self.kill(member);
        }
    }
}
