//! Who may use the API.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::support::{Api, Settings, Upstream};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn with_a_token_nobody_else_reads_or_changes_anything() {
    let upstream = Upstream::named("x");
    let settings = Settings::http_to(&[&upstream]).admin_with(&format!("token = {TOKEN:?}"));
    let proxy = settings.start();
    let api = proxy.api();
    for target in [
        "/v1/groups",
        "/v1/epoch",
        "/v1/status",
        "/v1/export",
        "/v1/openapi.json",
    ] {
        let refused = api.get(target);
        refused.refused(401);
        assert_eq!(refused.head.field("www-authenticate"), Some("Bearer"));
    }
    for shown in [
        "Bearer",
        "Bearer ",
        "Bearer 0",
        "Basic MDE6",
        "Bearer 0123456789abcdef",
    ] {
        let refused = api.with("Authorization", shown);
        refused
            .patch("/v1/groups/app", json!({"retries": 1}))
            .refused(401);
    }
    for target in ["/ready", "/live", "/metrics"] {
        assert_eq!(api.get(target).status(), 200, "{target} is open");
    }
    let known = api.with("Authorization", format!("Bearer {TOKEN}"));
    known
        .patch("/v1/groups/app", json!({"retries": 1}))
        .expect(200);
    let known = api.with("Authorization", format!("bearer {TOKEN}"));
    assert_eq!(known.get("/v1/groups/app").json()["value"]["retries"], 1);
    assert!(!proxy.stderr().contains(TOKEN));
}

#[test]
fn a_token_in_a_file_is_read_at_the_start() {
    let upstream = Upstream::named("x");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    let line = format!("token_file = {:?}", file.path());
    let proxy = Settings::http_to(&[&upstream]).admin_with(&line).start();
    proxy.api().get("/v1/groups").refused(401);
    let known = proxy.api().with("Authorization", format!("Bearer {TOKEN}"));
    known.get("/v1/groups").expect(200);
}

#[test]
fn a_page_in_a_browser_cannot_use_the_loopback() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream]).start();
    let page = proxy.api().with("Origin", "http://evil.example");
    page.patch("/v1/groups/app", json!({"retries": 1}))
        .refused(403);
    let target = format!("/v1/groups/app/backends/{}/maint", upstream.address());
    page.ask("POST", &target, None).refused(403);
}

#[test]
fn a_unix_socket_is_its_owners_alone_and_outlives_a_kill() {
    let upstream = Upstream::named("x");
    let settings = Settings::http_to(&[&upstream]).admin_with("unix = \"DIRECTORY/admin.sock\"");
    let mut proxy = settings.start();
    let path = proxy.directory().join("admin.sock");
    for _ in 0..2 {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let api = Api::at_socket(&path);
        api.patch("/v1/groups/app", json!({"retries": 1}))
            .expect(200);
        assert_eq!(api.get("/ready").status(), 200);
        proxy.kill_and_start();
    }
}
