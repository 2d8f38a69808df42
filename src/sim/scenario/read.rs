//! Reads a scenario file: every mistake with its line, its key and a fix, as in a configuration.

use toml::de::DeTable;

use super::values::{count, number, time, time_if, word};
use super::{Nodes, Scenario, Settings, View, fleet, policies, traffic};
use crate::config::problem::Problems;
use crate::config::reader::Section;
use crate::config::{ConfigErrors, note_syntax};
use crate::sim::chance::Work;

/// Reads a scenario. `file_name` is only used to say where a mistake is.
///
/// # Errors
/// Every mistake in the file.
pub fn load(text: &str, file_name: &str) -> Result<Scenario, ConfigErrors> {
    let mut problems = Problems::new(text);
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let plain: Result<toml::Table, _> = text.parse();
    let (true, Ok(plain)) = (syntax_errors.is_empty(), plain) else {
        note_syntax(&syntax_errors, &mut problems);
        return Err(problems.into_errors(file_name));
    };
    let scenario = read(Section::root(&document), &plain, &mut problems);
    problems.finish(file_name)?;
    for entrant in &scenario.entrants {
        scenario.config_for(entrant)?;
    }
    Ok(scenario)
}

fn read(
    mut section: Section<'_, '_>,
    plain: &toml::Table,
    problems: &mut Problems<'_>,
) -> Scenario {
    let text = |section: &mut Section<'_, '_>, key, problems: &mut Problems<'_>| {
        let written = section.text(key, "\"contended\"", problems);
        written.map_or_else(String::new, |written| written.value)
    };
    let work = match section.section("work", problems) {
        Some(section) => read_work(section, problems),
        None => Work::Exponential { mean: 0.01 },
    };
    let backends: Vec<_> = section
        .sections("backends", problems)
        .into_iter()
        .map(|section| fleet::read_backends(section, problems))
        .collect();
    if backends.is_empty() {
        let fix = "write a section [[backends]]";
        problems.error(&section.at, "there is no backend", fix);
    }
    let nodes = Nodes {
        count: 1,
        cores: 1,
        view: View::Node,
        mesh: None,
        gossip: None,
        delay: 0.0,
    };
    let nodes = match section.section("nodes", problems) {
        Some(mut section) => {
            let nodes = nodes_of(&mut section, nodes, problems);
            section.finish(problems);
            nodes
        }
        None => nodes,
    };
    let mut scenario = Scenario {
        name: text(&mut section, "name", problems),
        about: text(&mut section, "about", problems),
        seed: count(&mut section, "seed", 1, 0..=i64::MAX, problems) as u64,
        seeds: count(&mut section, "seeds", 3, 1..=1000, problems) as u64,
        warmup: time(&mut section, "warmup", 15.0, problems),
        duration: time(&mut section, "duration", 30.0, problems),
        nodes,
        traffic: traffic::Traffic {
            phases: Vec::new(),
            burst: None,
            keys: 1,
            zipf: 0.0,
        },
        work,
        backends,
        failures: Vec::new(),
        settings: Settings::default(),
        entrants: Vec::new(),
    };
    complete(&mut section, &mut scenario, plain, problems);
    section.finish(problems);
    scenario
}

/// What depends on the fleet: traffic, failures, and who is compared on it.
fn complete(
    section: &mut Section<'_, '_>,
    scenario: &mut Scenario,
    plain: &toml::Table,
    problems: &mut Problems<'_>,
) {
    let full = scenario.capacity() / scenario.work.mean();
    match section.section("traffic", problems) {
        Some(section) => scenario.traffic = traffic::read(section, full, problems),
        None => problems.error(&section.at, "nobody asks", "write a section [traffic]"),
    }
    let all = scenario.backend_count();
    let failures = section.sections("failure", problems).into_iter();
    scenario.failures = failures
        .map(|section| fleet::read_failure(section, all, problems))
        .collect();
    let _ = section.value("group");
    let group = plain.get("group").and_then(toml::Value::as_table);
    scenario.settings = Settings(group.cloned().unwrap_or_default());
    let tables = plain.get("entrant").and_then(toml::Value::as_array);
    let entrants = section.sections("entrant", problems).into_iter();
    let nodes = scenario.nodes;
    scenario.entrants = entrants
        .enumerate()
        .filter_map(|(at, section)| {
            let table = tables.and_then(|tables| tables.get(at)?.as_table());
            policies::read_entrant(section, table, nodes, problems)
        })
        .collect();
}

/// The keys of `[nodes]`, on top of what holds without them.
pub(super) fn nodes_of(
    section: &mut Section<'_, '_>,
    nodes: Nodes,
    problems: &mut Problems<'_>,
) -> Nodes {
    #[derive(Clone, Copy)]
    enum Word {
        Cluster,
        Core,
        Node,
        Snapshot,
    }
    let words = [
        ("node", Word::Node),
        ("core", Word::Core),
        ("cluster", Word::Cluster),
        ("snapshot", Word::Snapshot),
    ];
    let period = time_if(section, "period", problems).filter(|period| *period > 0.0);
    let view = match word(section, "view", &words, problems) {
        Some(Word::Cluster) => View::Cluster,
        Some(Word::Core) => View::Core,
        Some(Word::Node) => View::Node,
        Some(Word::Snapshot) => View::Snapshot {
            period: period.unwrap_or(0.1),
        },
        None => nodes.view,
    };
    let count_of = |section: &mut Section<'_, '_>, key, default, problems: &mut Problems<'_>| {
        count(section, key, default, 1..=256, problems)
    };
    Nodes {
        count: count_of(section, "count", nodes.count, problems),
        cores: count_of(section, "cores", nodes.cores, problems),
        view,
        mesh: time_if(section, "mesh", problems)
            .or(nodes.mesh)
            .filter(|period| *period > 0.0),
        gossip: time_if(section, "gossip", problems)
            .or(nodes.gossip)
            .filter(|period| *period > 0.0),
        delay: time(section, "delay", nodes.delay, problems),
    }
}

fn read_work(mut section: Section<'_, '_>, problems: &mut Problems<'_>) -> Work {
    #[derive(Clone, Copy)]
    enum Word {
        Constant,
        Exponential,
        LogNormal,
        Normal,
        Pareto,
    }
    let words = [
        ("constant", Word::Constant),
        ("exponential", Word::Exponential),
        ("lognormal", Word::LogNormal),
        ("normal", Word::Normal),
        ("pareto", Word::Pareto),
    ];
    let kind = word(&mut section, "distribution", &words, problems).unwrap_or(Word::Exponential);
    let mean = time(&mut section, "mean", 0.01, problems).max(1e-6);
    let work = match kind {
        Word::Constant => Work::Constant { mean },
        Word::Exponential => Work::Exponential { mean },
        Word::LogNormal => Work::LogNormal {
            mean,
            sigma: number(&mut section, "sigma", 1.0, 0.0..=5.0, problems),
        },
        Word::Normal => Work::Normal {
            mean,
            sd: time(&mut section, "sd", mean, problems),
            min: time(&mut section, "min", 0.0005, problems),
        },
        Word::Pareto => Work::Pareto {
            mean,
            shape: number(&mut section, "shape", 1.5, 1.001..=100.0, problems),
        },
    };
    section.finish(problems);
    work
}
