//! Labels that rules and routes require: what satisfies them, and that somebody must.

use super::*;

/// Groups `a` and `b`, of which `a` has a backend with labels; a rule `s` and a route `r` with
/// these lines.
fn file(rule: &str, route: &str) -> String {
    format!(
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:80\"\nshard = \"s\"\n\
         [[listener.route]]\nname = \"r\"\npath = \"/x\"\n{route}\n\
         [[shard]]\nname = \"s\"\nkey = {{ host = true }}\n\
         map = [{{ key = \"x\", group = \"a\" }}]\n{rule}\n\
         [[group]]\nname = \"a\"\nbackends = [\"127.0.0.1:9001\"]\n\
         [[group.backend]]\naddress = \"127.0.0.1:9002\"\n\
         labels = [\"gpu\", \"zone=eu\", \"zone=us\"]\n\
         [[group]]\nname = \"b\"\nbackends = [\"127.0.0.1:9003\"]\n"
    )
}

fn texts(labels: &[&str]) -> Vec<std::sync::Arc<str>> {
    labels.iter().map(|label| (*label).into()).collect()
}

#[test]
fn a_word_is_satisfied_with_any_value_and_a_value_by_the_same() {
    let labels = texts(&["gpu", "zone=eu", "zone=us", "zones"]);
    for (required, expected) in [
        (&[][..], true),
        (&["gpu"], true),
        (&["zone"], true),
        (&["zone=eu", "gpu", "zone=us"], true),
        (&["zone=asia"], false),
        (&["gpu=1"], false),
        (&["gpu", "ssd"], false),
        (&["zon"], false),
        (&["GPU"], false),
        (&["eu"], false),
    ] {
        assert_eq!(
            satisfies(&labels, &texts(required)),
            expected,
            "{required:?}"
        );
    }
    assert!(!satisfies(&[], &texts(&["gpu"])));
}

#[test]
fn rules_and_routes_keep_what_they_require_sorted() {
    let text = file(
        "require = [\"zone=us\", \"gpu\"]",
        "group = \"a\"\nrequire = \"zone\"",
    );
    let config = sound(&text);
    assert_eq!(config.shards[0].require, texts(&["gpu", "zone=us"]));
    assert_eq!(config.listeners[0].routes[0].require, texts(&["zone"]));
    let printed = config.to_toml();
    assert!(
        printed.contains("require = [\"gpu\", \"zone=us\"]"),
        "{printed}"
    );
    assert_eq!(sound(&printed), config);
    let plain = sound(&file("require = []", "group = \"a\""));
    assert!(plain.shards[0].require.is_empty());
}

#[test]
fn what_nobody_has_is_a_mistake_of_who_requires_it() {
    one_error(
        &file("require = \"ssd\"", "group = \"a\""),
        "weir.toml:13:11: shard[s].require: no backend of group \"a\" has ssd; \
         fix: give one these labels, or require less",
    );
    one_error(
        &file("", "group = \"b\"\nrequire = [\"gpu\", \"zone\"]"),
        "weir.toml:9:11: listener[web].route[r].require: no backend of group \"b\" has gpu and \
         zone; fix: give one these labels, or require less",
    );
    // A default and an outcome are places a request of the rule goes to.
    for outcome in ["default = \"b\"", "missing = { group = \"b\" }"] {
        let found = errors(&file(
            &format!("require = \"gpu\"\n{outcome}"),
            "group = \"a\"",
        ));
        assert!(
            found[0].contains("no backend of group \"b\" has gpu"),
            "{found:?}"
        );
    }
    // A file may bring somebody who has it.
    let filed = "name = \"b\"\nbackends_file = \"/tmp/b.json\"";
    let text = file("", "group = \"b\"\nrequire = \"gpu\"");
    sound(&text.replace("name = \"b\"", filed));
    // What is drained has its labels still.
    let text = file("require = \"gpu\"", "group = \"a\"");
    sound(&text.replace("labels = ", "state = \"drain\"\nlabels = "));
}

#[test]
fn labels_are_written_once_and_in_the_rule() {
    one_error(
        &file("", "shard = \"s\"\nrequire = \"gpu\""),
        "weir.toml:9:11: listener[web].route[r].require: what a shard rule places is required by \
         the rule; fix: write it in the [[shard]] section of the rule",
    );
    let found = errors(&file(
        "require = [\"gpu\", \"gpu\", \"a=b=c\", \"=x\"]",
        "group = \"a\"",
    ));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains("\"gpu\" is there twice"), "{found:?}");
    assert!(found[1].contains("\"a=b=c\" is not a label"), "{found:?}");
    // A backend with a mistake may be the one that has the label.
    let text = file("require = \"ssd\"", "group = \"a\"").replace("\"gpu\",", "\"g u\",");
    assert_eq!(errors(&text).len(), 1);
}

#[test]
fn a_seed_is_any_number_that_toml_can_hold() {
    let with = |line: &str| format!("{line}\n{}", file("", "group = \"a\""));
    assert_eq!(sound(&with("")).hash_seed, 0);
    assert_eq!(
        sound(&with("hash_seed = 9223372036854775807")).hash_seed,
        i64::MAX as u64
    );
    one_error(
        &with("hash_seed = -1"),
        "weir.toml:1:13: hash_seed: -1 is out of range; \
         fix: write a value from 0 to 9223372036854775807",
    );
}
