//! What people see.

use serde_json::json;

use super::*;

#[test]
fn columns_are_as_wide_as_what_is_in_them() {
    let item = |id: &str, address: &str, weight: u32, state: &str, status: &str| {
        json!({
            "group": "app", "server_id": id, "address": address, "weight": weight,
            "state": state, "status": status, "source": "check", "reason": "status 503",
        })
    };
    let body = json!({"items": [
        item("a", "127.0.0.1:9001", 1, "ready", "up"),
        item("second", "[::1]:1", 20, "drain", "drain"),
        item("c", "x:1", 1, "ready", "down"),
    ]});
    let expected = "\
GROUP  ID      ADDRESS         WEIGHT  STATE  STATUS
app    a       127.0.0.1:9001  1       ready  up
app    second  [::1]:1         20      drain  drain
app    c       x:1             1       ready  down, check: status 503
";
    assert_eq!(render(Shape::Backends, &body), expected);
}

#[test]
fn an_object_is_shown_as_its_section() {
    let body = json!({"path": "groups/app", "epoch": 7, "value": {
        "name": "app", "retries": 3, "timeouts": {"connect": "1s"},
    }});
    let shown = render(Shape::Object, &body);
    let expected =
        "# groups/app, epoch 7\nname = \"app\"\nretries = 3\n\n[timeouts]\nconnect = \"1s\"\n";
    assert_eq!(shown, expected);
}

#[test]
fn a_route_shows_every_condition() {
    let body = json!({"items": [{"path": "listeners/web/routes/api", "value": {
        "name": "api", "host": ["a", "b"], "path": "/x", "path_prefix": ["/y/"],
        "method": "GET", "header": [{"name": "x-beta"}], "shard": "by-tenant",
    }}]});
    let shown = render(Shape::Routes, &body);
    let line = shown.lines().nth(1).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let expected = [
        "api",
        "a",
        "b",
        "/x",
        "/y/*",
        "GET",
        "x-beta",
        "shard",
        "by-tenant",
    ];
    assert_eq!(words, expected);
}

#[test]
fn what_is_required_is_shown_with_where_it_leads() {
    let body = json!({"items": [{"path": "listeners/web/routes/r", "value": {
        "name": "r", "group": "app", "require": ["gpu", "zone=eu"],
    }}]});
    let shown = render(Shape::Routes, &body);
    assert!(shown.contains("app (gpu zone=eu)"), "{shown}");
    let body = json!({"items": [{"path": "shards/s", "value": {
        "name": "s", "key": {"host": true}, "modulo": ["a"], "require": "gpu",
    }}]});
    let shown = render(Shape::Shards, &body);
    assert!(
        shown
            .lines()
            .nth(1)
            .is_some_and(|line| line.ends_with("gpu")),
        "{shown}"
    );
    let plan = json!({"epoch": 3, "routes": [
        {"listener": "web", "route": "r", "before": {"group": "a"},
         "after": {"group": "b", "require": ["gpu"]}},
        {"listener": "web", "route": null, "before": null, "after": {"shard": "s"}},
    ]});
    let shown = render(Shape::Plan, &plan);
    for line in [
        "  listener web, route r: group a -> group b (gpu required)\n",
        "  listener web, what no route takes: nothing -> shard rule s\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}

#[test]
fn a_refusal_tells_every_mistake_and_who_is_behind() {
    let body = json!({"detail": "2 mistakes; nothing was changed", "errors": [
        {"object": "groups/app", "field": "retries", "problem": "is 99", "fix": "write less"},
        {"object": null, "field": "weight", "problem": "is missing", "fix": "write it"},
    ]});
    let expected = "\
422: 2 mistakes; nothing was changed
  groups/app: retries: is 99; fix: write less
  weight: is missing; fix: write it
";
    assert_eq!(refusal(422, &body), expected);
    let late = json!({"detail": "epoch 3 is stored", "epoch": 3, "stragglers": [0, 2]});
    assert!(refusal(504, &late).ends_with("  cores that are behind: 0, 2\n"));
}

#[test]
fn an_answer_cannot_move_the_cursor() {
    let body = json!({"items": [{"path": "groups/a", "value": {"name": "a\u{1b}[2J\n"}}]});
    let shown = render(Shape::Groups, &body);
    assert!(
        shown.chars().all(|c| c == '\n' || !c.is_control()),
        "{shown:?}"
    );
    assert_eq!(shown.lines().count(), 2);
}

#[test]
fn epochs_name_every_core() {
    let body = json!({"published": 9, "phase": "serving", "configuration": {"hash": "00ff"},
        "cores": [{"core": 0, "adopted": 9, "state": "running"},
                  {"core": 1, "adopted": 8, "state": "running"}]});
    let expected = "\
epoch 9, serving
configuration 00ff
CORE  EPOCH  STATE
0     9      running
1     8      running
";
    assert_eq!(render(Shape::Epoch, &body), expected);
}
