//! What would be, as people read it: a plan, and the way of a request.

use serde_json::Value;

use super::joined;
use super::table::{Table, list, text};

/// `/v1/plan`.
pub(super) fn plan(body: &Value) -> String {
    let mut out = format!(
        "plan on epoch {}; nothing was changed\n",
        text(&body["epoch"])
    );
    for change in list(&body["changes"]) {
        out.push_str(&format!(
            "  {} {}\n",
            text(&change["change"]),
            text(&change["path"])
        ));
    }
    if list(&body["changes"]).is_empty() {
        out.push_str("  nothing would change\n");
    }
    for (key, what) in [("opens", "opens"), ("closes", "closes")] {
        for listener in list(&body[key]) {
            out.push_str(&format!("  {what} listener {}\n", text(listener)));
        }
    }
    for route in list(&body["routes"]) {
        let name = match route["route"].as_str() {
            Some(_) => format!("route {}", text(&route["route"])),
            None => "what no route takes".to_owned(),
        };
        let [before, after] = ["before", "after"].map(|side| target(&route[side]));
        let listener = text(&route["listener"]);
        out.push_str(&format!(
            "  listener {listener}, {name}: {before} -> {after}\n"
        ));
    }
    for shard in list(&body["shards"]) {
        out.push_str(&shard_rule(shard));
    }
    for group in list(&body["groups"]) {
        let policy = &group["policy"];
        let (before, after) = (text(&policy["before"]), text(&policy["after"]));
        let policy = if before == after {
            before
        } else {
            format!("{before} -> {after}")
        };
        let name = required(&group["name"], &group["require"]);
        out.push_str(&format!("\ngroup {name}, {policy}"));
        out.push_str(&moved(&group["moved"]));
        out.push_str(&shares("BACKEND", &group["backends"], "nobody"));
    }
    for unserved in list(&body["unserved"]) {
        let by = list(&unserved["reached_by"]).iter().map(text).collect();
        let still = if unserved["new"] == true {
            ""
        } else {
            " (as before)"
        };
        let group = required(&unserved["group"], &unserved["require"]);
        out.push_str(&format!(
            "\nNOBODY READY in group {group}{still}, reached by {}\n",
            joined(by)
        ));
    }
    for name in list(&body["unknown_names"]) {
        out.push_str(&format!("\nnot looked up: {}\n", text(name)));
    }
    for warning in list(&body["warnings"]) {
        out.push_str(&format!("\nwarning: {}\n", text(warning)));
    }
    out
}

/// Where a route leads.
fn target(target: &Value) -> String {
    match (&target["group"], &target["shard"]) {
        (Value::Null, Value::Null) => "nothing".to_owned(),
        (Value::Null, shard) => format!("shard rule {}", text(shard)),
        (group, _) => format!("group {}", required(group, &target["require"])),
    }
}

/// A group with what is required of its backends.
fn required(group: &Value, labels: &Value) -> String {
    let labels: Vec<String> = list(labels).iter().map(text).collect();
    match labels.as_slice() {
        [] => text(group),
        labels => format!("{} ({} required)", text(group), labels.join(", ")),
    }
}

fn shard_rule(shard: &Value) -> String {
    let method = match shard["keys"].as_u64() {
        Some(keys) => format!("{keys} keys sampled"),
        None => format!("exact, by {}", text(&shard["method"])),
    };
    let mut out = format!("\nshard rule {}, {method}", text(&shard["name"]));
    out.push_str(&moved(&shard["moved"]));
    if let Some(window) = shard["handover"]["window"].as_str() {
        out.push_str(&format!("  former owners are second choice for {window}\n"));
    }
    out.push_str(&shares("GROUP", &shard["groups"], "refused"));
    out.push_str(&moves(&shard["moves"]));
    out
}

fn moves(moves: &Value) -> String {
    let each = list(moves).iter().map(|moved| {
        let [keys, before, after] = ["keys", "before", "after"].map(|key| match &moved[key] {
            Value::Null => "refused".to_owned(),
            value => text(value),
        });
        format!("  {keys}: {before} -> {after}\n")
    });
    each.collect()
}

