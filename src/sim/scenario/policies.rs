//! Who is compared: policies of weir, and models of other balancers.

use super::values::{number, word};
use super::{Nodes, read};
use crate::config::problem::Problems;
use crate::config::reader::Section;

/// One that is compared.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// What it is called in tables.
    pub name: String,
    /// How it chooses.
    pub chooser: Chooser,
    /// The nodes, if it is not as all others.
    pub nodes: Nodes,
    /// Keys of the group that are its own, as in `weir.toml`.
    pub group: toml::Table,
}

/// How a backend is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chooser {
    /// By a model of another balancer. It is no code of that balancer.
    Rival(RivalKind),
    /// By weir itself.
    Weir,
}

/// Which model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RivalKind {
    /// C3 as scored in the Prequal paper, with its probes.
    C3,
    /// Two drawn with repetition, fewer active requests.
    EnvoyLeastRequest,
    /// The least loaded of all, in turn among equals.
    HaproxyLeastconn,
    /// What all backends really have, the least of it.
    JoinShortest,
    /// The least loaded for its weight; equals by smooth weighted round robin.
    NginxLeastConn,
    /// One after the other, as pingora does.
    PingoraRoundRobin,
    /// Hot and cold by probes (NSDI'24).
    Prequal {
        /// The quantile of requests in flight above which one is hot.
        q_rif: f64,
    },
    /// Weights by throughput and utilisation, once a second (gRPC, Google).
    WeightedByUtilisation,
}

/// The lower end of what the Prequal paper recommends: its default, 0.84, falls over where half of
/// the backends are slow (ALGORITHMS, finding 3).
const Q_RIF: f64 = 0.6;

const RIVALS: [(&str, RivalKind); 8] = [
    ("c3", RivalKind::C3),
    ("envoy_least_request", RivalKind::EnvoyLeastRequest),
    ("haproxy_leastconn", RivalKind::HaproxyLeastconn),
    ("join_shortest_queue", RivalKind::JoinShortest),
    ("nginx_least_conn", RivalKind::NginxLeastConn),
    ("pingora_round_robin", RivalKind::PingoraRoundRobin),
    ("prequal", RivalKind::Prequal { q_rif: Q_RIF }),
    ("weighted_by_utilisation", RivalKind::WeightedByUtilisation),
];

impl Entrant {
    /// A policy of weir, by its word.
    #[must_use]
    pub fn of_weir(name: &str, policy: &str, nodes: Nodes) -> Entrant {
        let mut group = toml::Table::new();
        group.insert("policy".to_owned(), policy.into());
        Entrant {
            name: name.to_owned(),
            chooser: Chooser::Weir,
            nodes,
            group,
        }
    }

    /// A model, by its word.
    #[must_use]
    pub fn of_rival(word: &str, nodes: Nodes) -> Option<Entrant> {
        let (name, kind) = RIVALS.iter().find(|(name, _)| *name == word)?;
        Some(Entrant {
            name: (*name).to_owned(),
            chooser: Chooser::Rival(*kind),
            nodes,
            group: toml::Table::new(),
        })
    }

    /// The words of all models.
    pub fn rivals() -> impl Iterator<Item = &'static str> {
        RIVALS.iter().map(|(name, _)| *name)
    }
}

/// `table` is the same section, to take the keys of the group from as they are.
pub(super) fn read_entrant(
    mut section: Section<'_, '_>,
    table: Option<&toml::Table>,
    nodes: Nodes,
    problems: &mut Problems<'_>,
) -> Option<Entrant> {
    let at = section.at.clone();
    let name = section.text("name", "\"adaptive\"", problems);
    let policy = section.text("policy", "\"least_request\"", problems);
    let model = word(&mut section, "model", &RIVALS, problems);
    let q_rif = number(&mut section, "q_rif", Q_RIF, 0.0..=1.0, problems);
    let _ = section.value("group");
    let nodes = read::nodes_of(&mut section, nodes, problems);
    section.finish(problems);
    let group = table.and_then(|table| table.get("group")?.as_table());
    let mut group = group.cloned().unwrap_or_default();
    let word = match (&policy, model) {
        (Some(policy), None) => {
            group.insert("policy".to_owned(), policy.value.clone().into());
            policy.value.clone()
        }
        (None, Some(model)) => {
            let known = RIVALS.iter().find(|(_, kind)| *kind == model);
            known.map_or_else(String::new, |(word, _)| (*word).to_owned())
        }
        _ => {
            let fix = "write policy = \"least_request\", or model = \"haproxy_leastconn\"";
            problems.error(&at, "either a policy or a model is needed", fix);
            return None;
        }
    };
    let chooser = match model {
        Some(RivalKind::Prequal { .. }) => Chooser::Rival(RivalKind::Prequal { q_rif }),
        Some(model) => Chooser::Rival(model),
        None => Chooser::Weir,
    };
    Some(Entrant {
        name: name.map_or(word, |name| name.value),
        chooser,
        nodes,
        group,
    })
}
