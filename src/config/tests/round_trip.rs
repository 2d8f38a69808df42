//! Files that must load: those of the repository, and what `to_toml` prints.

use proptest::prelude::*;

use self::health::any_health;
use self::logs::{any_access_log, any_decision_log, any_tracing};
use super::*;

mod health;
mod logs;

/// A file as the store, and beside an etcd.
const STORES: [&str; 5] = [
    "\"/var/lib/weir/store.redb\"",
    "\"/c\"\netcd = [\"http://a:1\", \"http://[::1]:2\"]\nprefix = \"/p/\"",
    "\"/c\"\netcd = [\"http://a:1\"]\nuser = \"u\"\npassword = \"p\"\ntimeout = \"1s\"",
    "\"/c\"\netcd = [\"https://a:1\"]\nca_file = \"/c\"\nuser = \"u\"\npassword_file = \"/p\"",
    "\"/c\"\netcd = [\"https://a:1\"]\nca_file = \"/c\"\ncert_file = \"/c\"\nkey_file = \"/k\"",
];

#[test]
fn every_file_of_the_repository_loads() {
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/config"
    ))];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Scenarios are another language; the simulator loads its own.
            if path.is_dir() && !path.ends_with("sim") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "toml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let config = load(&text, &path.to_string_lossy());
                let config = config.unwrap_or_else(|errors| panic!("{errors}"));
                assert!(config.warnings.is_empty(), "{:?}", config.warnings);
                count += 1;
            }
        }
    }
    assert!(count > 0);
}

#[test]
fn the_explained_file_shows_every_key_with_its_default() {
    let text = include_str!("../../../config/weir.toml");
    let uncommented: String = text
        .lines()
        .filter_map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(' ') || rest.is_empty() => None,
            Some(rest) => Some(rest),
            None => Some(line),
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let explained = sound(&uncommented);
    let mut wanted: Vec<String> = keys(&explained.to_toml());
    let shown = keys(&uncommented);
    wanted.retain(|key| !shown.contains(key));
    assert!(wanted.is_empty(), "not explained: {wanted:?}");
    let plain = sound(text);
    assert_eq!(plain.listeners[0].limits, explained.listeners[0].limits);
    assert_eq!(plain.listeners[0].timeouts, explained.listeners[0].timeouts);
    assert_eq!(plain.groups[0].timeouts, explained.groups[0].timeouts);
    assert_eq!(plain.groups[0].limits, explained.groups[0].limits);
    assert_eq!(plain.log, explained.log);
    assert_eq!(plain.shutdown, explained.shutdown);
    let bounds = |config: &Config| (config.dns.min_ttl, config.dns.refresh);
    assert_eq!(bounds(&plain), bounds(&explained));
    assert_eq!(plain.dns.resolver, explained.dns.resolver);
}

fn keys(text: &str) -> Vec<String> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.push(format!("{section}.{key}"));
        }
    }
    keys
}

/// Some lines of a section, each present or not.
fn lines(choices: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    let choices: Vec<_> = choices
        .into_iter()
        .map(|line| prop::option::of(line).boxed())
        .collect();
    choices
        .prop_map(|lines| {
            lines
                .into_iter()
                .flatten()
                .map(|line| format!("{line}\n"))
                .collect()
        })
        .boxed()
}

fn key(name: &'static str, values: &[&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(values.to_vec())
        .prop_map(move |value| format!("{name} = {value}"))
        .boxed()
}

fn number(name: &'static str, range: std::ops::RangeInclusive<u32>) -> BoxedStrategy<String> {
    range
        .prop_map(move |value| format!("{name} = {value}"))
        .boxed()
}

fn time(name: &'static str) -> BoxedStrategy<String> {
    (1_000_u32..86_400_000)
        .prop_map(move |millis| format!("{name} = \"{millis}ms\""))
        .boxed()
}

fn bytes(name: &'static str, range: std::ops::RangeInclusive<u32>) -> BoxedStrategy<String> {
    range
        .prop_map(move |value| format!("{name} = \"{value}B\""))
        .boxed()
}

