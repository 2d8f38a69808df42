//! Reference models of head parsing and chunk decoding: the plainest code that gives the answer.
//!
//! They see the whole input at once, allocate freely and share nothing with the code they check.
//! For tests and fuzzing only.

use super::canon::{field_line, find, split_crlf};

/// What the head model understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelHead {
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) authority: Vec<u8>,
    pub(super) is_http11: bool,
    pub(super) length: Option<u64>,
    pub(super) is_chunked: bool,
    pub(super) keeps_alive: bool,
    pub(super) head_len: usize,
}

/// A model's answer; `Incomplete` also stands for input that only a streaming reader refuses early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    Complete(T),
    Incomplete,
    Refused,
}

/// Reads a request head of at most `fields_max` fields, without methods or fields that have rules
/// of their own (Max-Forwards, Expect): the caller leaves those out.
pub(super) fn request_head(bytes: &[u8], fields_max: usize) -> Answer<ModelHead> {
    let mut skipped = 0;
    while skipped < 4 && bytes[skipped..].starts_with(b"\r\n") {
        skipped += 2;
    }
    let Some(end) = find(&bytes[skipped..], b"\r\n\r\n") else {
        return Answer::Incomplete;
    };
    let head_len = skipped + end + 4;
    match read_head(&bytes[skipped..skipped + end], fields_max) {
        Some(head) => Answer::Complete(ModelHead { head_len, ..head }),
        None => Answer::Refused,
    }
}

fn read_head(text: &[u8], fields_max: usize) -> Option<ModelHead> {
    let lines = split_crlf(text);
    if lines
        .iter()
        .any(|line| line.contains(&b'\r') || line.contains(&b'\n'))
    {
        return None;
    }
    let parts: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return None;
    };
    let is_http11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return None,
    };
    let fields = lines[1..]
        .iter()
        .map(|line| field(line))
        .collect::<Option<Vec<_>>>()?;
    let values = |name: &str| -> Vec<&[u8]> {
        let named = fields.iter().filter(|(key, _)| key == name.as_bytes());
        named.map(|(_, value)| value.as_slice()).collect()
    };
    let (target, from_target) = read_target(method, target)?;
    let authority = read_hosts(&values("host"), from_target, is_http11)?;
    let (length, is_chunked) = read_framing(
        &values("content-length"),
        &values("transfer-encoding"),
        is_http11,
    )?;
    let options = values("connection").join(&b',').to_ascii_lowercase();
    let says = |wanted: &str| {
        options
            .split(|b| *b == b',')
            .any(|option| option.trim_ascii() == wanted.as_bytes())
    };
    let method_fits = !method.contains(&b':')
        && field_line(&[method, b":"].concat()).is_some()
        && method.len() <= 32
        && method != b"CONNECT"
        && !(method == b"TRACE" && (is_chunked || length.is_some()));
    (method_fits && fields.len() <= fields_max).then(|| ModelHead {
        method: method.to_vec(),
        target,
        authority,
        is_http11,
        length,
        is_chunked,
        keeps_alive: !says("close") && (is_http11 || says("keep-alive")),
        head_len: 0,
    })
}

/// A field line as it may arrive: any SP and HTAB around the value.
fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let mut value = &line[colon + 1..];
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    field_line(&[&line[..colon], b": ", value].concat())
}

/// The target to forward and the authority it names.
fn read_target(method: &[u8], target: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let text = std::str::from_utf8(target).ok()?;
    if text.is_empty() || !text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'#') {
        return None;
    }
    if text.starts_with('/') || (text == "*" && method == b"OPTIONS") {
        return Some((target.to_vec(), None));
    }
    let (scheme, rest) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = read_authority(authority.as_bytes())?;
    let target = match rest {
        "" if method == b"OPTIONS" => "*",
        "" => "/",
        _ => rest,
    };
    Some((target.as_bytes().to_vec(), Some(authority)))
}

fn read_hosts(hosts: &[&[u8]], from_target: Option<Vec<u8>>, is_http11: bool) -> Option<Vec<u8>> {
    let from_field = match hosts {
        [] | [b""] if !is_http11 => Vec::new(),
        [host] => read_authority(host)?,
        _ => return None,
    };
    Some(from_target.unwrap_or(from_field))
}

