//! Backends of a group, in the short form (addresses) and the long one (sections).

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::super::checked::{Backend, BackendAddress, BackendState, WEIGHT_DEFAULT};
use super::super::problem::{At, Problems};
use super::super::raw;
use super::super::raw::{Integer, Texts};
use super::super::reader::Written;
use super::names::{Names, is_valid};
use super::values::{choice, missing, number_or_none, out_of_range};
use super::{address, drain, probe};
use crate::base::drain::DrainTerms;

/// Backends of one group. A table holds each of them, and a policy may have to pass over all.
const BACKENDS_MAX: usize = 16_384;

/// Labels of one backend or one rule; each is compared for each rule that requires some.
const LABELS_MAX: usize = 32;

/// Hard limits of one backend.
const LIMIT: RangeInclusive<u32> = 1..=10_000_000;

/// Where each address of a group stands first.
#[derive(Default)]
struct Addresses(HashMap<BackendAddress, At>);

pub(super) fn check(raw: &raw::Group, problems: &mut Problems<'_>) -> Vec<Backend> {
    let mut addresses = Addresses::default();
    let mut backends = Vec::new();
    let mut written = raw.backend.len();
    let filed = raw.backends_file.is_some();
    match &raw.backends {
        None if raw.backend.is_empty() && !filed => {
            missing(&raw.at, "backends", "[\"127.0.0.1:9001\"]", problems);
        }
        None => {}
        Some(short) => {
            written += short.value.len();
            if written == 0 && !filed && !problems.noted(&short.at) {
                let fix = "write at least one, such as backends = [\"127.0.0.1:9001\"]";
                problems.error(&short.at, "a group needs a backend", fix);
            }
            let plain = short.value.iter();
            backends.extend(plain.filter_map(|text| check_short(text, &mut addresses, problems)));
        }
    }
    backends.extend(check_all(&raw.backend, &mut addresses, problems));
    if written > BACKENDS_MAX {
        let at = raw.backends.as_ref().map_or(&raw.at, |short| &short.at);
        too_many(at, written, problems);
    }
    let open = |backend: &Backend| backend.weight > 0 && backend.state == BackendState::Ready;
    if !filed && !backends.is_empty() && !backends.iter().any(open) {
        let fix = "give one a weight above 0 and state = \"ready\"";
        problems.warning(&raw.at, "no backend of this group takes new traffic", fix);
    }
    backends
}

/// Backends of a file of their own; it may have none.
pub(in super::super) fn members(
    written: &[raw::Backend],
    problems: &mut Problems<'_>,
) -> Vec<Backend> {
    if let Some(excess) = written.get(BACKENDS_MAX) {
        too_many(&excess.at, written.len(), problems);
    }
    check_all(written, &mut Addresses::default(), problems)
}

fn check_all(
    written: &[raw::Backend],
    addresses: &mut Addresses,
    problems: &mut Problems<'_>,
) -> Vec<Backend> {
    let mut ids = Names::new("backend");
    let backends = written.iter();
    backends
        .filter_map(|raw| check_long(raw, &mut ids, addresses, problems))
        .collect()
}

fn too_many(at: &At, written: usize, problems: &mut Problems<'_>) {
    let fix = format!("write at most {BACKENDS_MAX} in one group");
    problems.error(at, format!("{written} backends are too many"), fix);
}

fn check_short(
    text: &Written<String>,
    addresses: &mut Addresses,
    problems: &mut Problems<'_>,
) -> Option<Backend> {
    let address = address::backend(text, problems)?;
    let address = addresses.once(text, address, problems)?;
    Some(Backend {
        id: Arc::from(text.value.as_str()),
        address,
        weight: WEIGHT_DEFAULT,
        state: BackendState::Ready,
        drain: DrainTerms::default(),
        labels: Vec::new(),
        agent_port: None,
        connections_max: None,
        requests_max: None,
    })
}

