//! What the backend is told about the client and the way the request came.

use crate::support::{Message, Settings, Upstream};

/// The request a backend gets when the client sends `fields`, and the client's answer.
fn pass(configure: impl Fn(Settings) -> Settings, fields: &str) -> (Message, Message) {
    let upstream = Upstream::named("ok");
    let settings = Settings::new().listener("web", "http").to("app");
    let proxy = configure(settings).group("app", &[&upstream]).start();
    let answer = proxy
        .client()
        .ask(format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    (upstream.only_request(), answer)
}

#[test]
fn by_default_x_forwarded_for_names_the_client() {
    let (request, _) = pass(|settings| settings, "");
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.field("x-forwarded-proto"), Some("http"));
    assert!(!request.has("forwarded"));
}

#[test]
fn what_an_untrusted_client_claims_is_dropped() {
    let (request, _) = pass(
        |settings| settings,
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\n\
         X-Forwarded-Host: evil\r\nX-Real-IP: 6.6.6.6\r\n",
    );
    assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.all("x-forwarded-proto"), ["http"]);
    for name in ["forwarded", "x-real-ip"] {
        assert!(!request.has(name), "{name} in {request:?}");
    }
    assert_ne!(request.field("x-forwarded-host"), Some("evil"));
}

#[test]
fn what_a_trusted_client_claims_is_kept_and_continued() {
    let trusted = |settings: Settings| settings.with("trust_forwarded", "true");
    let (request, _) = pass(
        trusted,
        "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n",
    );
    assert_eq!(
        request.all("x-forwarded-for").join(", "),
        "9.9.9.9, 127.0.0.1"
    );
    assert_eq!(request.all("x-forwarded-proto"), ["https"]);
}

#[test]
fn forwarded_is_written_by_rfc_7239() {
    let forwarded = |settings: Settings| settings.with("forwarded", "\"forwarded\"");
    let (request, _) = pass(forwarded, "Forwarded: for=6.6.6.6\r\n");
    assert_eq!(request.all("forwarded"), ["for=127.0.0.1;proto=http"]);
    assert!(!request.has("x-forwarded-for"));
}

#[test]
fn forwarding_can_be_off() {
    let off = |settings: Settings| settings.with("forwarded", "\"none\"");
    let (request, _) = pass(off, "X-Forwarded-For: 6.6.6.6\r\n");
    for name in [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
    ] {
        assert!(!request.has(name), "{name} in {request:?}");
    }
}

#[test]
fn via_is_written_both_ways_when_wanted() {
    let (request, answer) = pass(
        |settings| settings.with("via", "\"weir-7\""),
        "Via: 1.0 a\r\n",
    );
    assert_eq!(request.all("via").join(", "), "1.0 a, 1.1 weir-7");
    assert_eq!(answer.field("via"), Some("1.1 weir-7"));
    let (request, answer) = pass(|settings| settings, "");
    assert!(!request.has("via") && !answer.has("via"));
}

#[test]
fn a_request_id_goes_to_the_backend_and_back() {
    let (request, answer) = pass(|settings| settings, "X-Request-Id: forged\r\n");
    let id = request.field("x-request-id").expect("on by default");
    assert!(!id.is_empty() && id != "forged");
    assert_eq!(answer.field("x-request-id"), Some(id));
}

#[test]
fn a_trusted_client_gives_its_own_request_id() {
    let trusted = |settings: Settings| settings.with("trust_forwarded", "true");
    let (request, _) = pass(trusted, "X-Request-Id: mine-1\r\n");
    assert_eq!(request.all("x-request-id"), ["mine-1"]);
}

#[test]
fn request_ids_are_unique() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).workers("2").start();
    for _ in 0..10 {
        let mut client = proxy.client();
        for _ in 0..20 {
            client.get("/");
        }
    }
    let mut ids: Vec<_> = upstream
        .requests()
        .iter()
        .map(|request| request.field("x-request-id").unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

#[test]
fn request_ids_can_be_off() {
    let (request, answer) = pass(|settings| settings.with("request_id", "false"), "");
    assert!(!request.has("x-request-id") && !answer.has("x-request-id"));
}
