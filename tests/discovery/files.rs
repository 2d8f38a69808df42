//! Backends in a file: read again when it changes, and kept when it is broken or gone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::{shares, under_traffic, until_answered_by, until_served_by};
use crate::support::dns::Service;
use crate::support::{Dns, Proxy, Settings, Upstream, eventually};

/// A proxy whose group has only the members of `app.json` in a directory of the test.
fn start(folder: &Path, first: &serde_json::Value) -> Proxy {
    fs::write(folder.join("app.json"), first.to_string()).unwrap();
    settings(folder).start()
}

fn settings(folder: &Path) -> Settings {
    let path = folder.join("app.json");
    Settings::http_to(&[]).group_with("backends_file", &format!("{path:?}"))
}

fn replace(folder: &Path, text: &str) {
    fs::write(folder.join("new"), text).unwrap();
    fs::rename(folder.join("new"), folder.join("app.json")).unwrap();
}

fn failures(proxy: &Proxy) -> f64 {
    proxy
        .metrics()
        .count("weir_backends_file_failures_total", &[])
}

fn at(upstream: &Upstream) -> String {
    upstream.address().to_string()
}

#[test]
fn members_come_and_go_under_traffic_without_a_failed_request() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let folder = tempfile::tempdir().unwrap();
    let only = |id: &str, upstream| json!([{"id": id, "address": at(upstream)}]);
    let proxy = start(folder.path(), &only("b1", &one));
    until_served_by(&proxy, &["one"]);
    under_traffic(&proxy, || {
        for _ in 0..5 {
            replace(folder.path(), &only("b2", &two).to_string());
            until_served_by(&proxy, &["two"]);
            let both = json!([
                {"id": "b1", "address": at(&one), "labels": ["x"]},
                {"id": "b2", "address": at(&two)},
            ]);
            fs::write(folder.path().join("app.json"), both.to_string()).unwrap();
            until_served_by(&proxy, &["one", "two"]);
            replace(folder.path(), &only("b1", &one).to_string());
            until_served_by(&proxy, &["one"]);
        }
    });
    assert_eq!(proxy.epochs()["configuration"]["revision"], 1);
    let found = || proxy.epochs()["found"].as_u64();
    let before = found();
    replace(folder.path(), &format!("{}\n", only("b1", &one)));
    let other = json!([{"id": "b1", "address": at(&two), "state": "maint"}]);
    replace(folder.path(), &other.to_string());
    eventually("a state counts", || proxy.client().get("/").status() == 503);
    let after = before.map(|found| found + 1);
    assert_eq!(found(), after, "the same is no change");
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_with_line_and_key() {
    let one = Upstream::named("one");
    let folder = tempfile::tempdir().unwrap();
    let proxy = start(folder.path(), &json!([{"id": "b1", "address": at(&one)}]));
    replace(
        folder.path(),
        "[{\"id\": \"b1\", \"address\": \"127.0.0.1:9\"},\n{\"id\": \"b2\",\n\"wieght\": 3}]",
    );
    eventually("it is counted", || failures(&proxy) == 1.0);
    let said = proxy.stderr();
    for mistake in [
        "2:1: backend[b2].address: is missing",
        "3:1: backend[b2].wieght: unknown key",
    ] {
        assert!(said.contains(&format!("app.json:{mistake}")), "{said}");
    }
    fs::remove_file(folder.path().join("app.json")).unwrap();
    eventually("it is counted", || failures(&proxy) == 2.0);
    assert_eq!(proxy.epoch(), Some(1));
    assert_eq!(shares(&proxy, 4).len(), 1);
    replace(folder.path(), "[]");
    eventually("nobody is left", || proxy.client().get("/").status() == 503);
    replace(folder.path(), &json!([{"address": at(&one)}]).to_string());
    until_served_by(&proxy, &["one"]);
}

#[test]
fn a_member_that_is_in_the_configuration_too_is_left_out_and_told() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.json"), "[]").unwrap();
    let proxy = settings(folder.path())
        .backend(&format!("id = \"b1\"\naddress = \"{}\"", at(&one)))
        .start();
    let three = Upstream::named("three");
    let clash = json!([{"id": "b1", "address": at(&three)}, {"id": "b2", "address": at(&two)}]);
    replace(folder.path(), &clash.to_string());
    eventually("it is counted", || failures(&proxy) == 1.0);
    let told = "and backend b1 of group app in the configuration have the same id";
    assert!(proxy.stderr().contains(told), "{}", proxy.stderr());
    until_served_by(&proxy, &["one", "two"]);
    // The other way around the configuration wins, and only the member it has is left out.
    let path = "/v1/groups/app/backends/b2?wait=node";
    let put = proxy
        .api()
        .put(path, json!({"address": at(&one), "state": "maint"}));
    assert_eq!(put.status(), 422, "its address is that of b1: {put:?}");
    proxy
        .api()
        .put(path, json!({"address": "127.0.0.1:9", "state": "maint"}))
        .expect(201);
    until_answered_by(&proxy, &["one"]);
    assert_eq!(failures(&proxy), 2.0);
    proxy.api().delete(path).expect(200);
    until_served_by(&proxy, &["one", "two"]);
    proxy.api().delete("/v1/groups/app/backends/b1").expect(200);
    until_served_by(&proxy, &["three", "two"]);
}

