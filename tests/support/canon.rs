//! Canonical-form oracle: reads a byte stream the proxy sent to a backend and says whether any
//! two conforming, or commonly lenient, backends could disagree about it.
//!
//! A port of h1canon.py of the vector set, written without a parser of weir so that the two
//! cannot share a mistake.

/// What a stream contained.
#[derive(Debug, Default)]
pub struct Reading {
    /// Messages in order.
    pub messages: Vec<Forwarded>,
    /// What is not canonical about them.
    pub violations: Vec<String>,
    /// Bytes after the last complete head or body.
    pub tail: Vec<u8>,
}

/// One request found in a stream.
#[derive(Debug)]
pub struct Forwarded {
    /// Method and target.
    pub start: String,
    /// Bytes of its body.
    pub body: usize,
    /// Whether all of it is there.
    pub complete: bool,
}

/// What is not canonical about one request head.
pub fn head_violations(head: &[u8]) -> Vec<String> {
    let mut reading = Reading::default();
    let end = head.len().saturating_sub(4);
    read_head(&head[..end], &mut reading);
    reading.violations
}

/// Reads a whole stream.
pub fn read(stream: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let mut at = 0;
    while at < stream.len() {
        let Some(length) = find(&stream[at..], b"\r\n\r\n") else {
            reading.tail = stream[at..].to_vec();
            break;
        };
        let (start, framing) = read_head(&stream[at..at + length], &mut reading);
        let rest = &stream[at + length + 4..];
        let body = match framing {
            Framing::Chunked => read_chunks(rest, &mut reading.violations),
            Framing::Length(length) => read_length(rest, length),
        };
        at += length + 4 + body.consumed;
        let complete = body.complete;
        reading.messages.push(Forwarded {
            start,
            body: body.bytes,
            complete,
        });
        if !complete {
            if !body.all_taken {
                reading.tail = stream[at..].to_vec();
            }
            break;
        }
    }
    reading
}

enum Framing {
    Chunked,
    Length(u64),
}

struct Body {
    bytes: usize,
    consumed: usize,
    complete: bool,
    all_taken: bool,
}

fn read_head(head: &[u8], reading: &mut Reading) -> (String, Framing) {
    let violations = &mut reading.violations;
    let mut lines = split_crlf(head).into_iter();
    let first = lines.next().unwrap_or_default();
    let start = request_line(first).unwrap_or_else(|| {
        violations.push(format!("request-line {}", show(first)));
        "? ?".to_owned()
    });
    let mut fields = Vec::new();
    for line in lines {
        match field_line(line) {
            Some(field) => fields.push(field),
            None => violations.push(format!("field-line {}", show(line))),
        }
    }
    check_fields(&fields, violations);
    (start, framing_of(&fields, violations))
}

fn check_fields(fields: &[(Vec<u8>, &[u8])], violations: &mut Vec<String>) {
    let hosts = all(fields, b"host");
    match hosts.as_slice() {
        [host] if host_value(host) => {}
        [host] => violations.push(format!("host value {}", show(host))),
        _ => violations.push(format!("host x{}", hosts.len())),
    }
    for (name, value) in fields {
        let dashed: Vec<u8> = name
            .iter()
            .map(|&b| if b == b'_' { b'-' } else { b })
            .collect();
        let twins: [&[u8]; 4] = [
            b"content-length",
            b"transfer-encoding",
            b"host",
            b"x-forwarded-for",
        ];
        if name.contains(&b'_') && twins.contains(&dashed.as_slice()) {
            violations.push(format!("underscore twin {}", show(name)));
        }
        if name == b"upgrade" && find(&value.to_ascii_lowercase(), b"h2c").is_some() {
            violations.push("h2c forwarded".to_owned());
        }
        if name == b"proxy-connection" || name == b"keep-alive" {
            violations.push(format!("hop-by-hop forwarded: {}", show(name)));
        }
    }
}

fn framing_of(fields: &[(Vec<u8>, &[u8])], violations: &mut Vec<String>) -> Framing {
    let (lengths, codings) = (
        all(fields, b"content-length"),
        all(fields, b"transfer-encoding"),
    );
    if !lengths.is_empty() && !codings.is_empty() {
        violations.push("CL+TE".to_owned());
    }
    if lengths.len() > 1 || codings.len() > 1 {
        violations.push("dup framing".to_owned());
    }
    if let Some(coding) = codings.first() {
        if *coding != b"chunked" {
            violations.push(format!("TE {}", show(coding)));
        }
        return Framing::Chunked;
    }
    let Some(length) = lengths.last() else {
        return Framing::Length(0);
    };
    let digits = !length.is_empty() && length.len() <= 19 && length.iter().all(u8::is_ascii_digit);
    if !digits || (length.len() > 1 && length[0] == b'0') {
        violations.push(format!("CL {}", show(length)));
        return Framing::Length(0);
    }
    Framing::Length(
        std::str::from_utf8(length)
            .unwrap()
            .parse()
            .unwrap_or(u64::MAX),
    )
}

