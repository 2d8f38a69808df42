//! The store as TOML.

use super::super::checked::{EtcdStore, Store, Token};
use super::Page;

pub(super) fn print(store: &Store, page: &mut Page) {
    page.section("[store]");
    page.text("path", &store.path.to_string_lossy());
    if let Some(etcd) = &store.etcd {
        print_etcd(etcd, page);
    }
}

fn print_etcd(etcd: &EtcdStore, page: &mut Page) {
    page.texts("etcd", etcd.endpoints.iter().cloned());
    page.text("prefix", &etcd.prefix);
    if let Some(user) = &etcd.user {
        page.text("user", &user.name);
        match &user.password {
            Token::File(path) => page.text("password_file", &path.to_string_lossy()),
            Token::Text(password) => page.text("password", &password.0),
        }
    }
    if let Some(tls) = &etcd.tls {
        page.text("ca_file", &tls.ca.to_string_lossy());
        if let Some((cert, key)) = &tls.identity {
            page.text("cert_file", &cert.to_string_lossy());
            page.text("key_file", &key.to_string_lossy());
        }
    }
    page.duration("timeout", etcd.timeout);
}
