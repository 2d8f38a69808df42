//! Answers merged, the schedule, and the system's files.

use hickory_resolver::proto::rr::Name;
use proptest::prelude::*;

use super::schedule::Schedule;
use super::system::candidates;
use super::*;
use crate::config::checked::{Dns, DnsResolver};

fn host(name: &str) -> Question {
    Question::Host(name.into(), 80)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn dns(resolver: DnsResolver) -> Dns {
    Dns {
        resolver,
        servers: Vec::new(),
        refresh: Duration::from_secs(30),
        min_ttl: Duration::from_secs(1),
    }
}

fn addresses(texts: &[&str]) -> Result<Answer, String> {
    Ok(Answer {
        found: Found::Addresses(texts.iter().map(|text| address(text)).collect()),
        ttl: None,
    })
}

#[tokio::test]
async fn local_names_resolve_and_impossible_ones_fail_by_themselves() {
    for resolver in [DnsResolver::Dns, DnsResolver::System] {
        let asker = Asker::new(&dns(resolver));
        let questions = (0..2 * LOOKUPS_MAX).map(|_| host("localhost"));
        let questions = questions.chain([host("no-such-name.invalid")]).collect();
        let round = resolve(asker, questions, Resolved::default()).await;
        let resolved = round.added_to(&Resolved::default());
        let found = resolved.addresses("localhost", 80);
        assert!(found.contains(&address("127.0.0.1:80")), "{found:?}");
        assert!(resolved.addresses("no-such-name.invalid", 80).is_empty());
        let failed: Vec<_> = round.failures().map(|(question, _)| question).collect();
        assert_eq!(failed, [&host("no-such-name.invalid")]);
    }
}

#[tokio::test]
async fn a_round_ends_in_time_with_what_it_has() {
    let asker = Asker::new(&dns(DnsResolver::Dns));
    let questions = vec![host("localhost"); 3];
    let round = resolve_within(asker, questions, Resolved::default(), Duration::ZERO).await;
    assert_eq!(round.failures().count(), 3);
}

#[test]
fn what_fails_keeps_what_it_had_and_what_is_not_named_is_forgotten() {
    let mut before = Resolved::default();
    before.insert("a", 80, vec![address("10.0.0.1:80")]);
    before.insert("b", 80, vec![address("10.0.0.2:80")]);
    before.insert("c", 80, vec![address("10.0.0.3:80")]);
    let target = Target {
        host: "t".into(),
        port: 1,
        priority: 0,
        weight: 0,
        addresses: vec![address("10.0.0.4:1")],
    };
    before.insert_service("s", vec![target.clone()]);
    let round = Round::of(vec![
        (host("a"), Err("timeout".into())),
        (host("b"), addresses(&["10.0.0.9:80"])),
        (host("new"), Err("timeout".into())),
        (Question::Service("s".into()), Err("timeout".into())),
    ]);
    let known = round.added_to(&before);
    assert_eq!(known.addresses("a", 80), [address("10.0.0.1:80")]);
    assert_eq!(known.addresses("b", 80), [address("10.0.0.9:80")]);
    assert_eq!(known.service("s"), [target]);
    assert!(known.knows("new", 80) && known.addresses("new", 80).is_empty());
    let config = "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:1\"\ngroup = \"app\"\n\
                  [[group]]\nname = \"app\"\nbackends = [\"a:80\", \"d:80\"]\n\
                  [[group.backend]]\nsrv = \"s\"\n";
    let config = crate::config::load(config, "weir.toml").unwrap();
    let retained = retained(&config, &known);
    assert_eq!(retained.addresses("a", 80), [address("10.0.0.1:80")]);
    assert!(!retained.knows("b", 80) && !retained.knows("c", 80));
    assert!(retained.knows_service("s"));
    assert_eq!(unknown(&config, &retained), [host("d")]);
}

#[test]
fn a_search_list_is_gone_through_as_getaddrinfo_does() {
    let name = |text: &str| Name::from_str_relaxed(text).unwrap();
    let search = ["ns.svc.local", "svc.local."].map(name);
    for (asked, ndots, expected) in [
        (
            "app",
            1,
            &["app.ns.svc.local.", "app.svc.local.", "app."][..],
        ),
        (
            "app.a",
            1,
            &["app.a.", "app.a.ns.svc.local.", "app.a.svc.local."],
        ),
        (
            "app.a",
            2,
            &["app.a.ns.svc.local.", "app.a.svc.local.", "app.a."],
        ),
        ("app.a.", 5, &["app.a."]),
    ] {
        let found = candidates(&name(asked), &search, ndots);
        let found: Vec<String> = found.iter().map(Name::to_ascii).collect();
        assert_eq!(found, expected);
    }
    let long = name(&["a"; 124].join("."));
    assert_eq!(candidates(&long, &search, 1).len(), 1);
}

#[test]
fn an_answer_is_asked_for_again_when_it_ends_and_a_failure_ever_later() {
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(30));
    let mut schedule = Schedule::new(&dns(DnsResolver::Dns));
    let start = Instant::now();
    let question = host("a");
    schedule.follow(
        std::slice::from_ref(&question),
        &dns(DnsResolver::Dns),
        start,
    );
    assert_eq!(schedule.take_due(8, start), std::slice::from_ref(&question));
    assert!(schedule.take_due(8, start).is_empty(), "it is under way");
    for (answer, pause) in [
        (Ok(Some(Duration::from_secs(5))), Duration::from_secs(5)),
        (Ok(Some(Duration::ZERO)), least),
        (Ok(Some(Duration::from_secs(300))), most),
        (Ok(None), most),
        (Err(()), least),
        (Err(()), 2 * least),
        (Err(()), 4 * least),
        (Ok(None), most),
        (Err(()), least),
    ] {
        assert!(schedule.answered(&question, answer, start));
        assert_eq!(schedule.next_due(), Some(start + pause));
    }
    schedule.follow(&[], &dns(DnsResolver::Dns), start);
    assert!(
        !schedule.answered(&question, Ok(None), start),
        "it is forgotten"
    );
    assert_eq!(schedule.next_due(), None);
}

proptest! {
    #[test]
    fn every_question_is_asked_within_its_bounds_whatever_is_answered(
        answers in proptest::collection::vec(
            proptest::option::of(proptest::option::of(0_u64..100_000)), 1..60,
        ),
        room in 1_usize..4,
    ) {
        let dns = dns(DnsResolver::Dns);
        let mut schedule = Schedule::new(&dns);
        let mut now = Instant::now();
        let questions: Vec<_> = ["a", "b", "c"].map(host).to_vec();
        schedule.follow(&questions, &dns, now);
        for answer in answers {
            let due = schedule.next_due().unwrap();
            prop_assert!(due <= now + dns.refresh);
            now = now.max(due);
            let taken = schedule.take_due(room, now);
            prop_assert!((1..=room).contains(&taken.len()));
            for question in taken {
                let answer = answer.map(|millis| millis.map(Duration::from_millis)).ok_or(());
                prop_assert!(schedule.answered(&question, answer, now));
            }
            let next = schedule.next_due().unwrap();
            prop_assert!(next <= now + dns.refresh);
        }
    }
}
