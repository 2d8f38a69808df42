//! `[store]`: a file, or an etcd with a file beside it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::checked::{EtcdStore, EtcdTls, EtcdUser, Secret, Store, Token};
use super::super::problem::{At, Problems};
use super::super::raw;
use super::super::reader::Written;
use super::values::{duration, missing, path};

/// Members that may be named.
const ENDPOINTS_MAX: usize = 16;

/// What keys begin with unless something else is written.
const PREFIX: &str = "/weir/";
const PREFIX_BYTES_MAX: usize = 256;

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn check(raw: &raw::Store, problems: &mut Problems<'_>) -> Option<Store> {
    let file = match &raw.path {
        Some(written) => path(
            written,
            "write path = \"/var/lib/weir/store.redb\"",
            problems,
        ),
        None => {
            missing(&raw.at, "path", "\"/var/lib/weir/store.redb\"", problems);
            None
        }
    };
    let etcd = match &raw.etcd {
        Some(members) => Some(check_etcd(raw, members, file.as_ref(), problems)),
        None => {
            refuse_without_etcd(raw, problems);
            None
        }
    };
    let path = file?;
    match etcd {
        None => Some(Store { path, etcd: None }),
        Some(etcd) => etcd.map(|etcd| Store {
            path,
            etcd: Some(etcd),
        }),
    }
}

/// Keys that say something of etcd.
fn refuse_without_etcd(raw: &raw::Store, problems: &mut Problems<'_>) {
    let written = [
        &raw.prefix,
        &raw.user,
        &raw.password,
        &raw.password_file,
        &raw.ca_file,
        &raw.cert_file,
        &raw.key_file,
        &raw.timeout,
    ];
    for Written { at, .. } in written.into_iter().flatten() {
        let fix = "remove it, or add etcd = [\"http://127.0.0.1:2379\"]";
        problems.error(at, "is for a store in etcd, and none is named", fix);
    }
}

fn check_etcd(
    raw: &raw::Store,
    members: &Written<Vec<Written<String>>>,
    file: Option<&PathBuf>,
    problems: &mut Problems<'_>,
) -> Option<EtcdStore> {
    let endpoints = check_endpoints(members, problems)?;
    let encrypted = endpoints
        .iter()
        .any(|endpoint| endpoint.starts_with("https:"));
    let tls = match encrypted {
        true => Some(check_tls(raw, problems)?),
        false => {
            refuse_without_tls(raw, problems);
            None
        }
    };
    Some(EtcdStore {
        endpoints,
        prefix: check_prefix(raw, problems)?,
        user: check_user(raw, problems)?,
        tls,
        timeout: duration(&raw.timeout, 2 * SECOND, SECOND / 10, problems),
        copy: file?.clone(),
    })
}

fn check_endpoints(
    members: &Written<Vec<Written<String>>>,
    problems: &mut Problems<'_>,
) -> Option<Vec<String>> {
    let fix = "write etcd = [\"http://127.0.0.1:2379\"], with every member";
    if !(1..=ENDPOINTS_MAX).contains(&members.value.len()) {
        if !problems.noted(&members.at) {
            let what = format!(
                "{} members; there are 1 to {ENDPOINTS_MAX}",
                members.value.len()
            );
            problems.error(&members.at, what, fix);
        }
        return None;
    }
    let mut endpoints: Vec<String> = Vec::new();
    let mut is_good = true;
    for Written { value, at } in &members.value {
        let told = match is_endpoint(value) {
            false => Some("is no URL of an etcd member"),
            true if endpoints.contains(value) => Some("is there twice"),
            true if endpoints
                .first()
                .is_some_and(|first| scheme(first) != scheme(value)) =>
            {
                Some("has another scheme than the first")
            }
            true => None,
        };
        match told {
            Some(told) => {
                problems.error(at, format!("{value:?} {told}"), fix);
                is_good = false;
            }
            None => endpoints.push(value.clone()),
        }
    }
    is_good.then_some(endpoints)
}

