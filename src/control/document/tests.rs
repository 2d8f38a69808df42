//! Documents: files in and out, changes, and mistakes told of objects.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config;
use crate::config::tests::round_trip::any_file;

const FILE: &str = r#"
workers = 2
[admin]
address = "127.0.0.1:9901"
[shutdown]
drain_timeout = "3s"
[[listener]]
name = "web"
address = "127.0.0.1:8080"
group = "app"
[listener.timeouts]
head = "5s"
[[listener.route]]
path = "/a"
group = "app"
[[listener.route]]
name = "b"
path_prefix = ["/b/", "/quo\"te\\"]
group = "api"
[[group]]
name = "app"
backends = ["127.0.0.1:9001", "[::1]:9002"]
[[group]]
name = "api"
policy = "least_connections"
backends = "127.0.0.1:9003"
"#;

fn file() -> Split {
    config::load(FILE, "weir.toml").unwrap();
    split(FILE).unwrap()
}

fn path(text: &str) -> ObjectPath {
    text.parse().unwrap()
}

fn section(value: Value) -> Section {
    match value {
        Value::Object(section) => section,
        other => panic!("{other} is no object"),
    }
}

fn put(at: &str, value: Value) -> Op {
    Op::Put {
        path: path(at),
        value: section(value),
        place: None,
    }
}

fn patch(at: &str, value: Value) -> Op {
    Op::Patch {
        path: path(at),
        value: section(value),
    }
}

fn delete(at: &str) -> Op {
    Op::Delete { path: path(at) }
}

fn names(document: &Document, family: &Family) -> Vec<String> {
    let members = document.members(family);
    members
        .iter()
        .map(|path| path.name().unwrap().to_string())
        .collect()
}

