//! `weir ctl` and its relatives as a user runs them.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::Proxy;

/// The command line of a node.
pub struct Ctl {
    door: String,
    token: Option<String>,
}

/// What one command did.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

impl Proxy {
    /// Its command line.
    pub fn ctl(&self) -> Ctl {
        Ctl::at(&self.admin_address().to_string())
    }
}

impl Ctl {
    /// The command line of the node at `door`.
    pub fn at(door: &str) -> Ctl {
        Ctl {
            door: door.to_owned(),
            token: None,
        }
    }

    /// The same with a token.
    pub fn with_token(mut self, token: &str) -> Ctl {
        self.token = Some(token.to_owned());
        self
    }

    /// Runs `weir` with these words.
    #[track_caller]
    pub fn weir(&self, words: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(words).stdin(Stdio::null());
        command
            .env("WEIR_ADMIN", &self.door)
            .env_remove("WEIR_TOKEN");
        if let Some(token) = &self.token {
            command.env("WEIR_TOKEN", token);
        }
        let output = command.output().unwrap();
        let said = Said {
            code: output.status.code().expect("it ends by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!said.err.contains("panicked"), "{said:?}");
        said
    }

    /// Runs `weir ctl` with the words of a line, which must succeed, and returns what it printed.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let words: Vec<&str> = ["ctl"].into_iter().chain(line.split(' ')).collect();
        let said = self.weir(&words);
        assert_eq!((said.code, &*said.err), (0, ""), "{line}: {said:?}");
        said.out
    }

    /// As [`Ctl::run`] with `--json`.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        let text = self.run(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Runs `weir ctl`, which must be refused, and returns what it complained of.
    #[track_caller]
    pub fn refused(&self, line: &str) -> String {
        let words: Vec<&str> = ["ctl"].into_iter().chain(line.split(' ')).collect();
        let said = self.weir(&words);
        assert_eq!((said.code, &*said.out), (1, ""), "{line}: {said:?}");
        said.err
    }
}
