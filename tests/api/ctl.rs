//! `weir ctl` from outside: every noun and verb against a node that runs.

use std::fs;

use serde_json::json;

use crate::support::ctl::Ctl;
use crate::support::port::Port;
use crate::support::{Settings, Upstream};

/// The words of the line of a table that begins with `first`.
#[track_caller]
fn line<'t>(table: &'t str, first: &str) -> Vec<&'t str> {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect());
    let found = lines.find(|words: &Vec<&str>| words.first() == Some(&first));
    found.unwrap_or_else(|| panic!("{first} is not in {table}"))
}

#[test]
fn backends_come_and_go_and_traffic_follows() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).start();
    let ctl = proxy.ctl();
    let address = two.address().to_string();
    let added = ctl.run(&format!(
        "backend add app {address} --id second --weight 3 --wait"
    ));
    assert_eq!(added, "groups/app/backends/second added, epoch 2\n");
    let listed = ctl.run("backend list app");
    let second = listed.lines().find(|line| line.contains("second")).unwrap();
    let words: Vec<&str> = second.split_whitespace().collect();
    assert_eq!(words, ["app", "second", &address, "3", "ready", "up"]);
    assert_eq!(ctl.run("backend list"), listed);

    let first = one.address().to_string();
    ctl.run(&format!("backend drain app {first} --wait"));
    assert_eq!(
        ctl.json(&format!("backend show app {first}"))["value"]["state"],
        "drain"
    );
    ctl.run(&format!("backend maint app {first} --wait"));
    let mut client = proxy.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "two");
    }
    ctl.run(&format!("backend ready app {first} --wait"));
    ctl.run("backend weight app second 0 --wait");
    assert!(ctl.run("backend show app second").contains("weight = 0\n"));
    ctl.run("backend remove app second --wait");
    for _ in 0..4 {
        assert_eq!(proxy.client().get("/").text(), "one");
    }
}

#[test]
fn groups_and_routes_are_added_listed_and_removed() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).start();
    let ctl = proxy.ctl();
    ctl.run(&format!(
        "group add new --backend {} retries=1",
        two.address()
    ));
    ctl.run("group policy new least_connections");
    assert_eq!(
        line(&ctl.run("group list"), "new"),
        ["new", "least_connections", "1"]
    );
    ctl.run("route add web rest path_prefix=/ group=new");
    ctl.run("route add web two path_prefix=/two group=app --before rest --wait");
    let routes = ctl.run("route list web");
    assert_eq!(line(&routes, "two"), ["two", "-", "/two*", "-", "app"]);
    let names: Vec<_> = routes
        .lines()
        .skip(1)
        .map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, [Some("two"), Some("rest")]);
    assert_eq!(proxy.client().get("/two").text(), "one");
    assert_eq!(proxy.client().get("/").text(), "two");
    assert!(ctl.refused("group remove new").contains("409"));
    ctl.run("route remove web rest");
    ctl.run("route remove web two");
    ctl.run("group remove new --wait");
    assert_eq!(proxy.client().get("/").text(), "one");
    assert!(ctl.run("group show app").contains("name = \"app\""));
}

#[test]
fn listeners_shards_status_and_epoch_are_shown() {
    let upstream = Upstream::named("x");
    let settings = Settings::http_to(&[&upstream]);
    let address = settings.listeners[0].port.address().to_string();
    let proxy = settings.start();
    let ctl = proxy.ctl();
    proxy.client().get("/");
    let listeners = ctl.run("listener list");
    assert_eq!(
        line(&listeners, "web"),
        ["web", &*address, "http", "0", "app"]
    );
    assert!(
        ctl.run("listener show web")
            .contains(&format!("address = \"{address}\""))
    );
    assert_eq!(ctl.run("shard list").lines().count(), 1);
    assert!(
        ctl.refused("shard show none")
            .contains("shards/none does not exist")
    );
    assert!(ctl.refused("shard remove none").contains("404"));
    let epoch = ctl.run("epoch");
    assert!(epoch.starts_with("epoch 1, serving\n"), "{epoch}");
    assert_eq!(line(&epoch, "0"), ["0", "1", "running"]);
    let status = ctl.run("status");
    assert_eq!(line(&status, "app")[1], upstream.address().to_string());
    assert_eq!(line(&status, "web")[..3], ["web", &*address, "http"]);
    assert_eq!(ctl.json("status")["epoch"]["published"], 1);
}

