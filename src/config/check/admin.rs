//! The admin interface: who may reach it, and what they must show.

use std::sync::Arc;

use super::super::checked::{Admin, MetricsDetail, Secret, Token};
use super::super::problem::Problems;
use super::super::raw;
use super::address::{self, Listening};
use super::values::{choice, missing, path};

/// Characters of a token; fewer can be guessed.
const TOKEN_BYTES_MIN: usize = 16;
const TOKEN_BYTES_MAX: usize = 512;

/// The words of `admin.metrics_detail`, the finest first.
const METRICS_DETAILS: [(&str, MetricsDetail); 3] = [
    ("backend", MetricsDetail::Backend),
    ("group", MetricsDetail::Group),
    ("listener", MetricsDetail::Listener),
];

pub(super) fn check(
    raw: &raw::Admin,
    listening: &mut Listening,
    problems: &mut Problems<'_>,
) -> Option<Admin> {
    let token = check_token(raw, problems);
    let said_token = raw.token.is_some() || raw.token_file.is_some();
    let mut address = None;
    if let Some(written) = &raw.address {
        address = address::listen(written, problems);
        if let Some(address) = address {
            listening.add(address, &written.at, problems);
            if !address.ip().is_loopback() && !said_token {
                problems.error(
                    &written.at,
                    "other machines reach this address, and nobody is asked for a token",
                    "listen on 127.0.0.1, or add token_file = \"/etc/weir/token\"",
                );
            }
        }
    }
    let fix = "write unix = \"/run/weir.sock\"";
    let unix = raw.unix.as_ref();
    let unix = unix.and_then(|written| path(written, fix, problems));
    let metrics_detail = choice(
        &raw.metrics_detail,
        MetricsDetail::Backend,
        &METRICS_DETAILS,
        problems,
    );
    if raw.address.is_none() && raw.unix.is_none() {
        missing(&raw.at, "address", "\"127.0.0.1:9901\"", problems);
        return None;
    }
    Some(Admin {
        address,
        unix,
        token,
        metrics_detail,
    })
}

fn check_token(raw: &raw::Admin, problems: &mut Problems<'_>) -> Option<Token> {
    if let (Some(_), Some(file)) = (&raw.token, &raw.token_file) {
        problems.error(
            &file.at,
            "there is a token already",
            "remove one of the two",
        );
        return None;
    }
    if let Some(file) = &raw.token_file {
        let fix = "write token_file = \"/etc/weir/token\"";
        return path(file, fix, problems).map(Token::File);
    }
    let written = raw.token.as_ref()?;
    if let Some(what) = token_mistake(&written.value) {
        problems.error(
            &written.at,
            what,
            "write what `openssl rand -hex 32` prints",
        );
        return None;
    }
    Some(Token::Text(Secret(Arc::from(&*written.value))))
}

/// Why a text is no token, if it is none.
pub(in super::super) fn token_mistake(text: &str) -> Option<&'static str> {
    if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len()) {
        Some("a token has 16 to 512 characters")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("a token has only visible ASCII characters")
    } else {
        None
    }
}
