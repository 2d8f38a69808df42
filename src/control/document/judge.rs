//! What a document means, or everything that is wrong with it, told of objects and fields.

use std::fmt;

use super::Document;
use super::path::{Family, ObjectPath};
use super::render::{Page, Reader, render};
use super::{Section, parts_of};
use crate::config::{self, Config, Problem};

/// Mistakes that are told at once: more are not read, and finding their objects takes time.
const MISTAKES_MAX: usize = 100;

/// One mistake in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where, if it is in an object.
    pub object: Option<ObjectPath>,
    /// Which key of it.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

impl Mistake {
    pub(super) fn new(
        object: &ObjectPath,
        field: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Mistake {
        Mistake {
            object: Some(object.clone()),
            field: field.into(),
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}; fix: {}", self.problem, self.fix)
    }
}

/// The configuration a document stands for.
///
/// # Errors
/// Every mistake in it.
pub fn judge(process: &Section, document: &Document) -> Result<Config, Vec<Mistake>> {
    let page = render(process, document, Reader::Checker);
    config::load(&page.text, "document").map_err(|errors| {
        let mistake = |problem: &Problem| told_of_object(problem, document, &page);
        let shown = errors.errors.iter().take(MISTAKES_MAX);
        let mut mistakes: Vec<Mistake> = shown.map(mistake).collect();
        if let Some(more) = errors.errors.len().checked_sub(MISTAKES_MAX + 1) {
            mistakes.push(Mistake {
                object: None,
                field: String::new(),
                problem: format!("there are {} more mistakes", more + 1),
                fix: "correct these first".to_owned(),
            });
        }
        mistakes
    })
}

fn told_of_object(problem: &Problem, document: &Document, page: &Page) -> Mistake {
    let (object, field) = match problem.key.as_str() {
        "" => (page.object_at(problem.line), String::new()),
        key => place_of(key, document),
    };
    Mistake {
        object,
        field,
        problem: name_lines(&problem.what, page),
        fix: name_lines(&problem.fix, page),
    }
}

impl Page {
    fn object_at(&self, line: usize) -> Option<ObjectPath> {
        let next = self.marks.partition_point(|(first, _)| *first <= line);
        let (_, path) = self.marks.get(next.checked_sub(1)?)?;
        Some(path.clone())
    }
}

/// The object a key of the file speaks of, and the key inside it.
fn place_of(key: &str, document: &Document) -> (Option<ObjectPath>, String) {
    let (word, label, rest) = first_step(key);
    let family = match word {
        "group" => Family::Groups,
        "listener" => Family::Listeners,
        "shard" => Family::Shards,
        _ => return (Some(ObjectPath::Settings), key.to_owned()),
    };
    let Some(object) = labelled(&family, label, document) else {
        return (None, key.to_owned());
    };
    let (word, label, inner) = first_step(rest);
    let part = parts_of(&object)
        .filter(|(key, _)| word == *key || word == "backends")
        .and_then(|(_, family)| labelled(&family, label, document));
    match part {
        Some(part) => {
            let field = if word == "backends" { "address" } else { inner };
            (Some(part), field.to_owned())
        }
        None => (Some(object), rest.to_owned()),
    }
}

/// `listener[web].route[api].host` as `listener`, `web`, `route[api].host`.
fn first_step(key: &str) -> (&str, &str, &str) {
    let end = key.find(['.', '[']).unwrap_or(key.len());
    let (word, rest) = key.split_at(end);
    let Some(inside) = rest.strip_prefix('[') else {
        return (word, "", rest.trim_start_matches('.'));
    };
    let mut depth = 1_usize;
    for (at, letter) in inside.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (
                word,
                &inside[..at],
                inside[at + 1..].trim_start_matches('.'),
            );
        }
    }
    (word, inside, "")
}

/// The member told by its name, or by its position from 1.
fn labelled(family: &Family, label: &str, document: &Document) -> Option<ObjectPath> {
    let position = label
        .strip_prefix('#')
        .and_then(|text| text.parse::<usize>().ok());
    if let Some(position) = position {
        return document
            .members(family)
            .into_iter()
            .nth(position.checked_sub(1)?);
    }
    Some(family.member(label)).filter(|path| document.contains(path))
}

/// Nobody sees the lines of a document, so they are told as the objects that stand there.
fn name_lines(text: &str, page: &Page) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("line ") {
        let digits = &rest[at + "line ".len()..];
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let object = digits[..end]
            .parse()
            .ok()
            .and_then(|line| page.object_at(line));
        match object {
            Some(object) => {
                let (before, word) = match rest[..at].strip_suffix("on ") {
                    Some(before) => (before, "in "),
                    None => (&rest[..at], ""),
                };
                told.push_str(before);
                told.push_str(&format!("{word}{object}"));
            }
            None => told.push_str(&rest[..at + "line ".len() + end]),
        }
        rest = &digits[end..];
    }
    told.push_str(rest);
    told
}
