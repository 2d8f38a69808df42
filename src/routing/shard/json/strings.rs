//! Strings: their characters go to the key, to the name that is looked for, or nowhere. Escapes are
//! decoded as they come, a half surrogate pair is malformed.

use super::super::key::Full;
use super::super::pointer::Token;
use super::lexis::plain_run;
use super::{Found, Scanner, Sink, State};

impl Scanner {
    /// Characters of a string up to its end, an escape, or the end of the piece.
    #[inline]
    pub(super) fn text(&mut self, tokens: &[Token], rest: &[u8]) -> Result<usize, Found> {
        let run = plain_run(rest);
        if self.sink != Sink::Skip {
            self.emit(tokens, &rest[..run])?;
        }
        match rest.get(run) {
            None => return Ok(run),
            Some(b'"') if self.in_name => self.name_done(tokens)?,
            Some(b'"') => self.value_done()?,
            Some(b'\\') => self.state = State::Escape,
            Some(_) => return Err(Found::Malformed),
        }
        Ok(run + 1)
    }

    pub(super) fn name_done(&mut self, tokens: &[Token]) -> Result<(), Found> {
        self.state = State::Colon;
        self.selected = false;
        let Sink::Compare(seen) = self.sink else {
            return Ok(());
        };
        let place = self.level as usize - 1;
        if seen != tokens[place].name.len() {
            return Ok(());
        }
        let bit = 1 << place;
        if self.taken & bit != 0 {
            return Err(Found::Malformed);
        }
        self.taken |= bit;
        self.selected = true;
        Ok(())
    }

    /// Decoded characters of the present string.
    pub(super) fn emit(&mut self, tokens: &[Token], bytes: &[u8]) -> Result<(), Found> {
        match self.sink {
            Sink::Collect => self.collect(bytes)?,
            Sink::Compare(seen) => {
                let wanted = &tokens[self.level as usize - 1].name[seen..];
                self.sink = if wanted.starts_with(bytes) {
                    Sink::Compare(seen + bytes.len())
                } else {
                    Sink::Skip
                };
            }
            Sink::Skip => {}
        }
        Ok(())
    }

    pub(super) fn collect(&mut self, bytes: &[u8]) -> Result<(), Found> {
        let full = |Full| Found::Oversized;
        self.key.extend(bytes).map_err(full)?;
        if self.key.bytes().len() > self.bytes_max {
            return Err(Found::Oversized);
        }
        Ok(())
    }

    pub(super) fn escape(&mut self, tokens: &[Token], byte: u8) -> Result<(), Found> {
        let meant = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.state = State::Unicode(0);
                return Ok(());
            }
            _ => return Err(Found::Malformed),
        };
        self.state = State::Text;
        self.emit(tokens, &[meant])
    }

    pub(super) fn unicode(&mut self, digits: u8, tokens: &[Token], byte: u8) -> Result<(), Found> {
        let digit = char::from(byte).to_digit(16).ok_or(Found::Malformed)?;
        // A digit is below 16, and the four of them make one unit.
        self.unit = self.unit << 4 | digit as u16;
        if digits < 3 {
            self.state = State::Unicode(digits + 1);
            return Ok(());
        }
        let unit = std::mem::take(&mut self.unit);
        let character = match self.high.take() {
            None if (0xd800..0xdc00).contains(&unit) => {
                self.high = Some(unit);
                self.state = State::LowSurrogate;
                return Ok(());
            }
            None => char::from_u32(u32::from(unit)),
            Some(high) => char::decode_utf16([high, unit]).next().and_then(Result::ok),
        };
        let character = character.ok_or(Found::Malformed)?;
        self.state = State::Text;
        self.emit(tokens, character.encode_utf8(&mut [0; 4]).as_bytes())
    }
}
