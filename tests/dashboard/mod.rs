//! The dashboard in a real browser, before a real proxy with real traffic.
//!
//! The browser is driven by playwright-core, a Node.js program that `.ci/run` installs into a
//! folder of the user's cache (`WEIR_PLAYWRIGHT` names another one); Chromium is Debian's
//! (`WEIR_CHROMIUM`). Without them these tests fail.

use std::time::Duration;

use serde_json::json;

use crate::support::tool::{run, run_within};
use crate::support::{Settings, Upstream};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn script(name: &str) -> String {
    format!("{}/tests/dashboard/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_arithmetic_of_the_page_is_right() {
    let said = run("node", &["--test", &script("rates.test.mjs")]);
    assert!(
        said.contains("# pass 10") && said.contains("# fail 0"),
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
    let steps = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert_eq!(steps, 19, "{said}");
}
