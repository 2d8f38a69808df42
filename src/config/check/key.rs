//! Where keys are taken from: exactly one source, and one that can be named on the wire.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::super::checked::KeySource;
use super::super::problem::{At, Problems};
use super::super::raw;
use super::super::reader::Written;
use super::values::{number, place, size};
use crate::base::limits::SHARD_POINTER_TOKENS_MAX;

/// Bytes of the name of a cookie, a header or a query parameter.
const NAME_BYTES_MAX: usize = 256;
/// Segments of a path that can be named; deeper ones belong to the application.
const SEGMENTS: RangeInclusive<u32> = 1..=1000;
/// How far a body may be looked at. Every request that waits for its key may hold as much.
const BODY_BYTES: RangeInclusive<usize> = 1..=1024 * 1024;
const BODY_BYTES_DEFAULT: usize = 64 * 1024;
/// Bytes of a JSON pointer.
const POINTER_BYTES_MAX: usize = 1024;

pub(super) fn check(raw: &raw::KeySource, problems: &mut Problems<'_>) -> Option<KeySource> {
    let sources = [
        place(&raw.header),
        place(&raw.cookie),
        place(&raw.query),
        place(&raw.path_segment),
        place(&raw.host),
        place(&raw.method),
        place(&raw.client_address),
        place(&raw.json),
        place(&raw.sni),
    ];
    let mut found: Vec<&At> = sources.into_iter().flatten().collect();
    found.sort_by_key(|at| at.offset);
    if let Some(second) = found.get(1) {
        let what = "a key is taken from one place only";
        problems.error(second, what, "keep one of them");
        return None;
    }
    if found.is_empty() {
        if !problems.noted_below(&raw.at) {
            let fix = "write one of header, cookie, query, path_segment, host, method, \
                       client_address, json and sni";
            problems.error(&raw.at, "says nothing about where the key is", fix);
        }
        return None;
    }
    if let (Some(written), None) = (&raw.body_bytes, &raw.json) {
        let what = "has no meaning without json";
        problems.error(&written.at, what, "remove it");
    }
    text_source(raw, problems).or_else(|| flag_source(raw, problems))
}

fn text_source(raw: &raw::KeySource, problems: &mut Problems<'_>) -> Option<KeySource> {
    if let Some(written) = &raw.header {
        let name = token(written, problems)?.to_ascii_lowercase();
        return Some(KeySource::Header(name.into()));
    }
    if let Some(written) = &raw.cookie {
        return Some(KeySource::Cookie(token(written, problems)?.into()));
    }
    if let Some(Written { value, at }) = &raw.query {
        let sound =
            (1..=NAME_BYTES_MAX).contains(&value.len()) && !value.contains(char::is_control);
        if !sound {
            let fix = format!("write 1 to {NAME_BYTES_MAX} bytes, decoded as in query = \"a b\"");
            problems.error(at, format!("{value:?} is not the name of a parameter"), fix);
            return None;
        }
        return Some(KeySource::Query(value.as_str().into()));
    }
    let written = raw.json.as_ref()?;
    let body_bytes = size(&raw.body_bytes, BODY_BYTES_DEFAULT, BODY_BYTES, problems);
    Some(KeySource::Json {
        pointer: pointer(written, problems)?,
        body_bytes,
    })
}

fn flag_source(raw: &raw::KeySource, problems: &mut Problems<'_>) -> Option<KeySource> {
    if raw.path_segment.is_some() {
        let segment = number(&raw.path_segment, 1, SEGMENTS, problems);
        return Some(KeySource::PathSegment(segment));
    }
    let flags = [
        (&raw.host, KeySource::Host),
        (&raw.method, KeySource::Method),
        (&raw.client_address, KeySource::ClientAddress),
        (&raw.sni, KeySource::Sni),
    ];
    let found = flags
        .into_iter()
        .find_map(|(flag, source)| Some((flag.as_ref()?, source)));
    let (flag, source) = found?;
    if !flag.value {
        let fix = "write true, or name another source";
        problems.error(&flag.at, "false leaves no key", fix);
    }
    Some(source)
}

/// The name of a header or a cookie is a token.
pub(super) fn token<'w>(
    written: &'w Written<String>,
    problems: &mut Problems<'_>,
) -> Option<&'w str> {
    let Written { value, at } = written;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&value.len()) && value.bytes().all(letter) {
        return Some(value);
    }
    let fix = format!(
        "write 1 to {NAME_BYTES_MAX} letters, digits and signs such as '-', as in \"x-tenant\""
    );
    problems.error(at, format!("{value:?} is not a name"), fix);
    None
}

fn pointer(written: &Written<String>, problems: &mut Problems<'_>) -> Option<Arc<str>> {
    let Written { value, at } = written;
    let mut refuse = |what: &str, fix: String| {
        problems.error(at, format!("{value:?} {what}"), fix);
        None
    };
    if !value.is_empty() && !value.starts_with('/') {
        return refuse("does not begin with '/'", format!("write \"/{value}\""));
    }
    let escapes = value.split('~').skip(1);
    if escapes
        .into_iter()
        .any(|rest| !rest.starts_with(['0', '1']))
    {
        let fix = "write ~0 for a tilde and ~1 for a slash inside a name (RFC 6901)";
        return refuse("has a '~' that escapes nothing", fix.to_owned());
    }
    if value.len() > POINTER_BYTES_MAX || value.matches('/').count() > SHARD_POINTER_TOKENS_MAX {
        let fix =
            format!("write at most {SHARD_POINTER_TOKENS_MAX} steps and {POINTER_BYTES_MAX} bytes");
        return refuse("is too long", fix);
    }
    Some(value.as_str().into())
}
