//! From objects to a file: what `config::load` judges, what `weir export` prints.
//!
//! Its own writer rather than a serializer, because it must be fast (a group may have ten
//! thousand backends and every change is judged whole) and because it notes at which line each
//! object begins, so that a mistake in line 812 is told as one of an object.

use std::fmt::Write as _;

use serde_json::Value;

use super::path::{Family, ObjectPath};
use super::{DRAIN_KEYS, Document, HEALTH_KEY, Section};

/// Who reads the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The planner: verdicts of health count.
    Checker,
    /// People: verdicts of health are not configuration.
    Person,
}

/// A file, and which object begins at which line.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) text: String,
    line: usize,
    pub(super) marks: Vec<(usize, ObjectPath)>,
}

/// The document as a file, below what belongs to the process.
#[must_use]
pub fn to_toml(process: &Section, document: &Document) -> String {
    render(process, document, Reader::Person).text
}

pub(super) fn render(process: &Section, document: &Document, reader: Reader) -> Page {
    let mut page = Page::default();
    let mut top = process.clone();
    top.extend(
        document
            .value(&ObjectPath::Settings)
            .cloned()
            .unwrap_or_default(),
    );
    page.marks.push((1, ObjectPath::Settings));
    page.keys(&top, "");
    for path in document.members(&Family::Shards) {
        page.object(&path, "shard", document);
    }
    for path in document.members(&Family::Listeners) {
        page.object(&path, "listener", document);
        let ObjectPath::Listener(name) = path else {
            continue;
        };
        for route in document.members(&Family::Routes(name)) {
            page.object(&route, "listener.route", document);
        }
    }
    for path in document.members(&Family::Groups) {
        page.group(&path, document, reader);
    }
    page
}

/// The text of a backend that says nothing but its address.
fn plain_address<'d>(path: &ObjectPath, value: &'d Section) -> Option<&'d str> {
    let address = value.get("address")?.as_str()?;
    (value.len() == 1 && path.name().is_some_and(|id| **id == *address)).then_some(address)
}

impl Page {
    /// Begins an object; its header is its first line.
    fn element(&mut self, header: &str, path: &ObjectPath) {
        let blank = usize::from(!self.text.is_empty());
        self.marks.push((self.line + blank + 1, path.clone()));
        self.header("[[", header, "]]");
    }

    fn end_line(&mut self) {
        self.text.push('\n');
        self.line += 1;
    }

    fn header(&mut self, open: &str, name: &str, close: &str) {
        if !self.text.is_empty() {
            self.end_line();
        }
        self.text.push_str(open);
        self.text.push_str(name);
        self.text.push_str(close);
        self.end_line();
    }

    fn object(&mut self, path: &ObjectPath, header: &str, document: &Document) {
        let Some(value) = document.value(path) else {
            return;
        };
        self.begin(path, header);
        self.keys(value, header);
    }

    fn begin(&mut self, path: &ObjectPath, header: &str) {
        self.element(header, path);
        if let Some(name) = path.name() {
            self.line_of(path.name_key(), &Value::from(&**name));
        }
    }

    fn group(&mut self, path: &ObjectPath, document: &Document, reader: Reader) {
        let (Some(value), ObjectPath::Group(name)) = (document.value(path), path) else {
            return;
        };
        self.begin(path, "group");
        let members = document.members(&Family::Backends(name.clone()));
        let valued = members.iter().filter_map(|member| {
            let value = document.value(member)?;
            Some((member, value))
        });
        let valued: Vec<_> = valued
            .map(|(path, value)| (path, of_health(value, reader)))
            .collect();
        let plain = valued
            .iter()
            .map(|(path, value)| plain_address(path, value));
        let plain: Option<Vec<&str>> = plain.collect();
        if let Some(addresses) = &plain
            && !addresses.is_empty()
        {
            self.line_of("backends", &Value::from(addresses.as_slice()));
        }
        self.keys(value, "group");
        if plain.is_some() {
            return;
        }
        for (path, value) in valued {
            self.element("group.backend", path);
            let id = path.name().map(|id| Value::from(&**id));
            let place = value.get("address").or_else(|| value.get("srv"));
            if let Some(id) = id.filter(|id| place != Some(id)) {
                self.line_of("id", &id);
            }
            self.keys(&value, "group.backend");
        }
    }

    /// The keys of a table: plain ones first, because what follows a header belongs to it.
    fn keys(&mut self, table: &Section, prefix: &str) {
        for (key, value) in table {
            if !value.is_object() {
                self.line_of(key, value);
            }
        }
        for (key, value) in table {
            if let Value::Object(inner) = value {
                let dot = if prefix.is_empty() { "" } else { "." };
                let mut name = format!("{prefix}{dot}");
                write_key(&mut name, key);
                self.header("[", &name, "]");
                self.keys(inner, &name);
            }
        }
    }

    fn line_of(&mut self, key: &str, value: &Value) {
        write_key(&mut self.text, key);
        self.text.push_str(" = ");
        write_value(&mut self.text, value);
        self.end_line();
    }
}

/// A backend as its reader sees it: what failed gets nothing.
fn of_health(value: &Section, reader: Reader) -> std::borrow::Cow<'_, Section> {
    let Some(health) = value.get(HEALTH_KEY) else {
        return std::borrow::Cow::Borrowed(value);
    };
    let mut value = value.clone();
    let failed = health == "failed";
    if failed || reader == Reader::Person {
        value.remove(HEALTH_KEY);
    }
    if failed && reader == Reader::Checker {
        value.insert("state".into(), "maint".into());
        for key in DRAIN_KEYS {
            value.remove(key);
        }
    }
    std::borrow::Cow::Owned(value)
}

fn write_key(out: &mut String, key: &str) {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.is_empty() && key.bytes().all(bare) {
        out.push_str(key);
    } else {
        write_text(out, key);
    }
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Array(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_value(out, value);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                out.push_str(if index == 0 { " " } else { ", " });
                write_key(out, key);
                out.push_str(" = ");
                write_value(out, value);
            }
            out.push_str(" }");
        }
        Value::String(text) => write_text(out, text),
        // Numbers and truth are written alike; null never comes here (`apply` refuses it).
        Value::Bool(_) | Value::Null | Value::Number(_) => {
            // Writing into a String cannot fail.
            let _ = write!(out, "{value}");
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            letter if letter.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}
