//! What is in effect comes back as a file, from wherever it is.

use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::support::tool::run_any;
use crate::support::{Proxy, Settings, Upstream};

fn weir(arguments: &[&str]) -> Output {
    run_any(env!("CARGO_BIN_EXE_weir"), arguments)
}

#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = weir(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A node with a change that its file does not have.
fn changed(settings: Settings) -> Proxy {
    let proxy = settings.start();
    let value = json!({"path_prefix": ["/a\"b", "/c"], "group": "app"});
    proxy
        .api()
        .put("/v1/listeners/web/routes/new", value)
        .expect(201);
    proxy
        .api()
        .patch("/v1/groups/app", json!({"retries": 7}))
        .expect(200);
    proxy
}

#[test]
fn an_exported_node_is_a_file_that_serves_the_same() {
    let upstream = Upstream::named("x");
    let settings = Settings::http_to(&[&upstream]).with_store();
    let mut proxy = changed(settings.admin_with("unix = \"DIRECTORY/admin.sock\""));
    let address = proxy.admin_address().to_string();
    let text = printed(&["export", "--admin", &address]);
    assert!(
        text.contains("retries = 7") && text.contains("name = \"new\""),
        "{text}"
    );
    let socket = proxy.directory().join("admin.sock");
    assert_eq!(
        printed(&["export", "--admin", socket.to_str().unwrap()]),
        text
    );
    let exported = weir::config::load(&text, "exported").unwrap();
    assert_eq!(exported.groups[0].retries, 7);

    let file = proxy.directory().join("weir.toml");
    let store = proxy.directory().join("store.redb");
    let (file, store) = (file.to_str().unwrap(), store.to_str().unwrap());
    let busy = weir(&["export", "-c", file]);
    assert_eq!(busy.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&busy.stderr).contains("--admin"));
    proxy.signal(rustix::process::Signal::INT);
    assert!(proxy.wait_for_exit(crate::support::PATIENCE).success());
    assert_eq!(printed(&["export", "-c", file]), text);
    let alone = printed(&["export", "--store", store]);
    assert!(!alone.contains("[admin]") && text.ends_with(&alone[alone.find("[[").unwrap()..]));
}

#[test]
fn a_file_without_a_store_is_exported_as_it_is_meant() {
    let upstream = Upstream::named("x");
    let text = Settings::http_to(&[&upstream]).toml(std::path::Path::new("/nowhere"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let exported = printed(&["export", "-c", file.path().to_str().unwrap()]);
    let load = |text: &str| weir::config::load(text, "x").unwrap();
    assert_eq!(load(&exported), load(&text));
}

#[test]
fn what_cannot_be_read_is_said() {
    let said = |arguments: &[&str]| {
        let output = weir(arguments);
        assert_eq!(output.status.code(), Some(4));
        String::from_utf8(output.stderr).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.redb");
    assert!(said(&["export", "--store", missing.to_str().unwrap()]).contains("none.redb"));
    assert!(!missing.exists(), "looking makes nothing");
    let closed = crate::support::closed_port().address().to_string();
    assert!(said(&["export", "--admin", &closed]).contains(&closed));
    let upstream = Upstream::named("x");
    let proxy = changed(Settings::http_to(&[&upstream]));
    let guarded = Settings::http_to(&[&upstream]).admin_with("token = \"0123456789abcdef\"");
    let guarded = guarded.start();
    let address = guarded.admin_address().to_string();
    assert!(said(&["export", "--admin", &address]).contains("--token-file"));
    let token = proxy.directory().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    let token = token.to_str().unwrap();
    assert!(printed(&["export", "--admin", &address, "--token-file", token]).contains("[admin]"));
}

#[test]
fn a_reader_that_leaves_is_no_failure_and_a_full_disk_is_one() {
    let text = Settings::http_to(&[&Upstream::named("x")]).toml(std::path::Path::new("/nowhere"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let file = file.path().to_str().unwrap();
    let told_to = |arguments: &[&str], output: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        let command = command.args(arguments).stdout(output);
        let ended = command.stderr(Stdio::piped()).output().unwrap();
        (
            ended.status.code(),
            String::from_utf8(ended.stderr).unwrap(),
        )
    };
    for arguments in [&["export", "-c", file][..], &["check", "-T", "-c", file]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, said) = told_to(arguments, writer.into());
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        let full = std::fs::File::options().write(true).open("/dev/full");
        let (code, said) = told_to(arguments, full.unwrap().into());
        assert_eq!(code, Some(4), "{arguments:?}: {said}");
        assert!(said.contains("No space left"), "{said}");
    }
}
