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
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/alerts.yml");
    let checked = promtool().args(["check", "rules", file]).output();
    let checked = checked.expect("promtool is needed for this test");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(
        checked.status.success() && said.contains("SUCCESS"),
        "{said}"
    );
}

fn promtool() -> std::process::Command {
    let promtool = std::env::var("WEIR_PROMTOOL").unwrap_or_else(|_| "promtool".into());
    std::process::Command::new(promtool)
}
