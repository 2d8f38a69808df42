//! Asking a worker what connections it has, without holding it up.
//!
//! A question lies in a ring of its own until the worker's next housekeeping, at most a second
//! later, so a request pays nothing for it, and the counting of tables in the other rings is not
//! touched. One question is under way at a time; an answer has a bounded number of rows.

use std::net::SocketAddr;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::base::id::{BackendSlot, ListenerSlot};

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnFacts {
    /// Whose it is: `client`, `upstream`, or one of the two sides of a relay.
    pub role: &'static str,
    /// What it does.
    pub state: &'static str,
    /// Where it came in.
    pub listener: Option<ListenerSlot>,
    /// The backend at its other end.
    pub backend: Option<BackendSlot>,
    /// The address at its other end.
    pub address: Option<SocketAddr>,
    /// Requests it has had before this one (HTTP clients).
    pub requests: Option<u32>,
    /// Bytes that wait to be sent.
    pub queued_bytes: usize,
}

/// The connections of one core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// All of them.
    pub total: usize,
    /// The first ones.
    pub rows: Vec<ConnFacts>,
}

/// The end that asks.
pub struct Surveyor {
    questions: Producer<()>,
    answers: Consumer<Survey>,
}

/// The end that answers.
pub struct Respondent {
    questions: Consumer<()>,
    answers: Producer<Survey>,
}

/// Both ends for one core.
#[must_use]
pub fn survey() -> (Surveyor, Respondent) {
    let (ask, asked) = RingBuffer::new(1);
    let (answer, answered) = RingBuffer::new(1);
    let surveyor = Surveyor {
        questions: ask,
        answers: answered,
    };
    let respondent = Respondent {
        questions: asked,
        answers: answer,
    };
    (surveyor, respondent)
}

impl Surveyor {
    /// Asks. An answer to an earlier question that nobody took is thrown away.
    pub fn ask(&mut self) {
        let _ = self.answers.pop();
        // A question that lies there is this one.
        let _ = self.questions.push(());
    }

    /// The answer, once there is one.
    pub fn answer(&mut self) -> Option<Survey> {
        self.answers.pop().ok()
    }
}

impl Respondent {
    /// Answers by what `look` sees, if somebody asks.
    pub fn answer(&mut self, look: impl FnOnce() -> Survey) {
        if self.questions.pop().is_ok() {
            // Whoever asks again has taken or thrown away the answer before, or can wait for it.
            let _ = self.answers.push(look());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(total: usize) -> Survey {
        Survey {
            total,
            ..Survey::default()
        }
    }

    #[test]
    fn a_question_is_answered_once_and_an_old_answer_is_thrown_away() {
        let (mut surveyor, mut respondent) = survey();
        respondent.answer(|| panic!("nobody asked"));
        surveyor.ask();
        surveyor.ask();
        assert_eq!(surveyor.answer(), None);
        respondent.answer(|| of(1));
        respondent.answer(|| panic!("it was one question"));
        surveyor.ask();
        respondent.answer(|| of(2));
        assert_eq!(surveyor.answer(), Some(of(2)));
        assert_eq!(surveyor.answer(), None);
    }
}
