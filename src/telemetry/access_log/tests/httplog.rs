//! Lines are what HAProxy writes, and four letters say how it ended.

use super::*;
use crate::telemetry::access_log::ending;
use crate::telemetry::access_log::names::Figures;

fn with_figures() -> LogNames {
    names().with_gauges(Box::new(|listener, backend| {
        assert_eq!((listener, backend.is_some()), (ListenerSlot(0), true));
        Figures {
            connections: 9,
            of_listener: 8,
            of_group: 7,
            of_backend: 6,
            waiting: 5,
        }
    }))
}

fn httplog(names: &LogNames, record: &AccessRecord, texts: &Texts<'_>) -> String {
    line_of(names, LineFormat::Httplog, record, texts)
}

#[test]
fn httplog_is_what_haproxy_writes() {
    assert_eq!(
        httplog(&with_figures(), &record(), &TEXTS),
        "192.0.2.7:4711 [28/Jul/2025:10:53:20.111] web app/10.0.0.2:80 1/2/3/8/12 200 1234 - - \
         ---- 9/8/7/6/+1 0/5 \"GET /a?b=c HTTP/1.1\"\n"
    );
    let bad = AccessRecord {
        backend: None,
        connect_micros: None,
        reached: Reached::Head,
        fault: Some(Fault::ClientBadRequest),
        status: 400,
        retries: 0,
        ..record()
    };
    assert_eq!(
        httplog(&names(), &bad, &Texts::default()),
        "192.0.2.7:4711 [28/Jul/2025:10:53:20.111] web web/<NOSRV> -1/-1/-1/-1/12 400 1234 - - \
         PR-- 0/0/0/0/0 0/0 \"<BADREQ>\"\n"
    );
    let relayed = AccessRecord {
        status: 0,
        retries: 0,
        fault: Some(Fault::ClientAborted),
        reached: Reached::Body,
        ..record()
    };
    assert_eq!(
        httplog(&names(), &relayed, &Texts::default()),
        "192.0.2.7:4711 [28/Jul/2025:10:53:20.111] web app/10.0.0.2:80 2/3/12 1234 CD \
         0/0/0/0/0 0/0\n"
    );
}

#[test]
fn four_letters_say_how_it_ended() {
    let ended = |reached, fault, (looked, named, moved)| {
        let stickiness = Stickiness {
            looked,
            named,
            moved,
        };
        let record = AccessRecord {
            reached,
            fault,
            stickiness,
            ..record()
        };
        String::from_utf8(ending::letters(&record).into()).unwrap()
    };
    let (none, plain) = ((false, false, false), None);
    for (reached, fault, stickiness, wanted) in [
        (Reached::End, plain, none, "----"),
        (Reached::End, plain, (true, false, true), "--NI"),
        (Reached::End, plain, (true, true, false), "--VN"),
        (Reached::End, plain, (true, true, true), "--DI"),
        (Reached::Head, Some(Fault::ClientTimeout), none, "cR--"),
        (Reached::Head, Some(Fault::NoBackend), none, "SC--"),
        (Reached::Head, Some(Fault::BreakerOpen), none, "RC--"),
        (Reached::Queue, Some(Fault::GroupFull), none, "sQ--"),
        (Reached::Queue, Some(Fault::ClientAborted), none, "CQ--"),
        (Reached::Connect, Some(Fault::ConnectTimeout), none, "sC--"),
        (Reached::Answer, Some(Fault::UpstreamTimeout), none, "sH--"),
        (
            Reached::Answer,
            Some(Fault::UpstreamBadResponse),
            none,
            "PH--",
        ),
        (Reached::Body, Some(Fault::UpstreamAborted), none, "SD--"),
        (Reached::Body, Some(Fault::Shutdown), none, "KD--"),
    ] {
        assert_eq!(ended(reached, fault, stickiness), wanted);
    }
}
