//! Plain fuzz entries: any bytes in, an assertion failure if an invariant breaks.
//!
//! What an agent says is decided by its first line alone, whatever follows it, and means the same
//! in capitals. A reason is bounded and can be printed.

use super::agent::{LINE_BYTES_MAX, Line, NotALine, parse};

/// What came from an agent.
pub fn fuzz_agent(bytes: &[u8]) {
    let line = parse(bytes);
    if let Ok(Line {
        serves: Some(Err(reason)),
        ..
    }) = &line
    {
        assert!(!reason.is_empty() && reason.len() <= 100, "{reason:?}");
        assert!(
            reason
                .bytes()
                .all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
        );
    }
    if line == Ok(Line::default()) {
        panic!("a line says something: {bytes:?}");
    }
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let first = bytes.split(ends).next().unwrap_or_default();
    assert_eq!(line, parse(first), "{bytes:?}");
    if first.len() < LINE_BYTES_MAX {
        let longer = [first, b"\nup drain 5% maxconn:3"].concat();
        assert_eq!(line, parse(&longer), "{bytes:?}");
    }
    let facts = |line: Result<Line, NotALine>| {
        let Line {
            wish,
            serves,
            share,
            capacity,
        } = line?;
        Ok::<_, NotALine>((wish, serves.map(|serves| serves.is_ok()), share, capacity))
    };
    let capitals = bytes.to_ascii_uppercase();
    assert_eq!(facts(line), facts(parse(&capitals)), "{bytes:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzz target begins with.
    #[test]
    fn what_it_begins_with_is_sound() {
        for line in [
            &b"up 75% maxconn:100\n"[..],
            b"drain,weight:3\r\nup",
            b"down#\t",
            b"stopped # \x7f",
            b"\xff\xfe%",
        ] {
            fuzz_agent(line);
        }
    }
}
