//! `weir demo --nodes N`: the same backends behind several nodes, which share a store in memory and
//! know each other over the loopback as nodes on several machines would.

use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use super::{Stage, configuration, free_addresses, start_backends};
use crate::cli::{Demo, Exit, output};
use crate::control::core::Ready;
use crate::node;

/// Runs the demonstration until Ctrl-C.
pub(super) fn run(demo: &Demo, count: u8) -> Exit {
    match prepare(demo, count) {
        Ok((_stage, files)) => node::show_several(&files, |readies| explain(&readies)),
        Err(error) => {
            eprintln!("weir demo cannot start: {error}");
            Exit::Start
        }
    }
}

/// Starts the backends and writes a file for each node.
fn prepare(demo: &Demo, count: u8) -> io::Result<(Stage, Vec<PathBuf>)> {
    let backends = start_backends()?;
    let stage = Stage::make()?;
    let key = stage.directory.join("cluster.key");
    fs::write(&key, fresh_key())?;
    let listen = match demo.listen {
        Some(address) => address,
        None => free_addresses()?.0,
    };
    let doors = (0..count).map(|_| free_udp_address());
    let doors: Vec<SocketAddr> = doors.collect::<io::Result<_>>()?;
    let mut files = Vec::new();
    for (number, door) in (1..).zip(&doors) {
        let (_, admin) = free_addresses()?;
        let mut text = configuration(listen, admin, &backends);
        let _ = write!(
            text,
            "\n[cluster]\nnode = \"n{number}\"\nbind = \"{door}\"\nseeds = [\"{}\"]\n\
             key_file = {key:?}\n",
            doors[0]
        );
        let file = stage.directory.join(format!("weir-{number}.toml"));
        fs::write(&file, text)?;
        files.push(file);
    }
    Ok((stage, files))
}

/// An address no socket has now.
fn free_udp_address() -> io::Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// 64 hexadecimal digits nobody else draws.
fn fresh_key() -> String {
    let parts = (0..4).map(|part| format!("{:016x}", RandomState::new().hash_one(part)));
    parts.collect()
}

fn explain(readies: &[Ready]) {
    let proxy = readies.first().and_then(|ready| ready.listeners.first());
    let Some((_, proxy)) = proxy else {
        return;
    };
    let admins: Vec<SocketAddr> = readies.iter().filter_map(|ready| ready.admin).collect();
    let (Some(first), Some(last)) = (admins.first(), admins.last()) else {
        return;
    };
    let pid = std::process::id();
    let mut text = format!(
        "\
weir demo is ready: 5 backends, 2 groups, {count} nodes with one store at http://{proxy}

  curl http://{proxy}/              any of the nodes answers, as the kernel spreads connections
  curl http://{first}/v1/nodes      the nodes, as n1 sees them; any node may be asked
  curl http://{last}/v1/epoch       what each of them serves by, core by core

  curl -X PATCH -H 'Content-Type: application/json' \\
    'http://{last}/v1/groups/web?wait=cluster' -d '{{\"policy\": \"least_connections\"}}'
                                    told to n{count}, served by all when it answers

",
        count = admins.len(),
    );
    for (number, admin) in (1..).zip(&admins) {
        text += &format!("  http://{admin}/                   the dashboard of n{number}\n");
    }
    text += &format!(
        "
  kill -TERM {pid}                  to drain and end
  Ctrl-C                            to end at once

"
    );
    output::tell(&text);
}
