//! What must hold, at every moment and when all is well again.

use std::time::Duration;

use super::super::node::{KEY, Node, SEATS, agent_of, agent_says};
use super::{BACKEND, CALM, World};
use crate::control::document::Document;
use crate::control::store::Revision;
use crate::gossip::Standing;
use crate::gossip::capacity::Slots as _;
use crate::gossip::observers::Finding;

impl World {
    /// Who finds that nobody is missing is right: everybody it counts, in the life it knows,
    /// serves by that revision on every core.
    pub(super) fn wait_for_all(&mut self, node: usize) {
        let waiting = std::mem::take(&mut self.waiting);
        let (mine, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|one| one.0 == node);
        self.waiting = others;
        for (_, revision, hash) in mine {
            let Some(life) = &mut self.places[node].life else {
                continue;
            };
            let roll = life.roll();
            let own = life.served().revision() >= revision;
            if !own || !roll.missing(revision, hash).is_empty() {
                self.waiting.push((node, revision, hash));
                continue;
            }
            self.tally.waited += 1;
            for peer in roll.there() {
                let there = self.names.iter().position(|name| *name == peer.member.name);
                let life = there.and_then(|at| self.places[at].life.as_ref());
                let same = life.filter(|life| *life.circle.me() == peer.member);
                if let Some(life) = same {
                    let served = life.served().revision();
                    assert!(served >= revision, "{} serves {served}", peer.member.name);
                }
            }
        }
        // One that died waits for nobody.
        let dead = |at: usize| self.places[at].life.is_none();
        self.waiting.retain(|(at, ..)| !dead(*at));
    }

    /// What holds at every moment.
    pub(super) fn check(&mut self) {
        let lives = self.places.iter().filter_map(|place| place.life.as_ref());
        let under_way: u32 = lives.clone().map(|node| node.backend.taken(KEY)).sum();
        assert!(
            under_way <= self.max,
            "{under_way} of {} at {:?}",
            self.max,
            self.now
        );
        for (revision, hash) in lives
            .map(Node::serves)
            .filter(|(revision, _)| *revision > 0)
        {
            let known = *self.contents.entry(revision).or_insert(hash);
            assert_eq!(known, hash, "revision {revision} is two things");
        }
    }

    /// Everything is well, for long enough.
    pub(in super::super) fn settle(&mut self) {
        self.network.heal();
        self.network.weather = CALM;
        for node in 0..self.places.len() {
            let place = &mut self.places[node];
            (place.away, place.demand) = (false, 0);
            if place.life.is_none() {
                place.generation += 10;
                self.start(node);
            }
        }
        self.run(Duration::from_secs(90));
        let newest = self.quorum.newest().revision;
        for (node, place) in self.places.iter_mut().enumerate() {
            let life = place.life.as_mut().unwrap();
            assert_eq!(life.served().revision(), newest.0, "node {node}");
            let roll = life.roll();
            let alive = roll
                .peers
                .iter()
                .filter(|peer| peer.standing == Standing::Alive);
            assert_eq!(alive.count(), self.names.len() - 1, "node {node} sees all");
        }
        let lives = self.places.iter().filter_map(|place| place.life.as_ref());
        let limits: u32 = lives.map(|node| node.backend.limit).sum();
        assert_eq!(limits, self.max, "no slot is lost");
        self.all_is_checked();
        self.all_acknowledged_is_there(newest);
    }

    /// Each backend is checked by as many as it is to be, all agree on who they are, and all think
    /// of it what is so.
    fn all_is_checked(&self) {
        let lives = self.places.iter().filter_map(|place| place.life.as_ref());
        let lives: Vec<&Node> = lives.collect();
        for (key, up) in (0..).zip(&self.up) {
            let checking = lives.iter().filter(|node| node.checks(key)).count();
            assert_eq!(checking, SEATS.min(lives.len()), "backend {key}");
            let asking = lives.iter().filter(|node| node.checks(agent_of(key)));
            assert_eq!(asking.count(), SEATS.min(lives.len()), "agent of {key}");
            for node in &lives {
                let right = match node.thinks(key) {
                    Finding::Up => *up,
                    Finding::Down(_) => !*up,
                    Finding::Said(_) | Finding::Unknown => false,
                };
                assert!(right, "backend {key}, which is up: {up}");
                let word = node.thinks(agent_of(key));
                let mut said = word.word().into_iter().flat_map(|word| word.texts());
                assert_eq!(said.next(), Some(agent_says(*up)), "agent of {key}");
            }
        }
    }

    fn all_acknowledged_is_there(&mut self, newest: Revision) {
        for (revision, weight) in &self.acknowledged {
            assert!(*revision <= newest);
            let mut states = self.quorum.states();
            let state = states.find(|state| state.revision == *revision).unwrap();
            let records = state.records.iter();
            let records = records.map(|(key, record)| (&**key, &**record));
            let document = Document::from_records(records).unwrap();
            let backend = document.value(&BACKEND.parse().unwrap()).unwrap();
            assert_eq!(backend["weight"], *weight, "revision {revision}");
        }
        let facts = [newest.0, self.network.sent];
        self.note(&facts);
    }
}
