//! What Prometheus and Grafana are given is understood by them, and asks for what there is.

use std::collections::HashSet;
use std::io::Write;

use super::{page, world};

/// Names of ours in a rule or a dashboard, with what histograms add taken off.
fn names_in(text: &str) -> HashSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
    let words = text.split(word).filter(|word| {
        (word.starts_with("weir_") || word.starts_with("process_")) && !word.contains(':')
    });
    words
        .map(|word| {
            let histogram = ["_bucket", "_sum", "_count"];
            let base = histogram.iter().find_map(|end| word.strip_suffix(end));
            base.unwrap_or(word).to_owned()
        })
        .collect()
}

const RULES: &str = include_str!("../../../../tuning/alerts.yml");
const DASHBOARD: &str = include_str!("../../../../tuning/grafana.json");

#[test]
fn alerts_and_dashboard_ask_for_what_there_is() {
    let page = page(&world());
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families: HashSet<&str> = families
        .filter_map(|line| Some(line.split_once(' ')?.0))
        .collect();
    for (file, text) in [("alerts.yml", RULES), ("grafana.json", DASHBOARD)] {
        let names = names_in(text);
        assert!(names.len() > 8, "{file} names metrics: {names:?}");
        for name in names {
            assert!(families.contains(&*name), "{file}: {name}");
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|panels| panels.len() > 8)
    );
}

/// What nobody is alarmed by and the dashboard leaves to who asks for it, and why.
const LEFT_OUT: [(&str, &[&str]); 5] = [
    (
        "one line for each backend: the node's own dashboard has them",
        &[
            "weir_backend_expected_latency_seconds",
            "weir_backend_faults_total",
            "weir_backend_pace_ratio",
            "weir_backend_received_bytes_total",
            "weir_backend_sent_bytes_total",
            "weir_backend_shadow_busy_seconds_total",
            "weir_backend_shadow_chosen_total",
            "weir_backend_up",
            "weir_breaker_backend_state",
        ],
    ),
    (
        "another that is there says the same, or more",
        &[
            "weir_access_log_write_errors_total",
            "weir_breaker_transitions_total",
            "weir_core_accepts_total",
            "weir_core_batch_completions",
            "weir_core_connections",
            "weir_epoch_found",
            "weir_epochs_published_total",
            "weir_listener_accepts_total",
            "weir_overload_actions_total",
            "weir_store_read_failures_total",
            "weir_store_writes_total",
            "process_threads",
            "process_virtual_memory_bytes",
        ],
    ),
    (
        "bytes on a disk, which who watches the disk knows",
        &[
            "weir_access_log_bytes_total",
            "weir_decision_log_bytes_total",
        ],
    ),
    (
        "the traffic between nodes, when that is what is looked into",
        &[
            "weir_cluster_datagrams_received_total",
            "weir_cluster_datagrams_sent_total",
            "weir_cluster_datagrams_unsent_total",
            "weir_cluster_received_bytes_total",
            "weir_cluster_sent_bytes_total",
            "weir_store_registrations_total",
            "weir_store_watch_events_total",
            "weir_store_watches_total",
        ],
    ),
    (
        "how work is dealt out among nodes; neither more nor less is wrong",
        &[
            "weir_cluster_agents_asked",
            "weir_cluster_backends_checked",
            "weir_cluster_slots",
        ],
    ),
];

#[test]
fn each_metric_is_used_or_left_out_for_a_reason() {
    let page = page(&world());
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let used: HashSet<String> = names_in(RULES)
        .into_iter()
        .chain(names_in(DASHBOARD))
        .collect();
    let left_out = || LEFT_OUT.iter().flat_map(|(_, names)| *names);
    let mut seen = HashSet::new();
    for family in families {
        let name = family.split(' ').next().unwrap();
        let is_left_out = left_out().any(|left| *left == name);
        assert!(
            used.contains(name) != is_left_out,
            "{name} is in an alert or on the dashboard, or else left out for a reason"
        );
        seen.insert(name.to_owned());
    }
    assert_eq!(left_out().find(|name| !seen.contains(**name)), None);
}

/// Labels in braces after a name, each with what stands for its value.
fn asked_of(text: &str) -> Vec<(&str, &str, &str)> {
    let mut asked = Vec::new();
    for part in text.split("weir_").skip(1) {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let (name, rest) = part.split_at(end.unwrap_or(part.len()));
        let inside = rest
            .strip_prefix('{')
            .and_then(|rest| Some(rest.split_once('}')?.0));
        for matcher in inside.iter().flat_map(|inside| inside.split(',')) {
            let (label, value) = matcher.split_once('=').expect("a matcher");
            asked.push((name, label.trim_end_matches('!'), value));
        }
    }
    asked
}

#[test]
fn alerts_and_dashboard_ask_for_labels_there_are() {
    let page = page(&world());
    let mut count = 0;
    for text in [RULES, DASHBOARD] {
        for (name, label, value) in asked_of(text) {
            // What Prometheus adds itself.
            if ["instance", "job"].contains(&label) {
                continue;
            }
            count += 1;
            let has = page.lines().any(|line| {
                let of_name = line
                    .strip_prefix("weir_")
                    .and_then(|line| line.strip_prefix(name));
                of_name.is_some_and(|rest| {
                    rest.starts_with('{') && rest.contains(&format!("{label}=\""))
                })
            });
            assert!(has, "weir_{name} has no label {label} ({value})");
        }
    }
    assert!(count > 20, "{count} are looked at");
}

/// `promtool` is of Debian's package prometheus, which `.ci/run` installs; `WEIR_PROMTOOL` names
/// another.
#[test]
fn promtool_finds_nothing_to_criticise() {
    let mut child = promtool()
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool is needed for this test");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page(&world()).as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn promtool_understands_the_alerts() {
    succeeds(&["check", "rules"], "tuning/alerts.yml");
}

/// Figures that alarm, and figures that look alike and do not.
#[test]
fn alerts_alarm_when_they_should() {
    succeeds(&["test", "rules"], "tests/tuning/alerts.test.yml");
}

#[track_caller]
fn succeeds(order: &[&str], file: &str) {
    let file = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    let output = promtool().args(order).arg(file).output();
    let output = output.expect("promtool is needed for this test");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("SUCCESS"),
        "{said}"
    );
}

fn promtool() -> std::process::Command {
    let promtool = std::env::var("WEIR_PROMTOOL").unwrap_or_else(|_| "promtool".into());
    std::process::Command::new(promtool)
}
