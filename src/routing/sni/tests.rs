//! Hellos as clients send them, in pieces, and as nobody should.

use proptest::prelude::*;

use super::*;

fn block(bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - bytes..], content].concat()
}

fn names(list: &[&str]) -> Vec<u8> {
    let entries: Vec<u8> = list
        .iter()
        .flat_map(|name| [vec![0], block(2, name.as_bytes())].concat())
        .collect();
    [vec![0, 0], block(2, &block(2, &entries))].concat()
}

/// The handshake message with these extensions.
fn message(extensions: &[u8]) -> Vec<u8> {
    let body = [
        vec![3, 3],
        vec![7; 32],
        block(1, &[1; 32]),
        block(2, &[0x13, 1, 0x13, 2]),
        block(1, &[0]),
        block(2, extensions),
    ]
    .concat();
    [vec![1], block(3, &body)].concat()
}

/// A message in records of these lengths, the last one repeated.
fn records(message: &[u8], lengths: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = message;
    let mut turn = 0;
    while !rest.is_empty() {
        let length = lengths[turn.min(lengths.len() - 1)].clamp(1, rest.len());
        turn += 1;
        out.extend([vec![22, 3, 1], block(2, &rest[..length])].concat());
        rest = &rest[length..];
    }
    out
}

fn hello(extensions: &[u8]) -> Vec<u8> {
    records(&message(extensions), &[1 << 14])
}

const OTHER: &[u8] = &[0, 43, 0, 3, 2, 3, 4];

fn found(name: &str) -> Hello {
    Hello::Found(name.as_bytes().to_vec())
}

#[test]
fn the_name_is_found() {
    for (extensions, expected) in [
        (names(&["a.org"]), found("a.org")),
        ([OTHER, &names(&["A.Org."])].concat(), found("a.org")),
        (
            [names(&["x_1.a.org"]), OTHER.to_vec()].concat(),
            found("x_1.a.org"),
        ),
        (OTHER.to_vec(), Hello::Absent),
        (Vec::new(), Hello::Absent),
    ] {
        assert_eq!(peek(&hello(&extensions)), expected, "{extensions:?}");
    }
    // TLS 1.0 knew hellos that end before the extensions.
    let mut old = message(&[]);
    old.truncate(old.len() - 2);
    old[3] -= 2;
    assert_eq!(peek(&records(&old, &[1 << 14])), Hello::Absent);
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let twice = [names(&["a.org"]), names(&["b.org"])].concat();
    let long = "a".repeat(254);
    for extensions in [
        twice,
        names(&["a.org", "b.org"]),
        names(&[]),
        names(&[""]),
        names(&["."]),
        names(&["a..b"]),
        names(&["a b"]),
        names(&["a\0.org"]),
        names(&[&long]),
        [0, 0, 0, 9, 0, 7, 0, 0, 9, b'a', b'b', b'c', b'd'].to_vec(),
        [0, 0, 0].to_vec(),
        [&names(&["a.org"])[..], &[0]].concat(),
    ] {
        assert_eq!(peek(&hello(&extensions)), Hello::NotTls, "{extensions:?}");
    }
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"SSH-2.0-x",
        &[22, 3, 1, 0, 0],
        &[22, 2, 0, 0, 5],
        &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        &[22, 3, 1, 0xff, 0xff, 1],
        &[21, 3, 1, 0, 2, 1, 0],
    ] {
        assert_eq!(peek(bytes), Hello::NotTls, "{bytes:?}");
    }
}

#[test]
fn a_hello_that_never_ends_is_given_up() {
    let long = [vec![0, 21], block(2, &vec![0; 40_000])].concat();
    let bytes = hello(&[names(&["a.org"]), long].concat());
    assert_eq!(peek(&bytes[..2_000]), Hello::NotTls);
    let padded = [vec![0, 21], block(2, &vec![0; 16_100])].concat();
    let bytes = records(&message(&[names(&["a.org"]), padded].concat()), &[1]);
    assert_eq!(peek(&bytes[..HELLO_BYTES_MAX - 1]), Hello::NeedMore);
    assert_eq!(peek(&bytes[..HELLO_BYTES_MAX]), Hello::NotTls);
}

proptest! {
    #[test]
    fn pieces_and_records_do_not_matter(
        name in "[a-z]{1,10}(\\.[a-z]{1,10}){0,3}",
        lengths in prop::collection::vec(1_usize..300, 1..8),
        before in any::<bool>(),
    ) {
        let extensions = if before {
            [OTHER, &names(&[&name])].concat()
        } else {
            [names(&[&name]), OTHER.to_vec()].concat()
        };
        let bytes = records(&message(&extensions), &lengths);
        for end in 0..bytes.len() {
            prop_assert_eq!(peek(&bytes[..end]), Hello::NeedMore);
        }
        prop_assert_eq!(peek(&bytes), found(&name));
        let more = [&bytes[..], b"and the rest"].concat();
        prop_assert_eq!(peek(&more), found(&name));
    }

    #[test]
    fn no_bytes_upset_it(
        name in "[a-z]{1,10}",
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = hello(&[OTHER, &names(&[&name])].concat());
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let end = end.index(bytes.len() + 1);
        let early = peek(&bytes[..end]);
        let late = peek(&bytes);
        // A word that was given is kept, whatever follows.
        prop_assert!(early == Hello::NeedMore || early == late, "{:?} {:?}", early, late);
    }
}
