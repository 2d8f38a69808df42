//! The decision log and tracing as TOML.

use super::super::checked::{DecisionLog, Tracing};
use super::Page;

pub(super) fn print_decision_log(log: &DecisionLog, page: &mut Page) {
    page.section("[decision_log]");
    page.text("path", &log.path.to_string_lossy());
    page.size("bytes_max", log.bytes_max);
}

pub(super) fn print_tracing(tracing: &Tracing, page: &mut Page) {
    page.section("[tracing]");
    let otlp = &tracing.otlp;
    page.text("otlp", &format!("http://{}{}", otlp.authority, otlp.path));
    page.raw("sample", tracing.sample);
    page.text("service", &tracing.service);
}
