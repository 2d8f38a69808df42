//! Backends by SRV records: ports, weights and priorities are those of the records.

use super::{shares, under_traffic, until_served_by};
use crate::support::dns::Service;
use crate::support::{Dns, Settings, Upstream, eventually};

const NAME: &str = "_http._tcp.test";

fn record(target: &'static str, upstream: &Upstream, priority: u16, weight: u16) -> Service {
    Service {
        priority,
        weight,
        port: upstream.address().port(),
        target,
    }
}

fn settings(dns: &Dns) -> Settings {
    Settings::http_to(&[])
        .backend(&format!("srv = \"{NAME}\""))
        .section(&dns.section())
}

#[test]
fn records_come_and_go_and_name_their_backends() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let dns = Dns::start();
    dns.hosts("a.test", 60, &["127.0.0.1"]);
    dns.hosts("b.test", 60, &["127.0.0.1"]);
    dns.services(NAME, 1, &[record("a.test", &one, 0, 3)]);
    let proxy = settings(&dns).with("decision_headers", "true").start();
    let answer = proxy.client().get("/");
    let id = format!("a.test:{}", one.address().port());
    assert_eq!(answer.head.field("x-weir-backend"), Some(&*id));
    under_traffic(&proxy, || {
        dns.services(
            NAME,
            1,
            &[record("a.test", &one, 0, 3), record("b.test", &two, 0, 1)],
        );
        until_served_by(&proxy, &["one", "two"]);
        dns.services(NAME, 1, &[record("b.test", &two, 0, 1)]);
        until_served_by(&proxy, &["two"]);
        dns.fail(NAME);
        let before = dns.asked(NAME).len();
        eventually("it is asked for again", || {
            dns.asked(NAME).len() > before + 1
        });
    });
    until_served_by(&proxy, &["two"]);
}

#[test]
fn the_lowest_priority_that_has_addresses_serves() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let dns = Dns::start();
    dns.forget("a.test");
    dns.hosts("b.test", 1, &["127.0.0.1"]);
    let records = [record("a.test", &one, 1, 0), record("b.test", &two, 2, 0)];
    dns.services(NAME, 1, &records);
    let proxy = settings(&dns).start();
    assert_eq!(shares(&proxy, 6).keys().collect::<Vec<_>>(), ["two"]);
    dns.hosts("a.test", 1, &["127.0.0.1"]);
    until_served_by(&proxy, &["one"]);
    // Its addresses are kept, so the fallback stays one.
    dns.forget("a.test");
    let before = dns.asked("a.test").len();
    eventually("it is asked for again", || {
        dns.asked("a.test").len() > before + 1
    });
    assert_eq!(shares(&proxy, 6).keys().collect::<Vec<_>>(), ["one"]);
}

#[test]
fn an_operator_drains_what_records_name() {
    let one = Upstream::named("one");
    let dns = Dns::start();
    dns.hosts("a.test", 60, &["127.0.0.1"]);
    dns.services(NAME, 60, &[record("a.test", &one, 0, 0)]);
    let proxy = settings(&dns).start();
    assert_eq!(proxy.client().get("/").status(), 200, "weight 0 serves");
    let maint = format!("/v1/groups/app/backends/{NAME}/maint?wait=node");
    proxy.api().ask("POST", &maint, None).expect(200);
    assert_eq!(proxy.client().get("/").status(), 503);
}

#[test]
fn weights_are_those_of_the_records() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let dns = Dns::start();
    dns.hosts("a.test", 60, &["127.0.0.1"]);
    let weights = |one_has, two_has| {
        let records = [
            record("a.test", &one, 0, one_has),
            record("a.test", &two, 0, two_has),
        ];
        dns.services(NAME, 1, &records);
    };
    weights(30, 10);
    let policy = settings(&dns).group_with("policy", "\"weighted_round_robin\"");
    let proxy = policy.start();
    assert_eq!(shares(&proxy, 40).values().collect::<Vec<_>>(), [&30, &10]);
    weights(0, 4);
    eventually("other weights", || {
        shares(&proxy, 40).values().collect::<Vec<_>>() == [&8, &32]
    });
}
