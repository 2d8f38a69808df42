//! Follows one pointer into a JSON document that arrives in pieces, and stops at the value.
//!
//! Everything before the value is checked against the grammar of RFC 8259, because a document
//! another parser rejects must not choose a group here; UTF-8 is checked in the key only. Nothing
//! is kept of what is skipped: the state is a bit for each open container and the bytes of the
//! key, so memory does not depend on the document. Nesting deeper than [`DEPTH_MAX`] is malformed,
//! as it is for the parsers of most backends.
//!
//! A string is taken unescaped; an integer, `true` and `false` as written. Anything else in the
//! value's place is malformed, and what is longer than the limit is oversized. Of two faults the
//! first byte that shows one decides, however the document was cut: a fraction behind more digits
//! than are allowed is not seen, as nothing is behind a string that is too long.
//!
//! **Names that are there twice** are malformed where both stand on the path and before the value:
//! `{"a":{}, "a":{"b":1}}` for `/a/b`. What follows the value is
//! not looked at, so of `{"a":1, "a":2}` the first one is taken, although a backend may take the
//! second: to see it we would have to hold back every request until its last byte.

mod blocks;
mod lexis;
mod skim;
mod strings;

use self::lexis::{Number, ends_number, is_blank};
use self::skim::{Nest, skim};
use super::key::{Extracted, KeyRoom, bounded};
use super::pointer::{Pointer, Token};

/// Containers inside each other. The bits of `Scanner::objects` are as many.
pub const DEPTH_MAX: u32 = 128;

/// Steps of a pointer. The bits of `Scanner::taken` are as many.
const TOKENS_MAX: usize = crate::base::limits::SHARD_POINTER_TOKENS_MAX;
const _: () = assert!(TOKENS_MAX <= u32::BITS as usize && TOKENS_MAX <= DEPTH_MAX as usize);

/// What came of reading a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The rest need not be read; [`Scanner::key`] tells what was found.
    Done,
    /// The value has not been seen yet.
    More,
}

/// What was found; the key itself is in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Key,
    Malformed,
    Missing,
    Oversized,
}

/// What stands next in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A comma, or the end of the container.
    After,
    Colon,
    Done(Found),
    Escape,
    /// The second half of a surrogate pair, from its backslash.
    LowSurrogate,
    LowSurrogateU,
    /// What is left of `true`, `false` or `null`.
    Literal(&'static [u8]),
    /// A name.
    Name,
    NameOrEnd,
    Number(Number),
    Text,
    /// So many hexadecimal digits were read.
    Unicode(u8),
    Value,
    ValueOrEnd,
}

/// Where the characters of the present string go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    /// They are the key.
    Collect,
    /// They are a name; so many bytes of the wanted one were seen.
    Compare(usize),
    /// Nobody wants them.
    Skip,
}

/// The state of a search.
pub struct Scanner {
    state: State,
    /// The present string is the name of a member.
    in_name: bool,
    sink: Sink,
    /// The value that comes next is on the path.
    selected: bool,
    /// Open containers.
    depth: u32,
    /// Open containers that are on the path; they are the outermost ones.
    level: u32,
    /// For each open container, the innermost in the lowest bit, whether it is an object.
    objects: u128,
    /// For each level whether the path's next step was seen in it.
    taken: u32,
    /// Position of the next element of the innermost array on the path.
    element: u64,
    /// Digits of an escape so far.
    unit: u16,
    /// First half of a surrogate pair.
    high: Option<u16>,
    bytes_max: usize,
    key: KeyRoom,
}

