//! Plain fuzz entries: any bytes in, an assertion failure if an invariant breaks.
//!
//! JSON: what is found does not depend on how the document was split, and a document without the
//! value is refused exactly if serde_json refuses it. One that has it says nothing about what
//! follows, because nobody looks there. Hello: a word once given is never taken
//! back by bytes that follow.

use super::shard::json::{Scan, Scanner};
use super::shard::key::Extracted;
use super::shard::pointer::Pointer;
use super::sni::{Hello, peek};

/// What hardly any document has.
const NOWHERE: &str = "/is nowhere";

/// The first byte says how the rest, a document, is split.
pub fn fuzz_json(data: &[u8]) {
    let Some((size, document)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    for pointer in ["/a", "/a/0/b", "/0", ""] {
        let whole = scan(pointer, document, usize::MAX);
        assert_eq!(
            whole,
            scan(pointer, document, size),
            "{pointer} {document:?}"
        );
    }
    let found = scan(NOWHERE, document, size);
    let Ok(text) = std::str::from_utf8(document) else {
        return;
    };
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) if value.pointer(NOWHERE).is_some() => {}
        Ok(_) => assert_eq!(found, "Missing", "{text}"),
        Err(_) if found.starts_with("Key") => {}
        Err(error) => {
            let excused = [
                "trailing characters",
                "number out of range",
                "EOF while parsing",
            ];
            let message = error.to_string();
            let is_excused = excused.iter().any(|start| message.starts_with(start));
            assert!(is_excused || found == "Malformed", "{message}: {text}");
        }
    }
}

fn scan(pointer: &str, document: &[u8], size: usize) -> String {
    let pointer = Pointer::new(pointer);
    let mut scanner = Scanner::new(64);
    for piece in document.chunks(size) {
        if scanner.feed(&pointer, piece) == Scan::Done {
            break;
        }
    }
    scanner.finish(&pointer);
    let found = scanner.key();
    assert_ne!(found, Extracted::NeedsBody);
    format!("{found:?}")
}

/// Any bytes as the beginning of a connection.
pub fn fuzz_hello(data: &[u8]) {
    let whole = peek(data);
    for end in 0..data.len() {
        let early = peek(&data[..end]);
        assert!(early == Hello::NeedMore || early == whole, "{data:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzz targets have stumbled over, and what they begin with.
    #[test]
    fn what_was_found_once_is_not_found_again() {
        for document in [
            &b"\x07{\"is nowhere\":-12}"[..],
            b"\x03{\"is nowhere\":-12,",
            b"\x01{\"is nowhere\":{}}",
            b"\x02[\"\\u00e4\",1.5e3,null,false]",
            b"\x05{\"a\":{\"0\":{\"b\":\"\\ud83d\\ude00\"}}}",
        ] {
            fuzz_json(document);
        }
        for hello in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01\0\x05\x01\0\0\x01\x03",
        ] {
            fuzz_hello(hello);
        }
    }
}
