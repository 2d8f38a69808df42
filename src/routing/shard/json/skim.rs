//! The fast way through what nobody wants: whole tokens at a time, with the cursor and the nesting
//! in registers. It checks the same grammar as the scanner's steps do, and stops before any token
//! that is not ordinary or not wholly there: a blank but one after a colon or comma, an escape, a
//! member that may be on the path, the end of a container the path leads through, the end of the
//! piece, a mistake. The steps go on from there, one byte at a time, so what is found never
//! depends on how far this got.

use super::lexis::{ends_number, number_length, plain_run};
use super::{DEPTH_MAX, State};

/// Where in the document the scanner is.
pub(super) struct Nest {
    /// Open containers.
    pub(super) depth: u32,
    /// Those of them that are on the path.
    pub(super) level: u32,
    /// For each, the innermost in the lowest bit, whether it is an object.
    pub(super) objects: u128,
}

impl Nest {
    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    /// Whether members and elements here may be on the path.
    fn is_on_path(&self) -> bool {
        self.depth == self.level
    }

    fn open(&mut self, is_object: bool) {
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }
}

/// Reads whole tokens of `text` from `state` on, which is one before a token. `wanted` is the name
/// the path leads through next. Answers how many bytes were read and the state behind them.
pub(super) fn skim(
    text: &[u8],
    mut state: State,
    nest: &mut Nest,
    wanted: &[u8],
) -> (usize, State) {
    let mut at = 0;
    loop {
        let read = match state {
            State::Name | State::NameOrEnd => name(&text[at..], nest, wanted),
            State::Value | State::ValueOrEnd => value(&text[at..], nest),
            State::After => after(&text[at..], nest),
            _ => None,
        };
        let Some((length, next)) = read else {
            return (at, state);
        };
        at += length;
        state = next;
    }
}

/// A name and its colon.
#[inline(always)]
fn name(text: &[u8], nest: &Nest, wanted: &[u8]) -> Option<(usize, State)> {
    let length = string_length(text)?;
    if text.get(length) != Some(&b':') || nest.is_on_path() && &text[1..length - 1] == wanted {
        return None;
    }
    Some((length + 1 + blank(text, length + 1), State::Value))
}

#[inline(always)]
fn value(text: &[u8], nest: &mut Nest) -> Option<(usize, State)> {
    if nest.is_on_path() && !nest.in_object() {
        // Elements of an array on the path are counted.
        return None;
    }
    let length = match text.first()? {
        b'"' => string_length(text)?,
        b'{' | b'[' if nest.depth == DEPTH_MAX => return None,
        b'{' => {
            nest.open(true);
            return Some((1, State::NameOrEnd));
        }
        b'[' => {
            nest.open(false);
            return Some((1, State::ValueOrEnd));
        }
        b't' if text.starts_with(b"true") => 4,
        b'f' if text.starts_with(b"false") => 5,
        b'n' if text.starts_with(b"null") => 4,
        b'-' | b'0'..=b'9' => {
            let length = number_length(text)?;
            // A number shows its end only by what follows.
            return ends_number(*text.get(length)?).then_some((length, State::After));
        }
        _ => return None,
    };
    Some((length, State::After))
}

/// A comma, or the end of a container that is not on the path.
#[inline(always)]
fn after(text: &[u8], nest: &mut Nest) -> Option<(usize, State)> {
    match (text.first()?, nest.in_object()) {
        (b',', true) => Some((1 + blank(text, 1), State::Name)),
        (b',', false) => Some((1 + blank(text, 1), State::Value)),
        (b'}', true) | (b']', false) if !nest.is_on_path() => {
            nest.close();
            Some((1, State::After))
        }
        _ => None,
    }
}

/// Bytes of the string at the beginning of `text` with its quotes, if it has no escape.
#[inline(always)]
fn string_length(text: &[u8]) -> Option<usize> {
    let (b'"', rest) = text.split_first()? else {
        return None;
    };
    let run = plain_run(rest);
    (rest.get(run) == Some(&b'"')).then_some(run + 2)
}

/// One space at `at`, which is what most writers put there.
#[inline(always)]
fn blank(text: &[u8], at: usize) -> usize {
    usize::from(text.get(at) == Some(&b' '))
}
