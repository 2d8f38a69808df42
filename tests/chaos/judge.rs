//! What clients saw, judged by what each epoch allows.

use std::collections::{BTreeMap, BTreeSet};

use crate::load::Seen;
use crate::model::History;

/// All of it, in figures.
#[derive(Debug, Default)]
pub struct Verdict {
    pub answers: u64,
    pub epochs: usize,
    pub excused: u64,
    /// Responses that contradict the epoch they carry.
    pub contradicting: Vec<String>,
    pub lost: BTreeMap<String, u64>,
    pub went_back: BTreeMap<String, u64>,
}

impl Verdict {
    /// Judges what was seen.
    pub fn of(seen: Vec<Seen>, history: &History) -> Verdict {
        let mut verdict = Verdict::default();
        let mut epochs = BTreeSet::new();
        for seen in seen {
            for ((epoch, tenant, backend), count) in seen.answers {
                verdict.answers += count;
                epochs.insert(epoch);
                if !history.allows(epoch, tenant, &backend) {
                    let told = format!("{count} x epoch {epoch}, tenant {tenant}: {backend}");
                    verdict.contradicting.push(told);
                }
            }
            verdict.excused += seen.excused;
            verdict.lost.extend(seen.lost);
            verdict.went_back.extend(seen.went_back);
        }
        verdict.epochs = epochs.len();
        verdict
    }
}

#[test]
fn a_response_that_contradicts_its_epoch_is_found() {
    use crate::model::World;
    let history = History::new(3, World::first());
    let saw = |epoch, tenant, backend: &str| {
        let mut seen = Seen::default();
        seen.answers.insert((epoch, tenant, backend.to_owned()), 2);
        Verdict::of(vec![seen], &history)
    };
    // The first tenant belongs to the first group, which has the first three backends.
    assert!(saw(3, 0, "backend-2").contradicting.is_empty());
    assert_eq!(saw(9, 0, "backend-2").answers, 2);
    for (epoch, tenant, backend) in [
        (3, 1, "backend-2"),
        (3, 0, "backend-3"),
        (2, 0, "backend-0"),
    ] {
        let verdict = saw(epoch, tenant, backend);
        assert_eq!(verdict.contradicting.len(), 1, "{verdict:?}");
    }
}
