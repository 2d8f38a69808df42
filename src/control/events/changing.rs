//! One change at a time, from wish to table: judge it, ask DNS for names that are new, bind what
//! it listens on, store it, publish it, say so.
//!
//! The order matters. What cannot be bound is not stored, so a store never holds what its node
//! cannot serve; what cannot be stored is not published, so no core serves what a restart would
//! forget. DNS and the store take time: meanwhile the loop obeys orders and follows the cores, and
//! further changes wait in their queue. The epoch of a table is the revision of the store it was
//! planned from; new addresses of a name make a revision as well, without a record.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{ADOPTION_EXPECTED, Control, Event, ticks};
use crate::config::Config;
use crate::control::change::{Change, Done, Refusal, Snapshot};
use crate::control::document::{Document, Section, judge};
use crate::control::plans::{Prepared, Refused};
use crate::control::store::{Revision, StoreError};
use crate::control::{reload, resolver};
use crate::engine::planner::Resolved;

/// Why something changes, and who waits for it.
enum Cause {
    /// Names have other addresses.
    Addresses,
    /// Somebody asked for it.
    Asked(oneshot::Sender<Result<Done, Refusal>>),
    /// The file was read again.
    Reload,
}

/// What the node is to become.
struct Next {
    cause: Cause,
    process: Section,
    document: Document,
    config: Config,
}

/// The change that is being made.
pub(super) struct Underway {
    next: Next,
    resolved: Resolved,
    stage: Stage,
}

enum Stage {
    Committing {
        commit: JoinHandle<Result<Revision, StoreError>>,
        prepared: Box<Prepared>,
    },
    Looking(JoinHandle<resolver::Round>),
}

/// What became of the stage under way; waits for ever when there is none.
pub(super) async fn progressed(underway: &mut Option<Underway>) -> Event {
    let Some(underway) = underway else {
        return pending().await;
    };
    match &mut underway.stage {
        Stage::Committing { commit, .. } => {
            let lost = |error: tokio::task::JoinError| StoreError::Failed(error.to_string());
            Event::Committed(commit.await.map_err(lost).and_then(|revision| revision))
        }
        Stage::Looking(round) => Event::Resolved(round.await.ok()),
    }
}

impl Control {
    /// The first table, of what the store holds already.
    pub(super) fn publish_first(&mut self) -> Result<(), Refused> {
        let epoch = self.revision.epoch();
        let prepared = self
            .plans
            .prepare(&self.config, &self.resolved, epoch, &self.publisher)?;
        self.publish(prepared)
    }

    /// Begins a change that was asked for, unless it is refused at once.
    pub(super) fn wanted(&mut self, change: Change) {
        let Change {
            ops,
            conditions,
            answer,
        } = change;
        let before = self.handle.snapshot();
        let judged = || {
            if self.ending.is_some() {
                return Err(Refusal::Ending);
            }
            conditions.check(&before)?;
            let document = self.document.apply(&ops)?;
            if document.records_since(&self.document).is_empty() {
                return Ok(None);
            }
            let config = judge(&self.process, &document).map_err(Refusal::Invalid)?;
            Ok(Some((document, config)))
        };
        match judged() {
            Err(refusal) => tell(answer, Err(refusal)),
            Ok(None) => {
                let after = Arc::clone(&before);
                tell(answer, Ok(Done { before, after }));
            }
            Ok(Some((document, config))) => self.begin(Next {
                cause: Cause::Asked(answer),
                process: self.process.clone(),
                document,
                config,
            }),
        }
    }

    /// Reads the file again. With a lasting store only what belongs to the process is looked at.
    pub(super) fn reload(&mut self) {
        let Some((split, config)) = reload::read(&self.config_path) else {
            self.stats.reload_failures.inc();
            return;
        };
        if self.lasting {
            self.warn_of_restart(&config);
            self.stats.reloads.inc();
            tracing::info!(
                differs = split.document != self.document,
                "the store is the truth; of the file only the process is read"
            );
            return;
        }
        if let Some(underway) = &self.underway {
            // A newer file replaces an older one that is still looked up; any other change is
            // made first, and the file is read again after it.
            let replaced = matches!(underway.next.cause, Cause::Reload)
                && matches!(underway.stage, Stage::Looking(_));
            if !replaced {
                self.reload_wanted = true;
                return;
            }
            self.underway = None;
        }
        match judge(&split.process, &split.document) {
            Ok(config) => self.begin(Next {
                cause: Cause::Reload,
                process: split.process,
                document: split.document,
                config,
            }),
            Err(mistakes) => {
                self.stats.reload_failures.inc();
                for mistake in mistakes {
                    tracing::error!(%mistake, "configuration");
                }
            }
        }
    }

    fn warn_of_restart(&self, config: &Config) {
        let restart = reload::needs_restart(&self.started_with, config);
        if !restart.is_empty() {
            tracing::warn!(settings = restart.join(" "), "restart needed");
        }
    }

    /// Looks up what must be looked up: a reload asks for every name anew, any other change for
    /// names that are not known.
    fn begin(&mut self, next: Next) {
        let mut names = resolver::names(&next.config);
        if !matches!(next.cause, Cause::Reload) {
            names.retain(|(host, port)| !self.resolved.knows(host, *port));
        }
        let reload = matches!(next.cause, Cause::Reload);
        if names.is_empty() && !reload {
            let resolved = self.resolved.clone();
            self.prepare(next, resolved);
            return;
        }
        let round = tokio::spawn(resolver::resolve(names));
        self.underway = Some(Underway {
            next,
            resolved: Resolved::default(),
            stage: Stage::Looking(round),
        });
    }

