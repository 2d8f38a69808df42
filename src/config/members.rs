//! Files of backends: JSON or TOML in, every mistake out, or backends as checked as those of the
//! configuration; and the configuration with them.
//!
//! A JSON file is read by the reader of the configuration, so that both forms have one set of
//! rules and every mistake its line and key: JSON becomes TOML of the same length, byte by byte,
//! by writing `=` for `:` and spaces for line ends.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::checked::{Backend, BackendAddress, Config, Group};
use super::problem::{At, Problems};
use super::reader::Section;
use super::{ConfigErrors, check, raw};

/// What is known of files of backends.
pub type Members = BTreeMap<PathBuf, Arc<[Backend]>>;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembersForm {
    /// A list of objects.
    Json,
    /// `[[backend]]` sections.
    Toml,
}

/// A backend of a file that the configuration has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The group both are in.
    pub group: Arc<str>,
    /// The file.
    pub file: PathBuf,
    /// The backend in the file.
    pub id: Arc<str>,
    /// The backend of the configuration.
    pub other: Arc<str>,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clash {
            group,
            file,
            id,
            other,
        } = self;
        let file = file.display();
        match id == other {
            true => write!(
                f,
                "backend {id} of {file} and backend {other} of group {group} in the configuration \
                 have the same id"
            ),
            false => write!(
                f,
                "backend {id} of {file} and backend {other} of group {group} in the configuration \
                 have the same address"
            ),
        }
    }
}

impl MembersForm {
    /// TOML by its extension, else JSON.
    #[must_use]
    pub fn of(path: &Path) -> MembersForm {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("toml") => MembersForm::Toml,
            _ => MembersForm::Json,
        }
    }
}

/// Reads a file of backends. `file_name` is only used to say where a mistake is.
///
/// # Errors
/// Every mistake in the file, in the order of the file.
pub fn load_members(
    text: &str,
    file_name: &str,
    form: MembersForm,
) -> Result<Vec<Backend>, ConfigErrors> {
    let mut problems;
    let rewritten;
    let text = match form {
        MembersForm::Toml => {
            problems = Problems::new(text);
            text
        }
        MembersForm::Json => {
            problems = Problems::behind(text, JSON_PREFIX.len());
            match rewrite(text, &mut problems) {
                Some(toml) => rewritten = toml,
                None => return Err(problems.into_errors(file_name)),
            }
            &rewritten
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in &errors {
            let at = At {
                offset: error.span().map_or(0, |span| span.start),
                key: String::new(),
            };
            let fix = "correct this line; a key may stand only once";
            problems.error(&at, error.message(), fix);
        }
        return Err(problems.into_errors(file_name));
    }
    let mut root = Section::root(&document);
    let written: Vec<raw::Backend> = root
        .sections("backend", &mut problems)
        .into_iter()
        .map(|section| raw::read_backend(section, &mut problems))
        .collect();
    root.finish(&mut problems);
    let members = check::members(&written, &mut problems);
    problems.finish(file_name)?;
    Ok(members)
}

/// What comes before a list so that it is the value of a key.
const JSON_PREFIX: &str = "backend=";

/// TOML with every value where the JSON has it, behind the prefix.
fn rewrite(json: &str, problems: &mut Problems<'_>) -> Option<String> {
    let at = |offset| At {
        offset: JSON_PREFIX.len() + offset,
        key: String::new(),
    };
    let fix = "write a list of objects: [{\"address\": \"127.0.0.1:9001\"}]";
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(serde_json::Value::Array(_)) => {}
        Ok(_) => {
            problems.error(&at(0), "not a list of backends", fix);
            return None;
        }
        Err(error) => {
            let mut lines = json
                .split_inclusive('\n')
                .take(error.line().saturating_sub(1));
            let line_start: usize = lines.by_ref().map(str::len).sum();
            let offset = line_start + error.column().saturating_sub(1);
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or(&text);
            problems.error(&at(offset), format!("not JSON: {what}"), fix);
            return None;
        }
    }
    let mut toml = String::with_capacity(JSON_PREFIX.len() + json.len());
    toml.push_str(JSON_PREFIX);
    let mut rest = json;
    while let Some(letter) = rest.chars().next() {
        let mut taken = letter.len_utf8();
        match letter {
            ':' => toml.push('='),
            '\n' | '\r' | '\t' => toml.push(' '),
            '"' => {
                taken = string_bytes(rest);
                write_string(&rest[..taken], &mut toml);
            }
            'n' => {
                let offset = toml.len() - JSON_PREFIX.len();
                problems.error(&at(offset), "null is no value", "leave the key out");
                return None;
            }
            // A number, true or false: the letters in them are copied with it.
            '0'..='9' | 'a'..='z' | '-' => {
                let end = |c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c);
                taken = rest.find(end).unwrap_or(rest.len());
                toml.push_str(&rest[..taken]);
            }
            other => toml.push(other),
        }
        rest = &rest[taken..];
    }
    Some(toml)
}

/// Bytes of the string a text begins with, quotes included.
fn string_bytes(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A string as it is, but for the escapes TOML does not know, which become what they mean; spaces
/// behind it keep the length.
fn write_string(json: &str, toml: &mut String) {
    let end = toml.len() + json.len();
    if json.contains("\\/") || json.contains("\\u") {
        let text = serde_json::from_str::<String>(json).unwrap_or_default();
        toml.push_str(&escaped(&text));
    } else {
        toml.push_str(json);
    }
    while toml.len() < end {
        toml.push(' ');
    }
}

/// A TOML string; no escape of it is longer than the one JSON needs.
fn escaped(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// What the configuration says of one group, to find what is there twice.
struct Own<'g> {
    ids: HashMap<&'g str, &'g Backend>,
    addresses: HashMap<&'g BackendAddress, &'g Backend>,
}

impl<'g> Own<'g> {
    fn new(group: &'g Group) -> Self {
        let backends = group.backends.iter();
        Own {
            ids: backends.clone().map(|own| (&*own.id, own)).collect(),
            addresses: backends.map(|own| (&own.address, own)).collect(),
        }
    }

    /// Who has the id or the address of this member already.
    fn clash(&self, member: &Backend) -> Option<&'g Backend> {
        let by_id = self.ids.get(&*member.id);
        by_id
            .or_else(|| self.addresses.get(&member.address))
            .copied()
    }
}

impl Config {
    /// Every member of this file that clashes with the configuration.
    #[must_use]
    pub fn clashes(&self, file: &Path, members: &[Backend]) -> Vec<Clash> {
        let named = |group: &&Arc<Group>| group.backends_file.as_deref() == Some(file);
        let mut clashes = Vec::new();
        for group in self.groups.iter().filter(named) {
            let own = Own::new(group);
            for member in members {
                clashes.extend(own.clash(member).map(|other| Clash {
                    group: Arc::clone(&group.name),
                    file: file.to_owned(),
                    id: Arc::clone(&member.id),
                    other: Arc::clone(&other.id),
                }));
            }
        }
        clashes
    }

    /// The configuration with the members of its files. What it says itself comes first: members
    /// that clash with it are left out.
    #[must_use]
    pub fn with_members(&self, members: &Members) -> Config {
        let mut with = self.clone();
        for (group, own) in with.groups.iter_mut().zip(&self.groups) {
            let file = own.backends_file.as_ref();
            let Some(found) = file.and_then(|path| members.get(path)) else {
                continue;
            };
            let own = Own::new(own);
            let fitting = found.iter().filter(|member| own.clash(member).is_none());
            let group = Arc::make_mut(group);
            group.backends.extend(fitting.cloned());
        }
        with
    }
}
