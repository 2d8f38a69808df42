//! The store as written.

use super::{At, Problems, Section, Text, Texts};

pub(in super::super) struct Store {
    pub(in super::super) path: Text,
    pub(in super::super) etcd: Texts,
    pub(in super::super) prefix: Text,
    pub(in super::super) user: Text,
    pub(in super::super) password: Text,
    pub(in super::super) password_file: Text,
    pub(in super::super) ca_file: Text,
    pub(in super::super) cert_file: Text,
    pub(in super::super) key_file: Text,
    pub(in super::super) timeout: Text,
    pub(in super::super) at: At,
}

pub(super) fn read(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Store {
    let store = Store {
        at: section.at.clone(),
        path: section.text("path", "\"/var/lib/weir/store.redb\"", problems),
        etcd: section.texts("etcd", "[\"http://127.0.0.1:2379\"]", problems),
        prefix: section.text("prefix", "\"/weir/\"", problems),
        user: section.text("user", "\"weir\"", problems),
        password: section.text("password", "\"a-long-random-text\"", problems),
        password_file: section.text("password_file", "\"/etc/weir/etcd-password\"", problems),
        ca_file: section.text("ca_file", "\"/etc/weir/etcd-ca.pem\"", problems),
        cert_file: section.text("cert_file", "\"/etc/weir/etcd-cert.pem\"", problems),
        key_file: section.text("key_file", "\"/etc/weir/etcd-key.pem\"", problems),
        timeout: section.duration("timeout", problems),
    };
    section.finish(problems);
    store
}
