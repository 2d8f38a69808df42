//! A place in a JSON document (RFC 6901).

/// A pointer, split into its tokens and unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    tokens: Box<[Token]>,
}

/// One step from a container to what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Name of a member.
    pub(super) name: Box<[u8]>,
    /// Position of an element, if the token can be one: no sign, no leading zero.
    pub(super) index: Option<u64>,
}

impl Pointer {
    /// Reads a pointer that was checked before; a `~` that escapes nothing stands for itself.
    /// The empty pointer is the whole document.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let tokens = text.split('/').skip(1).map(|token| Token {
            name: token
                .replace("~1", "/")
                .replace("~0", "~")
                .into_bytes()
                .into(),
            index: index_of(token),
        });
        Pointer {
            tokens: tokens.collect(),
        }
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}

fn index_of(token: &str) -> Option<u64> {
    let plain = token.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = token == "0" || !token.starts_with('0');
    (plain && canonical).then(|| token.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unescaped_once() {
        let names = |text: &str| -> Vec<String> {
            let pointer = Pointer::new(text);
            let names = pointer.tokens().iter().map(|token| token.name.to_vec());
            names.map(|name| String::from_utf8(name).unwrap()).collect()
        };
        assert_eq!(names(""), Vec::<String>::new());
        assert_eq!(names("/"), [""]);
        assert_eq!(names("/a/b"), ["a", "b"]);
        assert_eq!(names("/a~1b/~0/~01"), ["a/b", "~", "~1"]);
        assert_eq!(names("/a//"), ["a", "", ""]);
    }

    #[test]
    fn only_plain_numbers_are_positions() {
        for (token, expected) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("01", None),
            ("-", None),
            ("+1", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(index_of(token), expected, "{token}");
        }
    }
}
