//! The store as meant.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Token;

/// Where changes through the admin interface are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// A file: the store, or the node's own copy of one in etcd.
    pub path: PathBuf,
    /// The etcd that nodes share.
    pub etcd: Option<EtcdStore>,
}

/// A store in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdStore {
    /// Its members, as URLs.
    pub endpoints: Vec<String>,
    /// What every key of it begins with.
    pub prefix: String,
    /// As whom it is asked.
    pub user: Option<EtcdUser>,
    /// How its members are known, with `https`.
    pub tls: Option<EtcdTls>,
    /// How long one member has for an answer.
    pub timeout: Duration,
    /// The node's own copy.
    pub copy: PathBuf,
}

/// A user of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdUser {
    /// Its name.
    pub name: Arc<str>,
    /// Its password.
    pub password: Token,
}

/// Files of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdTls {
    /// The certificates of authorities that are trusted.
    pub ca: PathBuf,
    /// The node's own certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}
