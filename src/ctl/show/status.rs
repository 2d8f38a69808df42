//! What a node does now, as people read it.

use serde_json::Value;

use super::table::{Table, list, text};

/// `/v1/epoch`.
pub(super) fn epoch(body: &Value) -> String {
    let published = with_found(&body["published"], &body["found"]);
    let mut out = format!("epoch {published}, {}\n", text(&body["phase"]));
    if let Some(hash) = body["configuration"]["hash"].as_str() {
        out.push_str(&format!("configuration {hash}\n"));
    }
    out.push_str(&cores(body));
    out
}

fn cores(body: &Value) -> String {
    let mut table = Table::new(&["CORE", "EPOCH", "STATE"]);
    for core in list(&body["cores"]) {
        let adopted = with_found(&core["adopted"], &core["found"]);
        table.row([text(&core["core"]), adopted, text(&core["state"])]);
    }
    table.render()
}

/// An epoch with what was found since, as `Epoch` shows it.
fn with_found(epoch: &Value, found: &Value) -> String {
    match found.as_u64().unwrap_or(0) {
        0 => text(epoch),
        found => format!("{}.{found}", text(epoch)),
    }
}

/// `/v1/status`.
pub(super) fn whole(body: &Value) -> String {
    let mut out = format!(
        "weir {}, up {} s, {} MiB, configuration {}\n",
        text(&body["version"]),
        text(&body["uptime_seconds"]),
        body["process"]["resident_bytes"].as_u64().unwrap_or(0) >> 20,
        text(&body["config"]),
    );
    out.push_str(&epoch(&body["epoch"]));
    out.push('\n');
    out.push_str(&listeners(body));
    out.push('\n');
    out.push_str(&backends(body));
    out
}

fn listeners(body: &Value) -> String {
    let heads = [
        "LISTENER", "ADDRESS", "PROTOCOL", "OPEN", "TOTAL", "2xx", "3xx", "4xx", "5xx", "P99 MS",
    ];
    let mut table = Table::new(&heads);
    for listener in live(&body["listeners"]) {
        let mut row = [
            "name",
            "address",
            "protocol",
            "connections",
            "connections_total",
        ]
        .map(|key| text(&listener[key]))
        .to_vec();
        row.extend(classes(&listener["requests"]));
        row.push(text(&listener["duration_ms"]["p99"]));
        table.row(row);
    }
    table.render()
}

fn backends(body: &Value) -> String {
    let heads = [
        "GROUP", "BACKEND", "ADDRESS", "NOW", "OPEN", "2xx", "3xx", "4xx", "5xx", "FAULTS",
        "P99 MS",
    ];
    let mut table = Table::new(&heads);
    for group in live(&body["groups"]) {
        for backend in live(&group["backends"]) {
            let mut row = vec![text(&group["name"])];
            row.extend(
                ["name", "address", "in_flight", "connections"].map(|key| text(&backend[key])),
            );
            row.extend(classes(&backend["requests"]));
            let faults = backend["faults"].as_object().into_iter().flatten();
            let faults: u64 = faults.filter_map(|(_, count)| count.as_u64()).sum();
            row.push(faults.to_string());
            row.push(text(&backend["response_ms"]["p99"]));
            table.row(row);
        }
    }
    table.render()
}

/// What is part of the present table.
fn live(of: &Value) -> impl Iterator<Item = &Value> {
    list(of).iter().filter(|one| one["live"] == true)
}

/// Counts by the hundreds of the status.
fn classes(requests: &Value) -> [String; 4] {
    ["2", "3", "4", "5"].map(|class| {
        let counts = requests.as_object().into_iter().flatten();
        let of_class = counts.filter(|(status, _)| status.starts_with(class));
        let sum: u64 = of_class.filter_map(|(_, count)| count.as_u64()).sum();
        sum.to_string()
    })
}
