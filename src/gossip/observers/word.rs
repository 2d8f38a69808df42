//! What an agent has said to whoever asked it, topic by topic, and which of two words is the newer.
//!
//! **A word has a count for each topic**, which whoever hears something else than it knew of the
//! topic makes one higher; of two words the higher count holds, topic by topic. So words come to
//! the same in whatever order they travel and however often, an asker that cannot reach the agent
//! makes no newer word and keeps nobody from one, and no clock of any node has a say. Two nodes
//! that heard different things before they heard of each other have the same count; the first in
//! the alphabet holds then (`drain` before `ready`, `down` before `up`), and the next answer makes
//! a newer word where that was wrong.
//!
//! An answer to a question that was sent before the newest count was known may be older than that,
//! and says nothing of its topic: the next answer does.

use std::sync::Arc;

use super::super::wire::{Malformed, Reader, put_text};

/// What an agent speaks of, each by itself.
pub const TOPICS: usize = 4;

/// Bytes of what is said on a topic; more is not told.
const TEXT_BYTES_MAX: usize = 128;

/// All an agent has said, and not taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word([Topic; TOPICS]);

/// What it has said on one topic; count 0 for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Topic {
    count: u64,
    text: Arc<str>,
}

impl Word {
    /// One that was kept, as [`Word::topics`] gave it.
    #[must_use]
    pub fn of<'a>(topics: impl IntoIterator<Item = (u64, &'a str)>) -> Word {
        let mut word = Word::default();
        for (topic, (count, text)) in word.0.iter_mut().zip(topics) {
            (topic.count, topic.text) = (count, cut(text).into());
        }
        word
    }

    /// Count and text of each topic.
    pub fn topics(&self) -> impl Iterator<Item = (u64, &str)> {
        self.0.iter().map(|topic| (topic.count, &*topic.text))
    }

    /// What was said on each topic something was said on.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let said = self.topics().filter(|(count, _)| *count > 0);
        said.map(|(_, text)| text)
    }

    /// This word after an answer with these texts, to a question that was sent when the word was
    /// `then`.
    #[must_use]
    pub fn after(&self, then: &Word, said: &[Option<String>; TOPICS]) -> Word {
        let mut word = self.clone();
        for ((topic, then), said) in word.0.iter_mut().zip(&then.0).zip(said) {
            let Some(said) = said.as_deref().map(cut) else {
                continue;
            };
            let is_news = topic.count == 0 || *topic.text != *said;
            if is_news && topic.count <= then.count {
                let count = topic.count.saturating_add(1);
                let text = said.into();
                *topic = Topic { count, text };
            }
        }
        word
    }

    /// The newer of both on each topic.
    #[must_use]
    pub fn joined(&self, other: &Word) -> Word {
        let mut word = self.clone();
        for (topic, other) in word.0.iter_mut().zip(&other.0) {
            let same = topic.count == other.count;
            if topic.count < other.count || (same && other.text < topic.text) {
                topic.clone_from(other);
            }
        }
        word
    }

    /// Bytes it has in a datagram.
    pub(super) fn size(&self) -> usize {
        let each = self.0.iter().map(|topic| 9 + topic.text.len());
        each.sum()
    }

    pub(super) fn put(&self, to: &mut Vec<u8>) {
        for Topic { count, text } in &self.0 {
            to.extend_from_slice(&count.to_be_bytes());
            put_text(text, to);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Word, Malformed> {
        let mut word = Word::default();
        for topic in &mut word.0 {
            topic.count = from.u64()?;
            topic.text = from.text(TEXT_BYTES_MAX)?.into();
        }
        Ok(word)
    }
}

/// As much of a text as is told.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn word() -> impl Strategy<Value = Word> {
        let topic = (0_u64..5, "[a-d]{0,3}");
        prop::collection::vec(topic, TOPICS).prop_map(|topics| {
            let texts = topics.iter();
            Word::of(texts.map(|(count, text)| (*count, if *count > 0 { text } else { "" })))
        })
    }

    fn says(text: &str) -> [Option<String>; TOPICS] {
        [Some(text.into()), None, None, None]
    }

    fn first(word: &Word) -> (u64, &str) {
        word.topics().next().unwrap()
    }

    #[test]
    fn who_hears_something_else_makes_a_newer_word() {
        let nothing = Word::default();
        let one = nothing.after(&nothing, &says("ready"));
        assert_eq!(first(&one), (1, "ready"));
        assert_eq!(one.after(&one, &says("ready")), one, "the same again");
        let two = one.after(&one, &says("drain"));
        assert_eq!(first(&two), (2, "drain"));
        assert_eq!(one.joined(&two), two);
        assert_eq!(two.joined(&one), two);
        let other = two.after(&two, &[None, Some("up".into()), None, None]);
        assert_eq!(other.texts().collect::<Vec<_>>(), ["drain", "up"]);
    }

    #[test]
    fn an_answer_that_may_be_older_than_what_is_known_says_nothing() {
        let old = Word::of([(3, "ready")]);
        // It was asked then, another node heard this meanwhile, and only now the answer comes.
        let new = Word::of([(4, "drain")]);
        assert_eq!(new.after(&old, &says("ready")), new);
        assert_eq!(first(&new.after(&new, &says("ready"))), (5, "ready"));
    }

    #[test]
    fn two_that_heard_different_things_at_once_come_to_the_same_and_the_next_answer_counts() {
        let known = Word::of([(7, "maint")]);
        let one = known.after(&known, &says("ready"));
        let other = known.after(&known, &says("drain"));
        let both = one.joined(&other);
        assert_eq!((&both, first(&both)), (&other.joined(&one), (8, "drain")));
        assert_eq!(first(&both.after(&both, &says("ready"))), (9, "ready"));
    }

    #[test]
    fn what_is_too_long_is_cut_between_letters_and_counts_end_somewhere() {
        let nothing = Word::default();
        let long = nothing.after(&nothing, &says(&"\u{e4}".repeat(90)));
        assert_eq!(first(&long).1.len(), TEXT_BYTES_MAX);
        assert_eq!(long.after(&long, &says(&"\u{e4}".repeat(90))), long);
        let last = Word::of([(u64::MAX, "x")]);
        assert_eq!(first(&last.after(&last, &says("y"))).0, u64::MAX);
    }

    proptest! {
        #[test]
        fn words_come_to_the_same_in_any_order_however_often(
            one in word(), other in word(), third in word(),
        ) {
            prop_assert_eq!(one.joined(&other), other.joined(&one));
            prop_assert_eq!(one.joined(&one), one.clone());
            prop_assert_eq!(
                one.joined(&other).joined(&third),
                one.joined(&other.joined(&third))
            );
            let both = one.joined(&other);
            prop_assert_eq!(both.joined(&one), both);
        }
    }
}