fn read_authority(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (host, port) = match text.rfind(']') {
        Some(end) => {
            text[..end]
                .strip_prefix('[')?
                .parse::<std::net::Ipv6Addr>()
                .ok()?;
            text.split_at(end + 1)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let name_fits = |c: char| c.is_ascii_alphanumeric() || "._~%!$&'()*+;=-".contains(c);
    let escape_fits = |rest: &str| {
        let hex = rest.get(..2).unwrap_or_default();
        hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    };
    if host.is_empty()
        || (!host.ends_with(']') && !host.chars().all(name_fits))
        || !host.split('%').skip(1).all(escape_fits)
    {
        return None;
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Some(host.as_bytes().to_vec()),
        Some("") => Some(host.as_bytes().to_vec()),
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u16>().ok().map(|_| text.as_bytes().to_vec())
        }
        _ => None,
    }
}

fn read_framing(
    lengths: &[&[u8]],
    codings: &[&[u8]],
    is_http11: bool,
) -> Option<(Option<u64>, bool)> {
    match (lengths, codings) {
        ([], []) => Some((None, false)),
        ([], [coding]) if is_http11 && coding.eq_ignore_ascii_case(b"chunked") => {
            Some((None, true))
        }
        ([length], []) => {
            let text = std::str::from_utf8(length).ok()?;
            let fits = (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse::<i64>().ok().filter(|_| fits)?;
            Some((u64::try_from(number).ok(), false))
        }
        _ => None,
    }
}

/// Content, trailer section and bytes read of a chunked body.
pub(super) type ModelBody = (Vec<u8>, Vec<u8>, usize);

/// Decodes a chunked body (RFC 9112 7.1).
pub(super) fn chunked_body(input: &[u8]) -> Answer<ModelBody> {
    let mut content = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = find(&input[at..], b"\r\n") else {
            return Answer::Incomplete;
        };
        let Some(size) = chunk_size(&input[at..at + end]) else {
            return Answer::Refused;
        };
        at += end + 2;
        if size == 0 {
            break;
        }
        let Some(data) = input.get(at..at.saturating_add(size)) else {
            return Answer::Incomplete;
        };
        content.extend_from_slice(data);
        at += size;
        match input.get(at..at + 2) {
            None => return Answer::Incomplete,
            Some(b"\r\n") => at += 2,
            Some(_) => return Answer::Refused,
        }
    }
    let start = at;
    loop {
        let Some(end) = find(&input[at..], b"\r\n") else {
            return Answer::Incomplete;
        };
        let line = &input[at..at + end];
        at += end + 2;
        if line.is_empty() {
            return Answer::Complete((content, input[start..at - 2].to_vec(), at));
        }
        if field(line).is_none() {
            return Answer::Refused;
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let text = std::str::from_utf8(&line[..digits]).ok()?;
    let size = i64::from_str_radix(text, 16)
        .ok()
        .filter(|_| digits <= 16)?;
    extensions(&line[digits..]).then_some(())?;
    usize::try_from(size).ok()
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
fn extensions(text: &[u8]) -> bool {
    let token = |text: &[u8]| {
        let is_token = |byte: &u8| field_line(&[*byte, b':']).is_some();
        text.iter().take_while(|byte| is_token(byte)).count()
    };
    let blank = |text: &[u8]| text.iter().take_while(|byte| b" \t".contains(byte)).count();
    if text.is_empty() {
        return true;
    }
    let mut rest = &text[blank(text)..];
    if rest.first() != Some(&b';') {
        return false;
    }
    rest = &rest[1..];
    rest = &rest[blank(rest)..];
    let name = token(rest);
    if name == 0 {
        return false;
    }
    rest = &rest[name..];
    let after = &rest[blank(rest)..];
    if after.first() != Some(&b'=') {
        return extensions(rest);
    }
    rest = &after[1 + blank(&after[1..])..];
    let value = if rest.first() == Some(&b'"') {
        quoted(rest)
    } else {
        token(rest)
    };
    value > 0 && extensions(&rest[value..])
}

/// Length of a quoted string, 0 if it is none.
fn quoted(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        let fits = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        match byte {
            b'"' => return at + 1,
            b'\\' if text.get(at + 1).is_some_and(fits) => at += 2,
            byte if fits(byte) && *byte != b'\\' => at += 1,
            _ => return 0,
        }
    }
    0
}