fn mistakes(document: &Document) -> Vec<String> {
    let errors = judge(&file().process, document).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_becomes_objects_in_its_order() {
    let Split { process, document } = file();
    assert_eq!(process.keys().collect::<Vec<_>>(), ["admin", "workers"]);
    assert_eq!(
        document.section(&ObjectPath::Settings).unwrap(),
        section(json!({"shutdown": {"drain_timeout": "3s"}}))
    );
    assert_eq!(names(&document, &Family::Groups), ["app", "api"]);
    assert_eq!(
        names(&document, &Family::Routes("web".into())),
        ["route-1", "b"]
    );
    let backends = names(&document, &Family::Backends("app".into()));
    assert_eq!(backends, ["127.0.0.1:9001", "[::1]:9002"]);
    let group = document.section(&path("groups/api")).unwrap();
    let backend = json!({"id": "127.0.0.1:9003", "address": "127.0.0.1:9003"});
    assert_eq!(
        Value::Object(group),
        json!({"name": "api", "policy": "least_connections", "backend": [backend]})
    );
}

#[test]
fn names_in_file_order_survive_printing() {
    let Split { process, document } = file();
    let text = to_toml(&process, &document);
    let again = split(&text).unwrap();
    assert_eq!(again, Split { process, document }, "{text}");
    assert!(
        text.contains("backends = [\"127.0.0.1:9001\", \"[::1]:9002\"]"),
        "{text}"
    );
}

#[test]
fn a_change_is_whole_or_nothing() {
    let before = file().document;
    let ops = [
        put("groups/new", json!({"backends": ["127.0.0.1:1"]})),
        delete("groups/none"),
    ];
    assert_eq!(
        before.apply(&ops),
        Err(OpError::Absent(path("groups/none")))
    );
    let after = before.apply(&ops[..1]).unwrap();
    assert!(after.contains(&path("groups/new/backends/127.0.0.1:1")));
    assert!(!before.contains(&path("groups/new")));
    assert_eq!(names(&after, &Family::Groups), ["app", "api", "new"]);
}

#[test]
fn a_put_replaces_and_a_patch_merges() {
    let before = file().document;
    let web = "listeners/web";
    let after = before
        .apply(&[patch(
            web,
            json!({"timeouts": {"head": null, "body": "9s"}, "backlog": 7}),
        )])
        .unwrap();
    let value = after.section(&path(web)).unwrap();
    assert_eq!(value["timeouts"], json!({"body": "9s"}));
    assert_eq!(
        (&value["backlog"], value["route"].as_array().unwrap().len()),
        (&json!(7), 2)
    );
    let new = json!({"name": "web", "address": "127.0.0.1:1", "group": "app"});
    let after = after.apply(&[put(web, new.clone())]).unwrap();
    assert_eq!(Value::Object(after.section(&path(web)).unwrap()), new);
    let gone = after.apply(&[delete("groups/app")]).unwrap();
    assert!(names(&gone, &Family::Backends("app".into())).is_empty());
}

#[test]
fn what_a_section_says_of_itself_puts_it_back() {
    let before = file().document;
    for at in [
        "groups/app",
        "listeners/web",
        "listeners/web/routes/b",
        "settings",
    ] {
        let same = put(at, Value::Object(before.section(&path(at)).unwrap()));
        let after = before.apply(&[same]).unwrap();
        assert_eq!(after, before);
        assert!(after.records_since(&before).is_empty());
    }
}

#[test]
fn order_is_kept_and_can_be_asked_for() {
    let before = file().document;
    let routes = Family::Routes("web".into());
    let route = |place| Op::Put {
        path: path("listeners/web/routes/c"),
        value: section(json!({"path": "/c", "group": "api"})),
        place,
    };
    let last = before.apply(&[route(None)]).unwrap();
    assert_eq!(names(&last, &routes), ["route-1", "b", "c"]);
    let first = last
        .apply(&[route(Some(Place::Before("route-1".into())))])
        .unwrap();
    assert_eq!(names(&first, &routes), ["c", "route-1", "b"]);
    let middle = last
        .apply(&[route(Some(Place::After("route-1".into())))])
        .unwrap();
    assert_eq!(names(&middle, &routes), ["route-1", "c", "b"]);
    let stays = first.apply(&[route(None)]).unwrap();
    assert_eq!(names(&stays, &routes), ["c", "route-1", "b"]);
    let strange = last.apply(&[route(Some(Place::After("none".into())))]);
    assert_eq!(
        strange,
        Err(OpError::Absent(path("listeners/web/routes/none")))
    );
}

#[test]
fn shapes_that_are_no_section_are_refused_with_their_field() {
    let before = file().document;
    let refused = |op: Op| match before.apply(&[op]) {
        Err(OpError::Shape(mistake)) => mistake.field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(put("groups/app", json!({"name": "other"}))), "name");
    assert_eq!(
        refused(put("groups/app", json!({"backends": ["a:1", 3]}))),
        "backends[#2]"
    );
    assert_eq!(
        refused(put("groups/app", json!({"backend": {"address": "a:1"}}))),
        "backend"
    );
    assert_eq!(
        refused(put("groups/app", json!({"backend": [{}]}))),
        "backend[#1]"
    );
    assert_eq!(
        refused(put("groups/app", json!({"backends": ["a:1", "a:1"]}))),
        "backend[#2]"
    );
    assert_eq!(
        refused(put("groups/app", json!({"limits": {"x": [null]}}))),
        "limits.x[#1]"
    );
    assert_eq!(refused(patch("settings", json!({"workers": 3}))), "workers");
    assert_eq!(
        refused(patch("settings", json!({"listener": []}))),
        "listener"
    );
}

#[test]
fn mistakes_name_object_and_field_and_no_line() {
    let before = file().document;
    let after = before
        .apply(&[
            put(
                "groups/app/backends/nonsense",
                json!({"address": "nonsense"}),
            ),
            patch("groups/api", json!({"polcy": "x"})),
            patch("listeners/web", json!({"timeouts": {"head": 3}})),
            patch("listeners/web/routes/b", json!({"group": "nowhere"})),
            patch("settings", json!({"dns": {"refresh": "soon"}})),
            put(
                "listeners/two",
                json!({"address": "127.0.0.1:8080", "group": "app"}),
            ),
            put(
                "listeners/web/routes/late",
                json!({"path": "/a", "group": "app"}),
            ),
        ])
        .unwrap();
    let told = mistakes(&after);
    for beginning in [
        "groups/app/backends/nonsense: address: \"nonsense\" has no port; fix: ",
        "groups/api: polcy: unknown key; fix: write policy",
        "listeners/web: timeouts.head: ",
        "listeners/web/routes/b: group: no group is named \"nowhere\"",
        "settings: dns.refresh: ",
        "listeners/web/routes/late: can never match: the route in listeners/web/routes/route-1 (",
        "listeners/two: address: 127.0.0.1:8080 is already listened on, by listeners/web; fix",
    ] {
        assert!(
            told.iter().any(|line| line.starts_with(beginning)),
            "{beginning}: {told:#?}"
        );
    }
    assert_eq!(told.len(), 7, "{told:#?}");
}

#[test]
fn ten_thousand_mistakes_are_told_as_a_hundred_and_soon() {
    let before = file().document;
    let addresses: Vec<String> = (0..10_000).map(|index| format!("wrong-{index}")).collect();
    let after = before
        .apply(&[put("groups/app", json!({"backends": addresses}))])
        .unwrap();
    let told = mistakes(&after);
    assert_eq!(told.len(), 101);
    assert!(
        told[0].starts_with("groups/app/backends/wrong-0: address: "),
        "{}",
        told[0]
    );
    assert!(told[100].contains("9900 more"), "{}", told[100]);
}

#[test]
fn records_bring_the_document_back_and_strange_ones_are_refused() {
    let document = file().document;
    let records = document.records_since(&Document::default());
    let read = |records: &[(String, Option<Vec<u8>>)]| {
        let records = records
            .iter()
            .map(|(key, record)| (&**key, record.as_deref().unwrap()));
        Document::from_records(records)
    };
    assert_eq!(read(&records).unwrap(), document);
    assert_eq!(
        read(&records).unwrap().content_hash(),
        document.content_hash()
    );
    let orphan: Vec<_> = records
        .iter()
        .filter(|(key, _)| *key != "groups/app")
        .cloned()
        .collect();
    assert!(
        read(&orphan)
            .unwrap_err()
            .key
            .starts_with("groups/app/backends/")
    );
    assert!(read(&[("groups/app".into(), Some(b"{}".to_vec()))]).is_err());
    let changed = document
        .apply(&[patch("groups/app", json!({"retries": 1}))])
        .unwrap();
    assert_ne!(changed.content_hash(), document.content_hash());
    let writes = changed.records_since(&document);
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].0, "groups/app");
    let writes = document
        .apply(&[delete("groups/api")])
        .unwrap()
        .records_since(&document);
    assert!(writes.iter().all(|(_, record)| record.is_none()) && writes.len() == 2);
}

