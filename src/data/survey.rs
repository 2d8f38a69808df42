//! What connections this core has, for whoever asks.

use crate::base::limits::SURVEY_ROWS_MAX;
use crate::data::client::Phase;
use crate::data::conn::{Conn, Role};
use crate::data::upstream::UpstreamState;
use crate::data::worker::Worker;
use crate::link::survey::{ConnFacts, Survey};
use crate::runtime::driver::Driver;
use crate::runtime::net;

impl<D: Driver> Worker<D> {
    /// Tells of its connections, if somebody asks.
    pub(super) fn answer_survey(&mut self) {
        let conns = &self.conns;
        self.survey.answer(|| {
            let all = conns.keys().filter_map(|key| conns.at(key));
            Survey {
                total: conns.keys().count(),
                rows: all.take(SURVEY_ROWS_MAX).map(facts_of).collect(),
            }
        });
    }
}

fn facts_of(conn: &Conn) -> ConnFacts {
    let mut facts = ConnFacts {
        role: "client",
        state: "closing",
        listener: None,
        backend: None,
        address: None,
        requests: None,
        queued_bytes: conn.out.bytes(),
    };
    let state = match &conn.role {
        Role::Client(client) => {
            facts.listener = Some(client.listener);
            facts.address = client.address.as_deref().copied();
            facts.requests = Some(client.requests);
            match client.phase {
                Phase::Exchange => "exchange",
                Phase::Head if client.stash.is_empty() => "idle",
                Phase::Head => "head",
                Phase::Lingering => "lingering",
            }
        }
        Role::RelayDown(relay) => {
            facts.role = "relay_client";
            facts.listener = Some(relay.listener);
            facts.backend = relay.backend().map(|backend| backend.slot);
            facts.address = relay.client.as_deref().copied();
            "relay"
        }
        Role::RelayUp(relay) => {
            facts.role = "relay_upstream";
            facts.backend = Some(relay.slot);
            "relay"
        }
        Role::Upstream(upstream) => {
            facts.role = "upstream";
            facts.backend = Some(upstream.slot);
            match upstream.state {
                UpstreamState::Busy if !conn.established => "connecting",
                UpstreamState::Busy => "exchange",
                UpstreamState::Idle => "idle",
            }
        }
    };
    if !conn.dying && conn.failed.is_none() {
        facts.state = state;
    }
    facts.address = facts.address.or_else(|| net::peer_address(conn.fd()));
    facts
}
