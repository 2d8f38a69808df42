//! A shard rule by which all keys are of one owner, and a place where another one will be.

use serde_json::{Value, json};

use super::port::Port;
use super::{Proxy, Settings, Upstream};

/// A proxy with the shard rule `s`, whose keys are of the group `old`.
pub struct World {
    pub proxy: Proxy,
    pub old: Upstream,
    /// Where the backend of the group `new` will be.
    pub place: Port,
}

impl World {
    /// Behind a listener of this name and protocol, by this rule.
    pub fn start((name, protocol): (&str, &'static str), rule: &str, old: Upstream) -> World {
        let place = Port::fresh();
        let settings = Settings::new()
            .listener(name, protocol)
            .with("shard", "\"s\"")
            .shard(rule)
            .group("old", &[&old])
            .group("new", &[])
            .backend(&format!("address = \"{}\"", place.address()))
            .ejecting_nobody();
        World {
            proxy: settings.start(),
            old,
            place,
        }
    }

    /// How far the rule is with handing keys over.
    pub fn progress(&self) -> Value {
        let target = "/v1/shards/s/handover";
        self.proxy.api().get(target).expect(200)
    }

    /// The same, where one request for a key that moves was made, and its former owner took it.
    #[track_caller]
    pub fn one_was_taken_by_the_former(&self) -> Value {
        let progress = self.progress();
        assert_eq!(
            (
                &progress["open"],
                &progress["requests_moved"],
                &progress["requests_to_former"]
            ),
            (&json!(true), &json!(1), &json!(1)),
            "{progress}"
        );
        progress
    }
}
