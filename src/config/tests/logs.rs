//! The access log, the decision log and traces.

use super::*;
use crate::config::checked::{AccessLog, Collector, LogDestination, LogReceiver};

fn access_log(keys: &str) -> Result<AccessLog, Vec<String>> {
    let text = format!("[access_log]\n{keys}\n{LISTENER}{GROUP}");
    match load(&text, "weir.toml") {
        Ok(config) => Ok(config.access_log.unwrap()),
        Err(errors) => Err(errors.errors.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn lines_go_to_one_place() {
    let syslog = |receiver, facility| LogDestination::Syslog(receiver, facility);
    for (keys, wanted) in [
        ("path = \"-\"", LogDestination::Stdout),
        ("path = \"/a\"", LogDestination::File("/a".into())),
        (
            "syslog = \"/dev/log\"",
            syslog(LogReceiver::Unix("/dev/log".into()), 16),
        ),
        (
            "syslog = \"10.0.0.1:514\"\nfacility = \"daemon\"",
            syslog(LogReceiver::Udp("10.0.0.1:514".parse().unwrap()), 3),
        ),
        (
            "udp = \"[::1]:9000\"",
            LogDestination::Udp("[::1]:9000".parse().unwrap()),
        ),
    ] {
        assert_eq!(access_log(keys).unwrap().destination, wanted, "{keys}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_fix() {
    for (keys, wanted) in [
        ("", "access_log.path: is missing; fix: add path = "),
        (
            "path = \"-\"\nudp = \"10.0.0.1:9000\"",
            "access_log.udp: the lines go somewhere already; fix: keep one of path, syslog and udp",
        ),
        (
            "syslog = \"logs.example\"",
            "access_log.syslog: \"logs.example\" is no address with a port; fix: write the path",
        ),
        (
            "udp = \"10.0.0.1:0\"",
            "access_log.udp: \"10.0.0.1:0\" is no address with a port",
        ),
        (
            "path = \"-\"\nfacility = \"local1\"",
            "access_log.facility: a facility is told only to syslog; fix: remove it",
        ),
        (
            "syslog = \"/dev/log\"\nfacility = \"local8\"",
            "access_log.facility: unknown value \"local8\"; fix: write \"local0\"",
        ),
    ] {
        let mistakes = access_log(keys).unwrap_err();
        assert!(
            mistakes.iter().any(|text| text.contains(wanted)),
            "{keys}: {mistakes:?}"
        );
    }
}

fn mistakes(section: &str) -> Vec<String> {
    let text = format!("{section}\n{LISTENER}{GROUP}");
    let errors = load(&text, "weir.toml").expect_err("it has mistakes");
    errors.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn decisions_and_traces_have_defaults() {
    let sections = "[decision_log]\npath = \"/d\"\n[tracing]\notlp = \"http://c:4318/v1/traces\"";
    let config = load(&format!("{sections}\n{LISTENER}{GROUP}"), "weir.toml").unwrap();
    assert_eq!(config.decision_log.unwrap().bytes_max, 1 << 30);
    let tracing = config.tracing.unwrap();
    let collector = Collector {
        authority: "c:4318".into(),
        path: "/v1/traces".into(),
    };
    assert_eq!(
        (tracing.otlp, tracing.sample, &*tracing.service),
        (collector, 100, "weir")
    );
}

#[test]
fn mistakes_in_decisions_and_traces_are_said() {
    for (section, wanted) in [
        (
            "[decision_log]",
            "decision_log.path: is missing; fix: add path = ",
        ),
        (
            "[decision_log]\npath = \"/d\"\nbytes_max = \"5B\"",
            "decision_log.bytes_max: 5 is out of range; fix: write a value from 1MiB",
        ),
        (
            "[tracing]\nsample = 3",
            "tracing.otlp: is missing; fix: add otlp = ",
        ),
        (
            "[tracing]\notlp = \"https://c:4318/v1/traces\"",
            "tracing.otlp: \"https://c:4318/v1/traces\" is not the address of a collector; \
             fix: write",
        ),
        (
            "[tracing]\notlp = \"http://c/v1/traces\"",
            "tracing.otlp: \"http://c/v1/traces\" is not the address of a collector",
        ),
        (
            "[tracing]\notlp = \"http://c:1/\"\nsample = 0",
            "tracing.sample: 0 is out of range",
        ),
    ] {
        let mistakes = mistakes(section);
        assert!(
            mistakes.iter().any(|text| text.contains(wanted)),
            "{section}: {mistakes:?}"
        );
    }
}
