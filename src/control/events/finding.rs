//! What is found of backends while the node runs: answers of DNS, and files that change. It makes
//! epochs without a word to the store; whatever goes wrong, what was known before stays.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Control;
use super::changing::{Cause, Next};
use crate::config::{Clash, Config, Members};
use crate::control::files::Reading;
use crate::control::look::{Looked, Search};
use crate::control::resolver;
use crate::engine::facts::Resolved;

/// How soon what could not be published is tried again.
const PUBLISH_AGAIN: Duration = Duration::from_secs(1);

impl Control {
    /// Looks up what the first table needs.
    pub(super) async fn look_first(&mut self) {
        let config = self.config.clone();
        let search = Search {
            config: config.clone(),
            members: Members::default(),
            resolved: Resolved::default(),
            anew: true,
        };
        let looked = search.run(self.follower.asker()).await;
        self.note_looked(&looked, &config);
        self.resolved = looked.round.added_to(&Resolved::default());
        self.follow_found(looked.members, looked.merged, &looked.round);
    }

    /// Says what of a search for `config` went wrong.
    pub(super) fn note_looked(&mut self, looked: &Looked, config: &Config) {
        self.note_failures(&looked.round);
        for reading in &looked.readings {
            self.note_reading(reading, config);
        }
        if self.config == *config {
            return;
        }
        // What the files said before may clash with what the configuration says now.
        for (path, members) in &self.members {
            let before = self.config.clashes(path, members);
            let mut clashes = config.clashes(path, members);
            clashes.retain(|clash| !before.contains(clash));
            self.note_mistakes(&told(&clashes));
        }
    }

    fn note_failures(&self, round: &resolver::Round) {
        for (question, error) in round.failures() {
            self.stats.resolve_failures.inc();
            tracing::warn!(name = %question, error, "name not resolved");
        }
    }

    /// Goes by these members and these answers from now on, and follows what they come from.
    pub(super) fn follow_found(
        &mut self,
        members: Members,
        merged: Config,
        round: &resolver::Round,
    ) {
        self.members = members;
        self.merged = merged;
        self.follower.follow(&self.merged);
        self.follower.note(round);
        self.stamps
            .retain(|path, _| self.members.contains_key(path));
        let known = self.members.keys().map(|path| {
            let stamp = self.stamps.get(path).copied().flatten();
            (path.clone(), stamp)
        });
        self.files.follow(known.collect());
    }

    /// A file was read again; other backends in it make an epoch once their names are looked up.
    pub(super) fn file_read(&mut self, reading: Reading) {
        let config = self.config.clone();
        self.note_reading(&reading, &config);
        let Reading { path, result, .. } = reading;
        let (Ok(found), None) = (result, &self.ending) else {
            return;
        };
        match self.members.get(&path) {
            // Not of the configuration any more.
            None => return,
            Some(known) if **known == *found => return,
            Some(_) => {}
        }
        tracing::info!(path = %path.display(), backends = found.len(), "file of backends read");
        let mut members = self.members.clone();
        members.insert(path, Arc::from(found));
        self.begin(Next {
            cause: Cause::Found(members),
            process: self.process.clone(),
            document: self.document.clone(),
            config: self.config.clone(),
        });
    }

    /// Notes a reading and tells every mistake: of a file that cannot be read nothing is used, of
    /// one that clashes with the configuration all but what does.
    fn note_reading(&mut self, reading: &Reading, config: &Config) {
        self.stamps.insert(reading.path.clone(), reading.stamp);
        match &reading.result {
            Ok(found) => self.note_mistakes(&told(&config.clashes(&reading.path, found))),
            Err(mistakes) => self.note_mistakes(mistakes),
        }
    }

    fn note_mistakes(&self, mistakes: &[String]) {
        if !mistakes.is_empty() {
            self.stats.file_failures.inc();
        }
        for mistake in mistakes {
            tracing::error!(mistake, "file of backends");
        }
    }

    /// Names have answers; what differs makes an epoch.
    pub(super) fn found(&mut self, round: &resolver::Round) {
        self.note_failures(round);
        if self.ending.is_some() {
            return;
        }
        // Of a name that went while it was asked for nothing is noted.
        let known = resolver::retained(&self.merged, &round.added_to(&self.resolved));
        if known != self.resolved {
            self.resolved = known;
            self.publish_facts();
        }
    }

    /// Publishes the present configuration with what is known now; later, if not now.
    pub(super) fn publish_facts(&mut self) {
        self.unpublished = None;
        if self.ending.is_some() {
            return;
        }
        let epoch = self
            .handle
            .snapshot()
            .epoch
            .next_found()
            .max(self.revision.epoch());
        let published = self
            .plans
            .prepare(&self.merged, &self.resolved, epoch, &self.publisher)
            .and_then(|prepared| self.publish(prepared));
        if let Err(refused) = published {
            tracing::error!(%refused, "what was found is not published");
            self.unpublished = Some(Instant::now() + PUBLISH_AGAIN);
        }
    }
}

fn told(clashes: &[Clash]) -> Vec<String> {
    clashes.iter().map(ToString::to_string).collect()
}
