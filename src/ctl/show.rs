//! Answers as people read them: tables, sections of a file, one line for a change.

use serde_json::{Map, Value};

mod nodes;
mod questions;
mod status;
pub(super) mod table;

use table::{Table, list, text};

/// What an answer is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Backends,
    Call,
    /// And what became of the object.
    Change(&'static str),
    Epoch,
    Explain,
    Groups,
    Handover,
    Listeners,
    Nodes,
    Object,
    Plan,
    Routes,
    Shards,
    Status,
}

/// What is printed for an answer.
pub(super) fn render(shape: Shape, body: &Value) -> String {
    match shape {
        Shape::Backends => backends(body),
        Shape::Call => call(body),
        Shape::Change(what) => change(what, body),
        Shape::Epoch => status::epoch(body),
        Shape::Explain => questions::explain(body),
        Shape::Groups => groups(body),
        Shape::Handover => questions::handover(body),
        Shape::Listeners => listeners(body),
        Shape::Nodes => nodes::list_of(body),
        Shape::Object => object(body),
        Shape::Plan => questions::plan(body),
        Shape::Routes => routes(body),
        Shape::Shards => shards(body),
        Shape::Status => status::whole(body),
    }
}

/// What is printed for a refusal.
pub(super) fn refusal(status: u16, body: &Value) -> String {
    let title = body["detail"].as_str().or(body["title"].as_str());
    let mut out = format!("{status}: {}\n", title.unwrap_or("refused"));
    let errors = list(&body["errors"]);
    if errors.len() > 1 {
        for error in errors {
            let told = ["object", "field"].map(|key| error[key].as_str().unwrap_or(""));
            let place = told.into_iter().filter(|text| !text.is_empty());
            let place = place.collect::<Vec<_>>().join(": ");
            let (problem, fix) = (text(&error["problem"]), text(&error["fix"]));
            out.push_str(&format!("  {place}: {problem}; fix: {fix}\n"));
        }
    }
    let stragglers = list(&body["stragglers"]);
    if !stragglers.is_empty() {
        let cores: Vec<String> = stragglers.iter().map(text).collect();
        out.push_str(&format!("  cores that are behind: {}\n", cores.join(", ")));
    }
    for missing in list(&body["missing"]) {
        out.push_str(&nodes::missing(missing));
    }
    out
}

fn backends(body: &Value) -> String {
    let mut table = Table::new(&["GROUP", "ID", "ADDRESS", "WEIGHT", "STATE", "STATUS"]);
    for item in list(&body["items"]) {
        let keys = ["group", "server_id", "address", "weight", "state"];
        let configured = keys.map(|key| text(&item[key]));
        table.row(configured.into_iter().chain([status_of(item)]));
    }
    table.render()
}

/// What is thought of a backend, and why where that is not what its operator says.
fn status_of(item: &Value) -> String {
    let status = text(&item["status"]);
    match (status.as_str(), item["source"].as_str()) {
        ("down", Some(source)) => format!("down, {source}: {}", text(&item["reason"])),
        _ => status,
    }
}

fn groups(body: &Value) -> String {
    let mut table = Table::new(&["GROUP", "POLICY", "BACKENDS"]);
    for item in list(&body["items"]) {
        let value = &item["value"];
        let count = list(&value["backend"]).len();
        let policy = or(&value["policy"], "default");
        table.row([text(&value["name"]), policy, count.to_string()]);
    }
    table.render()
}

fn listeners(body: &Value) -> String {
    let mut table = Table::new(&["LISTENER", "ADDRESS", "PROTOCOL", "ROUTES", "DEFAULT"]);
    for item in list(&body["items"]) {
        let value = &item["value"];
        table.row([
            text(&value["name"]),
            text(&value["address"]),
            or(&value["protocol"], "http"),
            list(&value["route"]).len().to_string(),
            destination(value),
        ]);
    }
    table.render()
}

fn routes(body: &Value) -> String {
    let mut table = Table::new(&["ROUTE", "HOST", "PATH", "IF", "TO"]);
    for item in list(&body["items"]) {
        let value = &item["value"];
        let mut paths = Vec::new();
        for (key, mark) in [
            ("path", ""),
            ("path_prefix", "*"),
            ("path_regex", " (regex)"),
        ] {
            paths.extend(texts(&value[key]).into_iter().map(|path| path + mark));
        }
        let mut conditions = texts(&value["method"]);
        let headers = list(&value["header"]).iter();
        conditions.extend(headers.map(|header| text(&header["name"])));
        table.row([
            text(&value["name"]),
            joined(texts(&value["host"])),
            joined(paths),
            joined(conditions),
            destination(value),
        ]);
    }
    table.render()
}

/// Where a route or a listener leads.
fn destination(value: &Value) -> String {
    match (value["group"].as_str(), value["shard"].as_str()) {
        (Some(group), _) => match texts(&value["require"]) {
            labels if labels.is_empty() => group.to_owned(),
            labels => format!("{group} ({})", joined(labels)),
        },
        (None, Some(shard)) => format!("shard {shard}"),
        (None, None) => "-".to_owned(),
    }
}

fn shards(body: &Value) -> String {
    let mut table = Table::new(&["SHARD", "KEY", "FUNCTION", "REQUIRES"]);
    for item in list(&body["items"]) {
        let value = &item["value"];
        let key = value["key"].as_object().into_iter().flatten();
        let key = key.map(|(key, value)| format!("{key} {}", text(value)));
        let functions = ["map", "prefix", "ranges", "modulo", "hash"];
        let function = functions.into_iter().find(|key| !value[*key].is_null());
        table.row([
            text(&value["name"]),
            joined(key.collect()),
            function.unwrap_or("-").to_owned(),
            joined(texts(&value["require"])),
        ]);
    }
    table.render()
}

/// The section of the object as a file has it.
fn object(body: &Value) -> String {
    let head = format!(
        "# {}, epoch {}\n",
        text(&body["path"]),
        text(&body["epoch"])
    );
    let section = body["value"].as_object().map(toml::to_string_pretty);
    head + &section.and_then(Result::ok).unwrap_or_default()
}

fn change(what: &str, body: &Value) -> String {
    let epoch = text(&body["epoch"]);
    let mut out = String::new();
    match body["paths"].as_array() {
        Some(paths) => {
            for path in paths {
                out.push_str(&format!("{} {what}, epoch {epoch}\n", text(path)));
            }
        }
        None => out.push_str(&format!("{} {what}, epoch {epoch}\n", text(&body["path"]))),
    }
    out
}

/// What a call answers, a line for each key.
fn call(body: &Value) -> String {
    let empty = Map::new();
    let keys = body.as_object().unwrap_or(&empty).iter();
    let lines = keys.map(|(key, value)| match value {
        Value::Array(_) | Value::Object(_) => format!("{key}={value}\n"),
        value => format!("{key}={}\n", text(value)),
    });
    lines.collect()
}

fn or(value: &Value, default: &str) -> String {
    match value {
        Value::Null => default.to_owned(),
        value => text(value),
    }
}

/// One text or a list of them.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        Value::Null => Vec::new(),
        value => vec![text(value)],
    }
}

fn joined(texts: Vec<String>) -> String {
    match texts.is_empty() {
        true => "-".to_owned(),
        false => texts.join(" "),
    }
}

#[cfg(test)]
mod tests;
