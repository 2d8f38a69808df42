//! Shard rules and what routes ask for besides host and path: every mistake has its place.

use super::*;

const GROUPS: &str = "[[group]]\nname = \"a\"\nbackends = [\"127.0.0.1:9001\"]\n\
                      [[group]]\nname = \"b\"\nbackends = [\"127.0.0.1:9002\"]\n";

/// A file with a listener that uses the rule `s`, which has these lines from line 7 on.
fn file(rule: &str) -> String {
    let listener = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\nshard = \"s\"\n";
    format!("{listener}[[shard]]\nname = \"s\"\n{rule}\n{GROUPS}")
}

const KEY: &str = "key = { header = \"x-tenant\" }\n";
const MAP: &str = "map = [{ key = \"x\", group = \"a\" }, { key = [\"y\", \"z\"], group = \"b\" }]";

/// The rule has this one mistake; its place begins behind `weir.toml:`.
#[track_caller]
fn mistake(rule: &str, expected: &str) {
    let found = errors(&file(rule));
    assert_eq!(found, [format!("weir.toml:{expected}")], "{rule}");
}

#[test]
fn a_rule_means_what_it_says() {
    let config = sound(&file(&format!(
        "key = {{ json = \"/a~1b/0\", body_bytes = \"2KiB\" }}\nkey_bytes_max = 40\n{MAP}\n\
         default = \"b\"\nmissing = \"default\"\nmalformed = {{ group = \"a\" }}"
    )));
    let shard = &config.shards[0];
    let expected = KeySource::Json {
        pointer: "/a~1b/0".into(),
        body_bytes: 2048,
    };
    assert_eq!(shard.key, expected);
    assert_eq!(
        (shard.key_bytes_max, shard.default),
        (40, Some(GroupRef(1)))
    );
    assert_eq!(shard.missing, ShardOutcome::Default);
    assert_eq!(shard.malformed, ShardOutcome::Group(GroupRef(0)));
    assert_eq!(shard.oversized, ShardOutcome::Reject);
    assert_eq!(shard.compressed, ShardOutcome::Reject);
    let destination = config.listeners[0].destination;
    assert_eq!(destination, Some(Destination::Shard(ShardRef(0))));
    let plain = sound(&file(&format!("key = {{ header = \"X-Tenant\" }}\n{MAP}")));
    assert_eq!(plain.shards[0].key, KeySource::Header("x-tenant".into()));
    assert_eq!(plain.shards[0].key_bytes_max, 256);
    assert!(plain.warnings.is_empty(), "{:?}", plain.warnings);
}

#[test]
fn a_key_has_one_source_and_a_name_that_can_be_sent() {
    for (key, expected) in [
        (
            "{}",
            "7:7: shard[s].key: says nothing about where the key is; fix: write one of header, \
             cookie, query, path_segment, host, method, client_address, json and sni",
        ),
        (
            "{ header = \"x\", cookie = \"y\" }",
            "7:32: shard[s].key.cookie: a key is taken from one place only; \
             fix: keep one of them",
        ),
        (
            "{ host = false }",
            "7:16: shard[s].key.host: false leaves no key; \
             fix: write true, or name another source",
        ),
        (
            "{ path_segment = 0 }",
            "7:24: shard[s].key.path_segment: 0 is out of range; \
             fix: write a value from 1 to 1000",
        ),
        (
            "{ query = \"\" }",
            "7:17: shard[s].key.query: \"\" is not the name of a parameter; \
             fix: write 1 to 256 bytes, decoded as in query = \"a b\"",
        ),
        (
            "{ header = \"x y\" }",
            "7:18: shard[s].key.header: \"x y\" is not a name; fix: write 1 to 256 letters, \
             digits and signs such as '-', as in \"x-tenant\"",
        ),
        (
            "{ json = \"a\" }",
            "7:16: shard[s].key.json: \"a\" does not begin with '/'; fix: write \"/a\"",
        ),
        (
            "{ json = \"/a~2\" }",
            "7:16: shard[s].key.json: \"/a~2\" has a '~' that escapes nothing; \
             fix: write ~0 for a tilde and ~1 for a slash inside a name (RFC 6901)",
        ),
        (
            "{ json = \"/a\", body_bytes = \"2MiB\" }",
            "7:35: shard[s].key.body_bytes: 2MiB is out of range; \
             fix: write a value from 1B to 1MiB",
        ),
        (
            "{ host = true, body_bytes = 1 }",
            "7:35: shard[s].key.body_bytes: has no meaning without json; fix: remove it",
        ),
        (
            "{ sni = true }",
            "4:9: listener[web].shard: the key of this rule, sni, is not known on an http \
             listener; fix: take it from host instead",
        ),
    ] {
        mistake(&format!("key = {key}\n{MAP}"), expected);
    }
    mistake(
        MAP,
        "5:1: shard[s].key: is missing; fix: add key = { header = \"x-tenant\" }",
    );
    mistake(
        &format!("{KEY}key_bytes_max = 2000\n{MAP}"),
        "8:17: shard[s].key_bytes_max: 2000 is out of range; fix: write a value from 1 to 1024",
    );
}

