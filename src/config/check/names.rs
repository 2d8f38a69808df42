//! Names: of listeners, groups and routes, and of hosts.
//!
//! Names become labels of metrics and words of logs, so they are short and need no quoting
//! anywhere.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::checked::GroupRef;
use super::super::problem::{At, Problems, nearest};
use super::super::raw::{self, Text};
use super::super::reader::Written;
use super::values::missing;

const NAME_BYTES_MAX: usize = 64;

/// The names of one kind of thing, each used once.
pub(super) struct Names {
    kind: &'static str,
    first: HashMap<String, At>,
}

impl Names {
    pub(super) fn new(kind: &'static str) -> Self {
        Names {
            kind,
            first: HashMap::new(),
        }
    }

    /// A name that must be there.
    pub(super) fn required(
        &mut self,
        written: &Text,
        section: &At,
        problems: &mut Problems<'_>,
    ) -> Option<Arc<str>> {
        if written.is_none() {
            missing(section, "name", "\"web\"", problems);
        }
        self.optional(written, problems)
    }

    /// A name that may be absent.
    pub(super) fn optional(
        &mut self,
        written: &Text,
        problems: &mut Problems<'_>,
    ) -> Option<Arc<str>> {
        let Written { value, at } = written.as_ref()?;
        if !is_valid(value) {
            problems.error(
                at,
                format!("{value:?} is not a name"),
                format!(
                    "write 1 to {NAME_BYTES_MAX} letters, digits, '-', '_' or '.', \
                     such as \"web-1\""
                ),
            );
            return None;
        }
        if let Some(first) = self.first.get(value) {
            let line = problems.line(first);
            let what = format!("a {} named {value:?} is already on line {line}", self.kind);
            problems.error(at, what, "give it another name");
            return None;
        }
        self.first.insert(value.clone(), at.clone());
        Some(Arc::from(value.as_str()))
    }
}

/// Whether a text can be the name of a listener, group or route.
pub(in super::super) fn is_valid(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// The groups of the file by name, and which of them something leads to. Groups that have
/// mistakes of their own are known here too: one mistake is not reported as two.
pub(super) struct GroupNames<'f> {
    positions: HashMap<&'f str, usize>,
    order: Vec<&'f str>,
    used: Vec<bool>,
}

impl<'f> GroupNames<'f> {
    pub(super) fn new(groups: &'f [raw::Group]) -> Self {
        let mut positions = HashMap::new();
        let mut order = Vec::new();
        for (position, group) in groups.iter().enumerate() {
            if let Some(name) = &group.name {
                positions.entry(name.value.as_str()).or_insert(position);
                order.push(name.value.as_str());
            }
        }
        GroupNames {
            positions,
            order,
            used: vec![false; groups.len()],
        }
    }

    /// The group a text names.
    pub(super) fn find(
        &mut self,
        written: &Written<String>,
        problems: &mut Problems<'_>,
    ) -> Option<GroupRef> {
        if let Some(position) = self.positions.get(written.value.as_str()) {
            self.used[*position] = true;
            return Some(GroupRef(*position));
        }
        let fix = match nearest(&written.value, self.order.iter().copied()) {
            Some(name) => format!("write {name:?}"),
            None => format!("add a [[group]] with name = {:?}", written.value),
        };
        problems.error(
            &written.at,
            format!("no group is named {:?}", written.value),
            fix,
        );
        None
    }

    /// Warns of every group nothing leads to.
    pub(super) fn warn_unused(&self, groups: &[raw::Group], problems: &mut Problems<'_>) {
        for (position, group) in groups.iter().enumerate() {
            let Some(name) = &group.name else { continue };
            if !self.used[position] && self.positions.get(name.value.as_str()) == Some(&position) {
                let what = format!("no listener or route leads to group {:?}", name.value);
                problems.warning(
                    &name.at,
                    what,
                    "remove it, or name it in a listener or route",
                );
            }
        }
    }
}

/// A host name in lower case without final dot, or why it is none. Underscores are let through:
/// they are not in RFC 1123, but container platforms use them.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if !name.is_ascii() {
        return Err("is not ASCII; write the xn-- form of the name".to_owned());
    }
    if name.is_empty() || name.len() > 253 {
        return Err("must have 1 to 253 characters".to_owned());
    }
    for label in name.split('.') {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=63).contains(&label.len()) || !label.bytes().all(allowed) {
            return Err(format!(
                "has the label {label:?}, which cannot be in a host name"
            ));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(format!(
                "has the label {label:?}, which begins or ends with '-'"
            ));
        }
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("looks like an IPv4 address and is none".to_owned());
    }
    Ok(name)
}
