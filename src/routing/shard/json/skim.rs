//! The fast way through what nobody wants: token by token as [`blocks`](super::blocks) finds them,
//! with the cursor and the nesting in registers. It checks the same grammar as the scanner's steps
//! do, and stops before any token that is not ordinary or not wholly there: an escape, a member
//! that may be on the path, the end of a container the path leads through, the end of the piece, a
//! mistake. The steps go on from there, one byte at a time, so what is found never depends on how
//! far this got.

use super::blocks::Tokens;
use super::lexis::{ends_number, number_length};
use super::{DEPTH_MAX, State};

/// Where in the document the scanner is.
#[derive(Clone, Copy)]
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

/// What stands next: the states of the scanner in which a token begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    After,
    Colon,
    Name,
    NameOrEnd,
    Value,
    ValueOrEnd,
}

impl Next {
    fn of(state: State) -> Option<Next> {
        Some(match state {
            State::After => Next::After,
            State::Colon => Next::Colon,
            State::Name => Next::Name,
            State::NameOrEnd => Next::NameOrEnd,
            State::Value => Next::Value,
            State::ValueOrEnd => Next::ValueOrEnd,
            _ => return None,
        })
    }

    fn state(self) -> State {
        match self {
            Next::After => State::After,
            Next::Colon => State::Colon,
            Next::Name => State::Name,
            Next::NameOrEnd => State::NameOrEnd,
            Next::Value => State::Value,
            Next::ValueOrEnd => State::ValueOrEnd,
        }
    }
}

/// Reads whole tokens of `text` from `state` on, which is one before a token. `wanted` is the name
/// the path leads through next. Answers how many bytes were read and the state behind them.
pub(super) fn skim(text: &[u8], state: State, nest: &mut Nest, wanted: &[u8]) -> (usize, State) {
    let Some(next) = Next::of(state) else {
        return (0, state);
    };
    let mut skim = Skim {
        text,
        tokens: Tokens::new(text),
        nest: *nest,
        wanted,
        next,
        at: 0,
        string: (0, next),
    };
    skim.run();
    *nest = skim.nest;
    // A string that was not seen whole was not read.
    let (at, next) = match skim.at == skim.tokens.end() && skim.tokens.is_torn() {
        true => skim.string,
        false => (skim.at, skim.next),
    };
    (at, next.state())
}

/// Everything is passed by value, so that it stays in registers.
struct Skim<'s> {
    text: &'s [u8],
    tokens: Tokens<'s>,
    nest: Nest,
    wanted: &'s [u8],
    /// What stands next, at the token that was looked at last.
    next: Next,
    /// Where that is, or where the tokens ended.
    at: usize,
    /// Where the last string began, and what stood next there.
    string: (usize, Next),
}

impl Skim<'_> {
    /// Until a token is not ordinary: one member or element after the other.
    #[inline(always)]
    fn run(&mut self) -> Option<()> {
        loop {
            if let Next::Name | Next::NameOrEnd = self.next {
                self.name()?;
            }
            if let Next::Colon = self.next {
                if self.token()? != b':' {
                    return None;
                }
                self.next = Next::Value;
            }
            if let Next::Value | Next::ValueOrEnd = self.next {
                self.value()?;
            }
            while let Next::After = self.next {
                self.after()?;
            }
        }
    }

    /// The first byte of the next token.
    #[inline(always)]
    fn token(&mut self) -> Option<u8> {
        let next = self.tokens.next();
        self.at = next.unwrap_or(self.tokens.end());
        next.map(|at| self.text[at])
    }

    /// A name, or the end of an object without one.
    #[inline(always)]
    fn name(&mut self) -> Option<()> {
        let byte = self.token()?;
        if byte == b'"' {
            if self.nest.is_on_path() && is_name(self.text, self.at, self.wanted) {
                return None;
            }
            self.string = (self.at, self.next);
            self.next = Next::Colon;
            return Some(());
        }
        if byte == b'}' && self.next == Next::NameOrEnd {
            return self.close();
        }
        None
    }

    #[inline(always)]
    fn value(&mut self) -> Option<()> {
        let byte = self.token()?;
        if self.nest.is_on_path() && !self.nest.in_object() {
            // Elements of an array on the path are counted.
            return None;
        }
        let length = match byte {
            b'"' => {
                self.string = (self.at, self.next);
                self.next = Next::After;
                return Some(());
            }
            b'{' | b'[' if self.nest.depth == DEPTH_MAX => return None,
            b'{' => {
                self.nest.open(true);
                self.next = Next::NameOrEnd;
                return Some(());
            }
            b'[' => {
                self.nest.open(false);
                self.next = Next::ValueOrEnd;
                return Some(());
            }
            b']' if self.next == Next::ValueOrEnd => return self.close(),
            b't' => word_length(self.text, self.at, b"true")?,
            b'f' => word_length(self.text, self.at, b"false")?,
            b'n' => word_length(self.text, self.at, b"null")?,
            b'-' | b'0'..=b'9' => number_length(&self.text[self.at..])?,
            _ => return None,
        };
        // A number shows its end only by what follows.
        if !ends_number(*self.text.get(self.at + length)?) {
            return None;
        }
        self.next = Next::After;
        Some(())
    }

    /// A comma, or the end of a container that is not on the path.
    #[inline(always)]
    fn after(&mut self) -> Option<()> {
        let in_object = self.nest.in_object();
        match (self.token()?, in_object) {
            (b',', _) => {}
            (b'}', true) | (b']', false) => return self.close(),
            _ => return None,
        }
        self.next = if in_object { Next::Name } else { Next::Value };
        Some(())
    }

    #[inline(always)]
    fn close(&mut self) -> Option<()> {
        if self.nest.is_on_path() {
            return None;
        }
        self.nest.close();
        self.next = Next::After;
        Some(())
    }
}

/// Whether the string that begins at `at` is this name, as far as it is there.
#[inline(never)]
fn is_name(text: &[u8], at: usize, name: &[u8]) -> bool {
    let after = text[at + 1..].strip_prefix(name);
    after.is_some_and(|after| after.first().is_none_or(|byte| *byte == b'"'))
}

/// Bytes of `word`, if it stands at `at`.
#[inline(always)]
fn word_length(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text[at..].starts_with(word).then_some(word.len())
}
