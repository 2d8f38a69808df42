//! From a file to objects.
//!
//! Two kinds of sections part here. What belongs to the process (its cores, its admin interface,
//! its logs, where its store is) comes from the file at every start, because it must be known
//! before a store is open and differs between nodes that share one. Everything else is of the
//! document, and of the store once there is one.

use serde_json::Value;

use super::path::ObjectPath;
use super::{Document, OpError, Section};

/// Keys at the top of a file that belong to the process.
pub const PROCESS_KEYS: [&str; 11] = [
    "access_log",
    "admin",
    "busy_poll_us",
    "cluster",
    "decision_log",
    "heartbeat",
    "log",
    "store",
    "tracing",
    "upgrade",
    "workers",
];

/// A file in its two parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// What belongs to the process.
    pub process: Section,
    /// Everything else.
    pub document: Document,
}

/// Splits a file that `config::load` has found valid.
///
/// # Errors
/// When it is not TOML, or a list in it is none: both would be mistakes of the file.
pub fn split(text: &str) -> Result<Split, String> {
    let file: Section = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut split = Split::default();
    let mut settings = Section::new();
    let mut lists: [(&str, Vec<Section>); 3] = [
        ("shard", Vec::new()),
        ("group", Vec::new()),
        ("listener", Vec::new()),
    ];
    for (key, value) in file {
        if let Some((_, list)) = lists.iter_mut().find(|(name, _)| *name == key) {
            *list = tables(&key, value)?;
        } else if PROCESS_KEYS.contains(&key.as_str()) {
            split.process.insert(key, value);
        } else {
            settings.insert(key, value);
        }
    }
    let mut put = |path: ObjectPath, value: &Section, order: u32| {
        let told = |error: OpError| error.to_string();
        split.document.put_at(&path, value, order).map_err(told)
    };
    if !settings.is_empty() {
        put(ObjectPath::Settings, &settings, 0)?;
    }
    for (key, list) in lists {
        for (order, section) in (0..).zip(list) {
            let name = section.get("name").and_then(Value::as_str);
            let name = name
                .ok_or_else(|| format!("a {key} without a name"))?
                .into();
            let path = match key {
                "group" => ObjectPath::Group(name),
                "listener" => ObjectPath::Listener(name),
                _ => ObjectPath::Shard(name),
            };
            put(path, &section, order)?;
        }
    }
    Ok(split)
}

fn tables(key: &str, value: Value) -> Result<Vec<Section>, String> {
    let Value::Array(list) = value else {
        return Err(format!("{key} is not a list"));
    };
    let tables = list.into_iter().map(|element| match element {
        Value::Object(table) => Ok(table),
        _ => Err(format!("{key} is not a list of tables")),
    });
    tables.collect()
}
