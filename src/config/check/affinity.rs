//! Sticky sessions and the queue of a group.

use std::sync::Arc;
use std::time::Duration;

use super::super::checked::{Queue, SameSite, Secret, Sticky, StickyBy, StickyCookie};
use super::super::problem::Problems;
use super::super::raw;
use super::MILLISECOND;
use super::values::{choice, duration, duration_or_none, flag, missing, number};

/// Letters of a secret: fewer could be guessed.
const SECRET_LETTERS_MIN: usize = 16;

/// Requests that wait, when the file does not say.
const WAITING_DEFAULT: u32 = 1024;
const WAITING_MAX: u32 = 1_000_000;
const WAIT_DEFAULT: Duration = Duration::from_secs(5);

/// How long clients stay with a backend that drains: as long as a session without a request lives
/// on most servers.
const DRAIN_DEFAULT: Duration = Duration::from_secs(30 * 60);

pub(super) fn check_sticky(raw: &raw::Sticky, problems: &mut Problems<'_>) -> Option<Sticky> {
    let drain_timeout = duration_or_none(&raw.drain_timeout, DRAIN_DEFAULT, problems);
    Some(Sticky {
        by: check_by(raw, problems)?,
        drain_timeout,
    })
}

fn check_by(raw: &raw::Sticky, problems: &mut Problems<'_>) -> Option<StickyBy> {
    let by_source = flag(&raw.source, false);
    match (&raw.cookie, by_source) {
        (Some(_), true) => {
            let fix = "keep one of the two";
            problems.error(&raw.at, "cookie and source cannot both decide", fix);
            None
        }
        (None, false) => {
            let fix = "write cookie = \"NAME\", or source = true";
            problems.error(&raw.at, "says neither cookie nor source", fix);
            None
        }
        (None, true) => {
            refuse_cookie_keys(raw, problems);
            Some(StickyBy::Source)
        }
        (Some(name), false) => {
            if !is_token(&name.value) {
                let what = format!("{:?} is no name for a cookie", name.value);
                let fix = "write letters, digits, '-' and '_' only";
                problems.error(&name.at, what, fix);
            }
            let secret = check_secret(raw, problems);
            let secure = flag(&raw.secure, false);
            let same_site = check_same_site(raw, secure, problems);
            let ttl = raw.ttl.as_ref();
            let ttl = ttl.map(|_| duration(&raw.ttl, WAIT_DEFAULT, MILLISECOND * 1000, problems));
            Some(StickyBy::Cookie(StickyCookie {
                name: name.value.clone(),
                secret: secret?,
                ttl,
                secure,
                same_site,
            }))
        }
    }
}

fn check_secret(raw: &raw::Sticky, problems: &mut Problems<'_>) -> Option<Secret> {
    let Some(secret) = &raw.secret else {
        missing(
            &raw.at,
            "secret",
            "\"at least 16 letters, the same on all nodes\"",
            problems,
        );
        return None;
    };
    if secret.value.len() < SECRET_LETTERS_MIN {
        let fix = format!("write at least {SECRET_LETTERS_MIN} letters that nobody can guess");
        problems.error(
            &secret.at,
            "is too short to keep a cookie from being forged",
            fix,
        );
        return None;
    }
    Some(Secret(Arc::from(&*secret.value)))
}

fn check_same_site(raw: &raw::Sticky, secure: bool, problems: &mut Problems<'_>) -> SameSite {
    let words = [
        ("lax", SameSite::Lax),
        ("strict", SameSite::Strict),
        ("none", SameSite::None),
    ];
    let same_site = choice(&raw.same_site, SameSite::Lax, &words, problems);
    if let (Some(written), SameSite::None, false) = (&raw.same_site, same_site, secure) {
        let fix = "write secure = true, or same_site = \"lax\"";
        problems.error(&written.at, "is refused by browsers without secure", fix);
    }
    same_site
}

fn refuse_cookie_keys(raw: &raw::Sticky, problems: &mut Problems<'_>) {
    let texts = [&raw.secret, &raw.ttl, &raw.same_site];
    let places = texts.into_iter().flatten().map(|written| &written.at);
    for at in places.chain(raw.secure.as_ref().map(|written| &written.at)) {
        let fix = "remove it, or write cookie = \"NAME\" instead of source";
        problems.error(at, "has a meaning for a cookie only", fix);
    }
}

/// What a cookie may be called by all browsers and servers.
fn is_token(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain)
}

pub(super) fn check_queue(raw: &raw::Queue, problems: &mut Problems<'_>) -> Queue {
    Queue {
        requests_max: number(
            &raw.requests_max,
            WAITING_DEFAULT,
            0..=WAITING_MAX,
            problems,
        ),
        timeout: duration(&raw.timeout, WAIT_DEFAULT, MILLISECOND, problems),
    }
}
