//! The judge of what we forward: parses a stream of requests with a parser of its own and names
//! everything about which two backends could disagree.
//!
//! A port of the vectors' h1canon.py, and like it independent of the code it judges: no httparse,
//! no shared tables. For tests and fuzzing only, so it is plain rather than fast; the whole-proxy
//! tests include this very file.

/// One request as the judge understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    /// Names in lower case.
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) is_complete: bool,
}

impl Message {
    pub(crate) fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|(key, _)| key == name.as_bytes());
        named.map(|(_, value)| value.as_slice()).collect()
    }
}

/// What the judge made of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) messages: Vec<Message>,
    pub(crate) violations: Vec<String>,
    /// What followed the last message and is none.
    pub(crate) tail: Vec<u8>,
}

/// Reads a whole stream of requests.
pub(crate) fn judge(stream: &[u8]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut rest = stream;
    while !rest.is_empty() {
        let Some(end) = find(rest, b"\r\n\r\n") else {
            verdict.tail = rest.to_vec();
            return verdict;
        };
        let mut message = head(&rest[..end], &mut verdict.violations);
        rest = &rest[end + 4..];
        rest = body(&mut message, rest, &mut verdict);
        let is_complete = message.is_complete;
        verdict.messages.push(message);
        if !is_complete {
            verdict.tail = rest.to_vec();
            return verdict;
        }
    }
    verdict
}

fn head(text: &[u8], violations: &mut Vec<String>) -> Message {
    let mut lines = split_crlf(text).into_iter();
    let line = lines.next().unwrap_or_default();
    let (method, target) = request_line(line).unwrap_or_else(|| {
        violations.push(format!("request-line {}", show(line)));
        (b"?".to_vec(), b"?".to_vec())
    });
    let mut message = Message {
        method,
        target,
        fields: Vec::new(),
        body: Vec::new(),
        is_complete: false,
    };
    for line in lines {
        match field_line(line) {
            Some(field) => message.fields.push(field),
            None => violations.push(format!("field-line {}", show(line))),
        }
    }
    check_fields(&message, violations);
    message
}

fn check_fields(message: &Message, violations: &mut Vec<String>) {
    match message.values("host")[..] {
        [host] if is_host(host) => {}
        [host] => violations.push(format!("host value {}", show(host))),
        ref hosts => violations.push(format!("host x{}", hosts.len())),
    }
    let lengths = message.values("content-length").len();
    let codings = message.values("transfer-encoding").len();
    if lengths > 0 && codings > 0 {
        violations.push("length and coding".into());
    }
    if lengths > 1 || codings > 1 {
        violations.push("repeated framing".into());
    }
    for (name, value) in &message.fields {
        let name = String::from_utf8_lossy(name);
        let twins = [
            "content-length",
            "transfer-encoding",
            "host",
            "x-forwarded-for",
        ];
        if name.contains('_') && twins.contains(&name.replace('_', "-").as_str()) {
            violations.push(format!("underscore twin {name}"));
        }
        if name == "upgrade" && find(&value.to_ascii_lowercase(), b"h2c").is_some() {
            violations.push("h2c forwarded".into());
        }
        if name == "proxy-connection" || name == "keep-alive" {
            violations.push("hop-by-hop forwarded".into());
        }
    }
}

fn body<'a>(message: &mut Message, rest: &'a [u8], verdict: &mut Verdict) -> &'a [u8] {
    if let Some(coding) = message.values("transfer-encoding").first() {
        if *coding != b"chunked" {
            verdict.violations.push(format!("coding {}", show(coding)));
        }
        return chunks(message, rest, verdict);
    }
    let mut length = 0;
    if let Some(text) = message.values("content-length").last() {
        let is_plain = text.iter().all(u8::is_ascii_digit)
            && (1..=19).contains(&text.len())
            && (*text == b"0" || text[0] != b'0');
        if is_plain {
            length = String::from_utf8_lossy(text)
                .parse::<usize>()
                .unwrap_or(usize::MAX);
        } else {
            verdict.violations.push(format!("length {}", show(text)));
        }
    }
    if rest.len() < length {
        message.body = rest.to_vec();
        return b"";
    }
    message.body = rest[..length].to_vec();
    message.is_complete = true;
    &rest[length..]
}

fn chunks<'a>(message: &mut Message, mut rest: &'a [u8], verdict: &mut Verdict) -> &'a [u8] {
    loop {
        let Some(end) = find(rest, b"\r\n") else {
            return rest;
        };
        let line = &rest[..end];
        if line.is_empty() || line.len() > 16 || !line.iter().all(u8::is_ascii_hexdigit) {
            verdict
                .violations
                .push(format!("chunk-size line {}", show(line)));
            return rest;
        }
        let size = u64::from_str_radix(&String::from_utf8_lossy(line), 16).unwrap_or(u64::MAX);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        rest = &rest[end + 2..];
        if size == 0 {
            return trailers(message, rest, verdict);
        }
        let data = rest.len().min(size);
        message.body.extend_from_slice(&rest[..data]);
        if rest.len() < size.saturating_add(2) {
            return b"";
        }
        if &rest[size..size + 2] != b"\r\n" {
            verdict
                .violations
                .push("chunk-data not followed by CRLF".into());
            return &rest[size..];
        }
        rest = &rest[size + 2..];
    }
}

fn trailers<'a>(message: &mut Message, mut rest: &'a [u8], verdict: &mut Verdict) -> &'a [u8] {
    const FORBIDDEN: [&[u8]; 8] = [
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"authorization",
        b"x-forwarded-for",
        b"content-type",
        b"trailer",
        b"connection",
    ];
    while let Some(end) = find(rest, b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line.is_empty() {
            message.is_complete = true;
            return rest;
        }
        match field_line(line) {
            None => verdict.violations.push(format!("trailer {}", show(line))),
            Some((name, _)) if FORBIDDEN.contains(&name.as_slice()) => {
                verdict
                    .violations
                    .push(format!("forbidden trailer {}", show(&name)));
            }
            Some(_) => {}
        }
    }
    rest
}

fn request_line(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = is_token(method)
        && !target.is_empty()
        && target
            .iter()
            .all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'#')
        && version == b"HTTP/1.1"
        && parts.next().is_none();
    fits.then(|| (method.to_vec(), target.to_vec()))
}

/// `name: value` or `name:value`, nothing around the value.
pub(crate) fn field_line(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let value = value.strip_prefix(b" ").unwrap_or(value);
    let visible = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    let inner = |byte: &u8| visible(byte) || matches!(byte, b' ' | b'\t');
    let fits = is_token(name)
        && value.iter().all(inner)
        && value.first().is_none_or(visible)
        && value.last().is_none_or(visible);
    fits.then(|| (name.to_ascii_lowercase(), value.to_vec()))
}

fn is_host(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let fits = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
            return !address.is_empty() && address.chars().all(fits) && is_port(port);
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    host.chars()
        .all(|c| c.is_ascii_alphanumeric() || "._~%!$&'()*+;=-".contains(c))
        && is_port(port)
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| {
            (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        })
}

fn is_token(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(allowed)
}

pub(crate) fn split_crlf(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = find(rest, b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

fn show(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(60)])
        .escape_debug()
        .to_string()
}
