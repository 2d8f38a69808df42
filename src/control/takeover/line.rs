//! Words and descriptors over a unix socket.
//!
//! A word is its length (four bytes, big-endian) and its JSON. Descriptors travel with the length:
//! the kernel never joins bytes that came with descriptors to bytes that came with others, so they
//! arrive with it and with nothing else.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::words::Word;
use crate::telemetry::totals::Totals;

/// Descriptors of one word; the kernel takes 253 at most.
pub(super) const DESCRIPTORS_MAX: usize = 128;

/// Bytes of one word: 16,384 groups of backends with something known of each stay below.
const WORD_BYTES_MAX: usize = 256 << 20;

/// How long the new process may take to hear what was counted. It has a thread that listens.
const TELL_WITHIN: Duration = Duration::from_secs(2);

/// A refusal is a courtesy; nobody is waited for.
const REFUSE_WITHIN: Duration = Duration::from_millis(100);

/// One end of the line.
#[derive(Debug)]
pub struct Line(UnixStream);

impl Line {
    pub(super) fn new(stream: UnixStream) -> Line {
        Line(stream)
    }

    /// Another handle of the same end.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn try_clone(&self) -> io::Result<Line> {
        self.0.try_clone().map(Line)
    }

    /// Tells the process that has taken over what was counted here.
    ///
    /// # Errors
    /// When it does not listen any more, or takes too long.
    pub fn tell(&self, totals: Totals) -> io::Result<()> {
        self.wait_at_most(Some(TELL_WITHIN))?;
        self.send(&Word::Counted(Box::new(totals)), &[])
    }

    /// How long a word may take from now on; for ever, if not said.
    pub(super) fn wait_at_most(&self, timeout: Option<Duration>) -> io::Result<()> {
        // Zero means for ever to the kernel.
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_millis(1)));
        self.0.set_read_timeout(timeout)?;
        self.0.set_write_timeout(timeout)
    }

    /// Says that all stays as it is, if anybody listens.
    pub fn refuse(&self, why: &str) {
        let word = Word::Keep { why: why.into() };
        if self.wait_at_most(Some(REFUSE_WITHIN)).is_ok() {
            let _ = self.send(&word, &[]);
        }
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// Says a word, with descriptors.
    pub(super) fn send(&self, word: &Word, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        debug_assert!(fds.len() <= DESCRIPTORS_MAX, "split by the caller");
        let text = serde_json::to_vec(word)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut with = SendAncillaryBuffer::new(&mut room);
        if !fds.is_empty() && !with.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::other("too many descriptors"));
        }
        let head = length.to_be_bytes();
        let parts = [IoSlice::new(&head)];
        let sent = retry_on_intr(|| sendmsg(&self.0, &parts, &mut with, SendFlags::NOSIGNAL))?;
        (&self.0).write_all(&head[sent..])?;
        (&self.0).write_all(&text)
    }

    /// The next word with its descriptors; none at the end.
    pub(super) fn receive(&self) -> io::Result<Option<(Word, Vec<OwnedFd>)>> {
        let mut fds = Vec::new();
        let mut head = [0; 4];
        let first = self.receive_head(&mut head, &mut fds)?;
        if first == 0 {
            return Ok(None);
        }
        (&self.0).read_exact(&mut head[first..])?;
        let length = u32::from_be_bytes(head) as usize;
        if length > WORD_BYTES_MAX {
            return Err(io::Error::other(format!("a word of {length} bytes")));
        }
        let mut text = vec![0; length];
        (&self.0).read_exact(&mut text)?;
        let word = serde_json::from_slice(&text)?;
        Ok(Some((word, fds)))
    }

    fn receive_head(&self, head: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut with = RecvAncillaryBuffer::new(&mut room);
        let mut into = [IoSliceMut::new(head)];
        // With a time limit a call is not restarted, and work of a ring interrupts it.
        let received =
            retry_on_intr(|| recvmsg(&self.0, &mut into, &mut with, RecvFlags::CMSG_CLOEXEC))?;
        for message in with.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = message {
                fds.extend(more);
            }
        }
        Ok(received.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::super::words::Place;
    use super::*;

    #[test]
    fn words_and_descriptors_arrive_in_order() {
        let (left, right) = UnixStream::pair().unwrap();
        let (left, right) = (Line::new(left), Line::new(right));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "mine").unwrap();
        let open = File::open(file.path()).unwrap();
        let place = Place::Admin("127.0.0.1:1".parse().unwrap());
        let many = vec![open.as_fd(); DESCRIPTORS_MAX];
        let places = vec![place; DESCRIPTORS_MAX];
        left.send(&Word::Sockets(places.clone()), &many).unwrap();
        left.send(&Word::Serving, &[]).unwrap();
        left.send(&Word::Sockets(places[..1].to_vec()), &many[..1])
            .unwrap();
        drop(left);
        let (word, fds) = right.receive().unwrap().unwrap();
        assert!(matches!(word, Word::Sockets(found) if found == places));
        assert_eq!(fds.len(), DESCRIPTORS_MAX);
        let (word, fds) = right.receive().unwrap().unwrap();
        assert!(matches!(word, Word::Serving) && fds.is_empty());
        let (_, fds) = right.receive().unwrap().unwrap();
        let mut text = String::new();
        let last = fds.into_iter().next_back().unwrap();
        File::from(last).read_to_string(&mut text).unwrap();
        assert_eq!(text, "mine");
        assert!(right.receive().unwrap().is_none());
    }

    #[test]
    fn what_is_no_word_and_what_does_not_come_are_errors() {
        let (left, right) = UnixStream::pair().unwrap();
        let line = Line::new(right);
        line.wait_at_most(Some(Duration::from_millis(10))).unwrap();
        let silent = line.receive().unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::WouldBlock);
        (&left).write_all(b"\0\0\0\x02no").unwrap();
        assert!(line.receive().is_err());
        (&left).write_all(b"\xff\xff\xff\xff").unwrap();
        assert!(line.receive().is_err());
        (&left).write_all(b"\0\0").unwrap();
        drop(left);
        assert!(line.receive().is_err());
    }
}
