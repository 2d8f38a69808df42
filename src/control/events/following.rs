//! What other nodes change in the store they share: each newer revision is judged, planned and
//! published here as it was there. Its epoch is its revision on every node.
//!
//! A revision this node cannot serve (an address it cannot listen on, a clash with its own file)
//! leaves the present table in place, is told, and is tried again; until it is served or another
//! one comes, this node refuses changes, because it could not show what they lead to. While the
//! store is away changes are refused at once; what is served stays.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Control;
use super::changing::{Cause, Next};
use crate::control::breath::breathe;
use crate::control::change::{Change, Refusal};
use crate::control::document::{Document, rejudge};
use crate::control::store::{Content, Following, Revision, Sight};

/// How soon a revision that could not be served is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Times a change is judged anew because another node was first.
const TRIES_MAX: u32 = 32;

/// The store as other nodes write it, and what of it is not served.
pub(super) struct Others {
    pub(super) following: Option<Following>,
    /// A change that is to be judged anew, once what came before it is served.
    again: Option<Change>,
    /// A revision that cannot be served, and when to try it again.
    unserved: Option<(Revision, Instant)>,
    /// Whether the store was in sight when it was last looked at.
    was_in_sight: bool,
}

impl Others {
    pub(super) fn new(following: Option<Following>) -> Others {
        Others {
            following,
            again: None,
            unserved: None,
            was_in_sight: true,
        }
    }

    /// Whether a change waits for what came before it.
    pub(super) fn is_waited_for(&self) -> bool {
        self.again.is_some()
    }

    /// Gives up the change that waits.
    pub(super) fn waits_no_more(&mut self) -> Option<Change> {
        self.again.take()
    }

    /// Waits until there is something to look at.
    pub(super) async fn changed(&mut self) {
        let again = super::at(self.unserved.as_ref().map(|(_, at)| *at));
        let Some(following) = &mut self.following else {
            return std::future::pending().await;
        };
        tokio::select! {
            changed = following.feed.changed() => if changed.is_err() {
                std::future::pending().await
            },
            () = again => {}
        }
    }

    fn has_news(&self) -> bool {
        let following = self.following.as_ref();
        following.is_some_and(|following| following.feed.has_changed().unwrap_or(false))
    }

    fn tell(&self, why: Option<String>) {
        if let Some(following) = &self.following {
            following.unserved.store(why.map(Arc::new));
        }
    }
}

impl Control {
    /// The store says something new, or something old is to be tried again.
    pub(super) fn stored(&mut self) {
        let Some(following) = &mut self.others.following else {
            return;
        };
        let feed = following.feed.borrow_and_update().clone();
        self.note_sight(&feed.sight);
        let content = feed.content;
        if self.ending.is_some() || content.revision <= self.revision {
            return;
        }
        match self.next_of(&content) {
            Ok(next) => self.begin(next),
            Err(why) => self.not_served(content.revision, why),
        }
    }

    fn next_of(&self, content: &Content) -> Result<Next, String> {
        let records = content.records.iter();
        let records = records.map(|(key, record)| (&**key, &**record));
        let document = Document::from_records(records).map_err(|error| error.to_string())?;
        let known = (&self.document, &self.config);
        let config =
            rejudge(&self.process, known, &document, &mut breathe).map_err(|mistakes| {
                let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                told.join("; ")
            })?;
        Ok(Next {
            cause: Cause::Stored(content.revision),
            process: self.process.clone(),
            document,
            config,
        })
    }

    fn note_sight(&mut self, sight: &Sight) {
        let in_sight = *sight == Sight::Current;
        match sight {
            Sight::Current if !self.others.was_in_sight => tracing::info!("the store is back"),
            Sight::Current => {}
            Sight::Away(why) => tracing::warn!(why, "the store is away"),
            Sight::Untrusted(why) => tracing::error!(why, "the store is not followed"),
        }
        self.others.was_in_sight = in_sight;
    }

    /// A revision of another node stays out of effect here.
    pub(super) fn not_served(&mut self, revision: Revision, why: String) {
        let known = self.others.unserved.as_ref();
        if known.is_none_or(|(known, _)| *known != revision) {
            tracing::error!(%revision, why, "a revision of the store is not served");
            self.stats.unserved.inc();
        }
        self.others
            .tell(Some(format!("revision {revision}: {why}")));
        self.others.unserved = Some((revision, Instant::now() + TRY_AGAIN));
    }

    /// The newest revision is served.
    pub(super) fn all_served(&mut self) {
        if self.others.unserved.take().is_some() {
            self.others.tell(None);
        }
    }

    /// Why no change can be made now.
    pub(super) fn no_change_now(&self) -> Option<Refusal> {
        let following = self.others.following.as_ref()?;
        if let Some(why) = &*following.unserved.load() {
            let why = format!("this node cannot serve the newest revision of the store: {why}");
            return Some(Refusal::Store(why));
        }
        match &following.feed.borrow().sight {
            Sight::Current => None,
            Sight::Away(why) => Some(Refusal::Store(format!("the store is away: {why}"))),
            Sight::Untrusted(why) => Some(Refusal::Store(why.clone())),
        }
    }

    /// Another node was first: what it made is taken over, then the change is judged anew. Answers
    /// the change if that is of no use.
    pub(super) fn wait_for_turn(&mut self, mut change: Change) -> Option<Change> {
        change.tries += 1;
        if self.others.following.is_none() || change.tries > TRIES_MAX {
            return Some(change);
        }
        self.others.again = Some(change);
        None
    }

    /// Judges a change anew that had to wait, if its turn has come.
    pub(super) fn take_turn(&mut self) {
        if self.underway.is_some() || self.others.has_news() {
            return;
        }
        if let Some(change) = self.others.again.take() {
            self.wanted(change);
        }
    }
}

#[cfg(test)]
mod tests;
