//! The group of a scenario: the keys of `weir.toml`, read by the same code.
//!
//! A scenario says `[group]` and means `[[group]]` of a configuration, without its name and its
//! backends. It is put into a configuration with one listener and the backends of the scenario,
//! and that is loaded as any other, so every key, bound and mistake is the same.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::{Backends, Entrant, Scenario};
use crate::config::{self, Config, ConfigErrors};

/// The name of the group.
const NAME: &str = "sim";

/// Keys of the group for all who are compared.
#[derive(Clone, Debug, Default)]
pub struct Settings(pub(super) toml::Table);

impl Scenario {
    /// The configuration of one that is compared.
    ///
    /// # Errors
    /// What is wrong with the keys of its group.
    pub fn config_for(&self, entrant: &Entrant) -> Result<Config, ConfigErrors> {
        let mut group = self.settings.0.clone();
        merge(&mut group, &entrant.group);
        group.insert("name".to_owned(), NAME.into());
        let backends = self.backends.iter();
        let each = backends.flat_map(|some| (0..some.count).map(move |_| some));
        let list: Vec<toml::Value> = (0..).zip(each).map(backend).collect();
        group.insert("backend".to_owned(), list.into());
        let mut listener = toml::Table::new();
        listener.insert("name".to_owned(), NAME.into());
        listener.insert("address".to_owned(), "127.0.0.1:80".into());
        listener.insert("group".to_owned(), NAME.into());
        let mut file = toml::Table::new();
        file.insert("listener".to_owned(), vec![listener].into());
        file.insert("group".to_owned(), vec![group].into());
        let mut text = String::new();
        let _ = write!(text, "{file}");
        let origin = format!("the group of {:?}", entrant.name);
        config::load(&text, &origin)
    }
}

fn backend((at, like): (u32, &Backends)) -> toml::Value {
    let mut backend = toml::Table::new();
    let address = Ipv4Addr::from(0x0a00_0001 + at);
    backend.insert("id".to_owned(), format!("b{at}").into());
    backend.insert("address".to_owned(), format!("{address}:80").into());
    backend.insert("weight".to_owned(), i64::from(like.weight).into());
    if let Some(max) = like.requests_max {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        backend.insert("requests_max".to_owned(), max.into());
    }
    backend.into()
}

/// Adds what `more` says to `table`, section by section.
fn merge(table: &mut toml::Table, more: &toml::Table) {
    for (key, value) in more {
        match (table.get_mut(key), value) {
            (Some(toml::Value::Table(held)), toml::Value::Table(more)) => merge(held, more),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}
