//! What nodes look after together, and what one of them, or all of them, found.

use std::sync::Arc;
use std::time::Duration;

use super::word::Word;

/// What is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The agent of a backend is asked, and its newest word counts.
    Agent,
    /// A backend is checked, which takes so long to find something out.
    Backend(Duration),
}

/// What one node, or all of them, found of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Finding {
    /// It does not serve, because of this.
    Down(Arc<str>),
    /// Its agent has said this.
    Said(Arc<Word>),
    /// Nothing yet.
    #[default]
    Unknown,
    /// It serves.
    Up,
}

impl Finding {
    /// Whether it says that the backend does not serve.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        matches!(self, Finding::Down(_))
    }

    /// What an agent has said.
    #[must_use]
    pub const fn word(&self) -> Option<&Arc<Word>> {
        match self {
            Finding::Said(word) => Some(word),
            Finding::Down(_) | Finding::Unknown | Finding::Up => None,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Finding::Down(_) => "down",
            Finding::Said(_) | Finding::Unknown => "unknown",
            Finding::Up => "up",
        }
    }

    /// Whether one says that the backend serves, and the other one that it does not.
    pub(super) fn contradicts(&self, other: &Finding) -> bool {
        let pair = [self, other];
        pair.contains(&&Finding::Up) && pair.iter().any(|finding| finding.is_down())
    }
}

/// The newest of what these say of an agent, topic by topic.
pub(super) fn newest<'a>(findings: impl Iterator<Item = &'a Finding>) -> Finding {
    let words = findings.filter_map(Finding::word);
    let all = words.fold(None, |all: Option<Arc<Word>>, word| match all {
        None => Some(Arc::clone(word)),
        Some(all) if all == *word => Some(all),
        Some(all) => Some(Arc::new(all.joined(word))),
    });
    all.map_or(Finding::Unknown, Finding::Said)
}