    /// Names of the change under way have their answers.
    pub(super) fn resolved(&mut self, round: Option<resolver::Round>) {
        let Some(Underway { next, .. }) = self.underway.take() else {
            return;
        };
        let Some(round) = round else {
            self.refuse(next.cause, Refusal::Store("lookup failed".into()));
            return;
        };
        self.note_failures(&round);
        let resolved = match next.cause {
            Cause::Reload => round.merged(&self.resolved),
            Cause::Addresses | Cause::Asked(_) => round.added_to(&self.resolved),
        };
        self.prepare(next, resolved);
    }

    /// Plans and binds, then has it stored.
    fn prepare(&mut self, next: Next, resolved: Resolved) {
        if self.ending.is_some() {
            self.refuse(next.cause, Refusal::Ending);
            return;
        }
        let epoch = Revision(self.revision.0 + 1).epoch();
        let prepared = self
            .plans
            .prepare(&next.config, &resolved, epoch, &self.publisher);
        match prepared {
            Err(refused) => self.refuse(next.cause, refusal_of(refused)),
            Ok(prepared) => {
                let writes = next.document.records_since(&self.document);
                let commit = tokio::spawn(self.store.commit(self.revision, writes));
                self.underway = Some(Underway {
                    next,
                    resolved,
                    stage: Stage::Committing {
                        commit,
                        prepared: Box::new(prepared),
                    },
                });
            }
        }
    }

    /// The store has answered.
    pub(super) fn committed(&mut self, revision: Result<Revision, StoreError>) {
        let Some(Underway {
            next,
            resolved,
            stage: Stage::Committing { prepared, .. },
        }) = self.underway.take()
        else {
            return;
        };
        match revision {
            Ok(revision) => self.take_over(next, resolved, *prepared, revision),
            Err(StoreError::Conflict { now }) => {
                let why = format!("the store is at revision {now}, not at {}", self.revision);
                self.refuse(next.cause, Refusal::Conflict(why));
            }
            Err(error) => self.refuse(next.cause, Refusal::Store(error.to_string())),
        }
    }

    /// Stored: from here on it is the truth, whatever the cores say.
    fn take_over(
        &mut self,
        next: Next,
        resolved: Resolved,
        prepared: Prepared,
        revision: Revision,
    ) {
        self.revision = revision;
        self.document = next.document;
        self.process = next.process;
        self.resolved = resolved;
        // It may have asked for names of before this change.
        if let Some(refreshing) = self.refreshing.take() {
            refreshing.abort();
        }
        if next.config.dns.refresh != self.config.dns.refresh {
            self.refresh = ticks(next.config.dns.refresh);
        }
        let before = self.handle.snapshot();
        self.config = next.config;
        let published = match self.ending {
            Some(_) => Err(Refusal::Ending),
            None => self.publish(prepared).map_err(refusal_of),
        };
        if let Err(refusal) = published {
            self.refuse(next.cause, refusal);
            return;
        }
        let after = self.handle.snapshot();
        match next.cause {
            Cause::Addresses => {}
            Cause::Asked(answer) => tell(answer, Ok(Done { before, after })),
            Cause::Reload => {
                self.stats.reloads.inc();
                self.warn_of_restart(&self.config);
                tracing::info!(epoch = revision.0, "reloaded");
            }
        }
    }

    fn publish(&mut self, prepared: Prepared) -> Result<(), Refused> {
        let log = self.log.as_ref();
        let epoch = self.plans.publish(prepared, &mut self.publisher, log)?;
        let snapshot = Snapshot::new(epoch, self.process.clone(), self.document.clone());
        self.handle.replace(snapshot);
        self.stats.published.inc();
        self.awaited = Some((epoch, Instant::now() + ADOPTION_EXPECTED));
        tracing::info!(epoch = epoch.0, "published");
        Ok(())
    }

    fn refuse(&mut self, cause: Cause, refusal: Refusal) {
        match cause {
            // The next round finds the same difference and tries again.
            Cause::Addresses => tracing::error!(?refusal, "new addresses not published"),
            Cause::Asked(answer) => tell(answer, Err(refusal)),
            Cause::Reload => {
                self.stats.reload_failures.inc();
                tracing::error!(?refusal, "reload refused");
            }
        }
    }

    /// Asks for the present names again, unless that is being done or a change is under way.
    pub(super) fn refresh_names(&mut self) {
        let busy = self.refreshing.is_some() || self.underway.is_some();
        let names = resolver::names(&self.config);
        if self.ending.is_none() && !busy && !names.is_empty() {
            self.refreshing = Some(tokio::spawn(resolver::resolve(names)));
        }
    }

    /// The present names have answers; new ones are a change.
    pub(super) fn refreshed(&mut self, round: Option<resolver::Round>) {
        self.refreshing = None;
        let Some(round) = round else {
            tracing::error!("lookup failed");
            return;
        };
        if self.ending.is_some() {
            return;
        }
        self.note_failures(&round);
        let resolved = round.merged(&self.resolved);
        if resolved != self.resolved {
            let next = Next {
                cause: Cause::Addresses,
                process: self.process.clone(),
                document: self.document.clone(),
                config: self.config.clone(),
            };
            self.prepare(next, resolved);
        }
    }
}

/// Who asked may have gone.
fn tell(answer: oneshot::Sender<Result<Done, Refusal>>, what: Result<Done, Refusal>) {
    let _ = answer.send(what);
}

fn refusal_of(refused: Refused) -> Refusal {
    match refused {
        Refused::Listen(_) => Refusal::Machine(refused.to_string()),
        Refused::Publish(_) => Refusal::Stuck(refused.to_string()),
    }
}

#[cfg(test)]
mod tests;
