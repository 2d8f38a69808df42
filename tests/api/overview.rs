//! What the dashboard and `weir top` are made from.

use serde_json::{Value, json};

use crate::support::{Answer, Settings, Upstream};

/// The rows of backends as objects.
fn rows(overview: &Value) -> Vec<Value> {
    let columns = overview["columns"].as_array().unwrap();
    let rows = overview["backends"].as_array().unwrap().iter();
    let rows = rows.map(|row| {
        let row = row.as_array().unwrap();
        assert_eq!(row.len(), columns.len());
        let pairs = columns.iter().zip(row);
        pairs
            .map(|(name, value)| (name.as_str().unwrap().to_owned(), value.clone()))
            .collect()
    });
    rows.collect()
}

fn count(buckets: &Value) -> u64 {
    let buckets: Vec<u64> = serde_json::from_value(buckets.clone()).unwrap();
    buckets.chunks(3).map(|bucket| bucket[2]).sum()
}

#[test]
fn the_overview_counts_what_clients_count() {
    let upstream = Upstream::http(|request| match request.head.target() {
        "/broken" => Answer::new(500, "", b""),
        _ => Answer::text("fine"),
    });
    let proxy = Settings::http_to(&[&upstream]).workers("2").start();
    for _ in 0..20 {
        assert_eq!(proxy.client().get("/").status(), 200);
    }
    for _ in 0..3 {
        assert_eq!(proxy.client().get("/broken").status(), 500);
    }
    // A request counts when its answer has been sent, which its client may see before we do.
    proxy.wait_for_metric("weir_listener_requests_total", &[], 23.0);
    let overview = proxy.api().get("/v1/overview").expect(200);
    let listener = &overview["listeners"][0];
    assert_eq!(listener["requests"], json!({"200": 20, "500": 3}));
    assert_eq!(listener["connections_total"], 23);
    assert_eq!(count(&listener["latency"]), 23);
    let [row] = &rows(&overview)[..] else {
        panic!("{overview}")
    };
    assert_eq!(row["requests"], 23);
    assert_eq!(row["errors"], 3);
    assert_eq!(row["latency_count"], 23);
    assert_eq!(row["configured"], true);
    assert_eq!(overview["latencies"], json!({}), "none were asked for");
    let cores = overview["nodes"][0]["cores"].as_array().unwrap();
    let of_cores = cores.iter().map(|core| core["requests"].as_u64().unwrap());
    assert_eq!((cores.len(), of_cores.sum::<u64>()), (2, 23));
    let target = format!("/v1/overview?latency={}", row["slot"]);
    let overview = proxy.api().get(&target).expect(200);
    let of_slot = &overview["latencies"][row["slot"].to_string()];
    assert_eq!(count(of_slot), 23);
}

#[test]
fn the_overview_says_who_is_out_and_since_when() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one, &two]).start();
    let api = proxy.api();
    let address = one.address().to_string();
    let drain = format!("/v1/groups/app/backends/{address}/drain?wait=node");
    api.ask("POST", &drain, None).expect(200);
    let overview = api.get("/v1/overview").expect(200);
    let rows = rows(&overview);
    let row = rows.iter().find(|row| row["name"] == *address).unwrap();
    assert_eq!(
        (&row["state"], &row["status"]),
        (&json!("drain"), &json!("drain"))
    );
    let [event] = &overview["events"].as_array().unwrap()[..] else {
        panic!("{overview}")
    };
    assert_eq!(
        (&event["name"], &event["to"]),
        (&json!(address), &json!("drain"))
    );
    assert_eq!(event["at_ms"], row["since_ms"]);
    let target = format!("/v1/groups/app/backends/{address}?wait=node");
    api.delete(&target).expect(200);
    let overview = api.get("/v1/overview").expect(200);
    let of_two = |row: &Value| row["name"] != *address || row["state"] == "removed";
    assert!(self::rows(&overview).iter().all(of_two), "{overview}");
}

