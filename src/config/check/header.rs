//! What routes ask of a request besides host and path: methods, headers and expressions.

use std::sync::Arc;

use regex::bytes::RegexBuilder;

use super::super::checked::{HeaderCondition, HeaderTest};
use super::super::problem::{At, Problems};
use super::super::raw;
use super::super::reader::Written;
use super::key::token;
use super::values::{missing, place};
use crate::base::limits::{REGEX_BYTES_MAX, whole_pattern};

/// Headers one route may ask for; each costs a look at every field of a request.
const HEADERS_MAX: usize = 16;

type Refusal = (String, String);

/// The headers of a route; `None` after a mistake.
pub(super) fn check(
    raw: &[raw::HeaderCondition],
    problems: &mut Problems<'_>,
) -> Option<Vec<HeaderCondition>> {
    if let Some(excess) = raw.get(HEADERS_MAX) {
        let fix = format!("write at most {HEADERS_MAX} for one route");
        problems.error(&excess.at, "too many conditions", fix);
    }
    let checked: Vec<Option<HeaderCondition>> = raw.iter().map(|raw| one(raw, problems)).collect();
    checked.into_iter().collect()
}

fn one(raw: &raw::HeaderCondition, problems: &mut Problems<'_>) -> Option<HeaderCondition> {
    let name = match &raw.name {
        Some(written) => token(written, problems).map(str::to_ascii_lowercase),
        None => {
            missing(&raw.at, "name", "\"x-beta\"", problems);
            None
        }
    };
    let tests = [
        place(&raw.value),
        place(&raw.prefix),
        place(&raw.regex),
        place(&raw.present),
    ];
    let mut found: Vec<&At> = tests.into_iter().flatten().collect();
    found.sort_by_key(|at| at.offset);
    if let Some(second) = found.get(1) {
        let fix = "keep one of them; a further condition is a further entry";
        problems.error(second, "a condition asks one thing", fix);
        return None;
    }
    if found.is_empty() && !problems.noted_below(&raw.at) {
        let fix = "add one of value, prefix, regex and present = true or false";
        problems.error(&raw.at, "does not say what the header must be", fix);
    }
    Some(HeaderCondition {
        name: Arc::from(name?),
        test: test(raw, problems)?,
    })
}

fn test(raw: &raw::HeaderCondition, problems: &mut Problems<'_>) -> Option<HeaderTest> {
    if let Some(written) = &raw.value {
        return field_value(written, problems).map(HeaderTest::Value);
    }
    if let Some(written) = &raw.prefix {
        return field_value(written, problems).map(HeaderTest::Prefix);
    }
    if let Some(Written { value, at }) = &raw.regex {
        return match regex(value) {
            Ok(pattern) => Some(HeaderTest::Regex(pattern)),
            Err((what, fix)) => {
                problems.error(at, format!("{value:?} {what}"), fix);
                None
            }
        };
    }
    let present = raw.present.as_ref()?.value;
    Some(if present {
        HeaderTest::Present
    } else {
        HeaderTest::Absent
    })
}

/// A text that a value can be: blanks around a value are not part of it (RFC 9110 section 5.5).
fn field_value(written: &Written<String>, problems: &mut Problems<'_>) -> Option<String> {
    let Written { value, at } = written;
    let trimmed = value.trim_start_matches([' ', '\t']);
    if trimmed.len() < value.len() || value.chars().any(|letter| letter.is_control()) {
        let fix = format!("write {:?}", trimmed.replace(char::is_control, ""));
        problems.error(at, format!("{value:?} is not how a value can begin"), fix);
        return None;
    }
    Some(value.clone())
}

/// A method is a token; all that are in use have capital letters, and letter case counts.
pub(super) fn method(text: &str) -> Result<Arc<str>, Refusal> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !(1..=32).contains(&text.len()) || !text.bytes().all(token) {
        let what = "is not a method".to_owned();
        return Err((what, "write a name such as \"GET\"".to_owned()));
    }
    let upper = text.to_ascii_uppercase();
    if upper != text {
        let what = "has small letters, and letter case counts in a method".to_owned();
        return Err((what, format!("write {upper:?}")));
    }
    Ok(Arc::from(text))
}

/// An expression that compiles within the bounds.
pub(super) fn regex(text: &str) -> Result<String, Refusal> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(REGEX_BYTES_MAX)
            .build()
    };
    // By itself first: `a)|(b` is only sound inside the brackets we put around it.
    match build(text).and_then(|_| build(&whole_pattern(text))) {
        Ok(_) => Ok(text.to_owned()),
        Err(regex::Error::CompiledTooBig(_)) => {
            let what = "is too large when compiled".to_owned();
            Err((what, "write a shorter one, or fewer repetitions".to_owned()))
        }
        Err(error) => {
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or_default();
            let what = format!("is not a regular expression: {reason}");
            Err((what, "write it in the syntax of the crate regex".to_owned()))
        }
    }
}
