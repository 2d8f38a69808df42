//! Wall clocks that can be set, one for each process: `clock.c` before its libraries.
//!
//! Setting the machine's clock would move that of everything else on it, a time namespace has no
//! wall clock of its own, and Debian's faketime replaces calls of threads as well. weir asks for
//! the wall clock through the C library, as `std` does, so that is where it is moved. The
//! monotonic clock is left alone: it does not jump.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, built.
pub struct Clocks(PathBuf);

/// The wall clock of one process.
pub struct Clock {
    library: PathBuf,
    path: PathBuf,
    file: File,
}

impl Clocks {
    /// Builds the library in a folder.
    pub fn build(folder: &Path) -> Clocks {
        let library = folder.join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/clock.c");
        let mut compiler = Command::new("gcc");
        compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]);
        compiler.arg(&library).arg(source);
        let built = compiler.status().expect("gcc is installed");
        assert!(built.success(), "{compiler:?}");
        Clocks(library)
    }

    /// A clock that is right so far.
    pub fn clock(&self, path: PathBuf) -> Clock {
        let file = File::options();
        let file = { file }
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let clock = Clock {
            library: self.0.clone(),
            path,
            file: file.unwrap(),
        };
        clock.set(0);
        clock
    }
}

impl Clock {
    /// Whatever is started like this goes by it.
    pub fn of(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("WEIR_CLOCK", &self.path);
    }

    /// From now on it is so many seconds ahead of the machine's.
    pub fn set(&self, seconds: i64) {
        let nanos = seconds * 1_000_000_000;
        self.file.write_all_at(&nanos.to_ne_bytes(), 0).unwrap();
    }
}
