//! One line of an agent, read. The words are HAProxy's: in any order, apart by blanks, tabs or
//! commas, letter case does not matter; of two that contradict each other the last counts. What
//! stands behind `#` is why. Words nobody knows are passed over, so that a line for a later
//! version still says what it can; a line without any that is known is none.

use super::super::verdict::{Reason, Wish};

/// Bytes of a line; what comes later is not looked at.
pub const LINE_BYTES_MAX: usize = 1024;

/// Bytes of a reason; the rest is cut.
const REASON_BYTES_MAX: usize = 100;

/// What one line says. What it does not mention is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// `ready`, `drain` or `maint`.
    pub wish: Option<Wish>,
    /// `up`; or `down`, `fail`, `failed` or `stopped`, and why.
    pub serves: Option<Result<(), Reason>>,
    /// `75%` or `weight:30`.
    pub share: Option<Share>,
    /// `maxconn:100`; 0 for no limit.
    pub capacity: Option<u32>,
}

/// How much of its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// In percent, at most 100.
    Percent(u8),
    /// As a weight, to be compared with the configured one.
    Weight(u16),
}

/// Nothing in it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotALine;

/// Reads what came from an agent, up to the end of its first line.
///
/// # Errors
/// When it is no text, or says nothing that is known.
pub fn parse(bytes: &[u8]) -> Result<Line, NotALine> {
    let bytes = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let text = &bytes[..end.unwrap_or(bytes.len())];
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    if !text.iter().all(is_text) {
        return Err(NotALine);
    }
    let text = std::str::from_utf8(text).map_err(|_| NotALine)?;
    let (words, why) = text.split_once('#').unwrap_or((text, ""));
    let mut line = Line::default();
    let known = words
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty() && line.take(&word.to_ascii_lowercase(), why.trim()));
    match known.count() {
        0 => Err(NotALine),
        _ => Ok(line),
    }
}

impl Line {
    /// It as words, one for each thing an agent can say; [`parse`] understands each of them.
    #[must_use]
    pub fn words(&self) -> [Option<String>; 4] {
        let wish = self.wish.map(|wish| match wish {
            Wish::Drain => "drain".to_owned(),
            Wish::Maint => "maint".to_owned(),
            Wish::Ready => "ready".to_owned(),
        });
        let serves = self.serves.as_ref().map(|serves| match serves {
            Ok(()) => "up".to_owned(),
            Err(why) => format!("down#{why}"),
        });
        let share = self.share.map(|share| match share {
            Share::Percent(percent) => format!("{percent}%"),
            Share::Weight(weight) => format!("weight:{weight}"),
        });
        let capacity = self.capacity.map(|most| format!("maxconn:{most}"));
        [wish, serves, share, capacity]
    }

    /// Takes a word in; whether it is known.
    fn take(&mut self, word: &str, why: &str) -> bool {
        match word {
            "ready" => self.wish = Some(Wish::Ready),
            "drain" => self.wish = Some(Wish::Drain),
            "maint" => self.wish = Some(Wish::Maint),
            "up" => self.serves = Some(Ok(())),
            "down" | "fail" | "failed" | "stopped" => {
                self.serves = Some(Err(match why {
                    "" => format!("its agent says {word}").into(),
                    why => why[..why.len().min(REASON_BYTES_MAX)]
                        .trim_end()
                        .to_owned()
                        .into(),
                }));
            }
            _ => return self.take_figure(word).is_some(),
        }
        true
    }

    fn take_figure(&mut self, word: &str) -> Option<()> {
        if let Some(percent) = word.strip_suffix('%') {
            let percent = u8::try_from(number(percent)?.min(100)).ok()?;
            self.share = Some(Share::Percent(percent));
        } else if let Some(weight) = word.strip_prefix("weight:") {
            self.share = Some(Share::Weight(u16::try_from(number(weight)?).ok()?));
        } else {
            self.capacity = Some(number(word.strip_prefix("maxconn:")?)?);
        }
        Some(())
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Line {
        parse(text.as_bytes()).unwrap_or_else(|_| panic!("{text:?}"))
    }

    #[test]
    fn every_word_of_haproxy_is_known() {
        let wishes = ["ready", "DRAIN", "maint"].map(|word| read(word).wish);
        assert_eq!(
            wishes,
            [Wish::Ready, Wish::Drain, Wish::Maint].map(Some),
            "letter case does not matter"
        );
        assert_eq!(read("up").serves, Some(Ok(())));
        for word in ["down", "fail", "failed", "stopped"] {
            let expected = format!("its agent says {word}");
            assert_eq!(read(word).serves, Some(Err(expected.into())));
        }
        assert_eq!(read("75%").share, Some(Share::Percent(75)));
        assert_eq!(read("300%").share, Some(Share::Percent(100)));
        assert_eq!(read("weight:30").share, Some(Share::Weight(30)));
        assert_eq!(read("maxconn:250").capacity, Some(250));
    }

    #[test]
    fn words_stand_together_and_the_reason_behind_a_sharp() {
        let line = read("ready, 50%\tdown later-word # out of, disk\r\nup\n");
        let expected = Line {
            wish: Some(Wish::Ready),
            serves: Some(Err("out of, disk".into())),
            share: Some(Share::Percent(50)),
            capacity: None,
        };
        assert_eq!(line, expected);
        assert_eq!(read("up down").serves, read("down").serves, "the last one");
        let long = format!("down#{}", "x".repeat(500));
        let Some(Err(reason)) = read(&long).serves else {
            panic!("it is down");
        };
        assert_eq!(reason.len(), REASON_BYTES_MAX);
    }

    #[test]
    fn what_says_nothing_is_no_line() {
        for text in [
            "",
            "\n",
            "#up",
            "maxconn:",
            "maxconn:-1",
            "%",
            "+5%",
            "-5%",
            "1e3%",
            "7.5%",
            "weight:70000",
            "maxconn:99999999999",
            "HTTP/1.1 200 OK",
            "upp",
            "\nup",
            "u\u{e4}",
            "up\0",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(NotALine), "{text:?}");
        }
        let late = format!("{}up", " ".repeat(LINE_BYTES_MAX));
        assert_eq!(parse(late.as_bytes()), Err(NotALine));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line_or_none(bytes: Vec<u8>) {
            super::super::super::fuzz::fuzz_agent(&bytes);
        }

        #[test]
        fn a_line_as_words_says_the_same(
            line in "(ready|maint|up|down|failed|7%|250%|weight:8|maxconn:0|maxconn:9|x| ){1,8}\\
                     (#[ -~]{0,130})?",
        ) {
            if let Ok(line) = parse(line.as_bytes()) {
                let words: Vec<String> = line.words().into_iter().flatten().collect();
                let mut said = Line::default();
                for word in &words {
                    let (word, why) = word.split_once('#').unwrap_or((word, ""));
                    prop_assert!(said.take(word, why), "{word}");
                }
                prop_assert_eq!(&said, &line);
                let fits = |word: &String| word.len() <= 128 && parse(word.as_bytes()).is_ok();
                prop_assert!(words.iter().all(fits));
            }
        }

        #[test]
        fn words_in_any_order_say_the_same(
            words in Just(vec!["drain", "down", "40%", "maxconn:9", "nonsense"]).prop_shuffle(),
            between in prop::sample::select(vec![" ", ",", "\t", ", "]),
        ) {
            let line = read(&words.join(between));
            prop_assert_eq!(line.wish, Some(Wish::Drain));
            prop_assert_eq!(line.serves, Some(Err("its agent says down".into())));
            prop_assert_eq!((line.share, line.capacity), (Some(Share::Percent(40)), Some(9)));
        }
    }
}
