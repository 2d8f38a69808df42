//! The dashboard in a real browser, before a real proxy with real traffic.
//!
//! The browser is driven by playwright-core, a Node.js program that `.ci/run` installs into a
//! folder of the user's cache (`WEIR_PLAYWRIGHT` names another one); Chromium is Debian's
//! (`WEIR_CHROMIUM`). Without them these tests fail.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::tool::{run, run_within};
use crate::support::{Nodes, Proxy, Settings, Upstream, eventually};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn script(name: &str) -> String {
    format!("{}/tests/dashboard/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_arithmetic_of_the_page_is_right() {
    let said = run("node", &["--test", &script("rates.test.mjs")]);
    assert!(
        said.contains("# pass 13") && said.contains("# fail 0"),
        "{said}"
    );
}

#[test]
fn every_action_of_the_page_has_its_effect_on_traffic() {
    let one = Upstream::named("one");
    let (two, three) = (Upstream::named("two"), Upstream::named("three"));
    let mut settings = Settings::new().listener("web", "http").to("app");
    settings = settings.group("app", &[]);
    for (name, upstream) in [("one", &one), ("two", &two)] {
        settings = settings.member(upstream, &format!("id = {name:?}"));
    }
    let proxy = settings.admin_with(&format!("token = {TOKEN:?}")).start();
    let told = json!({
        "admin": format!("http://{}", proxy.admin_address()),
        "proxy": format!("http://{}", proxy.address()),
        "token": TOKEN,
        "backends": {"three": three.address().to_string()},
    });
    let output = run_within(
        Duration::from_secs(400),
        "node",
        &[&script("drive.mjs"), &told.to_string()],
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{errors}");
    assert_eq!(steps(&said), 20, "{said}");
}

fn steps(said: &str) -> usize {
    said.lines().filter(|line| line.starts_with("ok ")).count()
}

fn drive(name: &str, told: &Value) -> Output {
    let deadline = Duration::from_secs(300);
    run_within(deadline, "node", &[&script(name), &told.to_string()])
}

/// What is not fast enough where nothing is optimised and all cores are busy would be seen here as
/// well: a refresh of 1,000 backends takes 10 ms.
const REFRESH_MILLIS_MAX: u64 = 100;

#[test]
fn a_thousand_backends_are_fast_and_need_no_mouse() {
    let upstream = Upstream::named("ok");
    let count = 1000;
    let mut settings = Settings::new().listener("web", "http").to("app");
    settings = settings.group("app", &[]);
    settings = settings.member(&upstream, "id = \"b0\"");
    for number in 1..count {
        let (high, low) = (number >> 8, number & 255);
        settings = settings.backend(&format!(
            "id = \"b{number}\"\naddress = \"127.9.{high}.{low}:1\"\nstate = \"maint\""
        ));
    }
    let proxy = settings.start();
    for _ in 0..50 {
        proxy.client().get("/");
    }
    let told = json!({
        "admin": format!("http://{}", proxy.admin_address()),
        "backends": count,
        "refresh_ms": REFRESH_MILLIS_MAX,
    });
    let output = drive("large.mjs", &told);
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{output:?}");
    assert_eq!(steps(&said), 6, "{said}");
}

#[test]
fn nodes_of_a_cluster_are_shown_with_the_epoch_of_each_core() {
    let upstream = Upstream::named("ok");
    let settings = Settings::http_to(&[&upstream]).workers("2");
    let nodes = Nodes::new(3);
    let started: Vec<Proxy> = (0..3).map(|node| nodes.start(node, &settings)).collect();
    eventually("all are found", || {
        started.iter().all(|node| node.nodes("alive") == 2)
    });
    let urls = started.iter();
    let urls = urls.map(|node| format!("http://{}", node.admin_address()));
    let told = json!({"nodes": urls.collect::<Vec<_>>()});
    let mut child = Command::new("node")
        .args([&script("cluster.mjs"), &told.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is needed for this test");
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.unwrap();
        if line == "kill" {
            started[2].signal(Signal::KILL);
            writeln!(input, "killed").unwrap();
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(steps(&said), 6, "{said}");
}