fn any_node() -> BoxedStrategy<String> {
    let workers = key("workers", &["\"auto\"", "3", "[0, 2, 1]"]);
    let seed = key("hash_seed", &["0", "7", "9223372036854775807"]);
    let admin = key(
        "[admin]\naddress",
        &[
            "\"127.0.0.1:9901\"",
            "\"[::1]:9902\"\nunix = \"/run/a b.sock\"",
            "\"0.0.0.0:9903\"\ntoken = \"0123456789abcdef\"",
            "\"0.0.0.0:9903\"\ntoken_file = \"/etc/token\"",
            "\"127.0.0.1:9901\"\nmetrics_detail = \"group\"",
            "\"127.0.0.1:9901\"\nmetrics_detail = \"listener\"",
        ],
    );
    let level = key(
        "[log]\nlevel",
        &[
            "\"error\"",
            "\"warn\"",
            "\"info\"",
            "\"debug\"",
            "\"trace\"",
        ],
    );
    lines(vec![
        workers,
        seed,
        admin,
        key(
            "[heartbeat]\nudp",
            &[
                "\"127.0.0.1:9902\"",
                "\"[::]:9902\"\ntoken = \"0123456789abcdef\"",
            ],
        ),
        key(
            "[cluster]\nkey_file = \"/k\"\nbind",
            &[
                "\"127.0.0.1:7946\"",
                "\"0.0.0.0:1\"\nadvertise = \"10.0.0.1:2\"\nname = \"a\"\n\
                 node = \"b.c\"\nlimit_owners = [\"b.c\", \"d\"]",
                "\"[::1]:1\"\nseeds = [\"a.example:1\", \"10.0.0.2:1\"]",
            ],
        ),
        key("[store]\npath", &STORES),
        level,
        any_access_log(),
        any_decision_log(),
        any_tracing(),
        key(
            "[shutdown]\ndrain_timeout",
            &["\"0s\"", "\"5m\"\nidle_grace = \"500ms\""],
        ),
        key(
            "[upgrade]\ntimeout",
            &["\"1s\"", "\"5m\"\nsocket = \"/run/a b.sock\""],
        ),
        key(
            "[dns]\nmin_ttl = \"500ms\"\nrefresh",
            &[
                "\"2s\"",
                "\"1h\"\nresolver = \"system\"",
                "\"30s\"\nservers = [\"10.0.0.1\", \"[::1]:5353\"]",
            ],
        ),
    ])
}

const BODY_BYTES: [&str; 4] = ["\"none\"", "\"10MB\"", "0", "\"3GiB\""];

/// Where routes lead, in turn.
const TARGETS: [&str; 3] = [
    "group = \"g1\"",
    "shard = \"s0\"",
    "group = \"g0\"\nrequire = \"any\"",
];