#[test]
fn the_overview_has_the_shares_of_the_present_shard_rules() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let rule = "name = \"by-tenant\"\nkey = { header = \"x-tenant\" }\n\
                ranges = [{ from = 0, to = 24, group = \"a\" }, \
                { from = 25, to = 99, group = \"b\" }]\n";
    let settings = Settings::new()
        .listener("web", "http")
        .with("shard", "\"by-tenant\"")
        .shard(rule)
        .group("a", &[&one])
        .group("b", &[&two]);
    let proxy = settings.start();
    let shares = || {
        let overview = proxy.api().get("/v1/overview").expect(200);
        overview["shards"][0]["groups"].clone()
    };
    let of = |owned: &Value, name: &str| {
        let mut parts = owned.as_array().unwrap().iter();
        let part = parts.find(|part| part["name"] == name);
        part.map(|part| part["share"].as_f64().unwrap())
    };
    let owned = shares();
    let (a, b) = (of(&owned, "a"), of(&owned, "b"));
    assert_eq!((a, b), (Some(0.25), Some(0.75)), "{owned}");
    let ranges = json!({"ranges": [{"from": 0, "to": 99, "group": "b"}]});
    let changed = proxy.api().patch("/v1/shards/by-tenant?wait=node", ranges);
    changed.expect(200);
    assert_eq!(of(&shares(), "a"), None, "a new table has new shares");
}

#[test]
fn slots_that_are_none_are_refused() {
    let upstream = Upstream::named("x");
    let proxy = Settings::http_to(&[&upstream]).start();
    let api = proxy.api();
    api.get("/v1/overview?latency=x").refused(400);
    api.get("/v1/overview?other=1").refused(400);
    let many = vec!["1"; 201].join(",");
    api.get(&format!("/v1/overview?latency={many}"))
        .refused(400);
    let overview = api.get("/v1/overview?latency=4000000").expect(200);
    assert_eq!(overview["latencies"], json!({}));
}

#[test]
fn the_table_is_shown_as_the_cores_have_it() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let settings = Settings::new()
        .listener("web", "http")
        .to("app")
        .route("name = \"gpu\"\npath = \"/gpu\"\ngroup = \"app\"\nrequire = [\"gpu\"]")
        .group("app", &[])
        .member(&one, "id = \"one\"\nlabels = [\"gpu\"]\nrequests_max = 7")
        .member(&two, "id = \"two\"\nweight = 3");
    let proxy = settings.start();
    let api = proxy.api();
    api.ask("POST", "/v1/groups/app/backends/two/maint?wait=node", None)
        .expect(200);
    let shown = api.get("/v1/debug/table");
    let table = shown.expect(200);
    let epoch = api.get("/v1/epoch").expect(200);
    assert_eq!(table["epoch"], epoch["published"]);
    let listener = &table["listeners"][0];
    assert_eq!(listener["default"]["group"], "app");
    let part = listener["routes"][0]["to"]["index"].as_u64().unwrap() as usize;
    assert_eq!(listener["routes"][0]["name"], "gpu");
    let groups = table["groups"].as_array().unwrap();
    assert_eq!(
        (groups.len(), &groups[part]["require"]),
        (2, &json!(["gpu"]))
    );
    let ids = |group: &Value| -> Vec<Value> {
        let backends = group["backends"].as_array().unwrap().iter();
        backends.map(|backend| backend["id"].clone()).collect()
    };
    assert_eq!(ids(&groups[part]), ["one"]);
    assert_eq!(ids(&groups[0]), ["one", "two"]);
    let [first, second] = [0, 1].map(|at| &groups[0]["backends"][at]);
    assert_eq!(
        (&first["requests_max"], &first["requests_taken"]),
        (&json!(7), &json!(0))
    );
    assert_eq!(
        (&second["state"], &second["weight"]),
        (&json!("maint"), &json!(3))
    );
}
