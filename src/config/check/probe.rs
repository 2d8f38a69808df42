//! How backends are asked whether they are well: active checks, agents and heartbeats.

use std::sync::Arc;
use std::time::Duration;

use super::super::checked::{Agent, Check, CheckKind, HeartbeatDoor, HttpCheck, Secret};
use super::super::problem::{At, Problems};
use super::super::raw::{self, Integer, Texts};
use super::super::reader::Written;
use super::admin::token_mistake;
use super::values::{choice, duration, flag, missing, number, place};
use super::{MILLISECOND, address, header};

const INTERVAL_DEFAULT: Duration = Duration::from_secs(2);
const DOWN_MAX_DEFAULT: Duration = Duration::from_secs(30);
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(10);

/// A hundred checks a second of one backend are an attack.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// With more, an interval would say little about when a check comes.
const JITTER_PERCENT_MAX: u32 = 50;

/// The interval is divided by this while something is being found out.
const FASTER: u32 = 4;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Http,
    None,
    Tcp,
}

pub(super) fn check(raw: &raw::Check, problems: &mut Problems<'_>) -> Check {
    let kinds = [
        ("tcp", Kind::Tcp),
        ("http", Kind::Http),
        ("none", Kind::None),
    ];
    let kind = match choice(&raw.kind, Kind::None, &kinds, problems) {
        Kind::Http => Some(CheckKind::Http(check_http(raw, problems))),
        Kind::None => None,
        Kind::Tcp => Some(CheckKind::Tcp),
    };
    if !matches!(kind, Some(CheckKind::Http(_))) {
        refuse_http_keys(raw, problems);
    }
    let interval = duration(&raw.interval, INTERVAL_DEFAULT, INTERVAL_MIN, problems);
    let fast = (interval / FASTER).max(INTERVAL_MIN);
    let fast = duration(&raw.interval_fast, fast, INTERVAL_MIN, problems);
    let stable = duration(&raw.interval_stable, interval, INTERVAL_MIN, problems);
    let down_max = DOWN_MAX_DEFAULT.max(interval);
    let down_max = duration(&raw.interval_down_max, down_max, INTERVAL_MIN, problems);
    let orders = [
        (
            &raw.interval_fast,
            fast <= interval,
            "is longer than interval",
        ),
        (
            &raw.interval_stable,
            stable >= interval,
            "is shorter than interval",
        ),
        (
            &raw.interval_down_max,
            down_max >= interval,
            "is shorter than interval",
        ),
    ];
    for (written, sound, what) in orders {
        if let (Some(written), false) = (written, sound) {
            problems.error(
                &written.at,
                what,
                "write interval_fast <= interval <= the others",
            );
        }
    }
    Check {
        kind,
        port: port(&raw.port, problems),
        interval,
        interval_fast: fast,
        interval_stable: stable,
        interval_down_max: down_max,
        jitter_percent: number(&raw.jitter_percent, 10, 0..=JITTER_PERCENT_MAX, problems),
        timeout: duration(&raw.timeout, interval, MILLISECOND, problems),
        rise: number(&raw.rise, 2, 1..=100, problems),
        fall: number(&raw.fall, 3, 1..=100, problems),
        slow_start: duration(&raw.slow_start, Duration::ZERO, Duration::ZERO, problems),
        heartbeat_timeout: duration(
            &raw.heartbeat_timeout,
            HEARTBEAT_DEFAULT,
            MILLISECOND,
            problems,
        ),
        heartbeat_required: flag(&raw.heartbeat_required, false),
    }
}

/// The port of a check or an agent, where one is written.
pub(super) fn port(written: &Integer, problems: &mut Problems<'_>) -> Option<u16> {
    written.as_ref()?;
    let port = number(written, 1, 1..=u32::from(u16::MAX), problems);
    u16::try_from(port).ok()
}

/// Bytes that are sent to an agent before it answers.
const SEND_BYTES_MAX: usize = 1024;

pub(super) fn check_agent(raw: &raw::Agent, problems: &mut Problems<'_>) -> Agent {
    let interval = duration(&raw.interval, INTERVAL_DEFAULT, INTERVAL_MIN, problems);
    if let Some(written) = &raw.send
        && !(1..=SEND_BYTES_MAX).contains(&written.value.len())
    {
        let fix = format!("write 1 to {SEND_BYTES_MAX} bytes, or leave it out");
        problems.error(&written.at, "cannot be sent to an agent", fix);
    }
    Agent {
        port: port(&raw.port, problems),
        interval,
        timeout: duration(&raw.timeout, interval, MILLISECOND, problems),
        send: raw.send.as_ref().map(|written| Arc::from(&*written.value)),
    }
}