fn any_listener(index: usize) -> BoxedStrategy<String> {
    let http = lines(vec![
        number("backlog", 1..=65535),
        key("steering", &["\"hash\"", "\"cpu\""]),
        number("connections_max", 1..=1_000_000),
        key(
            "forwarded",
            &["\"none\"", "\"forwarded\"", "\"x-forwarded\""],
        ),
        key("trust_forwarded", &["true", "false"]),
        key("request_id", &["true", "false"]),
        key("via", &["\"weir\"", "\"a'b\""]),
        time("timeouts.head"),
        time("timeouts.body"),
        time("timeouts.idle"),
        bytes("limits.head_bytes", 8192..=65536),
        number("limits.fields", 1..=128),
        bytes("limits.target_bytes", 1..=8192),
        key("limits.body_bytes", &BODY_BYTES),
        key("limits.requests_per_connection", &["\"none\"", "1", "1000"]),
    ]);
    let route = lines(vec![
        key(
            "host",
            &["\"a.org\"", "[\"*.B.org\", \"[::1]\", \"10.0.0.1\"]"],
        ),
        key("path", &["\"/x\"", "[\"/y\", \"/z\\\"\"]"]),
        key("path_prefix", &["\"/p/\"", "[\"/q\", \"/\\u00e4\"]"]),
        key("path_regex", &["\"/[0-9]+\"", "['/\\d', \"/\\\"\"]"]),
        key("method", &["\"GET\"", "[\"PUT\", \"POST\"]"]),
        key(
            "header",
            &[
                "[{ name = \"X-A\", value = \"1\" }, { name = \"b\", present = false }]",
                "[{ name = \"a\", regex = \"[a-z]\" }]",
                "[{ name = \"a\", prefix = \"p\" }, { name = \"c\", present = true }]",
            ],
        ),
    ]);
    let routes = proptest::collection::vec(route, 0..3);
    let tcp = lines(vec![number("backlog", 1..=65535), time("timeouts.idle")]);
    let port = 80 + index;
    let head = format!("[[listener]]\nname = \"l{index}\"\naddress = \"[::1]:{port}\"\n");
    prop_oneof![
        3 => (http, routes).prop_map(|(http, routes)| {
            let routes = routes.iter().enumerate().map(|(index, route)| {
                format!("[[listener.route]]\nname = \"r{index}\"\n{route}{}\n",
                    TARGETS[index % TARGETS.len()])
            });
            format!("group = \"g0\"\n{http}{}", routes.collect::<String>())
        }),
        1 => tcp.prop_map(|tcp| format!("protocol = \"tcp\"\ngroup = \"g1\"\n{tcp}")),
    ]
    .prop_map(move |lines| format!("{head}{lines}"))
    .boxed()
}

/// A rule for `s0`, which routes of http listeners name.
fn any_shard() -> BoxedStrategy<String> {
    let source = key(
        "key",
        &[
            "{ header = \"X-A\" }",
            "{ cookie = \"c\" }",
            "{ query = \"a b\\u00e4\" }",
            "{ path_segment = 3 }",
            "{ host = true }",
            "{ method = true }",
            "{ client_address = true }",
            "{ json = \"/a~1\\\"/0\", body_bytes = 1000 }",
            "{ json = \"\" }",
        ],
    );
    let function = prop::sample::select(vec![
        "map = [{ key = \"x\", group = \"g0\" }, \
         { key = [\"y\", \"\\u00e4\\\"\"], group = \"g1\" }]",
        "prefix = [{ prefix = \"\", group = \"g0\" }, { prefix = \"y\", group = \"g1\" }]",
        "ranges = [{ to = 5, group = \"g0\" }, { from = 6, to = 6, group = \"g1\" }]",
        "ranges = [{ from = \"m\", group = \"g0\" }, { to = \"b\", group = \"g1\" }]",
        "modulo = [\"g1\", \"g0\", \"g1\"]",
        "hash = { groups = [{ group = \"g0\" }, { group = \"g1\", weight = 3 }] }",
        "hash = { algorithm = \"maglev\", groups = [{ group = \"g0\" }], bounded_load = 150 }",
    ]);
    let more = lines(vec![
        number("key_bytes_max", 1..=1024),
        key(
            "missing",
            &["\"default\"", "\"reject\"", "{ group = \"g1\" }"],
        ),
        key("malformed", &["\"default\"", "{ group = \"g0\" }"]),
        key("oversized", &["\"default\"", "\"reject\""]),
        key("require", &["[]", "\"any\"", "[\"any=1\", \"any\"]"]),
    ]);
    (source, function, more)
        .prop_map(|(source, function, more)| {
            format!("[[shard]]\nname = \"s0\"\n{source}\n{function}\ndefault = \"g0\"\n{more}")
        })
        .boxed()
}

