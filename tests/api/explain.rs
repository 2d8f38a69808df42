//! `/v1/explain` and `weir explain`: what is explained is what is served, and nothing is sent.

use serde_json::{Value, json};

use crate::support::{Settings, Upstream};

fn settings(one: &Upstream, two: &Upstream) -> Settings {
    Settings::new()
        .listener("web", "http")
        .with("shard", "\"by-tenant\"")
        .route("name = \"beta\"\nhost = \"beta.example.org\"\ngroup = \"b\"")
        .route("name = \"body\"\nmethod = \"POST\"\nshard = \"by-user\"")
        .group("a", &[one])
        .group("b", &[two])
        .shard(
            "name = \"by-tenant\"\nkey = { header = \"x-tenant\" }\n\
         hash = { algorithm = \"maglev\", groups = [{ group = \"a\" }, { group = \"b\" }] }",
        )
        .shard(
            "name = \"by-user\"\nkey = { json = \"/user\" }\n\
         map = [{ key = \"ann\", group = \"a\" }, { key = \"bob\", group = \"b\" }]",
        )
}

#[test]
fn what_is_explained_is_what_is_served() {
    let (one, two) = (Upstream::named("a"), Upstream::named("b"));
    let proxy = settings(&one, &two).start();
    let api = proxy.api();
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..20 {
        let key = format!("tenant-{number}");
        let said = api.post(
            "/v1/explain",
            json!({"host": "h", "headers": {"X-Tenant": key}}),
        );
        let body = said.expect(200);
        assert_eq!(said.epoch(), 1);
        assert_eq!(
            (&body["route"], &body["shard"]["key"]),
            (&Value::Null, &json!(key))
        );
        assert_eq!(body["shard"]["hash"].as_str().unwrap().len(), 16);
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nx-tenant: {key}\r\n\r\n");
        let served = proxy.client().ask(request.as_bytes()).text().to_owned();
        assert_eq!(body["group"], served, "{body}");
        seen.insert(served);
    }
    assert_eq!(seen.len(), 2);

    for (user, group) in [("ann", "a"), ("bob", "b")] {
        let asks = json!({"host": "h", "method": "POST", "body": {"user": user}});
        let body = api.post("/v1/explain", asks).expect(200);
        assert_eq!(
            (&body["route"], &body["group"]),
            (&json!("body"), &json!(group))
        );
        let text = json!({"user": user}).to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        let served = proxy
            .client()
            .ask((head + &text).as_bytes())
            .text()
            .to_owned();
        assert_eq!(served, group);
    }
}

#[test]
fn a_refusal_is_explained_and_no_backend_hears_of_it() {
    let (one, two) = (Upstream::named("a"), Upstream::named("b"));
    let proxy = settings(&one, &two).start();
    let api = proxy.api();
    let body = api.post("/v1/explain", json!({"host": "h"})).expect(200);
    assert_eq!(
        (&body["outcome"], &body["shard"]["found"]),
        (&json!("rejected"), &json!("missing"))
    );
    assert_eq!(body["pick"], Value::Null);
    let body = json!({"method": "POST", "body": {"user": "eve"}});
    let body = api.post("/v1/explain", body).expect(200);
    assert_eq!(body["shard"]["rejected"], "unplaced");
    let beta = json!({"host": "beta.example.org", "path": "/x?y"});
    assert_eq!(api.post("/v1/explain", beta).expect(200)["route"], "beta");
    proxy.wait_for_metric("weir_backend_connects_total", &[], 0.0);
}

#[test]
fn candidates_say_why_they_are_passed_over() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one, &two]).start();
    let first = one.address().to_string();
    proxy
        .ctl()
        .run(&format!("backend maint app {first} --wait"));
    let body = proxy.api().post("/v1/explain", json!({})).expect(200);
    let candidate = &body["candidates"][0];
    assert_eq!(
        (&candidate["id"], &candidate["can_be_chosen"]),
        (&json!(first), &json!("maint"))
    );
    assert_eq!(body["pick"]["id"], two.address().to_string());
    assert_eq!(body["epoch"], 2);
    proxy
        .ctl()
        .run(&format!("backend maint app {} --wait", two.address()));
    let body = proxy.api().post("/v1/explain", json!({})).expect(200);
    assert_eq!(
        (&body["pick"], &body["why"]),
        (&Value::Null, &json!("nobody is ready and has a weight"))
    );
}

#[test]
fn a_question_must_be_one() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream])
        .listener("second", "http")
        .to("app")
        .start();
    let api = proxy.api();
    assert_eq!(
        api.post("/v1/explain", json!({})).refused(422),
        ["- listener"]
    );
    api.post("/v1/explain", json!({"listener": "third"}))
        .refused(404);
    api.post("/v1/explain", json!({"listener": "web", "client": "x"}))
        .refused(422);
    let unknown = api.post("/v1/explain", json!({"listener": "web", "verb": "GET"}));
    assert_eq!(unknown.refused(422), ["- verb"]);
    api.post("/v1/explain", json!({"listener": "web"}))
        .expect(200);
}

#[test]
fn the_command_draws_the_way() {
    let (one, two) = (Upstream::named("a"), Upstream::named("b"));
    let proxy = settings(&one, &two).start();
    let ctl = proxy.ctl();
    let said = ctl.weir(&[
        "explain",
        "http://h/x",
        "-H",
        "X-Tenant: acme",
        "--client",
        "10.0.0.1",
    ]);
    assert_eq!((said.code, &*said.err), (0, ""));
    let (out, address) = (said.out, one.address().to_string());
    assert!(
        out.starts_with("epoch 1\nlistener web: no route, the default\n"),
        "{out}"
    );
    assert!(
        out.contains("shard rule by-tenant: key \"acme\", hash "),
        "{out}"
    );
    let pick = out.lines().find(|line| line.starts_with("=>")).unwrap();
    assert!(
        pick.contains(&address) || pick.contains(&two.address().to_string()),
        "{out}"
    );
    let file = proxy.directory().join("body");
    std::fs::write(&file, "{\"user\": \"bob\"}").unwrap();
    let body = format!("@{}", file.display());
    let said = ctl.weir(&["explain", "-X", "POST", "-d", &body, "--json"]);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &json["group"]), (0, &json!("b")));
    assert_eq!(ctl.weir(&["explain", "-l", "none"]).code, 1);
    assert_eq!(ctl.weir(&["explain", "h/x"]).code, 2);
}
