//! What is generated from the command line: completion scripts and manual pages.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Ending, failed};
use crate::cli::output::tell;
use crate::cli::{Cli, Man};

/// The script that completes `weir` in a shell.
pub(super) fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// `weir man`: the page of weir on standard output, or the pages of all its commands in files.
#[must_use]
pub fn man(man: &Man) -> Ending {
    let made = match &man.directory {
        None => page().map(|page| tell(&String::from_utf8_lossy(&page))),
        Some(directory) => pages(directory),
    };
    match made {
        Ok(()) => Ending::Done,
        Err(error) => failed(&error),
    }
}

fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    Ok(page)
}

fn pages(directory: &Path) -> io::Result<()> {
    let told = |error: io::Error| {
        let text = format!("{}: {error}", directory.display());
        io::Error::new(error.kind(), text)
    };
    fs::create_dir_all(directory).map_err(told)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_every_noun() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completion(shell);
            for word in ["backend", "drain", "if-epoch", "completion"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_each_command() {
        let folder = tempfile::tempdir().unwrap();
        pages(folder.path()).unwrap();
        for page in [
            "weir.1",
            "weir-ctl.1",
            "weir-ctl-backend.1",
            "weir-ctl-backend-drain.1",
        ] {
            let text = fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(text.contains(".SH NAME"), "{page}");
        }
        let page = String::from_utf8(page().unwrap()).unwrap();
        assert!(
            page.contains("weir\\-ctl") && page.contains("Exit codes"),
            "{page}"
        );
    }
}
