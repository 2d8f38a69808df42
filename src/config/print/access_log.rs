//! The access log as TOML.

use super::super::check::FACILITIES;
use super::super::checked::{AccessLog, AccessLogFormat, LogDestination, LogReceiver};
use super::Page;

pub(super) fn print(log: &AccessLog, page: &mut Page) {
    page.section("[access_log]");
    match &log.destination {
        LogDestination::File(path) => page.text("path", &path.to_string_lossy()),
        LogDestination::Stdout => page.text("path", "-"),
        LogDestination::Syslog(receiver, facility) => {
            match receiver {
                LogReceiver::Udp(address) => page.text("syslog", &address.to_string()),
                LogReceiver::Unix(path) => page.text("syslog", &path.to_string_lossy()),
            }
            let known = FACILITIES.iter().find(|(_, number)| number == facility);
            page.text("facility", known.map_or("local0", |(word, _)| word));
        }
        LogDestination::Udp(address) => page.text("udp", &address.to_string()),
    }
    let format = match log.format {
        AccessLogFormat::Combined => "combined",
        AccessLogFormat::Httplog => "httplog",
        AccessLogFormat::Json => "json",
    };
    page.text("format", format);
    page.raw("sample", log.sample);
}