#[test]
fn a_mounted_directory_that_is_swapped_is_followed() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    for (version, upstream) in [("..1", &one), ("..2", &two)] {
        fs::create_dir(inside(version)).unwrap();
        let text = format!("[[backend]]\naddress = \"{}\"\n", at(upstream));
        fs::write(inside(version).join("app.toml"), text).unwrap();
    }
    symlink("..1", inside("..data")).unwrap();
    symlink("..data/app.toml", inside("app.toml")).unwrap();
    let path = inside("app.toml");
    let settings = Settings::http_to(&[]).group_with("backends_file", &format!("{path:?}"));
    let proxy = settings.start();
    until_served_by(&proxy, &["one"]);
    symlink("..2", inside("..new")).unwrap();
    fs::rename(inside("..new"), inside("..data")).unwrap();
    fs::remove_dir_all(inside("..1")).unwrap();
    until_served_by(&proxy, &["two"]);
    assert_eq!(failures(&proxy), 0.0);
}

#[test]
fn names_in_a_file_are_looked_up_before_they_take_over() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let folder = tempfile::tempdir().unwrap();
    let dns = Dns::start();
    dns.hosts("two.test", 60, &["127.0.0.1"]);
    fs::write(
        folder.path().join("app.json"),
        json!([{"address": at(&one)}]).to_string(),
    )
    .unwrap();
    let proxy = settings(folder.path()).section(&dns.section()).start();
    under_traffic(&proxy, || {
        let name = format!("two.test:{}", two.address().port());
        replace(folder.path(), &json!([{"address": name}]).to_string());
        until_served_by(&proxy, &["two"]);
    });
    assert_eq!(
        proxy.epochs()["found"],
        1,
        "one epoch, not one without an address before"
    );
}

#[test]
fn a_file_that_is_not_there_yet_is_found_later_and_a_new_key_reads_at_once() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let folder = tempfile::tempdir().unwrap();
    let proxy = settings(folder.path()).start();
    assert_eq!(failures(&proxy), 1.0);
    assert_eq!(proxy.client().get("/").status(), 503);
    replace(folder.path(), &json!([{"address": at(&one)}]).to_string());
    until_served_by(&proxy, &["one"]);
    let other = folder.path().join("other.json");
    fs::write(&other, json!([{"address": at(&two)}]).to_string()).unwrap();
    let group = "/v1/groups/app?wait=node";
    proxy
        .api()
        .patch(group, json!({"backends_file": other}))
        .expect(200);
    assert_eq!(proxy.client().get("/").text(), "two");
}

#[test]
fn a_plan_goes_by_what_was_found() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let folder = tempfile::tempdir().unwrap();
    let dns = Dns::start();
    dns.hosts("two.test", 60, &["127.0.0.1"]);
    let record = Service {
        priority: 0,
        weight: 1,
        port: two.address().port(),
        target: "two.test",
    };
    dns.services("_http._tcp.test", 60, &[record]);
    fs::write(
        folder.path().join("app.json"),
        json!([{"id": "one", "address": at(&one)}]).to_string(),
    )
    .unwrap();
    let proxy = settings(folder.path())
        .group_with("policy", "\"rendezvous\"")
        .backend("srv = \"_http._tcp.test\"")
        .section(&dns.section())
        .start();
    let third = json!({"address": "127.0.0.1:9"});
    let plan = |file: &str| {
        let operations = json!([
            {"op": "put", "path": "groups/app/backends/third", "value": third},
            {"op": "patch", "path": "groups/app", "value": {"backends_file": file}},
        ]);
        let plan = json!({"operations": operations});
        proxy.api().post("/v1/plan", plan).expect(200)
    };
    let same = plan(folder.path().join("app.json").to_str().unwrap());
    assert_eq!(same["unknown_names"], json!([]), "{same}");
    let moved = same["groups"][0]["moved"].as_f64().unwrap();
    assert!((0.3..0.37).contains(&moved), "a third: {same}");
    let other = plan("/no/such/file");
    assert_eq!(other["unknown_names"], json!(["file /no/such/file"]));
    let moved = other["groups"][0]["moved"].as_f64().unwrap();
    assert!((0.6..0.72).contains(&moved), "one is gone: {other}");
}
