//! What the rules ask about a source file: its code without comments and strings, whom it imports,
//! what it declares, how long its functions are. Not a parser: it relies on rustfmt having run.

/// One source file.
pub(crate) struct Source {
    /// Relative to the package, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments, strings and characters blanked; same lines.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Source {
        let code = blank(&text);
        Source { path, text, code }
    }

    /// The module at the root of the crate it belongs to; empty outside `src`.
    pub(crate) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or("");
        let first = inside.split('/').next().unwrap_or("");
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether the file holds unit tests and nothing else.
    pub(crate) fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Code lines before the unit tests at the end of the file.
    pub(crate) fn body(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.code.find("#[cfg(test)]\nmod tests {");
        let end = tests.unwrap_or(self.code.len());
        let lines = self.code[..end].lines().enumerate();
        lines.filter(|(_, line)| !line.trim().is_empty())
    }

    pub(crate) fn place(&self, at: usize) -> String {
        let line = 1 + self.code[..at].matches('\n').count();
        format!("{}:{line}", self.path)
    }
}

/// Modules at the root that a file names, with the place in its code.
pub(crate) fn imports(source: &Source) -> Vec<(usize, String)> {
    let code = &source.code;
    let prefix = match source.module() {
        "main" => "weir::",
        _ => "crate::",
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => top_level_names(group),
            None => vec![identifier(rest)],
        };
        found.extend(names.into_iter().map(|name| (at, name)));
    }
    let inside = source.path.strip_prefix("src/").unwrap_or("");
    let depth = inside.trim_end_matches("/mod.rs").split('/').count();
    for (at, _) in code.match_indices("super::") {
        let rest = code[at..].trim_start_matches("super::");
        let supers = (code.len() - at - rest.len()) / "super::".len();
        if supers >= depth && !code[..at].ends_with("super::") {
            found.push((at, identifier(rest)));
        }
    }
    found
}

fn identifier(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The first name of every path in `a::{b, c}, d}`.
fn top_level_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut fresh = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && (c.is_alphabetic() || c == '_') => {
                names.push(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// Every function that has a body, as `file::name`, with its code lines. rustfmt puts the closing
/// brace at the indentation of the first line.
pub(crate) fn functions(source: &Source) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let words = line.trim_start();
        let Some(at) = words.find("fn ").filter(|at| is_qualifiers(&words[..*at])) else {
            continue;
        };
        let rest = &lines[start..];
        let opens = rest.iter().position(|line| line.ends_with('{'));
        let ends = rest.iter().position(|line| line.ends_with([';', '}']));
        if opens.is_none() || ends.is_some_and(|ends| Some(ends) < opens) {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - words.len()]);
        let close = rest.iter().position(|line| *line == closing);
        let close = close.expect("a function ends at its own indentation");
        let body = rest[..=close].iter().filter(|line| !line.trim().is_empty());
        let name = identifier(&words[at + 3..]);
        found.push((format!("{}::{name}", source.path), body.count()));
    }
    found
}

fn is_qualifiers(text: &str) -> bool {
    let known = ["async", "const", "extern", "pub", "unsafe"];
    let mut words = text.split_whitespace();
    words.all(|word| known.contains(&word) || word.starts_with("pub(") || word.ends_with(')'))
}

pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let in_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        !in_name(line[..at].chars().next_back()) && !in_name(after)
    })
}

/// Names a file declares.
pub(crate) fn declared(code: &str) -> Vec<String> {
    let keywords = [
        "fn", "struct", "enum", "trait", "mod", "const", "static", "type",
    ];
    let mut names = Vec::new();
    for line in code.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            if keywords.contains(&pair[0]) {
                names.push(identifier(pair[1]));
            }
        }
    }
    names
}

/// `AccessLogSender` and `access_log_sender` both as access, log, sender.
pub(crate) fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            parts.push(String::new());
        }
        let last = parts.last_mut().expect("never empty");
        last.extend(c.to_lowercase().filter(|c| *c != '_'));
    }
    parts
}

/// The name in `mod name;`.
pub(crate) fn module_line(line: &str) -> Option<&str> {
    let (before, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
    let before = before.trim();
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

/// Blanks comments, strings and characters, so that what is left is code. Lines stay lines.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (length, kept) = token(rest, c, out.chars().next_back());
        let (piece, after) = rest.split_at(length);
        match kept {
            true => out.push_str(piece),
            false => out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    let lines: Vec<&str> = out.split('\n').map(str::trim_end).collect();
    lines.join("\n")
}

/// Length of the next piece of a text that starts with `c`, and whether it is code.
fn token(text: &str, c: char, before: Option<char>) -> (usize, bool) {
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if text.starts_with("//") {
        return (text.find('\n').unwrap_or(text.len()), false);
    }
    if text.starts_with("/*") {
        return (text.find("*/").map_or(text.len(), |end| end + 2), false);
    }
    let raw = if in_name { None } else { raw_string_end(text) };
    match (c, raw) {
        (_, Some(end)) => (end, false),
        ('"', None) => (string_end(text), false),
        ('\'', None) => character_end(text).map_or((1, true), |end| (end, false)),
        _ => (c.len_utf8(), true),
    }
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The end of `r"..."` or `br#"..."#`, if the text begins with one.
fn raw_string_end(text: &str) -> Option<usize> {
    let after = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - body.len();
    Some(
        body.find(&closing)
            .map_or(text.len(), |end| start + end + closing.len()),
    )
}

/// The end of a character literal, or `None` where the quote begins a lifetime.
fn character_end(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        characters.next()?;
        return characters.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    let (at, second) = characters.next()?;
    (second == '\'').then_some(at + 1)
}

#[test]
fn blanking_leaves_only_code() {
    let text = concat!(
        "let a = \"un\\\"safe\"; // unsafe\n",
        "let b = r#\"unsafe \" unsafe\"#;\n",
        "let c = 'u'; fn d<'a>(x: &'a str) {}\n",
        "let e = b\"x\"; let f = '\\''; let g = '\"'; h\n",
    );
    let lines: Vec<String> = blank(text).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "let a =           ;");
    assert_eq!(lines[1], format!("let b = {};", " ".repeat(20)));
    assert_eq!(lines[2], "let c =    ; fn d<'a>(x: &'a str) {}");
    assert!(lines[3].ends_with("; h"), "{}", lines[3]);
}

#[test]
fn imports_are_found_in_every_form() {
    let names = |path: &str, text: &str| -> Vec<String> {
        let source = Source::new(path.to_owned(), text.to_owned());
        imports(&source).into_iter().map(|(_, name)| name).collect()
    };
    assert_eq!(
        names("src/a/b.rs", "use crate::{\n x::{y, z}, w\n};"),
        ["x", "w"]
    );
    assert_eq!(names("src/a/b.rs", "let v = crate::q::r();"), ["q"]);
    assert_eq!(
        names("src/a/b.rs", "use super::c; use super::super::d;"),
        ["d"]
    );
    assert_eq!(names("src/a/mod.rs", "use super::d;"), ["d"]);
    assert_eq!(names("src/main.rs", "use weir::node;"), ["node"]);
}

#[test]
fn functions_are_measured() {
    let text = "\
trait T {
    fn declared(&self) -> u32;
    fn short(&self) {}
}
pub async fn long(
    a: u32,
) {
    // why

    a;
}
";
    let source = Source::new("src/a.rs".to_owned(), text.to_owned());
    assert_eq!(functions(&source), [("src/a.rs::long".to_owned(), 5)]);
}
