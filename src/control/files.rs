//! Files of backends: read at once when they are needed, and again whenever they change.
//!
//! A task watches the directories a file is found through, symlinks included, so that a file that
//! is written in place, replaced by a rename, or swapped by a symlink somewhere above it (as
//! Kubernetes does with a ConfigMap) is noticed alike. It waits until the writing is over, and it
//! looks at the files by itself now and then, because there are file systems that tell nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::future::pending;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::base::limits::ADMIN_BODY_BYTES_MAX;
use crate::config::checked::Backend;
use crate::config::{MembersForm, load_members};
use crate::runtime::watch::Watch;

/// How long a change waits for others of the same hand.
const WRITING: Duration = Duration::from_millis(50);

/// How often the files are looked at when nothing was told.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Symlinks followed on the way to one file, as the kernel has it.
const LINKS_MAX: usize = 40;

/// Bytes of one file; the same as of a group written by the API.
const BYTES_MAX: usize = ADMIN_BODY_BYTES_MAX;

/// What tells one state of a file from another; none for one that is not there.
pub type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// One reading of a file.
#[derive(Debug)]
pub struct Reading {
    /// Which file.
    pub path: PathBuf,
    /// Its state when the reading began.
    pub stamp: Stamp,
    /// Its backends, or every mistake in it.
    pub result: Result<Vec<Backend>, Vec<String>>,
}

/// The watched files, as the control loop has them.
pub struct Files {
    wanted: watch::Sender<BTreeMap<PathBuf, Stamp>>,
    readings: mpsc::Receiver<Reading>,
}

/// Reads a file now. It blocks.
#[must_use]
pub fn read(path: &Path) -> Reading {
    let stamp = stamp_of(path);
    let name = path.display().to_string();
    let result = read_text(path)
        .map_err(|error| vec![format!("{name}: {error}")])
        .and_then(|text| {
            let members = load_members(&text, &name, MembersForm::of(path));
            members.map_err(|found| found.errors.iter().map(ToString::to_string).collect())
        });
    Reading {
        path: path.to_owned(),
        stamp,
        result,
    }
}

/// Reads files on a thread that may wait.
pub async fn read_all(paths: Vec<PathBuf>) -> Vec<Reading> {
    let lost = paths.clone();
    let reading =
        tokio::task::spawn_blocking(move || paths.iter().map(|path| read(path)).collect());
    reading.await.unwrap_or_else(|error| {
        let failed = |path| Reading {
            path,
            stamp: None,
            result: Err(vec![error.to_string()]),
        };
        lost.into_iter().map(failed).collect()
    })
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let bytes_max = BYTES_MAX as u64 + 1;
    File::open(path)?
        .take(bytes_max)
        .read_to_string(&mut text)?;
    if text.len() > BYTES_MAX {
        let what = format!("more than {BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}

fn stamp_of(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    let changed = (file.ctime(), file.ctime_nsec());
    Some((file.dev(), file.ino(), file.size(), changed.0, changed.1))
}

impl Files {
    /// Watches nothing yet. Panics outside a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let (wanted, changes) = watch::channel(BTreeMap::new());
        let (sender, readings) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut watcher = Watcher {
                wanted: changes,
                sender,
                watch: None,
                seen: BTreeMap::new(),
            };
            watcher.run().await;
        });
        Files { wanted, readings }
    }

    /// Watches these files and no others, each known in this state.
    pub fn follow(&self, wanted: BTreeMap<PathBuf, Stamp>) {
        self.wanted.send_if_modified(|present| {
            let differs = !present.keys().eq(wanted.keys());
            *present = wanted;
            differs
        });
    }

    /// The next file that has changed. Dropping it loses nothing.
    pub async fn next(&mut self) -> Reading {
        match self.readings.recv().await {
            Some(reading) => reading,
            None => pending().await,
        }
    }
}

impl Default for Files {
    fn default() -> Self {
        Files::new()
    }
}

struct Watcher {
    wanted: watch::Receiver<BTreeMap<PathBuf, Stamp>>,
    sender: mpsc::Sender<Reading>,
    watch: Option<Watch>,
    /// Every file and the state it was last read in.
    seen: BTreeMap<PathBuf, Stamp>,
}