#[test]
fn a_transaction_comes_from_a_file_of_either_kind() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).start();
    let ctl = proxy.ctl();
    let file = proxy.directory().join("change");
    let name = file.to_str().unwrap();
    let toml = format!(
        "[[operations]]\nop = \"put\"\npath = \"groups/new\"\nvalue.backends = [\"{}\"]\n\
         [[operations]]\nop = \"patch\"\npath = \"listeners/web\"\nvalue.group = \"new\"\n",
        two.address()
    );
    fs::write(&file, toml).unwrap();
    let applied = ctl.run(&format!("apply {name} --wait"));
    assert_eq!(
        applied,
        "groups/new applied, epoch 2\nlisteners/web applied, epoch 2\n"
    );
    assert_eq!(proxy.client().get("/").text(), "two");

    let back = json!({"op": "patch", "path": "listeners/web", "value": {"group": "app"}});
    fs::write(&file, json!({"operations": [back]}).to_string()).unwrap();
    assert!(
        ctl.refused(&format!("apply {name} --if-epoch 1"))
            .contains("at epoch 2")
    );
    ctl.run(&format!("apply {name} --if-epoch 2 --wait"));
    assert_eq!(proxy.client().get("/").text(), "one");

    let wrong = ["retries", "policy"]
        .map(|key| json!({"op": "patch", "path": "groups/app", "value": {key: "x"}}));
    fs::write(&file, json!({"operations": wrong}).to_string()).unwrap();
    let refused = ctl.refused(&format!("apply {name}"));
    assert!(refused.contains("groups/app: retries: "), "{refused}");
    assert!(refused.contains("groups/app: policy: "), "{refused}");
    assert_eq!(ctl.json("epoch")["published"], 3);
}

#[test]
fn the_five_calls_have_their_names() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one]).start();
    let ctl = proxy.ctl();
    let address = two.address();
    ctl.run(&format!(
        "rpc add_server server_id=2 address={address} weight=2 --wait"
    ));
    let first = one.address();
    ctl.run(&format!("rpc health_check_failed server_id={first} --wait"));
    let listed = ctl.run("backend list");
    assert!(
        listed.contains("down, verdict: health_check_failed"),
        "{listed}"
    );
    let next = ctl.run("rpc get_next_server");
    assert!(next.contains("server_id=2\n"), "{next}");
    assert!(next.contains(&format!("address={address}\n")), "{next}");
    ctl.run(&format!("rpc health_check_passed server_id={first} --wait"));
    ctl.run("rpc remove_server group=app server_id=2 --wait");
    assert_eq!(
        ctl.json("rpc get_next_server")["server_id"],
        first.to_string()
    );
}

#[test]
fn a_socket_and_a_token_are_doors_as_well() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream])
        .admin_with("unix = \"DIRECTORY/admin.sock\"")
        .admin_with("token = \"0123456789abcdef\"")
        .start();
    let socket = proxy.directory().join("admin.sock");
    let door = format!("unix:{}", socket.display());
    for ctl in [Ctl::at(&door), proxy.ctl()] {
        let refused = ctl.refused("group list");
        assert!(
            refused.contains("401") && refused.contains("token"),
            "{refused}"
        );
        let file = proxy.directory().join("token");
        fs::write(&file, "0123456789abcdef\n").unwrap();
        ctl.run(&format!("group list --token-file {}", file.display()));
        ctl.run("group list --token 0123456789abcdef");
        ctl.with_token("0123456789abcdef").run("group list");
    }
}

#[test]
fn exit_codes_are_as_documented() {
    let nobody = Port::fresh();
    let ctl = Ctl::at(&nobody.address().to_string());
    let refused = ctl.refused("group list");
    assert!(refused.contains(&nobody.address().to_string()), "{refused}");
    for line in [
        "ctl",
        "ctl group",
        "ctl group paint",
        "ctl backend weight app b heavy",
        "ctl rpc add_server weight=heavy",
        "ctl rpc drop_server",
        "ctl route add web r",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(ctl.weir(&words).code, 2, "{line}");
    }
    assert!(
        ctl.refused("apply /nowhere/change.toml")
            .contains("/nowhere/change.toml")
    );
    let help = ctl.weir(&["ctl", "--help"]);
    assert_eq!(help.code, 0);
    assert!(help.out.contains("Exit codes:") && help.out.contains("WEIR_ADMIN"));
}

#[test]
fn scripts_and_pages_need_no_node() {
    let ctl = Ctl::at(&Port::fresh().address().to_string());
    for shell in ["bash", "zsh", "fish"] {
        assert!(ctl.run(&format!("completion {shell}")).contains("backend"));
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let said = ctl.weir(&["man", pages.to_str().unwrap()]);
    assert_eq!((said.code, &*said.out), (0, ""));
    assert!(pages.join("weir-ctl-group-policy.1").exists());
    assert!(ctl.weir(&["man"]).out.contains(".TH weir 1"));
}
