//! What is known of all nodes and backends: what this node measured, what others have said by
//! gossip, and the past of both.
//!
//! It is told what was measured and when. Whoever is silent for a few seconds counts for nothing;
//! what others say is added up when it is asked for, so a node that is gone leaves no trace but its
//! past.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::series::{SERIES_MAX, Series, room_for};
use crate::gossip::{BackendFigures, Claimed, Figures, Moment, NodeFigures};

/// What another node has said counts for so long; it says it anew every second.
const BELIEVED_FOR: Duration = Duration::from_secs(3);

/// What others have under way right now is believed for less.
const IN_FLIGHT_FOR: Duration = Duration::from_secs(1);

/// A node that was not heard for so long has no past any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// One moment of a backend, all nodes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Sample {
    /// Requests all nodes have under way there.
    pub(in crate::control) in_flight: u32,
    /// Answers in a second.
    pub(in crate::control) answers: u32,
    /// What they took in the mean, in microseconds; 0 without any.
    pub(in crate::control) latency_micros: u32,
    /// What it says of itself, to whomever it said it last.
    pub(in crate::control) claimed: Claimed,
}

/// Who a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Place {
    pub(in crate::control) group: Arc<str>,
    pub(in crate::control) id: Arc<str>,
    pub(in crate::control) address: SocketAddr,
}

/// A backend.
pub(super) struct Backend {
    pub(super) place: Place,
    pub(super) own: BackendFigures,
    elsewhere: BTreeMap<Arc<str>, (BackendFigures, Moment)>,
    pub(super) series: Series<Sample>,
}

/// A node.
pub(super) struct Node {
    pub(super) figures: NodeFigures,
    pub(super) heard: Moment,
    pub(super) series: Series<NodeFigures>,
}

/// All of it.
#[derive(Default)]
pub(super) struct Book {
    pub(super) nodes: BTreeMap<Arc<str>, Node>,
    pub(super) backends: BTreeMap<u64, Backend>,
}

impl Backend {
    /// What other nodes have under way there, if any of them has said so lately.
    pub(super) fn others(&self, now: Moment) -> Option<u32> {
        let said = self.elsewhere.values();
        let fresh = said.filter(|(_, at)| now.saturating_sub(*at) <= IN_FLIGHT_FOR);
        let each = fresh.map(|(figures, _)| u32::from(figures.in_flight));
        each.reduce(u32::saturating_add)
    }

    /// Answers of other nodes in the last second, and what they took in the mean, in microseconds.
    pub(super) fn latency_elsewhere(&self, now: Moment) -> Option<(u32, f64)> {
        let (answers, micros) = self.said(now).fold((0, 0.0), added);
        (answers > 0).then(|| (answers, micros / f64::from(answers)))
    }

    /// What it is now, all nodes together.
    pub(super) fn sample(&self, now: Moment) -> Sample {
        let own = (
            u32::from(self.own.answers),
            f64::from(self.own.answers) * f64::from(self.own.latency_micros),
        );
        let (answers, micros) = self.said(now).fold(own, added);
        let mut claims = self.said(now).filter_map(|figures| figures.claimed);
        Sample {
            in_flight: u32::from(self.own.in_flight) + self.others(now).unwrap_or(0),
            answers,
            latency_micros: match answers {
                0 => 0,
                _ => (micros / f64::from(answers)) as u32,
            },
            claimed: self
                .own
                .claimed
                .or_else(|| claims.next())
                .unwrap_or_default(),
        }
    }

    fn said(&self, now: Moment) -> impl Iterator<Item = &BackendFigures> {
        let said = self.elsewhere.values();
        let fresh = said.filter(move |(_, at)| now.saturating_sub(*at) <= BELIEVED_FOR);
        fresh.map(|(figures, _)| figures)
    }
}

fn added((answers, micros): (u32, f64), figures: &BackendFigures) -> (u32, f64) {
    let more = f64::from(figures.answers) * f64::from(figures.latency_micros);
    (answers + u32::from(figures.answers), micros + more)
}

impl Book {
    /// These are the backends there are. Those that stay keep their past.
    pub(super) fn adopt(&mut self, places: impl Iterator<Item = (u64, Place)>) {
        let mut stay = HashSet::with_capacity(self.backends.len());
        for (key, place) in places {
            stay.insert(key);
            self.backends.entry(key).or_insert_with(|| Backend {
                place,
                own: BackendFigures {
                    key,
                    ..BackendFigures::default()
                },
                elsewhere: BTreeMap::new(),
                series: Series::default(),
            });
        }
        self.backends.retain(|key, _| stay.contains(key));
    }

    /// This node, or another one, says what it is. What it says of backends that are not here is
    /// passed over: it has another table, for a while. Answers the backends that are.
    pub(super) fn hear(&mut self, node: &Arc<str>, figures: &Figures, now: Moment) -> Vec<u64> {
        if let Some(figures) = figures.node {
            self.see(node, figures, now);
        }
        let mut known = Vec::with_capacity(figures.backends.len());
        for figures in &figures.backends {
            if let Some(backend) = self.backends.get_mut(&figures.key) {
                backend.elsewhere.insert(Arc::clone(node), (*figures, now));
                known.push(figures.key);
            }
        }
        known
    }