#[test]
fn a_rule_has_one_function_and_each_key_one_owner() {
    for (function, expected) in [
        (
            "",
            "5:1: shard[s]: has no function from keys to groups; \
             fix: add one of map, prefix, ranges, modulo and hash",
        ),
        (
            "modulo = [\"a\"]\nmap = [{ key = \"x\", group = \"b\" }]",
            "9:7: shard[s].map: a rule has one function; fix: keep one of them",
        ),
        (
            "modulo = []",
            "8:10: shard[s].modulo: an empty list places nothing; \
             fix: write at least one entry, or remove the rule",
        ),
        (
            "modulo = [\"a\", \"c\"]",
            "8:16: shard[s].modulo[#2]: no group is named \"c\"; \
             fix: add a [[group]] with name = \"c\"",
        ),
        (
            "map = [{ key = \"x\", group = \"a\" }, { key = [\"y\", \"x\"], group = \"b\" }]",
            "8:50: shard[s].map[#2].key[#2]: \"x\" is already on line 8; \
             fix: remove one of the two",
        ),
        (
            "map = [{ key = \"\", group = \"a\" }]",
            "8:16: shard[s].map[#1].key: an empty key is a missing one; \
             fix: say what becomes of a missing key by missing = ...",
        ),
        (
            "prefix = [{ prefix = \"x\" }]",
            "8:11: shard[s].prefix[#1].group: is missing; fix: add group = \"app\"",
        ),
        (
            "prefix = [{ group = \"a\" }]",
            "8:11: shard[s].prefix[#1].prefix: is missing; fix: add prefix = \"eu-\"",
        ),
        (
            "hash = { groups = [{ group = \"a\" }, { group = \"a\", weight = 2 }] }",
            "8:37: shard[s].hash.groups[#2]: the group is already on line 8; \
             fix: write it once, with a larger weight",
        ),
        (
            "hash = { algorithm = \"ketama\", groups = [{ group = \"a\" }] }",
            "8:22: shard[s].hash.algorithm: unknown value \"ketama\"; fix: write one of \
             \"rendezvous\", \"maglev\", \"ring_hash\", \"jump\"",
        ),
        (
            "hash = { groups = [{ group = \"a\", weight = 0 }] }",
            "8:19: shard[s].hash.groups: no group has a weight; fix: give one a weight above 0",
        ),
        (
            "hash = { groups = [{ group = \"a\" }], bounded_load = 100 }",
            "8:53: shard[s].hash.bounded_load: 100 is out of range; \
             fix: write a value from 101 to 1000",
        ),
        (
            "hash = {}",
            "8:8: shard[s].hash.groups: is missing; \
             fix: add groups = [{ group = \"a\" }, { group = \"b\" }]",
        ),
    ] {
        mistake(&format!("{KEY}{function}"), expected);
    }
}

#[test]
fn ranges_have_one_type_and_do_not_overlap() {
    let range = |bounds: &str, group: &str| format!("{{ {bounds}, group = \"{group}\" }}");
    for (first, second, expected) in [
        (
            "from = 10, to = 20",
            "from = 20, to = 30",
            "9:1: shard[s].ranges[#2]: the range 20..=30 overlaps with 10..=20 of line 8; \
             fix: move a bound, so that each key has one owner",
        ),
        (
            "from = 10, to = 20",
            "to = 10",
            "8:11: shard[s].ranges[#1]: the range 10..=20 overlaps with \
             -9223372036854775808..=10 of line 9; \
             fix: move a bound, so that each key has one owner",
        ),
        (
            "from = 2, to = 1",
            "from = 5",
            "8:11: shard[s].ranges[#1]: the range 2..=1 is empty; \
             fix: write the lesser bound as from; of strings, to is not included",
        ),
        (
            "from = \"a\", to = \"m\"",
            "from = \"l\"",
            "9:1: shard[s].ranges[#2]: the range \"l\".. overlaps with \"a\"..\"m\" of line 8; \
             fix: move a bound, so that each key has one owner",
        ),
        (
            "from = \"a\", to = \"a\"",
            "from = \"l\"",
            "8:11: shard[s].ranges[#1]: the range \"a\"..\"a\" is empty; \
             fix: write the lesser bound as from; of strings, to is not included",
        ),
        (
            "from = 1, to = 2",
            "from = \"5\"",
            "9:10: shard[s].ranges[#2].from: \"5\" stands among integers; \
             fix: write all bounds of a rule as integers, or all as strings",
        ),
    ] {
        let ranges = format!("ranges = [{},\n{}]", range(first, "a"), range(second, "b"));
        mistake(&format!("{KEY}{ranges}"), expected);
    }
    mistake(
        &format!("{KEY}ranges = [{{ group = \"a\" }}]"),
        "8:11: shard[s].ranges[#1]: has no bounds; \
         fix: write from, to or both; the rest of all keys is what default is for",
    );
    sound(&file(&format!(
        "{KEY}ranges = [{}, {}]",
        range("from = \"a\", to = \"m\"", "a"),
        range("from = \"m\"", "b")
    )));
}

