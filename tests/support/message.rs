//! Heads and messages as the tests see them: strict, ordered, byte for byte.

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Chunks.
    Chunked,
    /// This many bytes.
    Length(u64),
    /// No body.
    None,
    /// Until the connection ends.
    UntilClose,
}

/// A start line and its fields, in order.
#[derive(Clone)]
pub struct Head {
    /// The bytes as they came, with the empty line.
    pub raw: Vec<u8>,
    /// The start line.
    pub start: String,
    /// Name as sent, and value.
    pub fields: Vec<(String, String)>,
}

impl std::fmt::Debug for Head {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?} {:?}", self.start, self.fields)
    }
}

impl Head {
    /// Parses a head that ends with its empty line.
    pub fn parse(raw: Vec<u8>) -> Result<Head, String> {
        let text = latin1(&raw[..raw.len() - 4]);
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(field).collect::<Result<Vec<_>, _>>()?;
        Ok(Head { raw, start, fields })
    }

    /// The value of a field that occurs at most once.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(
            all.len() <= 1,
            "{name} occurs {} times in {self:?}",
            all.len()
        );
        all.first().copied()
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Whether a field occurs.
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// The status of a response.
    #[track_caller]
    pub fn status(&self) -> u16 {
        self.try_status().unwrap()
    }

    /// The status of what may not be a response.
    pub fn try_status(&self) -> Result<u16, String> {
        let mut words = self.start.splitn(3, ' ');
        let version = matches!(words.next(), Some("HTTP/1.1" | "HTTP/1.0"));
        let status = words
            .next()
            .filter(|code| code.len() == 3)
            .and_then(|code| code.parse().ok());
        let good = status.filter(|code| version && (100..=999).contains(code));
        good.ok_or_else(|| format!("status line {:?}", self.start))
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Whether `Connection` has `option`.
    pub fn connection(&self, option: &str) -> bool {
        let values = self.all("connection");
        values.iter().any(|value| {
            value
                .split(',')
                .any(|o| o.trim().eq_ignore_ascii_case(option))
        })
    }

    /// RFC 9112 section 6.3 for a request that is known to be canonical.
    pub fn request_framing(&self) -> Framing {
        if self.has("transfer-encoding") {
            return Framing::Chunked;
        }
        match self
            .field("content-length")
            .map(|value| value.parse().unwrap())
        {
            Some(0) | None => Framing::None,
            Some(length) => Framing::Length(length),
        }
    }

    /// RFC 9112 section 6.3 for a response to `method`.
    pub fn response_framing(&self, method: &str) -> Result<Framing, String> {
        let status = self.status();
        let (coding, length) = (self.all("transfer-encoding"), self.all("content-length"));
        if !coding.is_empty() && !length.is_empty() {
            return Err(format!("two framings in {:?}", self.start));
        }
        if method == "HEAD" || status == 204 || status == 304 || status == 101 {
            return Ok(Framing::None);
        }
        match (coding.as_slice(), length.as_slice()) {
            ([], []) => Ok(Framing::UntilClose),
            ([], [one]) => one
                .parse()
                .map(Framing::Length)
                .map_err(|_| format!("length {one:?}")),
            (["chunked"], []) if self.start.starts_with("HTTP/1.1 ") => Ok(Framing::Chunked),
            _ => Err(format!(
                "framing of {:?}: {coding:?} {length:?}",
                self.start
            )),
        }
    }
}

/// One field line.
pub fn field(line: impl AsRef<str>) -> Result<(String, String), String> {
    let line = line.as_ref();
    let bad = || format!("field line {line:?}");
    let (name, value) = line.split_once(':').ok_or_else(bad)?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(bad());
    }
    if value.chars().any(|c| (c < ' ' && c != '\t') || c == '\x7f') {
        return Err(bad());
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Bytes as characters of the same number.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// A request or a response.
#[derive(Clone, Debug)]
pub struct Message {
    /// Start line and fields.
    pub head: Head,
    /// How the body was framed.
    pub framing: Framing,
    /// The body.
    pub body: Vec<u8>,
    /// Trailer fields of a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Interim responses that came before.
    pub interim: Vec<Head>,
}

impl std::ops::Deref for Message {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Message {
    /// The value of a trailer, whatever the case of its name.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        let found = self
            .trailers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        latin1(&self.body)
    }
}
