//! What is said of backends that are found: `[dns]`, SRV names, and files of backends.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::checked::DnsResolver;
use crate::config::{MembersForm, load_members};

const BEGIN: &str = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\ngroup = \"app\"\n\
                     [[group]]\nname = \"app\"\n";

fn members(text: &str) -> Vec<Backend> {
    load_members(text, "app.json", MembersForm::Json).unwrap_or_else(|found| panic!("{found}"))
}

fn mistakes(text: &str, form: MembersForm) -> Vec<String> {
    let found = load_members(text, "app", form).unwrap_err();
    found.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn dns_has_servers_and_bounds() {
    let dns = sound(&format!("{BEGIN}backends = [\"a:1\"]\n")).dns;
    assert_eq!(
        (dns.resolver, &dns.servers[..]),
        (DnsResolver::Dns, &[][..])
    );
    assert_eq!(dns.min_ttl, Duration::from_secs(1));
    let text = "[dns]\nservers = [\"10.0.0.1\", \"[::1]:5353\"]\nmin_ttl = \"100ms\"\n";
    let dns = sound(&format!("{text}{BEGIN}backends = [\"a:1\"]\n")).dns;
    let servers: Vec<String> = dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.1:53", "[::1]:5353"]);
    let text = "[dns]\nresolver = \"system\"\nrefresh = \"2s\"\nmin_ttl = \"3s\"\n\
                servers = [\"10.0.0.1:0\", \"ns.example.org\", \"10.0.0.2\", \"10.0.0.2:53\"]\n";
    let found = errors(&format!("{text}{BEGIN}backends = [\"a:1\"]\n"));
    let expected = [
        "4:11: dns.min_ttl: min_ttl is longer than refresh",
        "5:11: dns.servers: the system has its own servers",
        "5:12: dns.servers[#1]: \"10.0.0.1:0\" cannot be asked",
        "5:26: dns.servers[#2]: \"ns.example.org\" is not the address of a server",
        "5:56: dns.servers[#4]: 10.0.0.2:53 is there twice",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.starts_with(&format!("weir.toml:{expected}; fix: ")),
            "{found}"
        );
    }
}

#[test]
fn srv_stands_in_the_place_of_an_address() {
    let text =
        format!("{BEGIN}[[group.backend]]\nsrv = \"_HTTP._tcp.Example.org.\"\nlabels = \"a\"\n");
    let config = sound(&text);
    let backend = &config.groups[0].backends[0];
    assert_eq!(&*backend.id, "_HTTP._tcp.Example.org.");
    assert_eq!(
        backend.address,
        BackendAddress::Service("_http._tcp.example.org.".into())
    );
    assert_eq!(
        config.service_names().collect::<Vec<_>>(),
        ["_http._tcp.example.org."]
    );
    let found = errors(&format!(
        "{BEGIN}[[group.backend]]\nsrv = \"a b\"\n\
         [[group.backend]]\nsrv = \"a\"\naddress = \"b:1\"\n\
         [[group.backend]]\nsrv = \"a\"\nweight = 2\n\
         [[group.backend]]\nid = \"x\"\nsrv = \"A\"\n\
         [[group.backend]]\nid = \"a\"\naddress = \"c:1\"\n"
    ));
    let expected = [
        "8:7: group[app].backend[#1].srv: \"a b\" has the label",
        "10:7: group[app].backend[#2].srv: there is an address already",
        "14:10: group[app].backend[#3].weight: a weight beside srv",
        "17:7: group[app].backend[x].srv: a is already in this group, on line 13",
        "19:6: group[app].backend[a].id: a backend named \"a\" is already on line 13",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.starts_with(&format!("weir.toml:{expected}")),
            "{found}"
        );
    }
}

#[test]
fn a_group_with_a_file_needs_no_other_backend() {
    let config = sound(&format!("{BEGIN}backends_file = \"/etc/weir/app.json\"\n"));
    assert!(config.groups[0].backends.is_empty() && config.warnings.is_empty());
    let files: Vec<_> = config.backends_files().into_iter().collect();
    assert_eq!(files, [Path::new("/etc/weir/app.json")]);
}

#[test]
fn both_forms_of_a_file_say_the_same() {
    let json = "[\n  {\"id\": \"b1\", \"address\": \"127.0.0.1:1\", \"weight\": 3,\n\
                \"state\": \"drain\", \"labels\": [\"gpu\",\n\"ssd\"]},\r\n\t\
                {\"address\": \"app.internal:80\", \"requests_max\": \"none\"},\n\
                {\"srv\": \"_http._tcp.\\u0061\\/\"}\n]";
    let json = json.replace("\\/", "");
    let toml = "[[backend]]\nid = \"b1\"\naddress = \"127.0.0.1:1\"\nweight = 3\n\
                state = \"drain\"\nlabels = [\"gpu\", \"ssd\"]\n\
                [[backend]]\naddress = \"app.internal:80\"\n\
                [[backend]]\nsrv = \"_http._tcp.a\"\n";
    let by_toml = load_members(toml, "app.toml", MembersForm::Toml).unwrap();
    assert_eq!(members(&json), by_toml);
    assert!(members("[]").is_empty());
    assert_eq!(MembersForm::of(Path::new("/a/b.TOML")), MembersForm::Toml);
    assert_eq!(MembersForm::of(Path::new("/a/b")), MembersForm::Json);
}