/// What may be said of a backend anew, right and wrong.
fn any_patch() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u32..70_000).prop_map(|weight| json!({"weight": weight})),
        prop::sample::select(vec!["ready", "drain", "maint", "gone"])
            .prop_map(|state| json!({"state": state, "weight": null})),
        Just(json!({"health": "failed"})),
        Just(json!({"health": null, "requests_max": 7})),
        Just(json!({"connections_max": 0})),
        Just(json!({"connections_max": 9, "weight": "heavy"})),
        Just(json!({"labels": ["x"]})),
        Just(json!({"address": "127.0.0.1:9001"})),
        Just(json!({"unknown": 1})),
    ]
}

proptest! {
    #[test]
    fn a_file_means_the_same_through_objects(text in any_file()) {
        // What a file that does not load means is no question.
        if let Ok(config) = config::load(&text, "weir.toml") {
            let Split { process, document } = split(&text).unwrap();
            let printed = to_toml(&process, &document);
            let again = judge(&process, &document).unwrap();
            prop_assert_eq!(&again, &config, "{}", printed);
            prop_assert_eq!(&config::load(&printed, "printed").unwrap(), &config);
            let records = document.records_since(&Document::default());
            let stored = records.iter().map(|(key, record)| (&**key, record.as_deref().unwrap()));
            prop_assert_eq!(Document::from_records(stored).unwrap(), document);
        }
    }

    #[test]
    fn what_is_judged_in_part_is_what_the_whole_says(
        text in any_file(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any_patch()), 1..4),
    ) {
        let Ok(config) = config::load(&text, "weir.toml") else { return Ok(()) };
        let Split { process, document } = split(&text).unwrap();
        let backends: Vec<ObjectPath> = document.entries.keys()
            .filter(|path| matches!(path, ObjectPath::Backend { .. }))
            .cloned()
            .collect();
        if backends.is_empty() {
            return Ok(());
        }
        let op = |(place, value): &(prop::sample::Index, Value)| Op::Patch {
            path: backends[place.index(backends.len())].clone(),
            value: section(value.clone()),
        };
        let ops: Vec<Op> = changes.iter().map(op).collect();
        let Ok(after) = document.apply(&ops) else { return Ok(()) };
        let quick = rejudge(&process, (&document, &config), &after, &mut || ());
        prop_assert_eq!(quick, judge(&process, &after), "{:?}", ops);
    }

    #[test]
    fn any_value_is_written_as_toml_that_reads_the_same(
        texts in proptest::collection::vec(any::<String>(), 1..5),
        number in any::<i64>(),
    ) {
        let value = json!({"a": texts, "b": {"c \u{1}": number, "d": [{"e": texts[0]}]}});
        let top = section(json!({"x": value}));
        let text = to_toml(&top, &Document::default());
        let read: Section = toml::from_str(&text).unwrap();
        prop_assert_eq!(read, top);
    }
}

#[test]
fn a_seed_stays_whatever_becomes_of_the_settings_around_it() {
    let document = file().document.or_hash_seed(7.into());
    assert_eq!(document.clone().or_hash_seed(8.into()), document);
    let path = ObjectPath::Settings;
    let value = |value: Value| value.as_object().unwrap().clone();
    let put = |said| Op::Put {
        path: ObjectPath::Settings,
        value: value(said),
        place: None,
    };
    let patch = |said| Op::Patch {
        path: ObjectPath::Settings,
        value: value(said),
    };
    for op in [
        put(json!({})),
        put(json!({"hash_seed": 7, "dns": {"refresh": "9s"}})),
        patch(json!({"shutdown": null})),
        patch(json!({"hash_seed": 7})),
        Op::Delete { path: path.clone() },
    ] {
        let after = document.apply(std::slice::from_ref(&op)).unwrap();
        assert_eq!(after.hash_seed(), Some(&7.into()), "{op:?}");
    }
    for op in [
        put(json!({"hash_seed": 8})),
        patch(json!({"hash_seed": null})),
    ] {
        let told = document.apply(std::slice::from_ref(&op)).unwrap_err();
        assert!(told.to_string().contains("cannot be changed"), "{told}");
        // A deletion before it gives no way around.
        let ops = [Op::Delete { path: path.clone() }, op];
        assert!(document.apply(&ops).is_err());
    }
    let without = file().document;
    assert!(without.apply(&[put(json!({"hash_seed": 0}))]).is_err());
    assert_eq!(without.apply(&[put(json!({}))]).unwrap().hash_seed(), None);
}
