//! Reads one table of the file key by key, with types checked and unknown keys noted.
//!
//! It is written over the spanned document rather than with serde, because serde stops at the
//! first mistake and forgets where values stood.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{At, Problems, nearest};

/// A value of the file and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Written<T> {
    pub(crate) value: T,
    pub(crate) at: At,
}

/// A value that may be a number or a text.
#[derive(Clone, Debug)]
pub(crate) enum Scalar {
    Integer(i64),
    Text(String),
}

/// One table of the file while it is being read.
pub(crate) struct Section<'t, 'd> {
    table: &'t DeTable<'d>,
    /// Where the table stands.
    pub(crate) at: At,
    asked: Vec<&'static str>,
}

type Value<'t, 'd> = &'t DeValue<'d>;

impl<'t, 'd> Section<'t, 'd> {
    pub(crate) fn root(document: &'t Spanned<DeTable<'d>>) -> Self {
        let at = At {
            offset: document.span().start,
            key: String::new(),
        };
        Section::new(document.get_ref(), at)
    }

    fn new(table: &'t DeTable<'d>, at: At) -> Self {
        Section {
            table,
            at,
            asked: Vec::new(),
        }
    }

    pub(crate) fn text(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Written<String>> {
        let (value, at) = self.take(key)?;
        match text_of(value) {
            Some(value) => Some(Written { value, at }),
            None => wrong_type(value, &at, "a string", key, example, problems),
        }
    }

    /// A text that must carry a unit; a bare number gets a fix of its own.
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<Written<String>> {
        if let Some((DeValue::Integer(_) | DeValue::Float(_), at)) = self.take(key) {
            let fix = format!("write a string with a unit, such as {key} = \"500ms\" or \"30s\"");
            problems.error(&at, "a duration without a unit", fix);
            return None;
        }
        self.text(key, "\"30s\"", problems)
    }

    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Written<i64>> {
        let (value, at) = self.take(key)?;
        match integer_of(value) {
            Some(value) => Some(Written { value, at }),
            None => wrong_type(value, &at, "an integer", key, example, problems),
        }
    }

    /// A number with or without a fraction.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Written<f64>> {
        let (value, at) = self.take(key)?;
        let float = value
            .as_float()
            .and_then(|float| float.as_str().parse().ok());
        match float.or_else(|| integer_of(value).map(|integer| integer as f64)) {
            Some(value) => Some(Written { value, at }),
            None => wrong_type(value, &at, "a number", key, example, problems),
        }
    }

    pub(crate) fn boolean(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<Written<bool>> {
        let (value, at) = self.take(key)?;
        match value.as_bool() {
            Some(value) => Some(Written { value, at }),
            None => wrong_type(value, &at, "true or false", key, "true", problems),
        }
    }

    pub(crate) fn scalar(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Written<Scalar>> {
        let (value, at) = self.take(key)?;
        let scalar = match (text_of(value), integer_of(value)) {
            (Some(text), _) => Scalar::Text(text),
            (None, Some(integer)) => Scalar::Integer(integer),
            (None, None) => {
                return wrong_type(value, &at, "a string or integer", key, example, problems);
            }
        };
        Some(Written { value: scalar, at })
    }

    /// A list of texts; one text alone is a list of one.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Written<Vec<Written<String>>>> {
        let (value, at) = self.take(key)?;
        if let Some(text) = text_of(value) {
            let only = Written {
                value: text,
                at: at.clone(),
            };
            return Some(Written {
                value: vec![only],
                at,
            });
        }
        if !value.is_array() {
            return wrong_type(
                value,
                &at,
                "a string or list of strings",
                key,
                example,
                problems,
            );
        }
        let mut texts = Vec::new();
        for (element, at) in elements(value, &at) {
            match text_of(element) {
                Some(value) => texts.push(Written { value, at }),
                None => {
                    wrong_type::<()>(element, &at, "a string", key, example, problems);
                }
            }
        }
        Some(Written { value: texts, at })
    }

    /// Any value, for keys that take several shapes.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<Written<Value<'t, 'd>>> {
        let (value, at) = self.take(key)?;
        Some(Written { value, at })
    }