fn scheme(endpoint: &str) -> &str {
    endpoint.split(':').next().unwrap_or_default()
}

/// `http://host:port`, and nothing behind it.
fn is_endpoint(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let Some((host, port)) = rest.and_then(|rest| rest.rsplit_once(':')) else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    !host.is_empty() && host.bytes().all(plain) && is_port
}

fn check_prefix(raw: &raw::Store, problems: &mut Problems<'_>) -> Option<String> {
    let Some(Written { value, at }) = &raw.prefix else {
        return Some(PREFIX.to_owned());
    };
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
    if value.ends_with('/') && value.len() <= PREFIX_BYTES_MAX && is_plain {
        return Some(value.clone());
    }
    let what = format!("{value:?} is no prefix of keys");
    problems.error(
        at,
        what,
        "write visible ASCII that ends with a slash: \"/weir/\"",
    );
    None
}

/// The user if there is one; none at all where it is wrong.
#[allow(clippy::option_option, reason = "nobody, and somebody who cannot be")]
fn check_user(raw: &raw::Store, problems: &mut Problems<'_>) -> Option<Option<EtcdUser>> {
    let password = match (&raw.password, &raw.password_file) {
        (Some(_), Some(file)) => {
            problems.error(
                &file.at,
                "there is a password already",
                "remove one of the two",
            );
            return None;
        }
        (Some(text), None) => Some((Token::Text(Secret(Arc::from(&*text.value))), &text.at)),
        (None, Some(file)) => {
            let fix = "write password_file = \"/etc/weir/etcd-password\"";
            Some((Token::File(path(file, fix, problems)?), &file.at))
        }
        (None, None) => None,
    };
    match (&raw.user, password) {
        (None, None) => Some(None),
        (None, Some((_, at))) => {
            problems.error(at, "is nobody's", "add user = \"weir\"");
            None
        }
        (Some(_), None) => {
            missing(
                &raw.at,
                "password_file",
                "\"/etc/weir/etcd-password\"",
                problems,
            );
            None
        }
        (Some(user), Some((password, _))) => Some(Some(EtcdUser {
            name: Arc::from(&*user.value),
            password,
        })),
    }
}

fn refuse_without_tls(raw: &raw::Store, problems: &mut Problems<'_>) {
    let written = [&raw.ca_file, &raw.cert_file, &raw.key_file];
    for Written { at, .. } in written.into_iter().flatten() {
        let fix = "remove it, or write members as https://host:port";
        problems.error(at, "is for members with https", fix);
    }
}

fn check_tls(raw: &raw::Store, problems: &mut Problems<'_>) -> Option<EtcdTls> {
    let Some(ca) = &raw.ca_file else {
        missing(&raw.at, "ca_file", "\"/etc/weir/etcd-ca.pem\"", problems);
        return None;
    };
    let ca = path(ca, "write ca_file = \"/etc/weir/etcd-ca.pem\"", problems)?;
    let (cert, key) = (&raw.cert_file, &raw.key_file);
    let mut half = |at: &At, key: &str| {
        let fix = format!(
            "add {key} = \"/etc/weir/etcd-{}.pem\"",
            &key[..key.len() - 5]
        );
        problems.error(at, format!("is of no use without {key}"), fix);
        None
    };
    let identity = match (cert, key) {
        (None, None) => None,
        (Some(cert), None) => return half(&cert.at, "key_file"),
        (None, Some(key)) => return half(&key.at, "cert_file"),
        (Some(cert), Some(key)) => Some((
            path(
                cert,
                "write cert_file = \"/etc/weir/etcd-cert.pem\"",
                problems,
            )?,
            path(key, "write key_file = \"/etc/weir/etcd-key.pem\"", problems)?,
        )),
    };
    Some(EtcdTls { ca, identity })
}
