//! Nodes, their etcd and their backends, each where it belongs.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};

use crate::backends;
use crate::clock::Clocks;
use crate::model::{self, BACKENDS, GROUPS, World};
use crate::network::{Network, Place};
use crate::node::{GOSSIP_PORT, HTTP_PORT, Node};
use crate::support::Etcd;

/// Members of etcd.
const MEMBERS: u8 = 3;

/// Groups nobody asks for, whose number is counted up by whoever wants an epoch of his own.
pub const COUNTERS: [&str; 2] = ["count-0", "count-1"];

/// All of it. What is cut off is dropped before what it is connected to.
pub struct Stage {
    pub nodes: Vec<Node>,
    etcd: Mutex<Etcd>,
    pub backends: Vec<SocketAddr>,
    pub network: Network,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// So many nodes, that serve.
    pub fn start(count: usize) -> Stage {
        let folder = tempfile::Builder::new().prefix("weir-chaos-").tempdir();
        let folder = folder.unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "5a".repeat(32)).unwrap();
        let clocks = Clocks::build(folder.path());
        let mut network = Network::new();
        let own = network.own_address();
        let backend = |backend: usize| backends::start(own, model::name(backend));
        let backends: Vec<SocketAddr> = (0..BACKENDS).map(backend).collect();
        let member =
            |network: &mut Network, number| network.place(&format!("e{number}"), 31 + number);
        let members = (0..MEMBERS).map(|number| member(&mut network, number));
        let members: Vec<_> = members.map(|place| (place.space, place.address)).collect();
        let places = (0..count as u8).map(|node| network.place(&format!("n{node}"), 11 + node));
        let places: Vec<Place> = places.collect();
        let etcd = Etcd::start_in(&members);
        let seeds = places
            .iter()
            .map(|place| format!("{}:{GOSSIP_PORT}", place.address));
        let seeds: Vec<String> = seeds.collect();
        let of_all = format!("seeds = {seeds:?}\nkey_file = {key:?}\n");
        let nodes = places.into_iter().enumerate().map(|(number, place)| {
            let folder = folder.path().join(&place.name);
            let clock = clocks.clock(folder.with_extension("clock"));
            let toml = configuration(number, &place, &of_all, &etcd, &backends);
            let toml = toml.replace("DIRECTORY", &folder.to_string_lossy());
            Node::new(place, clock, folder, &toml)
        });
        let stage = Stage {
            nodes: nodes.collect(),
            etcd: Mutex::new(etcd),
            backends,
            network,
            _folder: folder,
        };
        for node in &stage.nodes {
            node.start();
        }
        stage
    }

    /// The etcd.
    pub fn etcd(&self) -> MutexGuard<'_, Etcd> {
        self.etcd.lock().unwrap()
    }

    /// The name a member of etcd has on the network.
    pub fn member(number: usize) -> String {
        format!("e{number}")
    }
}

fn configuration(
    number: usize,
    place: &Place,
    of_all: &str,
    etcd: &Etcd,
    backends: &[SocketAddr],
) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let address = place.address;
    let mut out = format!(
        "workers = [{}]\n[admin]\nunix = \"DIRECTORY/admin.sock\"\n{}\n\
         [cluster]\nnode = {:?}\nbind = \"{address}:{GOSSIP_PORT}\"\n{of_all}\
         [[listener]]\nname = \"web\"\nprotocol = \"http\"\naddress = \"0.0.0.0:{HTTP_PORT}\"\n\
         decision_headers = true\nshard = \"by-tenant\"\n",
        number % cores,
        etcd.section(),
        place.name,
    );
    let map = World::first().map().to_string();
    let map = map
        .replace("\"key\":", "key=")
        .replace("\"group\":", "group=");
    let _ = writeln!(
        out,
        "[[shard]]\nname = \"by-tenant\"\nkey = {{ header = \"x-tenant\" }}\nmap = {map}"
    );
    for (number, group) in GROUPS.iter().enumerate() {
        let _ = writeln!(out, "[[group]]\nname = {group:?}");
        for (backend, address) in backends.iter().enumerate().skip(3 * number).take(3) {
            let (id, labels) = (model::name(backend), model::labels(backend));
            let _ = writeln!(
                out,
                "[[group.backend]]\nid = {id:?}\naddress = \"{address}\"\nlabels = {labels:?}"
            );
        }
    }
    for counter in COUNTERS {
        let _ = writeln!(
            out,
            "[[group]]\nname = {counter:?}\n[[group.backend]]\nid = \"x\"\n\
             address = \"127.0.0.1:9\"\nrequests_max = 1"
        );
    }
    out
}