impl Watcher {
    /// Ends with whoever wants to know.
    async fn run(&mut self) {
        loop {
            tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.follow(),
                    Err(_) => return,
                },
                () = told(&mut self.watch) => sleep(WRITING).await,
                () = sleep(LOOK_EVERY), if !self.seen.is_empty() => {}
            }
            self.watch_directories().await;
            let seen = self.seen.clone();
            for reading in blocking(move || changed(seen)).await {
                self.seen.insert(reading.path.clone(), reading.stamp);
                if self.sender.send(reading).await.is_err() {
                    return;
                }
            }
        }
    }

    fn follow(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let mut before = std::mem::take(&mut self.seen);
        for (path, stamp) in wanted {
            let stamp = before.remove(&path).unwrap_or(stamp);
            self.seen.insert(path, stamp);
        }
    }

    /// Watches all that leads to the files; links may lead elsewhere than before.
    async fn watch_directories(&mut self) {
        if self.seen.is_empty() {
            self.watch = None;
            return;
        }
        if self.watch.is_none() {
            self.watch = Watch::new()
                .inspect_err(|error| tracing::warn!(%error, "files are only looked at"))
                .ok();
        }
        if let Some(watch) = &mut self.watch {
            let paths: Vec<PathBuf> = self.seen.keys().cloned().collect();
            let directories = move || paths.iter().flat_map(|path| directories_of(path)).collect();
            watch.directories(&blocking(directories).await);
        }
    }
}

/// Reads every file whose state is not the one it was seen in.
fn changed(seen: BTreeMap<PathBuf, Stamp>) -> Vec<Reading> {
    let changed = seen
        .iter()
        .filter(|(path, stamp)| stamp_of(path) != **stamp);
    changed.map(|(path, _)| read(path)).collect()
}

/// Runs what may wait for a disk on a thread that may wait.
async fn blocking<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "files not looked at");
            T::default()
        })
}

async fn told(watch: &mut Option<Watch>) {
    if let Some(present) = watch {
        match present.changed().await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, "files are only looked at");
                *watch = None;
            }
        }
    }
    pending().await
}

/// Every directory in which a change can make another file of this path: where it is, and where
/// each symlink on the way to it is.
fn directories_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut links = 0;
    let mut open = vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())];
    while let Some(path) = open.pop() {
        found.extend(path.parent().map(Path::to_owned));
        for place in path.ancestors() {
            let Some(parent) = place.parent() else {
                continue;
            };
            if links < LINKS_MAX
                && let Ok(target) = fs::read_link(place)
                && let Ok(rest) = path.strip_prefix(place)
            {
                links += 1;
                found.insert(parent.to_owned());
                let target = parent.join(target);
                open.push(match rest.as_os_str().is_empty() {
                    true => target,
                    false => target.join(rest),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn list(port: u16) -> String {
        format!("[{{\"address\": \"127.0.0.1:{port}\"}}]")
    }

    fn ids(reading: Reading) -> Vec<String> {
        let members = reading.result.unwrap().into_iter();
        members.map(|member| member.id.to_string()).collect()
    }

    async fn watched(path: &Path) -> Files {
        let files = Files::new();
        let stamp = stamp_of(path);
        files.follow(BTreeMap::from([(path.to_owned(), stamp)]));
        // Until the task has begun to watch.
        sleep(WRITING).await;
        files
    }

    async fn next(files: &mut Files) -> Reading {
        timeout(PATIENCE, files.next()).await.expect("a reading")
    }

    #[tokio::test]
    async fn a_file_is_read_again_however_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.json");
        fs::write(&path, list(1)).unwrap();
        let mut files = watched(&path).await;
        fs::write(&path, list(2)).unwrap();
        assert_eq!(ids(next(&mut files).await), ["127.0.0.1:2"]);
        let new = folder.path().join("new");
        fs::write(&new, list(3)).unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(ids(next(&mut files).await), ["127.0.0.1:3"]);
        fs::remove_file(&path).unwrap();
        assert!(next(&mut files).await.result.is_err());
        fs::write(&path, list(4)).unwrap();
        assert_eq!(ids(next(&mut files).await), ["127.0.0.1:4"]);
    }

    #[tokio::test]
    async fn a_link_that_is_swapped_above_the_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (port, version) in [(1, "..v1"), (2, "..v2")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("app.json"), list(port)).unwrap();
        }
        symlink("..v1", at("..data")).unwrap();
        symlink("..data/app.json", at("app.json")).unwrap();
        let mut files = watched(&at("app.json")).await;
        symlink("..v2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        assert_eq!(ids(next(&mut files).await), ["127.0.0.1:2"]);
    }

    #[test]
    fn every_directory_on_the_way_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["real", "etc"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        symlink("../real", root.join("etc/current")).unwrap();
        symlink("current/app.json", root.join("etc/app.json")).unwrap();
        let found = directories_of(&root.join("etc/app.json"));
        let has = |name: &str| found.contains(&root.join(name));
        assert!(
            has("etc") && has("etc/current") && has("etc/../real"),
            "{found:?}"
        );
        symlink("loop", root.join("loop")).unwrap();
        assert!(directories_of(&root.join("loop")).len() < 2 * LINKS_MAX);
    }

    #[test]
    fn a_file_too_large_or_absent_has_one_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.json");
        assert_eq!(read(&path).result.unwrap_err().len(), 1);
        fs::write(&path, " ".repeat(BYTES_MAX + 1)).unwrap();
        let told = read(&path).result.unwrap_err();
        assert!(told[0].contains("more than"), "{told:?}");
    }
}
