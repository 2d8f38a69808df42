//! What `[overload]` may say.

use super::*;

fn overload(lines: &str) -> Overload {
    sound(&format!("{LISTENER}{GROUP}[overload]\n{lines}")).overload
}

#[test]
fn it_is_on_with_thresholds_that_follow_each_other() {
    let plain = sound(&format!("{LISTENER}{GROUP}")).overload;
    assert_eq!(plain, overload(""));
    assert_eq!(plain.stop_keep_alive, Some(85));
    assert_eq!(plain.close_idle, Some(90));
    assert_eq!(plain.refuse, Some(95));
    assert_eq!(plain.connections_max, None);
    assert_eq!(plain.memory_max, None);
    assert_eq!(plain.refuse_with, RefuseWith::Unavailable);
}

#[test]
fn every_action_can_be_switched_off() {
    let told = overload("stop_keep_alive = \"never\"\nclose_idle = \"never\"\nrefuse = \"never\"");
    assert_eq!(told.stop_keep_alive, None);
    assert_eq!(told.close_idle, None);
    assert_eq!(told.refuse, None);
}

#[test]
fn limits_are_read() {
    let told = overload(
        "connections_max = 5\nmemory_max = \"1GiB\"\nstall_max = 30\nidle_min = \"2s\"\n\
         refuse_with = \"reset\"\nhysteresis = 0",
    );
    assert_eq!(told.connections_max, Some(5));
    assert_eq!(told.memory_max, Some(1 << 30));
    assert_eq!(told.stall_max, Some(30));
    assert_eq!(told.idle_min, Duration::from_secs(2));
    assert_eq!(told.refuse_with, RefuseWith::Reset);
    assert_eq!(told.hysteresis, 0);
}

#[test]
fn mistakes_name_their_key_and_their_fix() {
    for (line, words) in [
        ("refuse = 5", "10"),
        ("refuse = \"95\"", "without quotes"),
        ("close_idle = 101", "100"),
        ("hysteresis = 10", "9"),
        ("memory_max = \"1KiB\"", "32MiB"),
        ("connections_max = 0", "1"),
        ("refuse_with = \"504\"", "503"),
        ("refuse_at = 3", "refuse"),
    ] {
        let text = format!("{LISTENER}{GROUP}[overload]\n{line}\n");
        let found = load(&text, "weir.toml").expect_err(line).to_string();
        let key = line.split(' ').next().unwrap();
        assert!(found.contains(key), "{line}: {found}");
        assert!(found.contains(words), "{line}: {found}");
    }
}

#[test]
fn addresses_that_connections_come_from_are_read_and_refused() {
    let group = |source: &str| format!("{LISTENER}{GROUP}source = {source}\n");
    let told = sound(&group("[\"127.0.0.2\", \"10.0.0.0/28\", \"fd00::1/112\"]"));
    let written: Vec<String> = told.groups[0]
        .source
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(written, ["127.0.0.2", "10.0.0.0/28", "fd00::1/112"]);
    for (source, words) in [
        ("[\"nowhere\"]", "is not an IP address"),
        ("[\"127.0.0.2:80\"]", "is not an IP address"),
        ("[\"10.0.0.0/33\"]", "is not a prefix"),
        ("[\"10.0.0.0/8\"]", "at least 16 bits"),
        ("[\"fd00::/64\"]", "at least 112 bits"),
        ("[\"0.0.0.0\"]", "no address a connection can come from"),
        ("[\"127.0.0.2\", \"127.0.0.2\"]", "is there twice"),
    ] {
        let found = errors(&group(source));
        assert!(found.len() == 1 && found[0].contains(words), "{found:#?}");
        assert!(found[0].contains("group[app].source"), "{found:#?}");
    }
}