fn read_length(rest: &[u8], length: u64) -> Body {
    let bytes = rest
        .len()
        .min(usize::try_from(length).unwrap_or(usize::MAX));
    let complete = bytes as u64 == length;
    Body {
        bytes,
        consumed: bytes,
        complete,
        all_taken: true,
    }
}

fn read_chunks(rest: &[u8], violations: &mut Vec<String>) -> Body {
    let mut body = Body {
        bytes: 0,
        consumed: 0,
        complete: false,
        all_taken: false,
    };
    loop {
        let Some(line) = line_at(rest, body.consumed) else {
            return body;
        };
        if line.is_empty() || line.len() > 16 || !line.iter().all(u8::is_ascii_hexdigit) {
            violations.push(format!("chunk-size line {}", show(line)));
            return body;
        }
        let size = usize::from_str_radix(std::str::from_utf8(line).unwrap(), 16).unwrap();
        body.consumed += line.len() + 2;
        if size == 0 {
            return read_trailers(rest, body, violations);
        }
        let left = &rest[body.consumed..];
        if size.saturating_add(2) > left.len() {
            body.bytes += size.min(left.len());
            body.consumed = rest.len();
            body.all_taken = true;
            return body;
        }
        body.bytes += size;
        body.consumed += size;
        if &left[size..size + 2] != b"\r\n" {
            violations.push("chunk-data not followed by CRLF".to_owned());
            return body;
        }
        body.consumed += 2;
    }
}

fn read_trailers(rest: &[u8], mut body: Body, violations: &mut Vec<String>) -> Body {
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
    loop {
        let Some(line) = line_at(rest, body.consumed) else {
            return body;
        };
        body.consumed += line.len() + 2;
        if line.is_empty() {
            body.complete = true;
            return body;
        }
        match field_line(line) {
            None => violations.push(format!("trailer {}", show(line))),
            Some((name, _)) if FORBIDDEN.contains(&name.as_slice()) => {
                violations.push(format!("forbidden trailer {}", show(&name)));
            }
            Some(_) => {}
        }
    }
}

/// `method target`, if the line is exactly `token SP visible-without-# SP HTTP/1.1`.
fn request_line(line: &[u8]) -> Option<String> {
    let line = line.strip_suffix(b" HTTP/1.1")?;
    let space = line.iter().position(|&byte| byte == b' ')?;
    let (method, target) = (&line[..space], &line[space + 1..]);
    let visible = |byte: &u8| (0x21..=0x7e).contains(byte) && *byte != b'#';
    let good = !method.is_empty() && method.iter().all(token);
    (good && !target.is_empty() && target.iter().all(visible))
        .then(|| String::from_utf8_lossy(line).into_owned())
}

/// Lower-case name and value, if the line is exactly `name: value` without outer blanks.
fn field_line(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let value = value.strip_prefix(b" ").unwrap_or(value);
    let text = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    let edge = |byte: Option<&u8>| byte.is_none_or(|byte| *byte != b' ' && *byte != b'\t');
    let good = !name.is_empty() && name.iter().all(token) && value.iter().all(text);
    (good && edge(value.first()) && edge(value.last())).then(|| (name.to_ascii_lowercase(), value))
}

fn host_value(value: &[u8]) -> bool {
    let colon = value.iter().rposition(|&byte| byte == b':');
    let inside = value.ends_with(b"]");
    let (name, port) = match colon {
        Some(at) if !inside => (&value[..at], Some(&value[at + 1..])),
        _ => (value, None),
    };
    let port_good = port
        .is_none_or(|port| (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit));
    let literal = name
        .strip_prefix(b"[")
        .and_then(|name| name.strip_suffix(b"]"));
    let name_good = match literal {
        Some(inner) => {
            let literal = |b: &u8| b.is_ascii_hexdigit() || *b == b':' || *b == b'.';
            !inner.is_empty() && inner.iter().all(literal)
        }
        None => name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._~%!$&'()*+;=-".contains(b)),
    };
    port_good && name_good
}

fn token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

fn all<'a>(fields: &[(Vec<u8>, &'a [u8])], name: &[u8]) -> Vec<&'a [u8]> {
    fields
        .iter()
        .filter(|(key, _)| key == name)
        .map(|(_, value)| *value)
        .collect()
}

fn split_crlf(head: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut rest) = (Vec::new(), head);
    while let Some(at) = find(rest, b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}

fn line_at(stream: &[u8], at: usize) -> Option<&[u8]> {
    let length = find(&stream[at..], b"\r\n")?;
    Some(&stream[at..at + length])
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(hay, needle)
}

fn show(bytes: &[u8]) -> String {
    format!(
        "{:?}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
    )
}
