//! The configuration file: TOML in, every mistake out, or a [`checked::Config`] that needs no
//! second look. Pure: who reads the file is not decided here.
//!
//! Two steps. `raw` reads the shape (which keys, which types), `check` finds out what is meant.
//! Both note every mistake they find and go on, so that one run reports them all; only a file
//! that is not TOML stops at its syntax errors. Every bound an operator may move has its default
//! and its range here; `config/weir.toml` explains each key.

mod check;
pub mod checked;
mod members;
mod print;
pub mod problem;
mod raw;
pub(crate) mod reader;
#[cfg(test)]
pub(crate) mod tests;
mod units;

pub use checked::Config;
pub use members::{Clash, Members, MembersForm, load_members};
pub use problem::{ConfigErrors, Problem};

use std::time::Duration;

use toml::de::DeTable;

use self::problem::{At, Problems};

/// Reads a configuration. `file_name` is only used to say where a mistake is. Warnings are in
/// [`Config::warnings`], or beside the errors.
///
/// # Errors
/// Every mistake in the file, in the order of the file.
pub fn load(text: &str, file_name: &str) -> Result<Config, ConfigErrors> {
    let mut problems = Problems::new(text);
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    if !syntax_errors.is_empty() {
        note_syntax(&syntax_errors, &mut problems);
        return Err(problems.into_errors(file_name));
    }
    let file = raw::File::read(&document, &mut problems);
    let config = check::check(&file, &mut problems);
    let warnings = problems.finish(file_name)?;
    Ok(Config { warnings, ..config })
}

/// A duration as the file has it, such as "10m".
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|(what, _)| what)
}

/// Why a text cannot be the token of the admin interface, if it cannot.
#[must_use]
pub fn token_mistake(text: &str) -> Option<&'static str> {
    check::admin::token_mistake(text)
}

/// One problem per line: what a parser says after its first stumble is mostly echo.
pub(crate) fn note_syntax(errors: &[toml::de::Error], problems: &mut Problems<'_>) {
    let mut line_before = 0;
    for error in errors {
        let at = At {
            offset: error.span().map_or(0, |span| span.start),
            key: String::new(),
        };
        let line = problems.line(&at);
        if line == line_before {
            continue;
        }
        line_before = line;
        let message = error.message();
        let fix = if message.contains("duplicate key") {
            "keep one of the two"
        } else {
            "correct this line: key = value, with texts in double quotes"
        };
        problems.error(&at, format!("not TOML: {message}"), fix);
    }
}