fn check_long(
    raw: &raw::Backend,
    ids: &mut Names,
    addresses: &mut Addresses,
    problems: &mut Problems<'_>,
) -> Option<Backend> {
    // An id cannot hold a colon and an address must, so the two never collide.
    let id = ids.optional(&raw.id, problems);
    let weight = check_weight(&raw.weight, problems);
    let state = choice(&raw.state, BackendState::Ready, &STATES, problems);
    let drain = drain::check(raw, state, problems);
    let labels = check_labels(&raw.labels, problems);
    let agent_port = probe::port(&raw.agent_port, problems);
    let connections_max = number_or_none(&raw.connections_max, LIMIT, problems);
    let requests_max = number_or_none(&raw.requests_max, LIMIT, problems);
    let (text, address) = match (&raw.address, &raw.srv) {
        (None, None) => {
            missing(&raw.at, "address", "\"127.0.0.1:9001\"", problems);
            return None;
        }
        (Some(_), Some(srv)) => {
            problems.error(
                &srv.at,
                "there is an address already",
                "remove one of the two",
            );
            return None;
        }
        (Some(text), None) => (text, address::backend(text, problems)?),
        (None, Some(text)) => {
            if let Some(weight) = &raw.weight {
                let fix = "remove it; the SRV records have the weights";
                problems.error(&weight.at, "a weight beside srv", fix);
            }
            (text, address::service(text, problems)?)
        }
    };
    let address = addresses.once(text, address, problems)?;
    if raw.id.is_none() && is_valid(&text.value) {
        // Only the name of a service can look like an id.
        ids.optional(&raw.srv, problems)?;
    }
    Some(Backend {
        id: id.unwrap_or_else(|| Arc::from(text.value.as_str())),
        address,
        weight,
        state,
        drain,
        labels,
        agent_port,
        connections_max,
        requests_max,
    })
}

fn check_weight(written: &Integer, problems: &mut Problems<'_>) -> u16 {
    let Some(written) = written else {
        return WEIGHT_DEFAULT;
    };
    u16::try_from(written.value).unwrap_or_else(|_| {
        out_of_range(&written.at, written.value, 0, u16::MAX, problems);
        WEIGHT_DEFAULT
    })
}

fn is_label(text: &str) -> bool {
    match text.split_once('=') {
        Some((name, value)) => is_valid(name) && is_valid(value),
        None => is_valid(text),
    }
}

/// Labels of a backend, or those a rule requires.
pub(super) fn check_labels(written: &Texts, problems: &mut Problems<'_>) -> Vec<Arc<str>> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.len() > LABELS_MAX {
        let what = format!("{} labels are too many", written.value.len());
        problems.error(&written.at, what, format!("write at most {LABELS_MAX}"));
    }
    let mut seen = HashSet::new();
    let mut labels = Vec::new();
    for Written { value, at } in &written.value {
        if !is_label(value) {
            let fix = "write a word, or a name and a value, of 1 to 64 letters, digits, '-', '_' \
                       or '.' each, such as \"gpu\" or \"zone=eu\"";
            problems.error(at, format!("{value:?} is not a label"), fix);
        } else if !seen.insert(value) {
            problems.error(at, format!("{value:?} is there twice"), "remove one");
        } else {
            labels.push(Arc::from(value.as_str()));
        }
    }
    labels
}

impl Addresses {
    /// The address, if no other backend of the group has it.
    fn once(
        &mut self,
        text: &Written<String>,
        address: BackendAddress,
        problems: &mut Problems<'_>,
    ) -> Option<BackendAddress> {
        if let Some(first) = self.0.get(&address) {
            let line = problems.line(first);
            let what = format!("{address} is already in this group, on line {line}");
            problems.error(&text.at, what, "remove one of the two");
            return None;
        }
        self.0.insert(address.clone(), text.at.clone());
        Some(address)
    }
}

/// The words of `state`.
const STATES: [(&str, BackendState); 3] = [
    ("ready", BackendState::Ready),
    ("drain", BackendState::Drain),
    ("maint", BackendState::Maint),
];
