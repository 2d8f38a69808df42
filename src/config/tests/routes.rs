//! Routes: patterns that cannot match, and routes nothing reaches.

use super::*;

#[test]
fn routes_are_checked() {
    for (line, expected) in [
        (
            "host = \"*\"",
            "host: \"*\" is not needed; fix: remove host: a route without it takes every host",
        ),
        (
            "host = \"a.*.org\"",
            "host: \"a.*.org\" has '*' in a place other than \"*.\"; \
             fix: write it like \"api.example.org\" or \"*.example.org\"",
        ),
        (
            "host = []",
            "host: an empty list matches nothing; \
             fix: write a value, or remove the key to match everything",
        ),
        (
            "path = \"/a*\"",
            "path: \"/a*\" has a '*', which is not special here; fix: write path_prefix = \"/a\"",
        ),
        (
            "path = \"/%61\"",
            "path: \"/%61\" is percent-encoded; \
             fix: write the character itself: paths are decoded before they are compared",
        ),
        (
            "path_prefix = \"/a//\"",
            "path_prefix: \"/a//\" can never match: empty, '.' and '..' segments are resolved \
             before paths are compared; fix: write the path without them",
        ),
        (
            "path = \"/a?b\"",
            "path: \"/a?b\" has a character that is not part of a path; \
             fix: write the path only; a query is not compared",
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

/// Routes by their lines; the error is on the last one, or there is none.
fn shadowed(routes: &[&str]) -> bool {
    let routes: String = routes
        .iter()
        .map(|line| format!("[[listener.route]]\n{line}\ngroup = \"app\"\n"))
        .collect();
    let text = format!("{LISTENER}{routes}{GROUP}");
    let Err(found) = load(&text, "weir.toml") else {
        return false;
    };
    assert_eq!(found.errors.len(), 1, "{found}");
    found.errors[0].what.starts_with("can never match")
}

#[test]
fn routes_that_nothing_reaches_are_found() {
    for routes in [
        vec!["path = \"/a\"", "path = \"/a\""],
        vec!["path_prefix = \"/a\"", "path = \"/a/b\""],
        vec!["path_prefix = \"/a\"", "path_prefix = \"/ab\""],
        vec!["", "host = \"a.org\""],
        vec!["host = \"*.org\"", "host = [\"a.org\", \"b.c.org\"]"],
        vec!["host = \"*.org\"", "host = \"*.a.org\""],
        vec!["host = \"A.org.\"", "host = \"a.ORG\"\npath = \"/x\""],
        vec!["path = \"/a\"", "path = \"/b\"", "path = [\"/a\", \"/b\"]"],
        vec!["host = \"::1\"", "host = \"[0::1]\""],
        vec![
            "method = [\"GET\", \"PUT\"]",
            "method = \"GET\"\npath = \"/a\"",
        ],
        vec![
            "method = \"GET\"",
            "method = \"PUT\"",
            "method = [\"GET\", \"PUT\"]",
        ],
        vec![
            "path_regex = \"/a+\"",
            "path_regex = \"/a+\"\nmethod = \"GET\"",
        ],
        vec!["", "path_regex = \"/a+\""],
        vec![
            "header = [{ name = \"x\", value = \"1\" }, { name = \"y\", present = true }]",
            "path = \"/a\"\nheader = [{ name = \"Y\", present = true }, \
             { name = \"x\", value = \"1\" }]",
        ],
        vec![
            "path_prefix = \"/a\"",
            "path = \"/a\"\nheader = [{ name = \"x\", value = \"1\" }]",
        ],
    ] {
        assert!(shadowed(&routes), "{routes:?}");
    }
    for routes in [
        vec!["path = \"/a\"", "path = [\"/a\", \"/b\"]"],
        vec!["path = \"/a\"", "path_prefix = \"/a\""],
        vec!["host = \"a.org\"", ""],
        vec!["method = \"GET\"", ""],
        vec!["method = \"GET\"", "method = [\"GET\", \"PUT\"]"],
        vec!["path_regex = \"/.*\"", "path = \"/a\""],
        vec!["path_regex = \"/a\"", "path_regex = [\"/a\", \"/b\"]"],
        vec!["header = [{ name = \"x\", value = \"1\" }]", ""],
        vec![
            "header = [{ name = \"x\", present = true }]",
            "header = [{ name = \"x\", value = \"1\" }]",
        ],
        vec![
            "path_regex = \"/a\"\nmethod = \"PUT\"",
            "path_regex = \"/a\"",
        ],
        vec!["host = \"*.a.org\"", "host = \"a.org\""],
        vec!["host = \"a.org\"\npath = \"/x\"", "host = \"a.org\""],
        vec!["host = \"a.org\"\npath = \"/x\"", "path = \"/x\""],
    ] {
        assert!(!shadowed(&routes), "{routes:?}");
    }
}
