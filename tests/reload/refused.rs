//! A file with a mistake changes nothing.

use crate::support::{Proxy, Settings, Upstream, eventually};

fn refusals(proxy: &Proxy) -> f64 {
    proxy
        .metrics()
        .count("weir_reloads_total", &[("result", "refused")])
}

#[test]
fn a_broken_file_is_refused_and_the_old_goes_on() {
    let upstream = Upstream::named("old");
    let settings = Settings::http_to(&[&upstream]);
    let mut proxy = settings.start();
    let mut client = proxy.client();
    let (good, epoch) = (proxy.text(), proxy.epoch());
    let broken = [
        "this is not TOML [".to_owned(),
        good.replace("protocol = \"http\"", "protocol = \"carrier-pigeon\""),
        good.replace("group = \"app\"", "group = \"nobody\""),
        format!("{good}\nunknown_key = 1\n"),
        good.replace("backends = [", "backends = [\"127.0.0.1:notaport\", "),
        String::new(),
    ];
    for (count, text) in (1..).zip(&broken) {
        proxy.reload_text(text);
        eventually(&format!("{text:?} is refused"), || {
            refusals(&proxy) == f64::from(count)
        });
        assert_eq!(proxy.epoch(), epoch, "after {text:?}");
        assert_eq!(client.get("/").text(), "old");
    }
    let new = Upstream::named("new");
    let mut changed = settings.clone();
    changed.groups[0].backends = vec![new.address()];
    proxy.reload(changed);
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let upstream = Upstream::named("old");
    let proxy = Settings::http_to(&[&upstream]).start();
    let broken = proxy
        .text()
        .replace("protocol = \"http\"", "protocol = \"gopher\"");
    proxy.reload_text(&broken);
    eventually("the mistake is told", || proxy.stderr().contains("gopher"));
}

#[test]
fn a_process_does_not_start_with_a_broken_file() {
    let upstream = Upstream::named("never");
    let settings = Settings::http_to(&[&upstream]).with("protocol_version", "9");
    let mut proxy = settings.launch();
    let status = proxy.wait_for_exit(crate::support::PATIENCE);
    assert!(!status.success());
    assert!(
        proxy.stderr().contains("protocol_version"),
        "{}",
        proxy.stderr()
    );
}

#[test]
fn a_process_does_not_start_on_an_address_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = Upstream::named("never");
    let settings = Settings::http_to(&[&upstream]);
    let mut proxy = settings.start();
    // The admin address stands for any: listeners share theirs by SO_REUSEPORT.
    let port = taken.local_addr().unwrap();
    let text = proxy.text();
    let admin = format!("[admin]\naddress = \"{}\"", settings.admin.address());
    assert!(text.contains(&admin));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        text.replace(&admin, &format!("[admin]\naddress = \"{port}\"")),
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    let output = crate::support::tool::run_any(env!("CARGO_BIN_EXE_weir"), &["run", "-c", path]);
    assert!(!output.status.success());
    assert!(proxy.is_running());
}
