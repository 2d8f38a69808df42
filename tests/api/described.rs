//! schemathesis reads the description of the API and tries what it says, and what it does not.
//!
//! It is a Python program that `.ci/run` installs into a folder of the user's cache;
//! `WEIR_SCHEMATHESIS` names another one. Without it this test fails.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::tool::run_within;
use crate::support::{Settings, Upstream, from_env};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn program() -> String {
    if let Ok(program) = std::env::var("WEIR_SCHEMATHESIS") {
        return program;
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
    let cache = cache.unwrap_or_else(home);
    let program = cache.join("weir/schemathesis/bin/schemathesis");
    program.to_string_lossy().into_owned()
}

#[test]
fn schemathesis_finds_nothing() {
    let upstream = Upstream::named("x");
    let settings = Settings::http_to(&[&upstream]).admin_with(&format!("token = {TOKEN:?}"));
    let proxy = settings.start();
    let description = format!("http://{}/v1/openapi.json", proxy.admin_address());
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let examples = from_env("WEIR_TEST_EXAMPLES", 8).to_string();
    let seed = from_env("WEIR_TEST_SEED", 1).to_string();
    // About 20 s on a machine that has nothing else to do.
    let output = run_within(
        Duration::from_secs(400),
        &program(),
        &[
            "--config-file",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/schemathesis.toml"),
            "run",
            &description,
            "-H",
            &authorization,
            "--max-examples",
            &examples,
            "--seed",
            &seed,
            "--no-color",
        ],
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("Selected: 53/53") && said.contains("Tested: 53"),
        "{said}"
    );
    assert_eq!(proxy.admin("/live").status(), 200);
}