    /// A table inside this one.
    pub(crate) fn section(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<Section<'t, 'd>> {
        let (value, at) = self.take(key)?;
        match value.as_table() {
            Some(table) => Some(Section::new(table, at)),
            None => {
                let fix = format!("write it as a section [{}]", plain(&at.key));
                problems.error(&at, format!("expected a table, found {}", kind(value)), fix);
                None
            }
        }
    }

    /// A list of tables inside this one.
    pub(crate) fn sections(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Vec<Section<'t, 'd>> {
        let Some((value, at)) = self.take(key) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        let whole = value.as_array().is_some();
        for (element, at) in elements(value, &at) {
            match element.as_table() {
                Some(table) => sections.push(Section::new(table, at)),
                None => not_tables(element, &at, problems),
            }
        }
        if !whole {
            not_tables(value, &at, problems);
        }
        sections
    }

    /// Notes every key that was never asked for.
    pub(crate) fn finish(self, problems: &mut Problems<'_>) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let at = At {
                offset: key.span().start,
                ..self.at.key(name)
            };
            problems.error(&at, "unknown key", suggestion(name, &self.asked));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(Value<'t, 'd>, At)> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let value = self.table.get(key)?;
        let at = At {
            offset: value.span().start,
            ..self.at.key(key)
        };
        Some((value.get_ref(), at))
    }
}

/// The integer a value is; one that does not fit is as far out of every range as the largest.
pub(crate) fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    let end = if integer.as_str().starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    Some(i64::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(end))
}

/// What a value is, for people.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Float(_) => "a fraction",
        DeValue::Integer(_) => "an integer",
        DeValue::String(_) => "a string",
        DeValue::Table(_) => "a table",
    }
}

/// The elements of a list with their places, tables told by their name or id.
pub(crate) fn elements<'t, 'd>(
    value: &'t DeValue<'d>,
    at: &At,
) -> impl Iterator<Item = (&'t DeValue<'d>, At)> {
    let list = value.as_array().into_iter().flatten();
    list.enumerate().map(move |(index, element)| {
        let label = element
            .get_ref()
            .as_table()
            .and_then(|table| {
                table
                    .get("name")
                    .or_else(|| table.get("id"))?
                    .get_ref()
                    .as_str()
            })
            .filter(|name| super::check::names::is_valid(name))
            .map_or_else(|| format!("#{}", index + 1), str::to_owned);
        let at = At {
            offset: element.span().start,
            key: format!("{}[{label}]", at.key),
        };
        (element.get_ref(), at)
    })
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn wrong_type<T>(
    value: &DeValue<'_>,
    at: &At,
    wanted: &str,
    key: &str,
    example: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    problems.error(
        at,
        format!("expected {wanted}, found {}", kind(value)),
        format!("write {key} = {example}"),
    );
    None
}

fn not_tables(value: &DeValue<'_>, at: &At, problems: &mut Problems<'_>) {
    problems.error(
        at,
        format!("expected a list of tables, found {}", kind(value)),
        format!("write each one as a section [[{}]]", plain(&at.key)),
    );
}

/// A key path without the labels of lists, as section headers are written.
fn plain(key: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_usize;
    for letter in key.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain
}

/// What other proxies, and hurried people, call our keys.
const OTHER_WORDS: [(&str, &str); 33] = [
    ("algorithm", "policy"),
    ("balance", "policy"),
    ("bind", "address"),
    ("body", "timeouts.body"),
    ("body_bytes", "limits.body_bytes"),
    ("cluster", "group"),
    ("connect", "timeouts.connect"),
    ("cores", "workers"),
    ("default_backend", "group"),
    ("endpoints", "backends"),
    ("fields", "limits.fields"),
    ("head", "timeouts.head"),
    ("head_bytes", "limits.head_bytes"),
    ("hostname", "host"),
    ("idle", "timeouts.idle"),
    ("lb_policy", "policy"),
    ("listen", "address"),
    ("location", "path_prefix"),
    ("maxconn", "connections_max"),
    ("max_connections", "connections_max"),
    ("max_requests", "requests_max"),
    ("mode", "protocol"),
    ("pool", "group"),
    ("prefix", "path_prefix"),
    ("response", "timeouts.response"),
    ("server", "backends"),
    ("server_id", "id"),
    ("servers", "backends"),
    ("target_bytes", "limits.target_bytes"),
    ("threads", "workers"),
    ("tunnel", "timeouts.tunnel"),
    ("upstream", "group"),
    ("upstreams", "backends"),
];

fn suggestion(name: &str, keys: &[&'static str]) -> String {
    let known = |path: &str| keys.iter().any(|key| path.split('.').next() == Some(*key));
    let other = OTHER_WORDS
        .iter()
        .find(|(word, path)| name.eq_ignore_ascii_case(word) && known(path));
    if let Some((_, path)) = other {
        return format!("write {path}");
    }
    match nearest(name, keys.iter().copied()) {
        Some(key) => format!("write {key}"),
        None => format!("remove it; known here: {}", keys.join(", ")),
    }
}
