//! The access log: where its lines go, and what they look like.

use std::net::SocketAddr;

use super::super::checked::{AccessLog, AccessLogFormat, LogDestination, LogReceiver};
use super::super::problem::Problems;
use super::super::raw;
use super::super::reader::Written;
use super::values::{choice, missing, number, path};

/// The words of `access_log.format`.
const FORMATS: [(&str, AccessLogFormat); 3] = [
    ("json", AccessLogFormat::Json),
    ("combined", AccessLogFormat::Combined),
    ("httplog", AccessLogFormat::Httplog),
];

/// The words of `access_log.facility`, by the numbers of RFC 5424, as far as they are for programs.
pub(in super::super) const FACILITIES: [(&str, u8); 11] = [
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
];

pub(super) fn check(raw: &raw::AccessLog, problems: &mut Problems<'_>) -> Option<AccessLog> {
    let format = choice(&raw.format, AccessLogFormat::Json, &FORMATS, problems);
    let facility = choice(&raw.facility, FACILITIES[0].1, &FACILITIES, problems);
    if let (Some(written), None) = (&raw.facility, &raw.syslog) {
        let fix = "remove it, or write syslog = \"/dev/log\"";
        problems.error(&written.at, "a facility is told only to syslog", fix);
    }
    let said = [&raw.path, &raw.syslog, &raw.udp].into_iter().flatten();
    if let Some(second) = said.clone().nth(1) {
        let fix = "keep one of path, syslog and udp";
        problems.error(&second.at, "the lines go somewhere already", fix);
        return None;
    }
    let destination = match (&raw.path, &raw.syslog, &raw.udp) {
        (Some(written), ..) if written.value == "-" => LogDestination::Stdout,
        (Some(written), ..) => {
            let fix = "write the path of a file, or \"-\" for standard output";
            LogDestination::File(path(written, fix, problems)?)
        }
        (_, Some(written), _) => LogDestination::Syslog(receiver(written, problems)?, facility),
        (.., Some(written)) => {
            let fix = "write an address with a port, such as \"10.0.0.1:9000\"";
            LogDestination::Udp(address(written, fix, problems)?)
        }
        _ => {
            missing(&raw.at, "path", "\"/var/log/weir-access.log\"", problems);
            return None;
        }
    };
    Some(AccessLog {
        destination,
        format,
        sample: number(&raw.sample, 1, 1..=1_000_000, problems),
    })
}

/// The path of a socket, or an address.
fn receiver(written: &Written<String>, problems: &mut Problems<'_>) -> Option<LogReceiver> {
    let fix = "write the path of a socket (\"/dev/log\") or an address (\"10.0.0.1:514\")";
    match written.value.contains('/') {
        true => path(written, fix, problems).map(LogReceiver::Unix),
        false => address(written, fix, problems).map(LogReceiver::Udp),
    }
}

fn address(
    written: &Written<String>,
    fix: &str,
    problems: &mut Problems<'_>,
) -> Option<SocketAddr> {
    match written.value.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Some(address),
        _ => {
            let what = format!("{:?} is no address with a port", written.value);
            problems.error(&written.at, what, fix);
            None
        }
    }
}
