//! What must be looked up before a configuration can be planned: its files of backends, then the
//! names in both.

use std::path::PathBuf;

use crate::config::{Config, Members};
use crate::control::files::{self, Reading};
use crate::control::resolver::{self, Asker, Question, Round};
use crate::engine::facts::Resolved;

/// What to look for.
pub(super) struct Search {
    /// Of what.
    pub(super) config: Config,
    /// The files that are known.
    pub(super) members: Members,
    /// The names that are known.
    pub(super) resolved: Resolved,
    /// Whether names that are known are asked for as well.
    pub(super) anew: bool,
}

/// What was found.
pub(super) struct Looked {
    /// Files that were read.
    pub(super) readings: Vec<Reading>,
    /// Every file of the configuration.
    pub(super) members: Members,
    /// The configuration with them.
    pub(super) merged: Config,
    /// Names that were asked for.
    pub(super) round: Round,
}

impl Search {
    /// What is found without asking anybody, if that is all.
    pub(super) fn at_once(&mut self) -> Option<Looked> {
        if self.anew || !self.unread().is_empty() {
            return None;
        }
        self.forget();
        let merged = self.config.with_members(&self.members);
        let complete = resolver::unknown(&merged, &self.resolved).is_empty();
        complete.then(|| Looked {
            readings: Vec::new(),
            members: std::mem::take(&mut self.members),
            merged,
            round: Round::default(),
        })
    }

    /// Reads the files that are not known and asks for names.
    pub(super) async fn run(mut self, asker: Asker) -> Looked {
        let readings = files::read_all(self.unread()).await;
        for reading in &readings {
            let found = reading.result.as_deref().unwrap_or_default();
            self.members.insert(reading.path.clone(), found.into());
        }
        self.forget();
        let merged = self.config.with_members(&self.members);
        let questions: Vec<Question> = match self.anew {
            true => resolver::questions(&merged),
            false => resolver::unknown(&merged, &self.resolved),
        };
        Looked {
            readings,
            members: self.members,
            merged,
            round: resolver::resolve(asker, questions, self.resolved).await,
        }
    }

    fn unread(&self) -> Vec<PathBuf> {
        let mut files = self.config.backends_files();
        files.retain(|path| !self.members.contains_key(path));
        files.into_iter().collect()
    }

    fn forget(&mut self) {
        let files = self.config.backends_files();
        self.members.retain(|path, _| files.contains(path));
    }
}