#[test]
fn every_mistake_of_a_file_has_its_line_and_key() {
    let json = "[{\"id\": \"b1\", \"address\": \"127.0.0.1\"},\n\
                {\"id\": \"b1\", \"adress\": \"x:1\",\n\
                \"weight\": 1e9, \"labels\": [\"\\u00e4\\/\", \"a b\"]},\n\
                7]";
    let found = mistakes(json, MembersForm::Json);
    let expected = [
        "app:1:26: backend[b1].address: \"127.0.0.1\" has no port",
        "app:2:1: backend[b1].address: is missing",
        "app:2:8: backend[b1].id: a backend named \"b1\" is already on line 1",
        "app:2:14: backend[b1].adress: unknown key",
        "app:3:11: backend[b1].weight: expected an integer, found a fraction",
        "app:3:27: backend[b1].labels[#1]: \"\u{e4}/\" is not a label",
        "app:3:39: backend[b1].labels[#2]: \"a b\" is not a label",
        "app:4:1: backend[#3]: expected a list of tables, found an integer",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    for (text, expected) in [
        ("", "app:1:1: not JSON: EOF while parsing a value"),
        ("[\n  {\"id\" 1}]", "app:2:9: not JSON: expected `:`"),
        ("{}", "app:1:1: not a list of backends"),
        ("[{\n\"id\": null}]", "app:2:7: null is no value"),
        (
            "[{\"id\": \"a\", \"id\": \"b\"}]",
            "app:1:14: duplicate key",
        ),
    ] {
        let found = mistakes(text, MembersForm::Json);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}\n{expected}");
    }
    let found = mistakes("[[backend]]\nid = 1\n[x]\n", MembersForm::Toml);
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn members_come_after_the_configuration_and_never_in_its_place() {
    let config = sound(&format!(
        "{BEGIN}backends = [\"127.0.0.1:1\"]\nbackends_file = \"f\"\n\
         [[group.backend]]\nid = \"own\"\naddress = \"127.0.0.1:2\"\n"
    ));
    let found = members(
        "[{\"id\": \"own\", \"address\": \"127.0.0.1:3\"},\n\
         {\"id\": \"new\", \"address\": \"127.0.0.1:1\"},\n\
         {\"id\": \"fine\", \"address\": \"127.0.0.1:4\"}]",
    );
    let clashes = config.clashes(Path::new("f"), &found);
    let told: Vec<String> = clashes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "backend own of f and backend own of group app in the configuration have the same id",
            "backend new of f and backend 127.0.0.1:1 of group app in the configuration have the \
             same address",
        ]
    );
    assert!(config.clashes(Path::new("other"), &found).is_empty());
    let merged = config.with_members(&BTreeMap::from([("f".into(), found.into())]));
    let ids: Vec<&str> = merged.groups[0]
        .backends
        .iter()
        .map(|backend| &*backend.id)
        .collect();
    assert_eq!(ids, ["127.0.0.1:1", "own", "fine"]);
    assert_eq!(config.with_members(&BTreeMap::new()), config);
}

proptest! {
    #[test]
    fn no_text_upsets_the_reader_of_files(text in "[\\[\\]{}a-z\\\\/u0\",: \n-]{0,120}") {
        let _ = load_members(&text, "app", MembersForm::Json);
        let _ = load_members(&text, "app", MembersForm::Toml);
    }

    #[test]
    fn what_json_says_is_what_is_read(
        labels in proptest::collection::vec("\\PC{0,12}", 1..5),
        ascii in any::<bool>(),
        lines in any::<bool>(),
    ) {
        let value = serde_json::json!([{"address": "127.0.0.1:1", "labels": labels}]);
        let mut text = match lines {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        if ascii {
            // Every other way to write the same.
            let escaped = text.chars().map(|letter| match letter {
                '/' => "\\/".to_owned(),
                ' '..='~' | '\n' => letter.to_string(),
                other => {
                    let mut units = [0; 2];
                    let units = other.encode_utf16(&mut units).iter();
                    units.map(|unit| format!("\\u{unit:04x}")).collect()
                }
            });
            text = escaped.collect();
        }
        match load_members(&text, "app", MembersForm::Json) {
            Ok(members) => {
                let read: Vec<&str> = members[0].labels.iter().map(|label| &**label).collect();
                prop_assert_eq!(read, labels.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Err(found) => for error in &found.errors {
                let known = ["is not a label", "is there twice"];
                prop_assert!(known.iter().any(|known| error.what.ends_with(known)), "{}", found);
            },
        }
    }
}
