//! What a command tells, on the standard output.

use std::io::{self, Write};

/// Writes `text` and everything before it. Whoever reads may have seen enough (`weir ... | head`):
/// a closed pipe is no failure.
///
/// # Errors
/// When it cannot be written for any other reason, such as a full disk.
pub fn show(text: &str) -> io::Result<()> {
    forgiven(io::stdout().lock(), text)
}

/// The same where nothing else depends on it: what cannot be written is said on standard error.
pub fn tell(text: &str) {
    if let Err(error) = show(text) {
        eprintln!("weir: cannot write: {error}");
    }
}

fn forgiven(mut to: impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_forgiven_and_a_full_disk_is_not() {
        assert!(forgiven(Failing(io::ErrorKind::BrokenPipe), "text").is_ok());
        let full = forgiven(Failing(io::ErrorKind::StorageFull), "text").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let mut to = Vec::new();
        forgiven(&mut to, "text").unwrap();
        assert_eq!(to, b"text");
    }
}
