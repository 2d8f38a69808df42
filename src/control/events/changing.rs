//! One change at a time, from wish to table: judge it, ask DNS for names that are new, bind what
//! it listens on, store it, publish it, say so.
//!
//! The order matters. What cannot be bound is not stored, so a store never holds what its node
//! cannot serve; what cannot be stored is not published, so no core serves what a restart would
//! forget. DNS and the store take time: meanwhile the loop obeys orders and follows the cores, and
//! further changes wait in their queue.
//!
//! The epochs of a process count its tables, from the revision its store had at the start. What is
//! found of backends (addresses of their names) makes an epoch without a revision: it is a fact of
//! this node, nobody's intent, and never stored.

use std::future::pending;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{ADOPTION_EXPECTED, Awaited, Control, Event};
use crate::config::{Config, Members};
use crate::control::breath::breathe;
use crate::control::change::{Change, Done, Refusal, Snapshot};
use crate::control::clock::since_1970;
use crate::control::document::{Document, Section, judge, rejudge};
use crate::control::look::{Looked, Search};
use crate::control::plans::{Prepared, Refused};
use crate::control::store::{Revision, StoreError};
use crate::control::takeover::State;
use crate::control::{reload, resolver};
use crate::engine::facts::{Facts, Resolved};

/// Why something changes, and who waits for it.
pub(super) enum Cause {
    /// Somebody asked for it.
    Asked(Change),
    /// A file has other backends, which leaves these known.
    Found(Members),
    /// The file was read again.
    Reload,
    /// Another node has stored it, as this revision.
    Stored(Revision),
}

/// What the node is to become.
pub(super) struct Next {
    pub(super) cause: Cause,
    pub(super) process: Section,
    pub(super) document: Document,
    pub(super) config: Config,
}

/// The change that is being made.
pub(super) struct Underway {
    next: Next,
    stage: Stage,
}

enum Stage {
    Committing {
        commit: JoinHandle<Result<Revision, StoreError>>,
        made: Box<Made>,
    },
    Looking(JoinHandle<Looked>),
}

/// What is ready to be published, and what is known with it.
struct Made {
    prepared: Prepared,
    resolved: Resolved,
    looked: Looked,
}

impl Underway {
    /// Whether its table has an epoch already.
    pub(super) fn has_epoch(&self) -> bool {
        matches!(self.stage, Stage::Committing { .. })
    }
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
        Stage::Looking(looking) => Event::Looked(looking.await.ok().map(Box::new)),
    }
}

impl Control {
    /// The first table, of what the store holds already.
    pub(super) fn publish_first(&mut self, before: &State) -> Result<(), Refused> {
        let epoch = self.handle.snapshot().epoch;
        let prepared = self
            .plans
            .prepare(&self.merged, &self.resolved, epoch, &self.publisher)?;
        // What another process knew is known before a core picks.
        self.health
            .adopt(&prepared.table, &self.merged, &self.document);
        self.health.recall(&before.known);
        self.publish(prepared)
    }

    /// Begins a change that was asked for, unless it is refused at once.
    pub(super) fn wanted(&mut self, change: Change) {
        breathe();
        let before = self.handle.snapshot();
        let judged = || {
            if self.ending.is_some() {
                return Err(Refusal::Ending);
            }
            if self.upgrade.is_frozen() {
                return Err(Refusal::HandingOver);
            }
            change.conditions.check(&before)?;
            let document = self.document.changed(&change.ops, since_1970())?;
            breathe();
            if document.records_since(&self.document).is_empty() {
                return Ok(None);
            }
            let known = (&self.document, &self.config);
            let judged = rejudge(&self.process, known, &document, &mut breathe);
            let config = judged.map_err(Refusal::Invalid)?;
            breathe();
            if let Some(refusal) = self.no_change_now() {
                return Err(refusal);
            }
            Ok(Some((document, config)))
        };
        match judged() {
            Err(refusal) => tell(change.answer, Err(refusal)),
            Ok(None) => {
                let after = Arc::clone(&before);
                tell(change.answer, Ok(Done { before, after }));
            }
            Ok(Some((document, config))) => self.begin(Next {
                cause: Cause::Asked(change),
                process: self.process.clone(),
                document,
                config,
            }),
        }
    }