#[test]
fn outcomes_and_uses_are_checked() {
    for (lines, expected) in [
        (
            "missing = \"default\"",
            "9:11: shard[s].missing: the rule has no default group; \
             fix: add default = \"app\" to the rule, or write \"reject\"",
        ),
        (
            "missing = \"rejct\"",
            "9:11: shard[s].missing: unknown value \"rejct\"; fix: write \"reject\"",
        ),
        (
            "oversized = 1",
            "9:13: shard[s].oversized: expected a string or a table, found an integer; \
             fix: write oversized = \"reject\", \"default\" or { group = \"app\" }",
        ),
        (
            "malformed = { group = \"c\" }",
            "9:23: shard[s].malformed.group: no group is named \"c\"; \
             fix: add a [[group]] with name = \"c\"",
        ),
        (
            "compressed = \"reject\"",
            "9:14: shard[s].compressed: has no meaning: only a key in the body can be \
             compressed; fix: remove it, or take the key from json",
        ),
    ] {
        mistake(&format!("{KEY}{MAP}\n{lines}"), expected);
    }
    let twice =
        file(&format!("{KEY}{MAP}")).replace("shard = \"s\"", "shard = \"s\"\ngroup = \"a\"");
    one_error(
        &twice,
        "weir.toml:4:9: listener[web].shard: group says where to go already; fix: remove one of \
         the two; the rule has a default for what it cannot place",
    );
    let tcp = twice.replace("group = \"a\"\n[[shard]]", "protocol = \"tcp\"\n[[shard]]");
    one_error(
        &tcp,
        "weir.toml:4:9: listener[web].shard: the key of this rule is not known on a tcp \
         listener; fix: use a rule whose key is client_address or sni",
    );
    let unknown = file(&format!("{KEY}{MAP}")).replace("shard = \"s\"", "shard = \"t\"");
    one_error(
        &unknown,
        "weir.toml:4:9: listener[web].shard: no shard rule is named \"t\"; \
         fix: add a [[shard]] with name = \"t\"",
    );
    let unused = file(&format!("{KEY}{MAP}")).replace("shard = \"s\"", "group = \"a\"");
    let warnings = sound(&unused).warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].what,
        "no listener or route uses shard rule \"s\""
    );
}

#[test]
fn a_hello_is_waited_for_as_long_as_a_head() {
    let with = |key: &str| {
        file(&format!("key = {{ {key} = true }}\n{MAP}")).replace(
            "shard = \"s\"",
            "protocol = \"tcp\"\nshard = \"s\"\ntimeouts.head = \"3s\"",
        )
    };
    let config = sound(&with("sni"));
    assert_eq!(config.listeners[0].timeouts.head, Duration::from_secs(3));
    assert_eq!(sound(&config.to_toml()), config);
    one_error(
        &with("client_address"),
        "weir.toml:6:17: listener[web].timeouts.head: has no meaning on a tcp listener; \
         fix: remove it, or write protocol = \"http\"",
    );
}

#[test]
fn conditions_of_routes_are_checked() {
    for (line, expected) in [
        (
            "method = \"get\"",
            "method: \"get\" has small letters, and letter case counts in a method; \
             fix: write \"GET\"",
        ),
        (
            "method = \"G T\"",
            "method: \"G T\" is not a method; fix: write a name such as \"GET\"",
        ),
        (
            "path_regex = \"/a)|(b\"",
            "path_regex: \"/a)|(b\" is not a regular expression: error: unopened group; \
             fix: write it in the syntax of the crate regex",
        ),
        (
            "path_regex = \"/(a{1000}){1000}\"",
            "path_regex: \"/(a{1000}){1000}\" is too large when compiled; \
             fix: write a shorter one, or fewer repetitions",
        ),
        (
            "header = [{ name = \"x\" }]",
            "header[x]: does not say what the header must be; \
             fix: add one of value, prefix, regex and present = true or false",
        ),
        (
            "header = [{ name = \"x\", value = \"1\", present = true }]",
            "header[x].present: a condition asks one thing; \
             fix: keep one of them; a further condition is a further entry",
        ),
        (
            "header = [{ value = \"1\" }]",
            "header[#1].name: is missing; fix: add name = \"x-beta\"",
        ),
        (
            "header = [{ name = \"x\", prefix = \" v\" }]",
            "header[x].prefix: \" v\" is not how a value can begin; fix: write \"v\"",
        ),
    ] {
        let found = errors(&format!(
            "{LISTENER}[[listener.route]]\n{line}\ngroup = \"app\"\n{GROUP}"
        ));
        assert_eq!(found.len(), 1, "{found:?}");
        let (place, rest) = found[0].split_once(" listener[web].route[#1].").unwrap();
        assert!(place.starts_with("weir.toml:6:"), "{place}");
        assert_eq!(rest, expected);
    }
}
