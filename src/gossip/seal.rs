//! The seal of datagrams: XChaCha20-Poly1305 with a key all nodes of a cluster have.
//!
//! The nonce is an argument: 16 bytes of chance that a process draws once and a number that rises.
//! Nonces of 24 bytes are what makes chance safe among nodes that share a key; with the 12 of the
//! plain cipher they would have to agree on who uses which. The name of the cluster is sealed in
//! without being sent, so two clusters with one key do not hear each other either.
//!
//! A file may have several keys: the first one seals, all of them open. So a key is changed in
//! three rounds of restarts: added last everywhere, moved first everywhere, the old one removed.

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// Keys of one file.
pub const KEYS_MAX: usize = 4;

/// What a datagram begins with, and the version of all that follows.
const VERSION: [u8; 2] = *b"w1";

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// What the seal adds to what is sealed.
pub(super) const SEAL_BYTES: usize = VERSION.len() + NONCE_BYTES + TAG_BYTES;

/// A number that no datagram of any node had before.
pub(super) type Nonce = [u8; NONCE_BYTES];

/// The keys of a cluster, and its name.
pub struct Keys {
    ciphers: Vec<XChaCha20Poly1305>,
    cluster: String,
}

/// Why a text has no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMistake {
    /// There is no line with a key.
    None,
    /// This line (from 1) is no key.
    Shape(usize),
    /// There are more than [`KEYS_MAX`].
    TooMany,
}

impl std::fmt::Display for KeyMistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fix = "write 64 hexadecimal digits (`openssl rand -hex 32`)";
        match self {
            KeyMistake::None => write!(f, "has no key; {fix}"),
            KeyMistake::Shape(line) => write!(f, "line {line} is no key; {fix}"),
            KeyMistake::TooMany => write!(f, "has more than {KEYS_MAX} keys; remove old ones"),
        }
    }
}

impl std::error::Error for KeyMistake {}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({} of {:?})", self.ciphers.len(), self.cluster)
    }
}

impl Keys {
    /// The keys in a text, one a line, for the cluster of this name.
    ///
    /// # Errors
    /// What is wrong with it; never what it says.
    pub fn parse(text: &str, cluster: &str) -> Result<Keys, KeyMistake> {
        let mut ciphers = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let key = key_of(text).ok_or(KeyMistake::Shape(line))?;
            ciphers.push(XChaCha20Poly1305::new(&key.into()));
        }
        match ciphers.len() {
            0 => Err(KeyMistake::None),
            1..=KEYS_MAX => Ok(Keys {
                ciphers,
                cluster: cluster.to_owned(),
            }),
            _ => Err(KeyMistake::TooMany),
        }
    }

    /// A datagram of what is in `plain`.
    pub(super) fn seal(&self, nonce: &Nonce, mut plain: Vec<u8>) -> Vec<u8> {
        let sealed = self.ciphers.first().and_then(|cipher| {
            let nonce = XNonce::from(*nonce);
            cipher
                .encrypt_in_place(&nonce, self.context(), &mut plain)
                .ok()
        });
        sealed.expect("there is a key, and a datagram is shorter than the cipher's limit");
        [&VERSION[..], nonce, &plain].concat()
    }

    /// What is in a datagram, if one of the keys has sealed it.
    pub(super) fn open(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let rest = datagram.strip_prefix(&VERSION)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let nonce = XNonce::from(*nonce);
        self.ciphers.iter().find_map(|cipher| {
            let mut room = sealed.to_vec();
            let opened = cipher.decrypt_in_place(&nonce, self.context(), &mut room);
            opened.ok().map(|()| room)
        })
    }

    fn context(&self) -> &[u8] {
        self.cluster.as_bytes()
    }
}

fn key_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Keys {
        Keys::parse(text, "weir").unwrap()
    }

    #[test]
    fn what_was_sealed_opens_and_nothing_else_does() {
        let (one, two) = ("11".repeat(32), "2f".repeat(32));
        let plain = b"who is there".to_vec();
        let sealed = keys(&one).seal(&[7; NONCE_BYTES], plain.clone());
        assert_eq!(sealed.len(), plain.len() + SEAL_BYTES);
        assert_eq!(keys(&one).open(&sealed), Some(plain.clone()));
        assert_eq!(keys(&two).open(&sealed), None);
        assert_eq!(Keys::parse(&one, "other").unwrap().open(&sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys(&one).open(&changed), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(keys(&one).open(&sealed[..length]), None);
        }
    }

    #[test]
    fn a_key_is_changed_while_both_are_known() {
        let (old, new) = ("11".repeat(32), "2f".repeat(32));
        let (before, during) = (keys(&old), keys(&format!("# was\n{old}\n\n{new}\n")));
        let (then, after) = (keys(&format!("{new}\n{old}")), keys(&new));
        let nonce = [1; NONCE_BYTES];
        for (sender, hearer) in [
            (&before, &during),
            (&during, &before),
            (&during, &then),
            (&then, &during),
            (&then, &after),
            (&after, &then),
        ] {
            assert!(hearer.open(&sender.seal(&nonce, vec![1])).is_some());
        }
        assert!(after.open(&before.seal(&nonce, vec![1])).is_none());
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line_and_never_shown() {
        let key = "ab".repeat(32);
        let cases = [
            ("", KeyMistake::None),
            ("# nothing\n\n", KeyMistake::None),
            (&format!("{key}\nabc"), KeyMistake::Shape(2)),
            (&key[..63], KeyMistake::Shape(1)),
            (&key.replacen('a', "g", 1), KeyMistake::Shape(1)),
            (
                &format!("{key}\n").repeat(KEYS_MAX + 1),
                KeyMistake::TooMany,
            ),
        ];
        for (text, mistake) in cases {
            assert_eq!(Keys::parse(text, "weir").err(), Some(mistake));
        }
    }
}