    /// A node is so.
    pub(super) fn see(&mut self, node: &Arc<str>, figures: NodeFigures, now: Moment) {
        let known = self.nodes.entry(Arc::clone(node)).or_insert_with(|| Node {
            figures,
            heard: now,
            series: Series::default(),
        });
        (known.figures, known.heard) = (figures, now);
    }

    /// Keeps what is now for later, and forgets who has long been gone.
    pub(super) fn keep(&mut self, second: u64, now: Moment) {
        self.nodes
            .retain(|_, node| now.saturating_sub(node.heard) <= FORGOTTEN_AFTER);
        for node in self.nodes.values_mut() {
            if now.saturating_sub(node.heard) <= BELIEVED_FOR {
                node.series.add(second, node.figures, SERIES_MAX);
            }
        }
        let room = room_for(self.backends.len());
        for backend in self.backends.values_mut() {
            let sample = backend.sample(now);
            backend.series.add(second, sample, room);
            backend
                .elsewhere
                .retain(|_, (_, at)| now.saturating_sub(*at) <= BELIEVED_FOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn book(ids: &[&str]) -> Book {
        let mut book = Book::default();
        let place = |id: &&str| Place {
            group: "app".into(),
            id: (*id).into(),
            address: ([127, 0, 0, 1], 80).into(),
        };
        book.adopt((0..).zip(ids.iter().map(place)));
        book
    }

    fn said(key: u64, in_flight: u16, answers: u16, latency_micros: u32) -> Figures {
        Figures {
            node: None,
            backends: vec![BackendFigures {
                key,
                in_flight,
                answers,
                latency_micros,
                claimed: None,
            }],
        }
    }

    #[test]
    fn what_nodes_say_is_added_up_and_whoever_is_silent_counts_for_nothing() {
        let mut book = book(&["a", "b"]);
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        assert_eq!(book.backends[&0].others(SECOND), None);
        assert_eq!(book.hear(&one, &said(0, 3, 10, 1000), SECOND), [0]);
        assert_eq!(book.hear(&two, &said(0, 4, 30, 2000), SECOND), [0]);
        assert!(book.hear(&two, &said(9, 4, 30, 2000), SECOND).is_empty());
        let backend = &book.backends[&0];
        assert_eq!(backend.others(SECOND), Some(7));
        assert_eq!(backend.latency_elsewhere(SECOND), Some((40, 1750.0)));
        assert_eq!(
            book.backends[&1].others(SECOND),
            None,
            "nobody said anything"
        );
        // The newest word of each counts, and for a while.
        book.hear(&one, &said(0, 1, 0, 0), 3 * SECOND);
        let backend = &book.backends[&0];
        assert_eq!(backend.others(3 * SECOND), Some(1), "two is silent");
        assert_eq!(backend.latency_elsewhere(3 * SECOND), Some((30, 2000.0)));
        assert_eq!(backend.others(5 * SECOND), None);
        assert_eq!(backend.sample(9 * SECOND), Sample::default());
    }

    #[test]
    fn the_past_stays_with_who_stays_and_goes_with_who_goes() {
        let mut book = book(&["a", "b"]);
        let one: Arc<str> = "one".into();
        for second in 1..=4 {
            let now = second * SECOND;
            book.see(
                &one,
                NodeFigures {
                    answers: second,
                    ..NodeFigures::default()
                },
                now,
            );
            book.backends.get_mut(&0).unwrap().own.answers = second as u16;
            book.keep(u64::from(second), now);
        }
        let answers = |book: &Book| -> Vec<u32> {
            let samples = book.backends[&0].series.after(1);
            samples.map(|(_, sample)| sample.answers).collect()
        };
        assert_eq!(answers(&book), [2, 3, 4]);
        let place = book.backends[&0].place.clone();
        book.adopt([(0, place)].into_iter());
        assert_eq!((answers(&book), book.backends.len()), (vec![2, 3, 4], 1));
        assert_eq!(book.nodes[&one].series.after(0).count(), 4);
        // Gone, it adds nothing to its past, and after an hour it has none.
        book.keep(20, 20 * SECOND);
        assert_eq!(book.nodes[&one].series.after(0).count(), 4);
        book.keep(4000, 4000 * SECOND);
        assert!(book.nodes.is_empty());
    }

    #[test]
    fn what_a_backend_says_of_itself_is_known_by_whomever_it_told() {
        let mut book = book(&["a"]);
        let mut figures = said(0, 0, 0, 0);
        let claimed = Claimed {
            capacity: Some(9),
            ..Claimed::default()
        };
        figures.backends[0].claimed = Some(claimed);
        book.hear(&"one".into(), &figures, SECOND);
        assert_eq!(book.backends[&0].sample(SECOND).claimed, claimed);
    }
}