    /// Answers every change that waits, and lets no further one come: nobody would make it.
    pub(super) fn refuse_all(&mut self) {
        let refusal = match self.upgrade.is_over() {
            true => Refusal::HandingOver,
            false => Refusal::Ending,
        };
        self.changes.close();
        let again = self.others.waits_no_more();
        let queued = std::iter::from_fn(|| self.changes.try_recv().ok());
        for change in again.into_iter().chain(queued) {
            tell(change.answer, Err(refusal.clone()));
        }
    }

    /// Reads the file again. With a lasting store only what belongs to the process is looked at.
    pub(super) fn reload(&mut self) {
        if self.upgrade.is_frozen() {
            self.reload_wanted = true;
            return;
        }
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
    /// files and names that are not known.
    pub(super) fn begin(&mut self, next: Next) {
        let mut search = Search {
            config: next.config.clone(),
            members: match &next.cause {
                Cause::Found(members) => members.clone(),
                Cause::Asked(_) | Cause::Reload | Cause::Stored(_) => self.members.clone(),
            },
            resolved: self.resolved.clone(),
            anew: matches!(next.cause, Cause::Reload),
        };
        breathe();
        if let Some(looked) = search.at_once() {
            self.note_looked(&looked, &next.config);
            self.prepare(next, looked);
            return;
        }
        // In the way of the configuration that is to be.
        let asker = match next.config.dns == self.config.dns {
            true => self.follower.asker(),
            false => resolver::Asker::new(&next.config.dns),
        };
        let looking = tokio::spawn(search.run(asker));
        self.underway = Some(Underway {
            next,
            stage: Stage::Looking(looking),
        });
    }

    /// What the change under way needs to know is known.
    pub(super) fn looked(&mut self, looked: Option<Looked>) {
        let Some(Underway { next, .. }) = self.underway.take() else {
            return;
        };
        let Some(looked) = looked else {
            self.refuse(next.cause, Refusal::Store("lookup failed".into()));
            return;
        };
        self.note_looked(&looked, &next.config);
        self.prepare(next, looked);
    }

    /// Plans and binds, then has it stored.
    fn prepare(&mut self, next: Next, looked: Looked) {
        breathe();
        if self.ending.is_some() {
            self.refuse(next.cause, Refusal::Ending);
            return;
        }
        let known = looked.round.added_to(&self.resolved);
        let resolved = resolver::retained(&looked.merged, &known);
        if matches!(next.cause, Cause::Found(_)) {
            self.resolved = resolved;
            self.follow_found(looked.members, looked.merged, &looked.round);
            self.publish_facts();
            return;
        }
        let stored = match &next.cause {
            Cause::Stored(revision) => Some(*revision),
            Cause::Asked(_) | Cause::Found(_) | Cause::Reload => None,
        };
        let epoch = stored.unwrap_or(Revision(self.revision.0 + 1)).epoch();
        let prepared = self
            .plans
            .prepare(&looked.merged, &resolved, epoch, &self.publisher);
        match prepared {
            Err(refused) => self.refuse(next.cause, refusal_of(refused)),
            Ok(prepared) if stored.is_some() => {
                let made = Made {
                    prepared,
                    resolved,
                    looked,
                };
                self.take_over(next, made, stored.unwrap_or_default());
            }
            Ok(prepared) => {
                breathe();
                let Some(store) = &self.store else {
                    self.refuse(next.cause, Refusal::HandingOver);
                    return;
                };
                let writes = next.document.records_since(&self.document);
                let commit = tokio::spawn(store.commit(self.revision, writes));
                self.underway = Some(Underway {
                    next,
                    stage: Stage::Committing {
                        commit,
                        made: Box::new(Made {
                            prepared,
                            resolved,
                            looked,
                        }),
                    },
                });
            }
        }
    }

    /// The store has answered.
    pub(super) fn committed(&mut self, revision: Result<Revision, StoreError>) {
        let Some(Underway {
            next,
            stage: Stage::Committing { made, .. },
        }) = self.underway.take()
        else {
            return;
        };
        match revision {
            Ok(revision) => self.take_over(next, *made, revision),
            Err(StoreError::Conflict { now }) => {
                let cause = match next.cause {
                    Cause::Asked(change) => match self.wait_for_turn(change) {
                        Some(change) => Cause::Asked(change),
                        None => return,
                    },
                    cause => cause,
                };
                let why = format!("the store is at revision {now}, not at {}", self.revision);
                self.refuse(cause, Refusal::Conflict(why));
            }
            Err(error) => self.refuse(next.cause, Refusal::Store(error.to_string())),
        }
    }

    /// Stored: from here on it is the truth, whatever the cores say.
    fn take_over(&mut self, next: Next, made: Made, revision: Revision) {
        let Made {
            prepared,
            resolved,
            looked,
        } = made;
        self.revision = revision;
        self.document = next.document;
        breathe();
        self.process = next.process;
        let before = self.handle.snapshot();
        self.config = next.config;
        self.resolved = resolved;
        breathe();
        self.follow_found(looked.members, looked.merged, &looked.round);
        breathe();
        let epoch = revision.epoch();
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
            Cause::Asked(change) => {
                let micros = u64::try_from(change.asked.elapsed().as_micros());
                self.stats.changes.record_micros(micros.unwrap_or(u64::MAX));
                tell(change.answer, Ok(Done { before, after }));
            }
            Cause::Found(_) => {}
            Cause::Stored(_) => self.all_served(),
            Cause::Reload => {
                self.stats.reloads.inc();
                self.warn_of_restart(&self.config);
                tracing::info!(%epoch, "reloaded");
            }
        }
    }

