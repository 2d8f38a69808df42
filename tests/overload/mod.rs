//! What the node does when it runs out of connections, descriptors or memory: others are served.

mod connections;
mod descriptors;
mod memory;
mod storm;

use std::process::Command;

use crate::support::{Client, Proxy, Settings, Wire};

/// Starts the proxy with so many descriptors.
fn start_with_descriptors(settings: &Settings, count: u64) -> Proxy {
    Proxy::started_as(settings, &|directory| {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={count}:{count}"));
        command.arg(env!("CARGO_BIN_EXE_weir")).arg("run");
        command.arg("-c").arg(directory.join("weir.toml"));
        command
    })
}

/// Connections that ask nothing.
fn silent(proxy: &Proxy, count: usize) -> Vec<Wire> {
    (0..count).map(|_| proxy.connect()).collect()
}

fn shed(proxy: &Proxy, how: &str) -> f64 {
    let metrics = proxy.metrics();
    metrics.count("weir_overload_shed_total", &[("how", how)])
}

fn wait_for_action(proxy: &Proxy, action: &str, cores: f64) {
    proxy.wait_for_metric("weir_overload_action_cores", &[("action", action)], cores);
}

fn is_served(client: &mut Client) -> bool {
    client.get("/").status() == 200
}
