//! The drains of one backend: its operator's, and its agent's.
//!
//! Either ends for those who stick to it when the first of the two is over; the cores are told so
//! beside the table, as all that changes with time alone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::base::drain::DrainTerms;
use crate::control::health::member::{Member, Scene};
use crate::control::health::rules::Rules;
use crate::health::drain::Drain;
use crate::health::verdict::{Source, Wish};
use crate::routing::table::Backend;

/// Who has it drained, and for how long.
#[derive(Default)]
pub(super) struct Drains {
    /// What is said of its operator's.
    pub(super) terms: DrainTerms,
    pub(super) operator: Option<Drain>,
    agent: Option<Drain>,
}

impl Drains {
    pub(super) fn of(backend: &Backend) -> Drains {
        Drains {
            terms: backend.drain,
            ..Drains::default()
        }
    }

    /// Whether those who stick are let go by now.
    pub(super) fn are_over(&self, unix: Duration) -> bool {
        let mut each = [self.operator, self.agent].into_iter().flatten();
        each.any(|drain| drain.is_over(unix))
    }

    /// Whether time will let those who stick go, or has.
    pub(super) fn will_end(&self) -> bool {
        let mut each = [self.operator, self.agent].into_iter().flatten();
        each.any(|drain| drain.until.is_some())
    }

    /// The one that ends first, as pages have it: since when, until when, and by whom.
    pub(super) fn shown(&self, unix: Duration) -> Value {
        let named = [
            (Source::Operator, self.operator),
            (Source::Agent, self.agent),
        ];
        let each = named
            .into_iter()
            .filter_map(|(by, drain)| Some((by, drain?)));
        let first = each.min_by_key(|(_, drain)| drain.until.unwrap_or(Duration::MAX));
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        first.map_or(Value::Null, |(by, drain)| {
            json!({
                "source": by.name(),
                "since_ms": millis(drain.since),
                "until_ms": drain.until.map(millis),
                "over": drain.is_over(unix),
            })
        })
    }
}

impl Member {
    /// Its drains by what is said now.
    pub(super) fn follow_drains(&mut self, rules: &Rules, scene: Scene<'_>) {
        let now = scene.unix + scene.now;
        let follow = |wish, before, terms| {
            (wish == Wish::Drain).then(|| Drain::follow(before, terms, rules.drain_timeout, now))
        };
        let Drains {
            terms,
            operator,
            agent,
        } = &mut self.drains;
        *operator = follow(self.opinions.operator, *operator, *terms);
        *agent = follow(self.opinions.agent_wish, *agent, DrainTerms::default());
    }

    /// Its operator's drain began earlier than this process, which found nothing said of it.
    pub(super) fn recall_drain(&mut self, since: Duration, rules: &Rules, scene: Scene<'_>) {
        if let Some(drain) = &mut self.drains.operator {
            drain.since = since;
            self.follow_drains(rules, scene);
        }
    }

    /// Time may have ended them.
    pub(super) fn end_drains(&mut self, rules: &Rules, scene: Scene<'_>) {
        let over = self.drains.are_over(scene.unix + scene.now);
        if over == self.standing.get().released {
            return;
        }
        self.tell(rules, scene);
        if over {
            tracing::info!(
                group = &*self.group_name,
                backend = &*self.id,
                address = %self.address,
                "drained long enough: who sticks to it goes elsewhere"
            );
        }
    }
}
