//! The decision log: where each request went, in a file that tells the same as the answers.

use std::fs;
use std::process::Command;

use weir::base::decision::Reason;
use weir::telemetry::decisions::read::{Decision, Decisions};

use crate::support::{Proxy, Settings, Upstream, closed_port, eventually};

const LOG: &str = "[decision_log]\npath = \"DIRECTORY/decisions\"";

fn decisions(proxy: &Proxy, count: usize) -> Vec<Decision> {
    let path = proxy.directory().join("decisions");
    let read = || -> Vec<Decision> {
        let bytes = fs::read(&path).unwrap_or_default();
        Decisions::of(&bytes).map_or_else(Vec::new, |all| all.map_while(Result::ok).collect())
    };
    eventually(&format!("{count} decisions"), || read().len() >= count);
    read()
}

#[test]
fn a_decision_says_where_a_request_went_and_why() {
    let (first, second) = (Upstream::named("one"), Upstream::named("two"));
    let closed = closed_port();
    let proxy = Settings::new()
        .listener("web", "http")
        .to("placed")
        .route("name = \"away\"\npath_prefix = \"/away\"\ngroup = \"away\"")
        .route("name = \"shared\"\npath_prefix = \"/shard\"\nshard = \"by-t\"")
        .shard(
            "name = \"by-t\"\nkey = { header = \"x-t\" }\n\
             map = [{ key = \"a\", group = \"away\" }]",
        )
        .group("placed", &[])
        .group_with("policy", "\"maglev\"")
        .group_with("hash_on", "{ header = \"x-key\" }")
        .member(&first, "id = \"one\"")
        .member(&second, "id = \"two\"")
        .group("away", &[])
        .group_with("policy", "\"round_robin\"")
        .member(&closed, "id = \"gone\"")
        .ejecting_nobody()
        .section(LOG)
        .start();
    let mut client = proxy.client();
    let answer = client.ask("GET / HTTP/1.1\r\nHost: h\r\nX-Key: k\r\n\r\n");
    let again = client.ask("GET / HTTP/1.1\r\nHost: h\r\nX-Key: k\r\n\r\n");
    let other = client.get("/away");
    client.ask("GET /shard HTTP/1.1\r\nHost: h\r\nX-T: nobody\r\n\r\n");
    let read = decisions(&proxy, 4);
    assert_eq!(read.len(), 4);
    let id = |decision: &Decision| format!("{:016x}", decision.request_number);
    for (decision, answer) in read.iter().zip([&answer, &again, &other]) {
        assert_eq!(answer.field("x-request-id"), Some(&*id(decision)));
        assert_eq!(decision.status, answer.status());
        assert_eq!(&*decision.listener, "web");
        assert_eq!(decision.epoch >> 28, 1);
    }
    assert_eq!(
        (read[0].reason, read[0].policy),
        (Reason::Key, Some("maglev"))
    );
    assert!(read[0].key.is_some() && read[0].key == read[1].key);
    assert_eq!(read[0].backend, Some(("placed".to_owned(), answer.text())));
    assert_eq!(read[1].backend, read[0].backend);
    assert_eq!(
        (read[0].candidates, read[0].tried, read[0].retries),
        (2, 1, 0)
    );
    assert_eq!(
        (&*read[2].route, read[2].policy),
        ("away", Some("round_robin"))
    );
    assert_eq!(
        read[2].fault.map(|fault| fault.name()),
        Some("connect_failed")
    );
    assert_eq!(read[2].connect_micros, None);
    assert_eq!((&*read[3].shard, &read[3].backend), ("by-t", &None));
    assert_eq!((read[3].reason, read[3].status), (Reason::Nobody, 404));
}

#[test]
fn the_simulator_replays_decisions() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).section(LOG).start();
    let mut client = proxy.client();
    for _ in 0..40 {
        client.get("/");
    }
    decisions(&proxy, 40);
    let log = proxy.directory().join("decisions");
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sim/replay.toml");
    let told = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args([
            "sim",
            scenario,
            "--policy",
            "round_robin",
            "--seeds",
            "1",
            "--replay",
        ])
        .arg(&log)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{said}");
    assert!(
        said.contains("group app: 40 requests of the log, 0 lines passed over"),
        "{said}"
    );
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).section(LOG).start();
    let (path, old) = (
        proxy.directory().join("decisions"),
        proxy.directory().join("moved"),
    );
    proxy.client().get("/");
    decisions(&proxy, 1);
    fs::rename(&path, &old).unwrap();
    proxy.signal(rustix::process::Signal::USR1);
    eventually("a fresh file", || path.exists());
    proxy.client().get("/");
    assert_eq!(decisions(&proxy, 1).len(), 1);
    let bytes = fs::read(&old).unwrap();
    assert_eq!(Decisions::of(&bytes).unwrap().count(), 1);
    let metrics = proxy.metrics();
    assert_eq!(metrics.count("weir_decision_log_lost_total", &[]), 0.0);
}
