//! An etcd that lets nobody in without a certificate, a name and a password.

use serde_json::json;

use crate::support::{Etcd, PATIENCE, Proxy, Settings, Upstream, eventually};

const PASSWORD: &str = "weir-secret";

/// The `[store]` of a node that has all it needs.
fn section(etcd: &Etcd) -> String {
    let file = |name: &str| etcd.folder().join(name);
    std::fs::write(file("password"), format!("{PASSWORD}\n")).unwrap();
    format!(
        "{}\nuser = \"weir\"\npassword_file = {:?}\nca_file = {:?}\ncert_file = {:?}\n\
         key_file = {:?}",
        // Passwords are hashed slowly on purpose.
        etcd.section().replace("1s", "20s"),
        file("password"),
        file("ca.pem"),
        file("client.pem"),
        file("client.key"),
    )
}

fn sight(node: &Proxy) -> String {
    let status = node.api().get("/v1/status").json();
    status["store"]["sight"].to_string()
}

#[test]
fn nodes_share_an_etcd_by_tls_as_a_user_of_it() {
    let mut etcd = Etcd::start_secured("weir", PASSWORD, "/weir/");
    let upstream = Upstream::named("one");
    let settings = Settings::http_to(&[&upstream]).section(&section(&etcd));
    let first = settings.start();
    let beside = Settings {
        admin: Settings::new().admin,
        ..settings.clone()
    };
    let second = beside.start();
    let change = |node: &Proxy, retries: u64| {
        let done = node
            .api()
            .patch("/v1/groups/app", json!({"retries": retries}));
        done.expect(200);
        done.epoch()
    };
    let made = change(&first, 3);
    eventually("the other one serves it", || second.epoch() == Some(made));
    // A member that was started again knows none of the tokens it has given.
    etcd.kill(0);
    eventually("it is missed", || sight(&first) == "\"away\"");
    etcd.run(0);
    for node in [&first, &second] {
        eventually("it is found again", || sight(node) == "\"current\"");
    }
    let made = change(&second, 4);
    eventually("the other one serves it", || first.epoch() == Some(made));
    // The bell rings as well: what the watch may see is the user's, too.
    eventually("the bell has rung", || {
        first.metrics().count("weir_store_watch_events_total", &[]) > 0.0
    });
}

#[test]
fn who_lacks_something_of_it_is_told_what() {
    let etcd = Etcd::start_secured("weir", PASSWORD, "/weir/");
    let upstream = Upstream::named("one");
    let good = section(&etcd);
    let wrong = etcd.folder().join("wrong");
    std::fs::write(&wrong, "something else\n").unwrap();
    let without = |part: &str| {
        let lines = good.lines().filter(|line| !line.starts_with(part));
        lines.collect::<Vec<_>>().join("\n")
    };
    // The server ends the connection of who has no certificate, with or without an alert in time.
    // Without a name etcd goes by that of the certificate, who may nothing.
    for (section, told) in [
        (
            good.replace("/password\"", "/wrong\""),
            "authentication failed",
        ),
        (good.replace("/ca.pem", "/other.pem"), "certificate"),
        (
            without("cert_file").replace("key_file", "#key_file"),
            "transport",
        ),
        (
            without("user").replace("password_file", "#password_file"),
            "permission denied",
        ),
        (
            format!("{good}\nprefix = \"/elsewhere/\""),
            "permission denied",
        ),
    ] {
        let mut node = Settings::http_to(&[&upstream]).section(&section).launch();
        assert!(!node.wait_for_exit(PATIENCE).success(), "{section}");
        let said = node.stderr();
        assert!(said.to_lowercase().contains(told), "not {told:?}: {said}");
    }
}
