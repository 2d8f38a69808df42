//! What a node is configured by at its start: the file for what belongs to the process, and the
//! store for everything else, which the file fills while it is empty.
//!
//! A store gets a seed of its own for placing keys when it is filled, unless the file has one: who
//! chooses keys cannot aim at one backend, and a file that was exported keeps every key where it
//! is. A file alone has the seed 0, so that nodes with the same file place alike.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::epoch::Epoch;
use crate::config::Config;
use crate::config::checked::Store;
use crate::control::clock::since_1970;
use crate::control::document::{Document, Mistake, NotADocument, Section, Split, judge, split};
use crate::control::store::{self, Content, Embedded, Etcd, Memory, Revision, StoreError};

/// What is true at the start.
pub struct Truth {
    /// Where changes go.
    pub store: Arc<dyn store::Store>,
    /// Whether the store outlives the process, so that the file is no longer the truth.
    pub lasting: bool,
    /// What belongs to the process.
    pub process: Section,
    /// Everything else.
    pub document: Document,
    /// Both together, as meant.
    pub config: Config,
    /// The state of the store.
    pub revision: Revision,
}

/// Why there is no truth to be had.
#[derive(Debug)]
pub enum NoTruth {
    /// The file cannot be taken apart, though it loads.
    File(String),
    /// What is in the store, with what is in the file, has mistakes.
    Mistakes(Vec<Mistake>),
    /// The store holds something else.
    Strange(String, NotADocument),
    /// The store cannot be used.
    Unusable(String, StoreError),
}

impl fmt::Display for NoTruth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoTruth::File(error) => f.write_str(error),
            NoTruth::Mistakes(mistakes) => {
                f.write_str("the store and the file do not go together:")?;
                mistakes
                    .iter()
                    .try_for_each(|mistake| write!(f, "\n{mistake}"))
            }
            NoTruth::Strange(place, error) => write!(f, "store {place}: {error}"),
            NoTruth::Unusable(place, error) => write!(f, "store {place}: {error}"),
        }
    }
}

impl std::error::Error for NoTruth {}

/// The truth by a file whose text was found to mean `config`, where `before` is the last epoch of a
/// process that is taken over from: without a store that lasts, revisions go on behind it.
///
/// # Errors
/// When the store cannot be used, or does not go together with the file.
pub async fn establish(text: &str, config: &Config, before: Epoch) -> Result<Truth, NoTruth> {
    let place = place_of(config);
    let opened = open(config, before).await;
    let opened = opened.map_err(|error| NoTruth::Unusable(place, error))?;
    settle(text, config, opened).await
}

/// The truth by a file and a store that nodes of one process share.
///
/// # Errors
/// As those of [`establish`].
pub async fn establish_in(
    text: &str,
    config: &Config,
    store: Arc<store::Shared>,
) -> Result<Truth, NoTruth> {
    let unusable = |error| NoTruth::Unusable("memory".to_owned(), error);
    let content = store::Store::load(&*store).await.map_err(unusable)?;
    let opened = Opened {
        store,
        etcd: None,
        lasting: true,
        content,
    };
    settle(text, config, opened).await
}

async fn settle(text: &str, config: &Config, opened: Opened) -> Result<Truth, NoTruth> {
    let Split { process, document } = split(text).map_err(NoTruth::File)?;
    let place = place_of(config);
    let unusable = |error| NoTruth::Unusable(place.clone(), error);
    let Opened {
        store,
        etcd,
        lasting,
        content,
    } = opened;
    let content = match content.records.is_empty() {
        false => content,
        true => {
            let filed = match lasting {
                true => fit_to_last(&document),
                false => document.clone(),
            };
            judge(&process, &filed).map_err(NoTruth::Mistakes)?;
            let writes = filed.records_since(&Document::default());
            match store.commit(content.revision, writes).await {
                // By this node, or by another one that was first.
                Ok(_) | Err(StoreError::Conflict { .. }) => store.load().await,
                Err(error) => Err(error),
            }
            .map_err(unusable)?
        }
    };
    let Content { revision, records } = content;
    let stored = records.iter().map(|(key, record)| (&**key, &**record));
    let strange = |error| NoTruth::Strange(place.clone(), error);
    let stored = Document::from_records(stored).map_err(strange)?;
    let filed = match stored.hash_seed().cloned() {
        Some(seed) => document.or_hash_seed(seed),
        None => document,
    };
    if stored != filed {
        tracing::info!(%revision, "the store is the truth; the file differs");
    }
    let config = judge(&process, &stored).map_err(NoTruth::Mistakes)?;
    if let Some(etcd) = etcd {
        etcd.rest();
    }
    Ok(Truth {
        store,
        lasting,
        process,
        document: stored,
        config,
        revision,
    })
}

