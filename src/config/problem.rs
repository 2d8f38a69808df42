//! What is wrong with a configuration, where, and what to write instead.
//!
//! Mistakes are collected, never thrown: every check notes what it finds here and goes on with a
//! stand-in value, so that one run tells everything. No mistake is reported without a fix; a
//! reader who must guess what is meant will guess wrong.

use std::fmt;

/// One mistake, or one doubt, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Path of the key, empty for syntax errors.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; fix: {}", self.what, self.fix)
    }
}

/// Why a configuration cannot be used: everything that was found, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// What must be fixed; never empty.
    pub errors: Vec<Problem>,
    /// What deserves a look.
    pub warnings: Vec<Problem>,
}

impl At {
    /// The same place, one key deeper.
    pub(crate) fn key(&self, key: &str) -> At {
        let dot = if self.key.is_empty() { "" } else { "." };
        At {
            offset: self.offset,
            key: format!("{}{dot}{key}", self.key),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let end = if index + 1 < self.errors.len() {
                "\n"
            } else {
                ""
            };
            write!(f, "{error}{end}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A place in the file: byte offset and path of the key. A table of a list is told by its name,
/// or by its position from 1: `listener[web].timeouts.head`, `group[#2].backends[#1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) offset: usize,
    pub(crate) key: String,
}

struct Note {
    at: At,
    what: String,
    fix: String,
}

/// Where checks leave what they find.
pub(crate) struct Problems<'t> {
    text: &'t str,
    /// Offsets of line ends, to find the line of a place without reading the text again.
    newlines: Vec<usize>,
    /// Bytes of what was read that come before the text.
    prefix: usize,
    errors: Vec<Note>,
    warnings: Vec<Note>,
}

impl<'t> Problems<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Problems::behind(text, 0)
    }

    /// Problems of a text that was read behind so many bytes of something else.
    pub(crate) fn behind(text: &'t str, prefix: usize) -> Self {
        Problems {
            text,
            newlines: text.match_indices('\n').map(|(at, _)| at).collect(),
            prefix,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The line of a place, to point at it in the text of another problem.
    pub(crate) fn line(&self, at: &At) -> usize {
        let offset = at.offset.saturating_sub(self.prefix);
        1 + self.newlines.partition_point(|end| *end < offset)
    }

    /// Whether an error was noted for this key, or an element of it, at this place or later: a
    /// value of the wrong type is not missing as well.
    pub(crate) fn noted(&self, at: &At) -> bool {
        self.errors.iter().any(|note| {
            let under = |rest: &str| rest.is_empty() || rest.starts_with('[');
            note.at.offset >= at.offset && note.at.key.strip_prefix(&at.key).is_some_and(under)
        })
    }

    /// Whether an error was noted for anything inside the table at this place.
    pub(crate) fn noted_below(&self, at: &At) -> bool {
        self.errors.iter().any(|note| {
            let rest = note.at.key.strip_prefix(&at.key);
            note.at.offset >= at.offset && rest.is_some_and(|rest| rest.starts_with('.'))
        })
    }

    pub(crate) fn error(&mut self, at: &At, what: impl Into<String>, fix: impl Into<String>) {
        self.errors.push(note(at, what.into(), fix.into()));
    }

    pub(crate) fn warning(&mut self, at: &At, what: impl Into<String>, fix: impl Into<String>) {
        self.warnings.push(note(at, what.into(), fix.into()));
    }

    /// The warnings, if there is no error.
    pub(crate) fn finish(self, file: &str) -> Result<Vec<Problem>, ConfigErrors> {
        if self.errors.is_empty() {
            Ok(self.placed(&self.warnings, file))
        } else {
            Err(self.into_errors(file))
        }
    }

    /// Everything noted, with lines and columns.
    pub(crate) fn into_errors(self, file: &str) -> ConfigErrors {
        ConfigErrors {
            errors: self.placed(&self.errors, file),
            warnings: self.placed(&self.warnings, file),
        }
    }

    /// In the order of the file, with lines and columns.
    fn placed(&self, notes: &[Note], file: &str) -> Vec<Problem> {
        let mut notes: Vec<&Note> = notes.iter().collect();
        notes.sort_by_key(|note| note.at.offset);
        let mut place = Place::default();
        let placed = notes.into_iter().map(|note| {
            let offset = note.at.offset.saturating_sub(self.prefix);
            let Place { line, column, .. } = *place.move_to(self.text, offset);
            Problem {
                file: file.to_owned(),
                line,
                column,
                key: note.at.key.clone(),
                what: note.what.clone(),
                fix: note.fix.clone(),
            }
        });
        placed.collect()
    }
}

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            let longer = word.len().max(candidate.len());
            *distance <= 1 + longer / 4 && *distance < longer
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn note(at: &At, what: String, fix: String) -> Note {
    Note {
        at: at.clone(),
        what,
        fix,
    }
}

/// A place that moves forward through a text, so that many mistakes cost one reading.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    line: usize,
    column: usize,
}

impl Default for Place {
    fn default() -> Self {
        Place {
            offset: 0,
            line: 1,
            column: 1,
        }
    }
}

impl Place {
    /// Moves to the character at `offset`, which is not before this place.
    fn move_to(&mut self, text: &str, offset: usize) -> &Place {
        let passed = text.get(self.offset..).unwrap_or("");
        for (at, letter) in passed.char_indices() {
            if self.offset + at + letter.len_utf8() > offset {
                self.offset += at;
                return self;
            }
            if letter == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.offset = text.len();
        self
    }
}

/// Edits (insert, delete, replace, swap of neighbours) between two words, case ignored, `-` and
/// `_` the same.
fn distance(left: &str, right: &str) -> usize {
    let folded = |word: &str| -> Vec<u8> {
        word.bytes()
            .map(|byte| {
                if byte == b'-' {
                    b'_'
                } else {
                    byte.to_ascii_lowercase()
                }
            })
            .collect()
    };
    let (left, right) = (folded(left), folded(right));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replaced = above[j] + usize::from(a != b);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = above;
        above = row;
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_leaves_strangers_alone() {
        let keys = ["address", "backlog", "group", "name"];
        assert_eq!(nearest("adress", keys), Some("address"));
        assert_eq!(nearest("gruop", keys), Some("group"));
        assert_eq!(nearest("Back-Log", keys), Some("backlog"));
        assert_eq!(nearest("zone", ["a"]), None);
        assert_eq!(nearest("x", keys), None);
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "a = 1\n\u{e4}\u{e4} = 2\n";
        let position = |text, offset| {
            let mut place = Place::default();
            let Place { line, column, .. } = *place.move_to(text, offset);
            let problems = Problems::new(text);
            let key = String::new();
            assert_eq!(problems.line(&At { offset, key }), line);
            (line, column)
        };
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 10), (2, 3));
        assert_eq!(position(text, 7), (2, 1));
        assert_eq!(position(text, 999), (3, 1));
    }
}