impl Scanner {
    /// A search for a value of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Scanner {
            state: State::Value,
            in_name: false,
            sink: Sink::Skip,
            selected: true,
            depth: 0,
            level: 0,
            objects: 0,
            taken: 0,
            element: 0,
            unit: 0,
            high: None,
            bytes_max,
            key: KeyRoom::default(),
        }
    }

    /// Reads the next piece of the document; `pointer` is always the same one.
    pub fn feed(&mut self, pointer: &Pointer, bytes: &[u8]) -> Scan {
        let mut rest = bytes;
        while let [first, ..] = rest {
            let skimmed = self.skim(pointer.tokens(), rest);
            if skimmed > 0 {
                rest = &rest[skimmed..];
                continue;
            }
            match self.step(pointer.tokens(), *first, rest) {
                Ok(used) => rest = &rest[used..],
                Err(found) => {
                    self.state = State::Done(found);
                    return Scan::Done;
                }
            }
        }
        Scan::More
    }

    /// The document is over.
    pub fn finish(&mut self, pointer: &Pointer) {
        let found = match self.state {
            State::Done(found) => found,
            // Only a number does not show its end.
            State::Number(number) if self.depth == 0 && number.is_complete() => {
                match pointer.tokens() {
                    [] => Found::Key,
                    _ => Found::Missing,
                }
            }
            State::Value if self.depth == 0 => Found::Missing,
            _ => Found::Malformed,
        };
        self.state = State::Done(found);
    }

    /// What was found, once it was.
    #[must_use]
    pub fn key(&self) -> Extracted<'_> {
        match self.state {
            State::Done(Found::Key) if std::str::from_utf8(self.key.bytes()).is_err() => {
                Extracted::Malformed
            }
            State::Done(Found::Key) => bounded(Extracted::Key(self.key.bytes()), self.bytes_max),
            State::Done(Found::Malformed) => Extracted::Malformed,
            State::Done(Found::Missing) => Extracted::Missing,
            State::Done(Found::Oversized) => Extracted::Oversized,
            _ => Extracted::NeedsBody,
        }
    }

    /// Reads whole tokens that nobody wants; how many bytes, possibly none.
    fn skim(&mut self, tokens: &[Token], rest: &[u8]) -> usize {
        let is_between = match self.state {
            State::After | State::Name | State::NameOrEnd => self.depth > 0,
            State::Value | State::ValueOrEnd => self.depth > 0 && !self.selected,
            _ => false,
        };
        // Elements of an array on the path are counted, one by one.
        let is_counting = self.depth == self.level && !self.in_object();
        if !is_between || is_counting {
            return 0;
        }
        let mut nest = Nest {
            depth: self.depth,
            level: self.level,
            objects: self.objects,
        };
        let wanted = tokens
            .get(self.level as usize - 1)
            .map_or(&[][..], |t| &t.name);
        let (read, state) = skim(rest, self.state, &mut nest, wanted);
        (self.depth, self.objects) = (nest.depth, nest.objects);
        self.state = state;
        // What was read is not on the path, so neither is the value that comes next.
        self.selected &= read == 0;
        read
    }

    /// Reads at least one byte, the first of `rest`, and says how many.
    #[inline]
    fn step(&mut self, tokens: &[Token], byte: u8, rest: &[u8]) -> Result<usize, Found> {
        match self.state {
            State::Text => return self.text(tokens, rest),
            State::Number(number) => return self.number(number, tokens, rest),
            State::After | State::Colon | State::Name | State::NameOrEnd => {
                if !is_blank(byte) {
                    self.structure(byte)?;
                }
            }
            State::Value | State::ValueOrEnd => {
                if !is_blank(byte) {
                    self.value(tokens, byte)?;
                }
            }
            State::Escape => self.escape(tokens, byte)?,
            State::Unicode(digits) => self.unicode(digits, tokens, byte)?,
            State::LowSurrogate => self.state = expect(byte, b'\\', State::LowSurrogateU)?,
            State::LowSurrogateU => self.state = expect(byte, b'u', State::Unicode(0))?,
            State::Literal(word) => self.literal(word, byte)?,
            State::Done(found) => return Err(found),
        }
        Ok(1)
    }

    /// A byte between values.
    #[inline]
    fn structure(&mut self, byte: u8) -> Result<(), Found> {
        self.state = match (self.state, byte) {
            (State::Name | State::NameOrEnd, b'"') => {
                self.in_name = true;
                self.sink = if self.depth == self.level {
                    Sink::Compare(0)
                } else {
                    Sink::Skip
                };
                State::Text
            }
            (State::Colon, b':') => State::Value,
            (State::After, b',') if self.in_object() => State::Name,
            (State::After, b',') => State::Value,
            (State::After | State::NameOrEnd, b'}') if self.in_object() => return self.close(),
            (State::After, b']') if !self.in_object() => return self.close(),
            _ => return Err(Found::Malformed),
        };
        Ok(())
    }

    /// The first byte of a value.
    fn value(&mut self, tokens: &[Token], byte: u8) -> Result<(), Found> {
        if byte == b']' && self.state == State::ValueOrEnd {
            return self.close();
        }
        if self.depth > 0 && !self.in_object() {
            self.select_element(tokens);
        }
        let is_target = self.selected && self.level as usize == tokens.len();
        self.in_name = false;
        self.sink = if is_target { Sink::Collect } else { Sink::Skip };
        match byte {
            b'"' => self.state = State::Text,
            b'{' | b'[' if is_target => return Err(Found::Malformed),
            b'{' => self.open(true)?,
            b'[' => self.open(false)?,
            b't' => self.state = State::Literal(b"rue"),
            b'f' => self.state = State::Literal(b"alse"),
            b'n' if is_target => return Err(Found::Malformed),
            b'n' => self.state = State::Literal(b"ull"),
            b'-' => self.state = State::Number(Number::Minus),
            b'0' => self.state = State::Number(Number::Zero),
            b'1'..=b'9' => self.state = State::Number(Number::Integer),
            _ => return Err(Found::Malformed),
        }
        if is_target && byte != b'"' {
            self.collect(&[byte])?;
        }
        Ok(())
    }

    /// Whether the element that begins here is on the path.
    fn select_element(&mut self, tokens: &[Token]) {
        self.selected = false;
        if self.depth != self.level {
            return;
        }
        let place = self.level as usize - 1;
        let bit = 1 << place;
        if self.taken & bit == 0 && tokens[place].index == Some(self.element) {
            self.taken |= bit;
            self.selected = true;
        }
        self.element += 1;
    }

    fn open(&mut self, is_object: bool) -> Result<(), Found> {
        if self.depth == DEPTH_MAX {
            return Err(Found::Malformed);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        if self.selected {
            self.level += 1;
            self.taken &= !(1 << (self.level - 1));
            self.element = 0;
            self.selected = false;
        }
        self.state = if is_object {
            State::NameOrEnd
        } else {
            State::ValueOrEnd
        };
        Ok(())
    }

    fn close(&mut self) -> Result<(), Found> {
        self.depth -= 1;
        self.objects >>= 1;
        self.level = self.level.min(self.depth);
        self.state = State::After;
        if self.depth == 0 {
            return Err(Found::Missing);
        }
        Ok(())
    }

    #[inline]
    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    /// A value is over; for the one that was looked for, so is the search.
    fn value_done(&mut self) -> Result<(), Found> {
        if self.sink == Sink::Collect {
            return Err(Found::Key);
        }
        if self.depth == 0 {
            return Err(Found::Missing);
        }
        self.state = State::After;
        Ok(())
    }

    fn literal(&mut self, word: &'static [u8], byte: u8) -> Result<(), Found> {
        let [wanted, rest @ ..] = word else {
            return Err(Found::Malformed);
        };
        if byte != *wanted {
            return Err(Found::Malformed);
        }
        if self.sink == Sink::Collect {
            self.collect(&[byte])?;
        }
        self.state = State::Literal(rest);
        if rest.is_empty() {
            self.value_done()?;
        }
        Ok(())
    }

    /// Digits up to the end of the number or of the piece. The byte after it is not read.
    fn number(&mut self, start: Number, tokens: &[Token], rest: &[u8]) -> Result<usize, Found> {
        let mut number = start;
        let mut used = 0;
        let room = match self.sink {
            Sink::Collect => self.bytes_max.saturating_sub(self.key.bytes().len()),
            Sink::Compare(_) | Sink::Skip => usize::MAX,
        };
        for byte in rest {
            match number.next(*byte) {
                Some(next) => number = next,
                None if !number.is_complete() || !ends_number(*byte) => {
                    return Err(Found::Malformed);
                }
                None => {
                    self.emit(tokens, &rest[..used])?;
                    self.value_done()?;
                    return Ok(used);
                }
            }
            if self.sink == Sink::Collect && !number.is_integer() {
                return Err(Found::Malformed);
            }
            if used == room {
                return Err(Found::Oversized);
            }
            used += 1;
        }
        self.emit(tokens, &rest[..used])?;
        self.state = State::Number(number);
        Ok(used)
    }
}

fn expect(byte: u8, wanted: u8, next: State) -> Result<State, Found> {
    if byte == wanted {
        Ok(next)
    } else {
        Err(Found::Malformed)
    }
}

#[cfg(test)]
mod tests;
