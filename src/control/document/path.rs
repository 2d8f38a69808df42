//! Where an object of the configuration is found: `listeners/web/routes/api`, `groups/app`.
//!
//! The same words name it in the store, in URLs and in messages. A name may hold anything a
//! name of the configuration or an address may, but no `/`, so that a path is read in one way.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Bytes of one name in a path; names of the configuration are shorter, host names are not.
const NAME_BYTES_MAX: usize = 300;

/// The place of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectPath {
    /// One backend of a group.
    Backend {
        /// Its group.
        group: Arc<str>,
        /// Its id.
        id: Arc<str>,
    },
    /// A group without its backends.
    Group(Arc<str>),
    /// A listener without its routes.
    Listener(Arc<str>),
    /// One route of a listener.
    Route {
        /// Its listener.
        listener: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// What is no list: every section that is there once.
    Settings,
    /// A shard rule.
    Shard(Arc<str>),
}

/// Objects that stand beside each other in one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The backends of a group.
    Backends(Arc<str>),
    /// All groups.
    Groups,
    /// All listeners.
    Listeners,
    /// The routes of a listener.
    Routes(Arc<str>),
    /// Only the settings.
    Settings,
    /// All shard rules.
    Shards,
}

impl ObjectPath {
    /// What this object is one of.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            ObjectPath::Backend { group, .. } => Family::Backends(Arc::clone(group)),
            ObjectPath::Group(_) => Family::Groups,
            ObjectPath::Listener(_) => Family::Listeners,
            ObjectPath::Route { listener, .. } => Family::Routes(Arc::clone(listener)),
            ObjectPath::Settings => Family::Settings,
            ObjectPath::Shard(_) => Family::Shards,
        }
    }

    /// The object this one is part of.
    #[must_use]
    pub fn parent(&self) -> Option<ObjectPath> {
        match self {
            ObjectPath::Backend { group, .. } => Some(ObjectPath::Group(Arc::clone(group))),
            ObjectPath::Route { listener, .. } => Some(ObjectPath::Listener(Arc::clone(listener))),
            ObjectPath::Group(_)
            | ObjectPath::Listener(_)
            | ObjectPath::Settings
            | ObjectPath::Shard(_) => None,
        }
    }

    /// What tells it from its siblings; nothing for the settings, which have none.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            ObjectPath::Backend { id: name, .. }
            | ObjectPath::Group(name)
            | ObjectPath::Listener(name)
            | ObjectPath::Route { name, .. }
            | ObjectPath::Shard(name) => Some(name),
            ObjectPath::Settings => None,
        }
    }

    /// The key of a section that holds this name.
    #[must_use]
    pub fn name_key(&self) -> &'static str {
        match self {
            ObjectPath::Backend { .. } => "id",
            _ => "name",
        }
    }
}

impl Family {
    /// The member of this family that has a name.
    #[must_use]
    pub fn member(&self, name: &str) -> ObjectPath {
        let name = Arc::from(name);
        match self {
            Family::Backends(group) => ObjectPath::Backend {
                group: Arc::clone(group),
                id: name,
            },
            Family::Groups => ObjectPath::Group(name),
            Family::Listeners => ObjectPath::Listener(name),
            Family::Routes(listener) => ObjectPath::Route {
                listener: Arc::clone(listener),
                name,
            },
            Family::Settings => ObjectPath::Settings,
            Family::Shards => ObjectPath::Shard(name),
        }
    }

    /// The object this family is part of.
    #[must_use]
    pub fn parent(&self) -> Option<ObjectPath> {
        self.member("").parent()
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectPath::Backend { group, id } => write!(f, "groups/{group}/backends/{id}"),
            ObjectPath::Group(name) => write!(f, "groups/{name}"),
            ObjectPath::Listener(name) => write!(f, "listeners/{name}"),
            ObjectPath::Route { listener, name } => write!(f, "listeners/{listener}/routes/{name}"),
            ObjectPath::Settings => f.write_str("settings"),
            ObjectPath::Shard(name) => write!(f, "shards/{name}"),
        }
    }
}

/// A text that is not the path of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAPath;

impl fmt::Display for NotAPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the path of an object")
    }
}

impl std::error::Error for NotAPath {}

impl FromStr for ObjectPath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let words: Vec<&str> = text.split('/').collect();
        let path = match *words {
            ["groups", group, "backends", id] => ObjectPath::Backend {
                group: group.into(),
                id: id.into(),
            },
            ["groups", name] => ObjectPath::Group(name.into()),
            ["listeners", name] => ObjectPath::Listener(name.into()),
            ["listeners", listener, "routes", name] => ObjectPath::Route {
                listener: listener.into(),
                name: name.into(),
            },
            ["settings"] => ObjectPath::Settings,
            ["shards", name] => ObjectPath::Shard(name.into()),
            _ => return Err(NotAPath),
        };
        let sound = |word: &&str| is_name(word);
        words.iter().all(sound).then_some(path).ok_or(NotAPath)
    }
}

/// Whether a text can be one name of a path.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_they_are_written() {
        for text in [
            "groups/app",
            "groups/app/backends/[::1]:9001",
            "listeners/web",
            "listeners/web/routes/api",
            "settings",
            "shards/by-tenant",
        ] {
            let path: ObjectPath = text.parse().unwrap();
            assert_eq!(path.to_string(), text);
            if let Some(name) = path.name() {
                assert_eq!(path.family().member(name), path);
            }
        }
    }

    #[test]
    fn other_texts_are_no_paths() {
        for text in [
            "",
            "/",
            "groups",
            "groups/",
            "groups//",
            "groups/a b",
            "groups/a/b",
            "settings/x",
            "groups/a/backends/",
            "listeners/\u{e4}",
            "group/app",
        ] {
            assert_eq!(text.parse::<ObjectPath>(), Err(NotAPath), "{text:?}");
        }
        let long = format!("groups/{}", "x".repeat(NAME_BYTES_MAX + 1));
        assert!(long.parse::<ObjectPath>().is_err());
    }
}
