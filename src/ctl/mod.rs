//! The side of people: asks a node that runs through its admin interface and prints the answer.
//!
//! It knows nothing of what values mean: the node checks, and what it refuses is printed as it
//! says it. So a command line and a node of another version understand each other as far as the
//! API does.

mod client;
mod papers;
mod questions;
mod show;
mod top;
mod wish;

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

pub use papers::man;
pub use top::run as top;

use self::client::{Reply, Wish, ask};
use self::show::{Shape, refusal, render};
use crate::cli::output::tell;
use crate::cli::{Asking, Ctl, Exit, Explain, Noun, Plan};

/// Bytes of a file that is sent.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// How it ends: the numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// Done; the answer is on stdout.
    Done = 0,
    /// The node cannot be reached or refused; why is on stderr.
    Refused = 1,
    /// The command line is wrong.
    Usage = Exit::Usage as u8,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> ExitCode {
        ExitCode::from(ending as u8)
    }
}

/// `weir ctl`.
#[must_use]
pub fn run(ctl: &Ctl) -> Ending {
    if let Noun::Completion { shell } = &ctl.noun {
        tell(&papers::completion(*shell));
        return Ending::Done;
    }
    let file = match &ctl.noun {
        Noun::Apply { file } => match read(file) {
            Ok(value) => Some(value),
            Err(error) => return failed(&error),
        },
        _ => None,
    };
    match wish::of(ctl, file) {
        Ok(Some((wish, shape))) => asked(&ctl.asking, &wish, shape),
        Ok(None) => Ending::Done,
        Err(error) => {
            eprintln!("weir: {error}");
            Ending::Usage
        }
    }
}

/// `weir plan`.
#[must_use]
pub fn plan(plan: &Plan) -> Ending {
    match read(&plan.file) {
        Ok(file) => {
            let (wish, shape) = questions::plan(plan, file);
            asked(&plan.asking, &wish, shape)
        }
        Err(error) => failed(&error),
    }
}

/// `weir explain`.
#[must_use]
pub fn explain(explain: &Explain) -> Ending {
    let body = match &explain.body {
        Some(body) => match body.strip_prefix('@') {
            Some(path) => read_text(Path::new(path)).map(Some),
            None => Ok(Some(body.clone())),
        },
        None => Ok(None),
    };
    match body {
        Ok(body) => {
            let (wish, shape) = questions::explain(explain, body);
            asked(&explain.asking, &wish, shape)
        }
        Err(error) => failed(&error),
    }
}

/// Asks, and prints what is answered.
fn asked(asking: &Asking, wish: &Wish, shape: Shape) -> Ending {
    let Reply { done, status, body } = match ask(asking, wish) {
        Ok(reply) => reply,
        Err(error) => return failed(&error),
    };
    if asking.json {
        tell(&format!("{body:#}\n"));
    } else if done {
        tell(&render(shape, &body));
    }
    if !done {
        eprint!("weir: {}", refusal(status, &body));
        return Ending::Refused;
    }
    Ending::Done
}

fn failed(error: &io::Error) -> Ending {
    eprintln!("weir: {error}");
    Ending::Refused
}

/// A file with a JSON object or TOML.
fn read(path: &Path) -> io::Result<Value> {
    let text = read_text(path)?;
    parse(&text).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// A file as text; `-` is standard input.
fn read_text(path: &Path) -> io::Result<String> {
    let name = path.display();
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    let mut text = String::new();
    let length = match path.as_os_str() == "-" {
        true => io::stdin()
            .take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text),
        false => fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)),
    };
    if length.map_err(told)? as u64 > FILE_BYTES_MAX {
        return Err(told(io::Error::other("over 64 MiB")));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Value, String> {
    match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map_err(|error| error.to_string()),
        false => toml::from_str(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_json_or_toml() {
        let toml = "[[operations]]\nop = \"delete\"\npath = \"groups/a\"\n";
        let json = json!({"operations": [{"op": "delete", "path": "groups/a"}]});
        assert_eq!(parse(toml), Ok(json.clone()));
        assert_eq!(parse(&format!(" \n{json}")), Ok(json));
        assert!(parse("{\"operations\": ").is_err());
        assert!(parse("operations = ").is_err());
    }
}
