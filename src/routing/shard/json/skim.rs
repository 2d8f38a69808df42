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
pub(super) fn skim(text: &[u8], state: State, nest: &mut Nest, wanted: &[u8]) -> (usize, State) {
    let mut skim = Skim {
        text,
        tokens: Tokens::new(text),
        nest,
        wanted,
        state,
        at: 0,
        string: (0, state),
    };
    skim.run();
    // A string that was not seen whole was not read.
    match skim.at == skim.tokens.end() && skim.tokens.is_torn() {
        true => skim.string,
        false => (skim.at, skim.state),
    }
}

struct Skim<'s> {
    text: &'s [u8],
    tokens: Tokens<'s>,
    nest: &'s mut Nest,
    wanted: &'s [u8],
    /// What stands next, at the token that was looked at last.
    state: State,
    /// Where that is, or where the tokens ended.
    at: usize,
    /// Where the last string began, and the state before it.
    string: (usize, State),
}

impl Skim<'_> {
    /// Until a token is not ordinary: one member or element after the other.
    #[inline(always)]
    fn run(&mut self) -> Option<()> {
        loop {
            if let State::Name | State::NameOrEnd = self.state {
                self.name()?;
            }
            if let State::Colon = self.state {
                self.expect(b':')?;
                self.state = State::Value;
            }
            if let State::Value | State::ValueOrEnd = self.state {
                self.value()?;
            }
            while let State::After = self.state {
                self.after()?;
            }
        }
    }

    /// The first byte of the next token.
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        let next = self.tokens.next();
        self.at = next.unwrap_or(self.tokens.end());
        next.map(|at| self.text[at])
    }

    #[inline(always)]
    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// A name, or the end of an object without one.
    #[inline(always)]
    fn name(&mut self) -> Option<()> {
        match (self.next()?, self.state) {
            (b'"', _) if !self.nest.is_on_path() || !self.is_wanted() => {
                self.string = (self.at, self.state);
                self.state = State::Colon;
                Some(())
            }
            (b'}', State::NameOrEnd) => self.close(),
            _ => None,
        }
    }

    /// Whether the name here is the one the path leads through.
    #[inline(never)]
    fn is_wanted(&self) -> bool {
        let after = self.text[self.at + 1..].strip_prefix(self.wanted);
        after.is_some_and(|after| after.first().is_none_or(|byte| *byte == b'"'))
    }

    #[inline(always)]
    fn value(&mut self) -> Option<()> {
        let byte = self.next()?;
        if self.nest.is_on_path() && !self.nest.in_object() {
            // Elements of an array on the path are counted.
            return None;
        }
        let word = match byte {
            b'"' => {
                self.string = (self.at, self.state);
                self.state = State::After;
                return Some(());
            }
            b'{' | b'[' if self.nest.depth == DEPTH_MAX => return None,
            b'{' => {
                self.nest.open(true);
                self.state = State::NameOrEnd;
                return Some(());
            }
            b'[' => {
                self.nest.open(false);
                self.state = State::ValueOrEnd;
                return Some(());
            }
            b']' if self.state == State::ValueOrEnd => return self.close(),
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            b'-' | b'0'..=b'9' => number_length(&self.text[self.at..])?,
            _ => return None,
        };
        // A number shows its end only by what follows.
        if !ends_number(*self.text.get(self.at + word)?) {
            return None;
        }
        self.state = State::After;
        Some(())
    }

    #[inline(always)]
    fn word(&self, word: &[u8]) -> Option<usize> {
        let is_there = self.text[self.at..].starts_with(word);
        is_there.then_some(word.len())
    }

    /// A comma, or the end of a container that is not on the path.
    #[inline(always)]
    fn after(&mut self) -> Option<()> {
        match (self.next()?, self.nest.in_object()) {
            (b',', true) => {
                self.state = State::Name;
                Some(())
            }
            (b',', false) => {
                self.state = State::Value;
                Some(())
            }
            (b'}', true) | (b']', false) => self.close(),
            _ => None,
        }
    }

    #[inline(always)]
    fn close(&mut self) -> Option<()> {
        if self.nest.is_on_path() {
            return None;
        }
        self.nest.close();
        self.state = State::After;
        Some(())
    }
}