/// What is called the store when something is wrong with it.
fn place_of(config: &Config) -> String {
    match &config.store {
        None => "memory".to_owned(),
        Some(Store { etcd: None, path }) => path.display().to_string(),
        Some(Store {
            etcd: Some(etcd), ..
        }) => etcd.endpoints.join(", "),
    }
}

/// A store and what it holds.
struct Opened {
    store: Arc<dyn store::Store>,
    etcd: Option<Etcd>,
    /// Whether it is the truth once it is filled, whatever the file says.
    lasting: bool,
    content: Content,
}

async fn open(config: &Config, before: Epoch) -> Result<Opened, StoreError> {
    let (store, etcd): (Arc<dyn store::Store>, _) = match &config.store {
        None => {
            let last = Revision(before.revision());
            (Arc::new(Memory::after(last)), None)
        }
        Some(Store { etcd: None, path }) => (open_embedded(path.clone()).await?, None),
        Some(Store {
            etcd: Some(etcd), ..
        }) => {
            let etcd = Etcd::new(etcd);
            (Arc::new(etcd.clone()), Some(etcd))
        }
    };
    let content = match &etcd {
        Some(etcd) => etcd.begin().await?,
        None => store.load().await?,
    };
    Ok(Opened {
        store,
        etcd,
        lasting: config.store.is_some(),
        content,
    })
}

/// The store at `path`, opened beside the loop, because that waits for the disk.
///
/// # Errors
/// When it cannot be used.
pub async fn open_embedded(path: PathBuf) -> Result<Arc<dyn store::Store>, StoreError> {
    let opening = tokio::task::spawn_blocking(move || Embedded::open(&path));
    let opened = opening
        .await
        .map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(Arc::new(opened?))
}

/// What a store that lasts gets of a file: with a seed of its own, and the beginning of drains.
fn fit_to_last(document: &Document) -> Document {
    let seeded = document.clone().or_hash_seed(fresh_seed().into());
    seeded.with_drains_since(&Document::default(), since_1970())
}

/// A seed nobody can guess, within what an integer of TOML can hold.
fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0) >> 1
}

impl Revision {
    /// The epoch of tables planned from this state.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        Epoch::of(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::control::document::{ObjectPath, Op};

    const FILE: &str = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:1\"\ngroup = \"app\"\n\
                        [[group]]\nname = \"app\"\nbackends = [\"127.0.0.1:9\"]\n";

    async fn truth(text: &str) -> Result<Truth, NoTruth> {
        establish(text, &config::load(text, "weir.toml").unwrap(), Epoch(0)).await
    }

    #[tokio::test]
    async fn a_file_fills_an_empty_store_and_only_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let text = format!("[store]\npath = {path:?}\n{FILE}");
        let first = truth(&text).await.unwrap();
        assert_eq!((first.revision, first.lasting), (Revision(1), true));
        let path: ObjectPath = "groups/app".parse().unwrap();
        let value = [("retries".to_owned(), 7.into())].into_iter().collect();
        let changed = first.document.apply(&[Op::Patch { path, value }]).unwrap();
        let writes = changed.records_since(&first.document);
        first.store.commit(Revision(1), writes).await.unwrap();
        assert!(matches!(
            truth(&text).await,
            Err(NoTruth::Unusable(_, StoreError::Busy))
        ));
        drop(first);
        let other = text
            .replace("127.0.0.1:9", "127.0.0.1:10")
            .replace("[store]", "workers = 3\n[store]");
        let again = truth(&other).await.unwrap();
        assert_eq!((again.revision, &again.document), (Revision(2), &changed));
        assert_eq!(again.config.groups[0].retries, 7);
        assert_eq!(again.config.workers, config::checked::Workers::Count(3));
        drop(again);
        let clash = "[admin]\naddress = \"127.0.0.1:1\"\n[store]\npath";
        let clash = other.replace("[store]\npath", clash);
        let clash = clash.replace(
            "address = \"127.0.0.1:1\"\ngroup",
            "address = \"127.0.0.1:2\"\ngroup",
        );
        let told = truth(&clash).await.err().unwrap().to_string();
        assert!(
            told.contains("listeners/web: address: 127.0.0.1:1 is already"),
            "{told}"
        );
    }

    #[tokio::test]
    async fn without_a_store_the_file_is_the_truth_each_time() {
        for _ in 0..2 {
            let truth = truth(FILE).await.unwrap();
            assert_eq!(
                (truth.revision.epoch(), truth.lasting),
                (Epoch::of(1), false)
            );
        }
    }
}
