//! Carrying a body from one connection to the other, re-framed where the two sides differ.
//!
//! A `Body` counts bytes that pass unchanged (`take_verbatim`) or decodes and encodes
//! (`transcode`). It stops exactly at the end of the body and never writes the end of a body whose
//! end it has not seen, so that a truncated body stays recognisably truncated (RFC 9112 8).
//! Chunk sizes and extensions are never forwarded (RFC 9112 7.1.1); their total is bounded in
//! proportion to the data, so that they cannot be used to send for free.

use super::chunk::{SizeLine, write_size};
use super::framing::Framing;
use super::head::Refusal;
use super::trailers;

/// How the receiver will find the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Chunked transfer coding.
    Chunked,
    /// The bytes as they are: by Content-Length or until close.
    Raw,
}

/// Bounds on one body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Most bytes of content; `u64::MAX` for no limit. Beyond it is 413.
    pub body_bytes: u64,
    /// Most bytes of a trailer section. Beyond it is 431.
    pub trailer_bytes: usize,
}

/// Size lines may use this much more than what the data has earned.
const OVERHEAD_MAX: u32 = 4096;
/// Bytes of size line that each byte of data earns: one-byte chunks stay free of charge.
const OVERHEAD_PER_BYTE: usize = 16;

const TOO_LARGE: Refusal = Refusal::new(413, "body-too-large");
const TRUNCATED: Refusal = Refusal::bad("body-truncated");
const REFUSED_BEFORE: Refusal = Refusal::bad("body-refused");

const _: () = assert!(
    size_of::<Body>() <= 48,
    "one per direction of every busy connection"
);

#[derive(Clone, Copy, Debug)]
enum State {
    /// Chunk data, or the whole of a body that is not chunked.
    Data,
    DataCr,
    DataLf,
    Done,
    Failed,
    Size(SizeLine),
    /// CR of the final empty line seen.
    TrailerEnd,
    TrailerLf,
    TrailerLine,
    TrailerStart,
}

/// The progress of one body.
#[derive(Debug)]
pub struct Body {
    /// Of the chunk, or of the body if its length is known.
    remaining: u64,
    bytes: u64,
    body_bytes_max: u64,
    trailers: Option<Box<Section>>,
    state: State,
    overhead: u32,
    trailer_bytes_max: u32,
    input: Input,
    output: Output,
}

/// A trailer section as read so far.
#[derive(Debug, Default)]
struct Section {
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Chunked,
    Length,
    UntilClose,
}

impl Body {
    /// A body at its beginning.
    #[must_use]
    pub fn new(input: Framing, output: Output, limits: BodyLimits) -> Self {
        let (input, remaining, state) = match input {
            Framing::Chunked => (Input::Chunked, 0, State::Size(SizeLine::START)),
            Framing::Empty => (Input::Length, 0, State::Done),
            // The last-chunk of an empty body is still to be written.
            Framing::Length(0) if output == Output::Raw => (Input::Length, 0, State::Done),
            Framing::Length(length) => (Input::Length, length, State::Data),
            Framing::UntilClose => (Input::UntilClose, 0, State::Data),
        };
        Self {
            remaining,
            bytes: 0,
            body_bytes_max: limits.body_bytes,
            trailers: None,
            state,
            overhead: 0,
            trailer_bytes_max: u32::try_from(limits.trailer_bytes).unwrap_or(u32::MAX),
            input,
            output,
        }
    }

    /// The end of the body was reached and, if transcoding, written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes pass unchanged: use `take_verbatim`, no copy needed.
    #[must_use]
    pub fn is_verbatim(&self) -> bool {
        self.input != Input::Chunked && self.output == Output::Raw
    }

    /// The declared length, or what came so far, is over the limit. Ask once at the start to refuse
    /// a declared length at once, and after `take_verbatim`, which cannot refuse.
    #[must_use]
    pub fn is_oversized(&self) -> bool {
        let declared = if self.input == Input::Length {
            self.remaining
        } else {
            0
        };
        self.bytes.saturating_add(declared) > self.body_bytes_max
    }

    /// Counts bytes that will be relayed unchanged; fewer than `available` at the end of the body.
    pub fn take_verbatim(&mut self, available: usize) -> usize {
        debug_assert!(self.is_verbatim(), "transcode a body that changes");
        if !matches!(self.state, State::Data) {
            return 0;
        }
        let taken = self.data_within(available);
        self.count(taken);
        taken
    }