fn any_group(index: usize) -> BoxedStrategy<String> {
    let group = lines(vec![
        key(
            "policy",
            &[
                "\"least_connections\"",
                "\"least_request\"",
                "\"least_request\"\nchoices = 5",
                "\"adaptive\"",
                "\"adaptive\"\nprobe.rate = 0.5\nprobe.port = 80\nprobe.timeout = \"1s\"",
                "\"round_robin\"\nshadow = \"adaptive\"\nshadow_every = 5",
                "\"adaptive\"\nshadow = \"least_request\"\nchoices = 3",
                "\"random\"\nshadow = \"maglev\"\nbounded_load = 125",
                "\"maglev\"\nbounded_load = 125",
                "\"peak_ewma\"",
                "\"random\"",
                "\"rendezvous\"\nbounded_load = \"none\"",
                "\"ring_hash\"",
                "\"round_robin\"",
                "\"round_robin\"\ndynamic_weights = \"1s\"",
                "\"weighted_least_connections\"",
                "\"weighted_round_robin\"",
            ],
        ),
        number("retries", 0..=15),
        key("hedge", &["\"none\"", "\"1ms\"", "\"10s\""]),
        number("idle_connections_max", 0..=5000),
        key("backends_file", &["\"/etc/weir/a b.json\""]),
        time("timeouts.connect"),
        time("timeouts.response"),
        time("timeouts.idle"),
        time("timeouts.tunnel"),
        bytes("limits.head_bytes", 1024..=65536),
        any_health(),
    ]);
    let long = proptest::collection::vec(any_backend(), 0..4);
    (group, long)
        .prop_map(move |(lines, long)| {
            let long = long.iter().enumerate().map(|(index, lines)| {
                let id = if lines.contains("labels") { "" } else { "#" };
                let place = match lines.contains("weight") {
                    true => format!("address = \"Long{index}.internal:80\""),
                    false => format!("srv = \"_http._tcp.Long{index}.\""),
                };
                format!(
                    "[[group.backend]]\n{id}id = \"b{index}\"\n\
                     {place}\n{lines}"
                )
            });
            format!(
                "[[group]]\nname = \"g{index}\"\n\
                 backends = [\"127.0.0.1:9001\", \"[::1]:9002\", \"App.internal.:80\"]\n\
                 {lines}{}\
                 [[group.backend]]\naddress = \"127.0.0.1:9\"\nlabels = [\"any=1\", \"x\"]\n",
                long.collect::<String>()
            )
        })
        .boxed()
}

fn any_backend() -> BoxedStrategy<String> {
    lines(vec![
        number("weight", 0..=65535),
        key(
            "state",
            &[
                "\"ready\"",
                "\"drain\"",
                "\"drain\"\ndrain_since = \"2026-01-31T12:00:00Z\"\ndrain_until = \"never\"",
                "\"drain\"\ndrain_until = \"2028-02-29T23:59:59Z\"",
                "\"maint\"",
            ],
        ),
        key("agent_port", &["9777"]),
        key("labels", &["[]", "\"gpu\"", "[\"gpu\", \"zone=eu-1\"]"]),
        key("connections_max", &["1", "1000", "\"none\""]),
        key("requests_max", &["1", "1000", "\"none\""]),
    ])
}

/// Files with every key there is; some of their routes may hide others.
pub(crate) fn any_file() -> BoxedStrategy<String> {
    let listeners = (any_listener(0), any_listener(1));
    let groups = (any_group(0), any_group(1));
    (any_node(), listeners, any_shard(), groups)
        .prop_map(|(node, listeners, shard, groups)| {
            format!(
                "{node}{}{}{shard}{}{}",
                listeners.0, listeners.1, groups.0, groups.1
            )
        })
        .boxed()
}

proptest! {
    #[test]
    fn the_effective_configuration_loads_to_an_equal_one(text in any_file()) {
        match load(&text, "weir.toml") {
            Ok(config) => {
                let printed = config.to_toml();
                let again = sound(&printed);
                prop_assert_eq!(&again, &config);
                prop_assert_eq!(again.to_toml(), printed);
            }
            Err(found) => {
                let shadowed = |error: &Problem| error.what.starts_with("can never match");
                prop_assert!(found.errors.iter().all(shadowed), "{}\n{}", found, text);
            }
        }
    }

    #[test]
    fn no_text_upsets_the_loader(text in "[\\[\\]a-z=\"0-9. \n{},#]{0,200}") {
        let _ = load(&text, "weir.toml");
    }
}
