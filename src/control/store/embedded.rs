//! The store of a node of its own: one file, by redb.
//!
//! redb keeps two copies of the root and changes over by one checksummed write after everything
//! else is on the disk, so a kill finds the old state or the new one. Commits wait for the disk
//! (`Durability::Immediate`), on a thread that may wait. One process has the file at a time; the
//! file is its owner's alone, because a configuration may name secrets.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition,
};

use super::{Answer, Content, Revision, Store, StoreError, Write};

/// Records by key.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");

/// Numbers about the store itself.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// Key of the revision.
const REVISION: &str = "revision";

/// Key of the version of this layout.
const LAYOUT: &str = "layout";

/// Key of the store that this is a copy of.
const ORIGIN: &str = "origin";

/// The layout this program writes, and the only one it reads.
const LAYOUT_NOW: u64 = 1;

/// A store in a file.
#[derive(Clone)]
pub struct Embedded {
    database: Arc<Database>,
}

impl Embedded {
    /// Opens the store in a file, which is made if it is not there. It blocks.
    ///
    /// # Errors
    /// When the file cannot be opened or made, is not a store, or another process has it.
    pub fn open(path: &Path) -> Result<Embedded, StoreError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).mode(0o600);
        let file = options.open(path).map_err(failed)?;
        let backend = FileBackend::new(file).map_err(not_opened)?;
        let database = Database::builder().create_with_backend(backend);
        let database = database.map_err(not_opened)?;
        // A new name lasts only once its directory is on the disk.
        if let Some(folder) = path.parent() {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(failed)?;
        }
        let store = Embedded {
            database: Arc::new(database),
        };
        store.read_all()?;
        Ok(store)
    }

    /// Everything it holds, on this thread.
    pub(in crate::control) fn read_all(&self) -> Result<Content, StoreError> {
        let reading = self.database.begin_read().map_err(failed)?;
        let Some(revision) = revision(&reading)? else {
            return Ok(Content::default());
        };
        let mut content = Content {
            revision,
            ..Content::default()
        };
        let objects = reading.open_table(OBJECTS).map_err(failed)?;
        for record in objects.iter().map_err(failed)? {
            let (key, record) = record.map_err(failed)?;
            content
                .records
                .insert(key.value().to_owned(), record.value().to_owned());
        }
        Ok(content)
    }

    fn write_all(&self, expected: Revision, writes: &[Write]) -> Result<Revision, StoreError> {
        let mut writing = self.database.begin_write().map_err(failed)?;
        writing
            .set_durability(Durability::Immediate)
            .map_err(failed)?;
        let next = {
            let mut numbers = writing.open_table(NUMBERS).map_err(failed)?;
            let now = numbers.get(REVISION).map_err(failed)?;
            let now = Revision(now.map_or(0, |number| number.value()));
            if now != expected {
                // Dropped, the transaction leaves no trace.
                return Err(StoreError::Conflict { now });
            }
            numbers.insert(LAYOUT, LAYOUT_NOW).map_err(failed)?;
            numbers.insert(REVISION, now.0 + 1).map_err(failed)?;
            let mut objects = writing.open_table(OBJECTS).map_err(failed)?;
            for (key, record) in writes {
                match record {
                    Some(record) => objects.insert(&**key, &**record).map_err(failed)?,
                    None => objects.remove(&**key).map_err(failed)?,
                };
            }
            Revision(now.0 + 1)
        };
        writing.commit().map_err(failed)?;
        Ok(next)
    }

    /// Makes it hold exactly this, whatever it held, as the copy of another store.
    pub(super) fn replace_all(&self, origin: u64, content: &Content) -> Result<(), StoreError> {
        let before = self.read_all()?;
        let mut writing = self.database.begin_write().map_err(failed)?;
        writing
            .set_durability(Durability::Immediate)
            .map_err(failed)?;
        {
            let mut numbers = writing.open_table(NUMBERS).map_err(failed)?;
            for (key, number) in [
                (LAYOUT, LAYOUT_NOW),
                (REVISION, content.revision.0),
                (ORIGIN, origin),
            ] {
                numbers.insert(key, number).map_err(failed)?;
            }
            let mut objects = writing.open_table(OBJECTS).map_err(failed)?;
            for (key, record) in &content.records {
                if before.records.get(key) != Some(record) {
                    objects.insert(&**key, &**record).map_err(failed)?;
                }
            }
            for key in before.records.keys() {
                if !content.records.contains_key(key) {
                    objects.remove(&**key).map_err(failed)?;
                }
            }
        }
        writing.commit().map_err(failed)
    }

    /// The store it is a copy of, if it is one.
    pub(super) fn origin(&self) -> Result<Option<u64>, StoreError> {
        let reading = self.database.begin_read().map_err(failed)?;
        match reading.open_table(NUMBERS) {
            Ok(numbers) => {
                let origin = numbers.get(ORIGIN).map_err(failed)?;
                Ok(origin.map(|origin| origin.value()))
            }
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Embedded) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let store = self.clone();
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&store)).await;
            done.map_err(failed).and_then(|answer| answer)
        })
    }
}

impl Store for Embedded {
    fn load(&self) -> Answer<Content> {
        self.on_a_thread(Embedded::read_all)
    }

    fn commit(&self, expected: Revision, writes: Vec<Write>) -> Answer<Revision> {
        self.on_a_thread(move |store| store.write_all(expected, &writes))
    }
}

/// The revision of a store that has one; none of one that was never written.
fn revision(reading: &ReadTransaction) -> Result<Option<Revision>, StoreError> {
    let numbers = match reading.open_table(NUMBERS) {
        Ok(numbers) => numbers,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let number = |key: &str| {
        let number = numbers.get(key).map_err(failed)?;
        Ok::<_, StoreError>(number.map(|number| number.value()))
    };
    match number(LAYOUT)? {
        Some(LAYOUT_NOW) => Ok(number(REVISION)?.map(Revision)),
        other => Err(StoreError::Failed(format!(
            "it has layout {}, this program reads {LAYOUT_NOW}",
            other.map_or_else(|| "none".to_owned(), |layout| layout.to_string())
        ))),
    }
}

fn not_opened(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Busy,
        other => failed(other),
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}
