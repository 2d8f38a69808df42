//! What a node knows of one backend, or of its agent, among those that are looked after.

use std::sync::Arc;

use super::super::Moment;
use super::{Finding, Subject};

/// A backend, or its agent: what is looked after, what is thought of it, and who looks.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) subject: Subject,
    pub(super) verdict: Finding,
    pub(super) mine: bool,
    pub(super) look: bool,
    pub(super) seats: Vec<Arc<str>>,
    /// Nodes that have not taken their seat, and since when.
    pub(super) expected: Vec<(Arc<str>, Moment)>,
    /// Observers that found something else than the verdict, and since when.
    pub(super) against: Vec<(Arc<str>, Moment)>,
}

impl Backend {
    pub(super) fn new(subject: Subject) -> Backend {
        Backend {
            subject,
            verdict: Finding::Unknown,
            mine: false,
            look: false,
            seats: Vec::new(),
            expected: Vec::new(),
            against: Vec::new(),
        }
    }

    /// Whether who found something else since then has had the time to find out better.
    pub(super) fn is_late(&self, since: Moment, now: Moment) -> bool {
        match self.subject {
            Subject::Agent => false,
            Subject::Backend(patience) => now >= since + patience,
        }
    }
}
