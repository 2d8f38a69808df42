//! Responses that name the epoch and the backend that served them.

use crate::support::{Answer, Settings, Upstream, closed_port};

#[test]
fn a_response_names_its_epoch_and_backend_when_asked() {
    let claims = "X-Weir-Epoch: 999\r\nx-weir-backend: forged\r\n";
    let upstream = Upstream::http(move |_| Answer::new(200, claims, b"ok"));
    let proxy = Settings::new()
        .listener("web", "http")
        .to("app")
        .with("decision_headers", "true")
        .group("app", &[&upstream])
        .start();
    let answer = proxy.client().get("/");
    assert_eq!(answer.all("x-weir-epoch"), ["1"]);
    let backend = upstream.address().to_string();
    assert_eq!(answer.all("x-weir-backend"), [&*backend]);
}

#[test]
fn an_answer_of_our_own_names_its_epoch() {
    let nobody = closed_port();
    let proxy = Settings::new()
        .listener("web", "http")
        .to("app")
        .with("decision_headers", "true")
        .group("app", &[&nobody])
        .start();
    let answer = proxy.client().get("/");
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.all("x-weir-epoch"), ["1"]);
}

#[test]
fn by_default_nothing_is_told() {
    let upstream = Upstream::named("ok");
    let answer = Settings::http_to(&[&upstream]).start().client().get("/");
    assert!(!answer.has("x-weir-epoch") && !answer.has("x-weir-backend"));
}