fn moved(share: &Value) -> String {
    match share.as_f64() {
        Some(share) => format!(": {} of the keys move\n", percent(share)),
        None => "\n".to_owned(),
    }
}

fn shares(head: &str, shares: &Value, nobody: &str) -> String {
    let mut table = Table::new(&[head, "BEFORE", "AFTER"]);
    for share in list(shares) {
        let name = share["name"]
            .as_str()
            .map_or(nobody.to_owned(), |_| text(&share["name"]));
        let part = |key: &str| percent(share[key].as_f64().unwrap_or(0.0));
        table.row([name, part("before"), part("after")]);
    }
    table.render()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// `/v1/shards/NAME/handover`.
pub(super) fn handover(body: &Value) -> String {
    let state = match body["open"] == true {
        true => "the former owner is second choice until",
        false => "the window is over since",
    };
    let mut out = format!(
        "shard rule {}: {state} {}\n",
        text(&body["shard"]),
        text(&body["until"])
    );
    let [requests, former] = ["requests_moved", "requests_to_former"].map(|key| text(&body[key]));
    out.push_str(&format!(
        "requests of keys that moved {requests}, given to the former owner {former}\n"
    ));
    out.push_str(&shares("GROUP", &body["groups"], "refused"));
    out.push_str(&moves(&body["moves"]));
    out
}

/// `/v1/explain`.
pub(super) fn explain(body: &Value) -> String {
    let route = match body["route"].as_str() {
        Some(_) => format!("route {}", text(&body["route"])),
        None => "no route, the default".to_owned(),
    };
    let mut out = format!(
        "epoch {}\nlistener {}: {route}\n",
        text(&body["epoch"]),
        text(&body["listener"])
    );
    let shard = &body["shard"];
    if shard.is_object() {
        let key = match shard["key"].as_str() {
            Some(_) => format!("key {:?}", text(&shard["key"])),
            None => format!("key {}", text(&shard["found"])),
        };
        let hash = match shard["hash"].as_str() {
            Some(hash) => format!(", hash {hash}"),
            None => String::new(),
        };
        let to = match shard["group"].as_str() {
            Some(_) => format!("group {}", text(&shard["group"])),
            None => format!("refused: {}", text(&shard["rejected"])),
        };
        out.push_str(&format!(
            "shard rule {}: {key}{hash} -> {to}\n",
            text(&shard["rule"])
        ));
    }
    match body["outcome"].as_str() {
        Some("group") => out.push_str(&choice(body)),
        Some("no_route") => out.push_str("no route takes it: 404, or a reset on a tcp listener\n"),
        _ => out.push_str("the shard rule refuses it\n"),
    }
    out
}

fn choice(body: &Value) -> String {
    let hash = match body["hash"].as_str() {
        Some(hash) => format!(", hash {hash}"),
        None => String::new(),
    };
    let sticks = match body["sticks_to"].as_str() {
        Some(_) => format!(", the client sticks to {}", text(&body["sticks_to"])),
        None => String::new(),
    };
    let mut out = format!(
        "group {}, {}{hash}{sticks}\n",
        required(&body["group"], &body["require"]),
        text(&body["policy"])
    );
    let heads = [
        "",
        "BACKEND",
        "ADDRESS",
        "WEIGHT",
        "NOW",
        "MAX",
        "CAN BE CHOSEN",
    ];
    let mut table = Table::new(&heads);
    for candidate in list(&body["candidates"]) {
        let is_pick = ["id", "address"].map(|key| candidate[key] == body["pick"][key]);
        let mark = if is_pick == [true, true] { "=>" } else { "" };
        let mut row = vec![mark.to_owned()];
        let keys = [
            "id",
            "address",
            "weight",
            "in_flight",
            "requests_max",
            "can_be_chosen",
        ];
        row.extend(keys.map(|key| text(&candidate[key])));
        table.row(row);
    }
    out.push_str(&table.render());
    out.push_str(&format!("{}\n", text(&body["why"])));
    out
}