    /// Bytes still to come, if the length is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        (self.input == Input::Length).then_some(self.remaining)
    }

    /// Content bytes so far, without framing.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads `input`, appends what the receiver is to get, and says how much was read: all of it
    /// unless the body ended. After a refusal the body stays refused.
    pub fn transcode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let result = match self.input {
            Input::Chunked => self.decode(input, out),
            Input::Length | Input::UntilClose => self.pass(input, out),
        };
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// The sender closed. Fine for a body that ends so; anything else unfinished is truncated.
    pub fn finish_at_eof(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match self.state {
            State::Done => Ok(()),
            State::Failed => Err(REFUSED_BEFORE),
            // A known length in `Data` with nothing left is an empty body never transcoded.
            State::Data if self.input == Input::UntilClose || self.remaining == 0 => {
                self.finish(out);
                Ok(())
            }
            _ => {
                self.state = State::Failed;
                Err(TRUNCATED)
            }
        }
    }

    fn pass(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        match self.state {
            State::Data => {}
            State::Failed => return Err(REFUSED_BEFORE),
            _ => return Ok(0),
        }
        if self.is_oversized() {
            return Err(TOO_LARGE);
        }
        let taken = self.data_within(input.len());
        if self.body_bytes_max - self.bytes < taken as u64 {
            return Err(TOO_LARGE);
        }
        self.emit(&input[..taken], out);
        if self.input == Input::Length && self.remaining == 0 {
            self.finish(out);
        }
        Ok(taken)
    }

    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Done => break,
                State::Failed => return Err(REFUSED_BEFORE),
                State::Data => {
                    let taken = self.data_within(input.len() - at);
                    self.emit(&input[at..at + taken], out);
                    self.earn(taken);
                    at += taken;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                }
                State::TrailerLine => at += self.collect_trailer(&input[at..])?,
                _ => {
                    self.step(input[at], out)?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.state = match (self.state, byte) {
            (State::Size(line), _) => return self.size_line(line, byte),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(SizeLine::START),
            (State::TrailerStart, b'\r') => State::TrailerEnd,
            (State::TrailerStart, _) => {
                self.trailer_byte(byte)?;
                State::TrailerLine
            }
            (State::TrailerLf, b'\n') => {
                self.trailer_byte(byte)?;
                State::TrailerStart
            }
            (State::TrailerEnd, b'\n') => return self.finish_chunked(out),
            _ => return Err(Refusal::bad("chunk-end")),
        };
        Ok(())
    }

    fn size_line(&mut self, mut line: SizeLine, byte: u8) -> Result<(), Refusal> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_MAX {
            return Err(Refusal::bad("chunk-overhead"));
        }
        let is_complete = line.take(byte, &mut self.remaining)?;
        if self.remaining > self.body_bytes_max.saturating_sub(self.bytes) {
            return Err(TOO_LARGE);
        }
        self.state = match (is_complete, self.remaining) {
            (false, _) => State::Size(line),
            (true, 0) => State::TrailerStart,
            (true, _) => State::Data,
        };
        Ok(())
    }

    /// The rest of a trailer line up to its CR; returns the bytes read.
    fn collect_trailer(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let end = memchr::memchr2(b'\r', b'\n', input);
        let line = &input[..end.unwrap_or(input.len())];
        let section = self.trailers.get_or_insert_default();
        if section.bytes.len() + line.len() > self.trailer_bytes_max as usize {
            return Err(Refusal::new(431, "trailers-too-large"));
        }
        section.bytes.extend_from_slice(line);
        let Some(end) = end else {
            return Ok(input.len());
        };
        if input[end] == b'\n' {
            return Err(Refusal::bad("trailer"));
        }
        self.trailer_byte(b'\r')?;
        self.state = State::TrailerLf;
        Ok(end + 1)
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<(), Refusal> {
        let section = self.trailers.get_or_insert_default();
        if section.bytes.len() >= self.trailer_bytes_max as usize {
            return Err(Refusal::new(431, "trailers-too-large"));
        }
        section.bytes.push(byte);
        Ok(())
    }

    fn finish_chunked(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some(section) = self.trailers.take() else {
            self.finish(out);
            return Ok(());
        };
        let mut allowed = Vec::new();
        trailers::write_allowed(&mut allowed, &section.bytes)?;
        if self.output == Output::Chunked {
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(&allowed);
            out.extend_from_slice(b"\r\n");
        }
        self.state = State::Done;
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.output == Output::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.state = State::Done;
    }

    /// How many of `available` bytes are data before the next framing.
    fn data_within(&self, available: usize) -> usize {
        match self.input {
            Input::UntilClose => available,
            _ => usize::try_from(self.remaining).map_or(available, |rest| rest.min(available)),
        }
    }

    fn emit(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.count(data.len());
        if data.is_empty() {
            // An empty chunk would be the last one.
            return;
        }
        if self.output == Output::Chunked {
            out.reserve(data.len() + 32);
            write_size(out, data.len());
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(data);
        }
    }

    fn count(&mut self, taken: usize) {
        self.bytes = self.bytes.saturating_add(taken as u64);
        if self.input != Input::UntilClose {
            self.remaining -= taken as u64;
            if self.remaining == 0 && self.is_verbatim() {
                self.state = State::Done;
            }
        }
    }

    fn earn(&mut self, data: usize) {
        let earned = u32::try_from(data.saturating_mul(OVERHEAD_PER_BYTE)).unwrap_or(u32::MAX);
        self.overhead = self.overhead.saturating_sub(earned);
    }
}
