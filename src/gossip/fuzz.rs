//! Plain fuzz entries: any bytes in, an assertion failure if an invariant breaks.
//!
//! Bytes that no key has sealed change nothing. What was sealed by somebody who has the key is
//! taken in or refused, never more than that, and the node stays sound and within its bounds.

use std::time::Duration;

use super::{Circle, Keys, Member, Rejection, Setting};

/// What came as a datagram, and once more as what was sealed in one.
pub fn fuzz_datagram(bytes: &[u8]) {
    let me = Member {
        name: "me".into(),
        generation: 1,
        address: ([127, 0, 0, 1], 1).into(),
    };
    let setting = Setting {
        me,
        keys: Keys::parse(&"00".repeat(32), "weir").expect("a key"),
        nonce: [0; 16],
        seed: [7; 32],
    };
    let mut circle = Circle::new(setting, Duration::ZERO);
    let refused = circle.handle(bytes, Duration::ZERO);
    assert_eq!(refused, Err(Rejection::Foreign));
    for now in [0, 1, 5, 3600, 7200] {
        let now = Duration::from_secs(now);
        let taken = circle.handle_opened(bytes, now);
        let again = circle.handle_opened(bytes, now);
        if taken == Err(Rejection::Malformed) && again == Ok(()) {
            panic!("what is malformed stays so: {bytes:?}");
        }
        circle.handle_deadline(now);
        circle.check();
        let sent = std::iter::from_fn(|| circle.poll_output()).count();
        assert!(sent < 64, "{sent} datagrams for one");
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::put_member;
    use super::*;

    /// What the fuzz target begins with, and every way to cut it or to change one byte of it.
    #[test]
    fn what_it_begins_with_is_sound() {
        let member = |name: &str| Member {
            name: name.into(),
            generation: 3,
            address: ([127, 0, 0, 1], 2).into(),
        };
        let mut swim = Vec::new();
        put_member(&member("you"), &mut swim);
        swim.extend_from_slice(&[0, 1]);
        put_member(&member("me"), &mut swim);
        swim.extend_from_slice(&[6, 0]);
        let mut state = vec![2];
        state.extend_from_slice(&[0; 40]);
        state.extend_from_slice(&[1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9]);
        let pull = [0; 9];
        let mut page = vec![1];
        page.extend_from_slice(&[0; 15]);
        page.push(1);
        page.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7, 3, 2, b'n', b'o']);
        let mut said = page.clone();
        said.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 8, 4]);
        for text in [&b"drain"[..], b"down#disk", b"75%", b""] {
            said.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 3, text.len() as u8]);
            said.extend_from_slice(text);
        }
        for (kind, body) in [
            (0, &[][..]),
            (1, &[0; 25]),
            (2, &state),
            (3, &[0; 8]),
            (4, &swim),
            (5, &[]),
            (6, &pull),
            (6, &page),
            (6, &said),
        ] {
            let mut bytes = Vec::new();
            put_member(&member("you"), &mut bytes);
            bytes.extend_from_slice(&9_u64.to_be_bytes());
            bytes.push(kind);
            bytes.extend_from_slice(body);
            fuzz_datagram(&bytes);
            for at in 0..bytes.len() {
                fuzz_datagram(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] = changed[at].wrapping_add(1);
                fuzz_datagram(&changed);
            }
        }
    }
}
