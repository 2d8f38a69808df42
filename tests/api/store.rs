//! What outlives the process, and who says what is true.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Settings, Upstream, eventually};

#[test]
fn a_change_survives_kill_minus_nine() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let mut proxy = Settings::http_to(&[&one]).with_store().start();
    let api = proxy.api();
    let backend = two.address().to_string();
    let done = api.put("/v1/groups/app?wait=node", json!({"backends": [backend]}));
    done.expect(200);
    let hash = proxy.epochs()["configuration"]["hash"].clone();
    proxy.kill_and_start();
    assert_eq!(proxy.client().get("/").text(), "two");
    assert_eq!(
        proxy.epoch(),
        Some(done.epoch()),
        "the epoch is the store's"
    );
    assert_eq!(proxy.epochs()["configuration"]["hash"], hash);
    let next = api.patch("/v1/groups/app", json!({"retries": 1}));
    assert_eq!(next.epoch(), done.epoch() + 1);
}

#[test]
fn a_store_has_a_seed_of_its_own_that_an_export_carries() {
    let upstream = Upstream::named("one");
    let mut proxy = Settings::http_to(&[&upstream]).with_store().start();
    let api = proxy.api();
    let seed = |api: &crate::support::Api| {
        let settings = api.get("/v1/settings").expect(200);
        settings["value"]["hash_seed"].as_u64().expect("a seed")
    };
    let first = seed(&api);
    assert!(first <= i64::MAX as u64);
    proxy.kill_and_start();
    assert_eq!(seed(&proxy.api()), first, "it stays");
    let other = Settings::http_to(&[&upstream]).with_store().start();
    assert_ne!(seed(&other.api()), first);

    // What a node shows may be put back; another seed may not, and none is none said.
    let value = api.get("/v1/settings").expect(200)["value"].clone();
    api.put("/v1/settings", value).expect(200);
    let refused = api
        .patch("/v1/settings", json!({"hash_seed": 1}))
        .refused(422);
    assert_eq!(refused, ["settings hash_seed"]);
    assert_eq!(
        api.patch("/v1/settings", json!({"hash_seed": null}))
            .status(),
        422
    );
    api.put("/v1/settings", json!({"shutdown": {"drain_timeout": "9s"}}))
        .expect(200);
    assert_eq!(seed(&api), first);

    let export = api.get("/v1/export").text.clone();
    let line = export
        .lines()
        .find(|line| line.starts_with("hash_seed = "))
        .unwrap();
    assert_eq!(line, format!("hash_seed = {first}"));
    let plain = Settings::http_to(&[&upstream]).start();
    let of_file = plain.api().get("/v1/settings").expect(200)["value"].clone();
    assert_eq!(of_file.get("hash_seed"), None, "of a file alone it is 0");
}

#[test]
fn without_a_store_a_change_lasts_until_the_end() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let mut proxy = Settings::http_to(&[&one]).start();
    let backend = two.address().to_string();
    let target = "/v1/groups/app?wait=node";
    proxy
        .api()
        .put(target, json!({"backends": [backend]}))
        .expect(200);
    assert_eq!(proxy.client().get("/").text(), "two");
    proxy.kill_and_start();
    assert_eq!(proxy.client().get("/").text(), "one");
}

#[test]
fn the_file_seeds_only_an_empty_store() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let mut proxy = Settings::http_to(&[&one]).with_store().start();
    let other = proxy
        .text()
        .replace(&one.address().to_string(), &two.address().to_string());
    std::fs::write(proxy.directory().join("weir.toml"), other).unwrap();
    proxy.kill_and_start();
    assert_eq!(proxy.client().get("/").text(), "one");
    assert!(
        proxy.stderr().contains("the store is the truth"),
        "{}",
        proxy.stderr()
    );
    let epoch = proxy.epoch();
    proxy.signal(Signal::HUP);
    eventually("it says so at a reload", || {
        proxy
            .stderr()
            .contains("of the file only the process is read")
    });
    assert_eq!(
        (proxy.epoch(), proxy.client().get("/").text()),
        (epoch, "one".to_owned())
    );
}

#[test]
fn without_a_store_a_reload_brings_the_file_back() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).start();
    let api = proxy.api();
    let target = "/v1/groups/app?wait=node";
    api.put(target, json!({"backends": [two.address().to_string()]}))
        .expect(200);
    let before = proxy.epoch().unwrap();
    proxy.signal(Signal::HUP);
    eventually("a newer epoch", || proxy.epoch() > Some(before));
    assert_eq!(proxy.client().get("/").text(), "one");
}

#[test]
fn a_second_process_does_not_get_the_store() {
    let upstream = Upstream::named("first");
    let proxy = Settings::http_to(&[&upstream]).with_store().start();
    let second = Settings::http_to(&[&upstream]).toml(proxy.directory());
    let path = proxy.directory().join("store.redb");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{second}[store]\npath = {path:?}\n")).unwrap();
    let arguments = ["run", "-c", file.path().to_str().unwrap()];
    let output = crate::support::tool::run_any(env!("CARGO_BIN_EXE_weir"), &arguments);
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("another process has it open"), "{said}");
    assert_eq!(proxy.client().get("/").text(), "first");
}

#[test]
fn many_changes_and_kills_lose_nothing() {
    let upstream = Upstream::named("x");
    let mut proxy = Settings::http_to(&[&upstream]).with_store().start();
    let api = proxy.api();
    let mut epoch = proxy.epoch().unwrap();
    for round in 0..5 {
        for change in 0..4 {
            let target = format!("/v1/groups/g{round}-{change}");
            let made = api.put(&target, json!({"backends": ["127.0.0.1:9"]}));
            assert_eq!(made.epoch(), epoch + 1);
            epoch += 1;
        }
        proxy.kill_and_start();
        assert_eq!(proxy.epoch(), Some(epoch));
    }
    assert_eq!(
        api.get("/v1/groups").json()["items"]
            .as_array()
            .unwrap()
            .len(),
        21
    );
}