    pub(super) fn publish(&mut self, prepared: Prepared) -> Result<(), Refused> {
        if let Some(gossip) = &self.gossip {
            gossip.adopt(&prepared.table);
        }
        self.publisher.check_room().map_err(Refused::Publish)?;
        // What is known of a backend is told before a core can pick it. Nothing lets a core run
        // out of room between these two.
        self.health
            .adopt(&prepared.table, &self.merged, &self.document);
        breathe();
        let log = self.log.as_ref();
        let epoch = self.plans.publish(prepared, &mut self.publisher, log)?;
        breathe();
        if let Some(view) = &*self.plans.view().load() {
            self.monitor.adopt(&view.table, &self.merged);
            breathe();
        }
        let before = self.handle.snapshot();
        let facts = Facts {
            members: self.members.clone(),
            resolved: self.resolved.clone(),
        };
        self.handle.replace(match before.revision == self.revision {
            true => before.at(epoch, facts),
            false => Snapshot {
                revision: self.revision,
                epoch,
                process: self.process.clone(),
                document: self.document.clone(),
                facts,
                ..Snapshot::default()
            },
        });
        breathe();
        self.unpublished = None;
        self.stats.published.inc();
        let unix = UNIX_EPOCH.elapsed().unwrap_or_default();
        let micros = u64::try_from(unix.as_micros()).unwrap_or(u64::MAX);
        self.stats.published_unix_micros.set(micros);
        let published = Instant::now();
        self.awaited = Some(Awaited {
            epoch,
            published,
            late: published + ADOPTION_EXPECTED,
        });
        tracing::info!(%epoch, "published");
        Ok(())
    }

    fn refuse(&mut self, cause: Cause, refusal: Refusal) {
        match cause {
            Cause::Asked(change) => tell(change.answer, Err(refusal)),
            Cause::Stored(revision) => self.not_served(revision, format!("{refusal:?}")),
            Cause::Found(_) => tracing::error!(?refusal, "a file is not used"),
            Cause::Reload => {
                self.stats.reload_failures.inc();
                tracing::error!(?refusal, "reload refused");
            }
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
pub(super) mod tests;
