//! The configuration file: TOML in, every mistake out, or a [`checked::Config`] that needs no
//! second look. Pure: who reads the file is not decided here.
//!
//! Two steps. `raw` reads the shape (which keys, which types), `check` finds out what is meant.
//! Both note every mistake they find and go on, so that one run reports them all; only a file
//! that is not TOML stops at its syntax errors.

pub mod checked;
pub mod problem;

pub use checked::Config;
pub use problem::{ConfigErrors, Problem};

/// Reads a configuration. `file_name` is only used to say where a mistake is.
///
/// # Errors
/// Every mistake in the file, in the order of the file.
pub fn load(text: &str, file_name: &str) -> Result<Config, ConfigErrors> {
    let _ = (text, file_name);
    Err(ConfigErrors {
        errors: Vec::new(),
        warnings: Vec::new(),
    })
}

impl Config {
    /// The effective configuration as TOML, every default filled in. It loads to an equal
    /// [`Config`].
    #[must_use]
    pub fn to_toml(&self) -> String {
        String::new()
    }
}
