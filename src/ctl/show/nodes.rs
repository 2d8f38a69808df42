//! Nodes of a cluster as people read them.

use serde_json::Value;

use super::table::{Table, list, text};

/// `/v1/nodes`.
pub(super) fn list_of(body: &Value) -> String {
    let heads = [
        "NODE",
        "STANDING",
        "FOR",
        "ADDRESS",
        "EPOCH",
        "ADOPTED",
        "HASH",
        "OPEN",
        "IN FLIGHT",
    ];
    let mut table = Table::new(&heads);
    for item in list(&body["items"]) {
        let mark = if item["this"] == true { " *" } else { "" };
        let mut row = vec![
            text(&item["node"]) + mark,
            text(&item["standing"]),
            item["since_ms"].as_u64().map_or("-".to_owned(), seconds),
        ];
        let keys = [
            "address",
            "epoch",
            "adopted",
            "hash",
            "connections",
            "in_flight",
        ];
        row.extend(keys.map(|key| match &item[key] {
            Value::Null => "-".to_owned(),
            value => text(value),
        }));
        table.row(row);
    }
    table.render()
}

fn seconds(millis: u64) -> String {
    format!("{} s", millis / 1000)
}

/// One line for a node that was waited for.
pub(super) fn missing(missing: &Value) -> String {
    let (node, standing) = (text(&missing["node"]), text(&missing["standing"]));
    let what = match (&missing["differs"], &missing["epoch"]) {
        (Value::Bool(true), _) => "has another content of that revision".to_owned(),
        (_, Value::Null) => "has not told what it serves".to_owned(),
        (_, epoch) => format!("is at epoch {}", text(epoch)),
    };
    format!("  {node}, {standing}, {what}\n")
}