fn check_http(raw: &raw::Check, problems: &mut Problems<'_>) -> HttpCheck {
    let method = text_of(&raw.method, "GET", problems, |text| {
        let upper = |byte: u8| byte.is_ascii_uppercase();
        (!text.is_empty() && text.bytes().all(upper)).then_some(())
    });
    let path = path_of(&raw.path, "/", problems);
    let host = raw.host.as_ref().map(|_| {
        text_of(&raw.host, "localhost", problems, |text| {
            let inside = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
            (!text.is_empty() && text.bytes().all(inside)).then_some(())
        })
    });
    let body = raw.body.as_ref().and_then(|written| {
        let refused = |(what, fix)| problems.error(&written.at, what, fix);
        header::regex(&written.value).map_err(refused).ok()
    });
    HttpCheck {
        method,
        path,
        host: host.map(Arc::from),
        expect: check_expect(&raw.expect, problems),
        body,
    }
}

/// The path of a request, and its query.
pub(super) fn path_of(written: &raw::Text, default: &str, problems: &mut Problems<'_>) -> String {
    text_of(written, default, problems, |text| {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        (text.starts_with('/') && visible && !text.contains('#')).then_some(())
    })
}

fn text_of(
    written: &raw::Text,
    default: &str,
    problems: &mut Problems<'_>,
    sound: impl Fn(&str) -> Option<()>,
) -> String {
    let Some(Written { value, at }) = written else {
        return default.to_owned();
    };
    if sound(value).is_none() {
        let what = format!("{value:?} cannot stand in a request");
        problems.error(at, what, format!("write something like {default:?}"));
    }
    value.clone()
}

/// Statuses that pass: those of success and redirection when the file does not say.
fn check_expect(written: &Texts, problems: &mut Problems<'_>) -> Vec<(u16, u16)> {
    let Some(list) = written else {
        return vec![(200, 399)];
    };
    if list.value.is_empty() {
        let fix = "write expect = [\"200-399\"]";
        problems.error(&list.at, "an empty list lets nothing pass", fix);
    }
    let mut expect = Vec::new();
    for Written { value, at } in &list.value {
        let (first, last) = value.split_once('-').unwrap_or((value, value));
        let status = |text: &str| {
            let number = text.trim().parse::<u16>().ok();
            number.filter(|number| (100..=599).contains(number))
        };
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => expect.push((first, last)),
            _ => {
                let what = format!("{value:?} is no status and no range of them");
                problems.error(at, what, "write \"200\" or \"200-399\"");
            }
        }
    }
    expect
}

fn refuse_http_keys(raw: &raw::Check, problems: &mut Problems<'_>) {
    let texts = [&raw.method, &raw.path, &raw.host, &raw.body];
    let places = texts.into_iter().filter_map(place);
    let places: Vec<&At> = places.chain(place(&raw.expect)).collect();
    for at in places {
        let fix = "remove it, or write kind = \"http\"";
        problems.error(at, "has a meaning for http only", fix);
    }
}

pub(super) fn check_door(
    raw: &raw::HeartbeatDoor,
    problems: &mut Problems<'_>,
) -> Option<HeartbeatDoor> {
    let Some(written) = &raw.udp else {
        missing(&raw.at, "udp", "\"127.0.0.1:9902\"", problems);
        return None;
    };
    let udp = address::listen(written, problems)?;
    if !udp.ip().is_loopback() && raw.token.is_none() {
        problems.error(
            &written.at,
            "other machines reach this address, and nobody is asked for a token",
            "listen on 127.0.0.1, or add token = \"what `openssl rand -hex 32` prints\"",
        );
    }
    let mut token = None;
    if let Some(written) = &raw.token {
        if let Some(what) = token_mistake(&written.value) {
            let fix = "write what `openssl rand -hex 32` prints";
            problems.error(&written.at, what, fix);
        }
        token = Some(Secret(Arc::from(&*written.value)));
    }
    Some(HeartbeatDoor { udp, token })
}
