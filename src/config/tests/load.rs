//! Probes of load, and metrics that are read.

use super::*;

fn group(keys: &str) -> String {
    format!("{LISTENER}[[group]]\nname = \"app\"\nbackends = [\"127.0.0.1:1\"]\n{keys}")
}

#[test]
fn probes_and_metrics_have_defaults_that_serve() {
    let config = sound(&group(
        "policy = \"adaptive\"\n[group.probe]\n[group.scrape]\n",
    ));
    let probe = config.groups[0].probe.as_ref().unwrap();
    assert_eq!((&*probe.path, probe.port), ("/load", None));
    assert_eq!((probe.rate_percent, probe.rate_max), (300, 2000));
    let scrape = config.groups[0].scrape.as_ref().unwrap();
    assert_eq!(
        (&*scrape.path, scrape.interval),
        ("/metrics", Duration::from_secs(5))
    );
    assert_eq!(scrape.cpu.as_deref(), Some("process_cpu_seconds_total"));
    assert_eq!((&scrape.active, &scrape.latency), (&None, &None));
    let without = sound(&group(""));
    assert_eq!(
        (&without.groups[0].probe, &without.groups[0].scrape),
        (&None, &None)
    );
    let shadowed = "shadow = \"adaptive\"\nprobe = { rate = 1 }\n";
    assert_eq!(
        sound(&group(shadowed)).groups[0]
            .probe
            .as_ref()
            .unwrap()
            .rate_percent,
        100
    );
}

#[test]
fn what_cannot_be_probed_or_read_is_told() {
    for (keys, told) in [
        (
            "probe = { rate = 1 }\n",
            "group[app].probe: has a meaning for adaptive only",
        ),
        (
            "policy = \"adaptive\"\nprobe = { rate = 0 }\n",
            "probe.rate: 0 is out of range; fix: write a value from 0.01 to 10",
        ),
        (
            "policy = \"adaptive\"\nprobe = { path = \"load\" }\n",
            "cannot stand in a request",
        ),
        ("scrape = { cpu = \"a{b=1}\" }\n", "is no name of a metric"),
        ("scrape = { interval = \"1ms\" }\n", "scrape.interval"),
        (
            "scrape = { latncy = \"a\" }\n",
            "unknown key; fix: write latency",
        ),
    ] {
        let errors = errors(&group(keys)).join("\n");
        assert!(errors.contains(told), "{told} in: {errors}");
    }
}
