//! A process that cannot take over leaves the one that serves as it was.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::scope;

use rustix::process::Signal;
use serde_json::json;

use super::load::Load;
use crate::support::{Proxy, Settings, Upstream, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

/// Starts the binary by a link in its directory, which a test may point elsewhere.
fn by_link(directory: &Path) -> Command {
    let link = directory.join("weir");
    symlink(BINARY, &link).unwrap();
    let mut command = Command::new(link);
    command
        .arg("run")
        .arg("-c")
        .arg(directory.join("weir.toml"));
    command
}

/// Replaces the program by a script.
fn replace(proxy: &Proxy, script: &str) {
    let path = proxy.directory().join("weir");
    fs::remove_file(&path).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn failures(proxy: &Proxy) -> Option<f64> {
    proxy.metrics().sum("weir_upgrade_failures_total", &[])
}

/// Orders an upgrade and waits until it has failed; changes are then made as before.
#[track_caller]
fn fails(proxy: &Proxy, why: &str) {
    let (pid, before) = (proxy.pid(), failures(proxy).unwrap());
    proxy.signal(Signal::USR2);
    eventually("the upgrade has failed", || {
        failures(proxy) == Some(before + 1.0)
    });
    assert!(proxy.stderr().contains(why), "{why}: {}", proxy.stderr());
    eventually("changes are made again", || {
        let retries = json!({"retries": (before as u64 + 1) % 6});
        let reply = proxy.api().patch("/v1/groups/app", retries);
        let busy = reply.status() == 503 && reply.head.field("retry-after") == Some("1");
        assert!(reply.status() == 200 || busy, "{reply:?}");
        reply.status() == 200
    });
    assert_eq!(proxy.serving_pid(), pid);
}

#[test]
fn whatever_is_wrong_with_the_new_one_the_old_one_goes_on() {
    let upstream = Upstream::named("b");
    let settings = Settings::http_to(&[&upstream])
        .with_store()
        .section("[upgrade]\ntimeout = \"25s\"");
    let mut proxy = Proxy::started_as(&settings, &by_link);
    let load = Load::default();
    scope(|scope| {
        let _asking = load.start(scope, proxy.address(), (1, 2));
        load.wait_for(50);
        let text = proxy.text();
        let file = proxy.directory().join("weir.toml");
        fs::write(&file, text.replace("[upgrade]", "nonsense = 1\n[upgrade]")).unwrap();
        fails(&proxy, "exit status: 1");
        // An address that nobody can bind, found when all else is handed over.
        let token = "token = \"0123456789abcdef\"";
        let elsewhere = format!("[heartbeat]\nudp = \"192.0.2.1:80\"\n{token}\n[upgrade]");
        fs::write(&file, text.replace("[upgrade]", &elsewhere)).unwrap();
        fails(&proxy, "exit status: 4");
        fs::write(&file, text).unwrap();
        replace(&proxy, "exit 7");
        fails(&proxy, "exit status: 7");
        replace(&proxy, "kill -9 $$");
        fails(&proxy, "signal: 9");
        fs::remove_file(proxy.directory().join("weir")).unwrap();
        fails(&proxy, "cannot be started");
        // The program is looked for anew each time: here it is again, and takes over.
        symlink(BINARY, proxy.directory().join("weir")).unwrap();
        proxy.upgrade();
        load.wait_for(load.served.load(std::sync::atomic::Ordering::Relaxed) + 50);
    });
    load.assert_clean("failing upgrades");
    let value = proxy.api().get("/v1/groups/app").expect(200);
    assert_eq!(
        value["value"]["retries"], 5,
        "the last change is there: {value}"
    );
}

/// In a test of its own, because a limit this short may well be missed by one that can serve.
#[test]
fn one_that_never_serves_is_ended_in_time() {
    let upstream = Upstream::named("b");
    let settings = Settings::http_to(&[&upstream])
        .with_store()
        .section("[upgrade]\ntimeout = \"1s\"");
    let proxy = Proxy::started_as(&settings, &by_link);
    replace(&proxy, "exec sleep 60");
    fails(&proxy, "did not serve in time");
    assert_eq!(proxy.client().get("/").status(), 200);
}

#[test]
fn one_that_dies_while_it_has_the_store_gives_it_back() {
    let upstream = Upstream::named("b");
    let settings = Settings::http_to(&[&upstream])
        .with_store()
        .section("[upgrade]\nsocket = \"DIRECTORY/up.sock\"");
    let proxy = settings.start();
    // It asks, is given everything, and ends.
    let ask = br#"{"Ask":{"protocol":1,"pid":1,"version":"0"}}"#;
    let mut line =
        std::os::unix::net::UnixStream::connect(proxy.directory().join("up.sock")).unwrap();
    let mut word = u32::try_from(ask.len()).unwrap().to_be_bytes().to_vec();
    word.extend(ask);
    std::io::Write::write_all(&mut line, &word).unwrap();
    let put = || proxy.api().patch("/v1/groups/app", json!({"retries": 4}));
    eventually("changes wait for the other process", || {
        let reply = put();
        reply.status() == 503 && reply.head.field("retry-after") == Some("1")
    });
    assert_eq!(proxy.client().get("/").status(), 200);
    drop(line);
    eventually("changes are made again", || put().status() == 200);
    assert_eq!(failures(&proxy), Some(1.0));
}

#[test]
fn taking_over_says_what_it_needs() {
    let upstream = Upstream::named("b");
    let run = |proxy: &Proxy, text: &str| {
        let file = proxy.directory().join("other.toml");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["run", "--takeover", "-c"]).arg(&file);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let mut proxy = Settings::http_to(&[&upstream]).start();
    let text = proxy.text();
    let output = run(&proxy, &text);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("[upgrade] socket"), "{said}");
    // A socket nobody is at, and somebody at the addresses all the same.
    let elsewhere = format!("{text}[upgrade]\nsocket = \"/nonexistent/up.sock\"\n");
    let output = run(&proxy, &elsewhere);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("somebody listens on"), "{said}");
    assert!(proxy.is_running());
    assert_eq!(proxy.client().get("/").status(), 200);
}

#[test]
fn where_nobody_is_to_take_over_from_it_just_starts() {
    let upstream = Upstream::named("b");
    let settings =
        Settings::http_to(&[&upstream]).section("[upgrade]\nsocket = \"DIRECTORY/up.sock\"");
    let taking = |directory: &Path| {
        let mut command = Command::new(BINARY);
        let file = directory.join("weir.toml");
        command.args(["run", "--takeover", "-c"]).arg(file);
        command
    };
    let mut proxy = Proxy::started_as(&settings, &taking);
    assert_eq!(proxy.client().get("/").status(), 200);
    let mut before = proxy.take_over();
    assert_eq!(before.wait().unwrap().code(), Some(0));
}
