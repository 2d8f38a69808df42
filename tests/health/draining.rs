//! Backends that drain: who sticks to them stays for a while, and then goes elsewhere.

use serde_json::{Value, json};

use super::thought_of;
use crate::support::{Message, Proxy, Settings, Upstream, Wire, eventually};

const COOKIE: &str = "{ cookie = \"weir\", secret = \"0123456789abcdef\" }";
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Two backends `a` and `b` for clients that stick by this.
fn settings(plain: Settings, sticky: &str, upstreams: &[Upstream; 2]) -> Settings {
    let mut settings = plain.group_with("sticky", sticky);
    for (upstream, id) in upstreams.iter().zip(["a", "b"]) {
        settings = settings.member(upstream, &format!("id = \"{id}\""));
    }
    settings
}

fn two() -> [Upstream; 2] {
    ["a", "b"].map(Upstream::named)
}

fn ask(proxy: &Proxy, cookie: &str) -> Message {
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nCookie: {cookie}\r\n\r\n");
    proxy.client().ask(request)
}

/// The cookie of one that got `a`.
fn stuck_to_a(proxy: &Proxy) -> String {
    let mut answers = (0..20).map(|_| ask(proxy, "x=1"));
    let answer = answers
        .find(|answer| answer.text() == "a")
        .expect("one of two");
    let cookie = answer.field("set-cookie").expect("a cookie");
    cookie.split(';').next().unwrap().to_owned()
}

fn drain(proxy: &Proxy, id: &str, timeout: &str) {
    let target = format!("/v1/groups/app/backends/{id}/drain?wait=node");
    let body = json!({"timeout": timeout});
    proxy.api().post(&target, body).expect(200);
}

/// What is shown of the drain of a backend.
fn shown(proxy: &Proxy, id: &str) -> Value {
    thought_of(proxy, id)["drain"].clone()
}

#[test]
fn a_client_with_the_cookie_stays_until_the_deadline() {
    let upstreams = two();
    let proxy = settings(Settings::http_to(&[]), COOKIE, &upstreams).start();
    let cookie = stuck_to_a(&proxy);
    assert_eq!(shown(&proxy, "a"), Value::Null);
    proxy
        .api()
        .post("/v1/groups/app/backends/a/drain?wait=node", json!({}))
        .expect(200);
    let usual = shown(&proxy, "a");
    let lasts = usual["until_ms"].as_u64().unwrap() - usual["since_ms"].as_u64().unwrap();
    assert_eq!((lasts, &usual["over"]), (30 * 60 * 1000, &json!(false)));
    drain(&proxy, "a", "none");
    let endless = shown(&proxy, "a");
    assert_eq!(endless["until_ms"], Value::Null);
    assert_eq!(
        endless["since_ms"], usual["since_ms"],
        "it is the same drain"
    );
    assert!((0..5).all(|_| ask(&proxy, &cookie).text() == "a"));
    assert!((0..5).all(|_| ask(&proxy, "x=1").text() == "b"));
    drain(&proxy, "a", "0s");
    eventually("the client goes elsewhere and is told", || {
        let answer = ask(&proxy, &cookie);
        answer.text() == "b" && answer.has("set-cookie")
    });
    assert_eq!(shown(&proxy, "a")["over"], true);
    proxy
        .api()
        .ask("POST", "/v1/groups/app/backends/a/ready?wait=node", None)
        .expect(200);
    assert_eq!(shown(&proxy, "a"), Value::Null);
    assert!((0..5).all(|_| ask(&proxy, &cookie).text() == "a"));
}

#[test]
fn the_deadline_survives_kill_minus_nine() {
    let upstreams = two();
    let mut proxy = settings(Settings::http_to(&[]), COOKIE, &upstreams)
        .with_store()
        .start();
    let cookie = stuck_to_a(&proxy);
    drain(&proxy, "a", "10m");
    let before = shown(&proxy, "a");
    proxy.kill_and_start();
    assert_eq!(shown(&proxy, "a"), before);
    assert_eq!(ask(&proxy, &cookie).text(), "a");
    drain(&proxy, "a", "0s");
    eventually("it is over", || shown(&proxy, "a")["over"] == true);
    proxy.kill_and_start();
    assert_eq!(
        ask(&proxy, &cookie).text(),
        "b",
        "the first request after a restart"
    );
}

#[test]
fn a_connection_placed_by_its_address_finishes_and_the_next_goes_elsewhere() {
    let upstreams = two();
    let proxy = settings(Settings::tcp_to(&[]), "{ source = true }", &upstreams).start();
    let mut held = Wire::connect(proxy.address());
    let name = |wire: &mut Wire| wire.send(REQUEST).read_response("GET").unwrap().text();
    let owner = name(&mut held);
    let other = if owner == "a" { "b" } else { "a" };
    drain(&proxy, &owner, "none");
    assert_eq!(name(&mut Wire::connect(proxy.address())), owner);
    drain(&proxy, &owner, "0s");
    eventually("the next goes elsewhere", || {
        name(&mut Wire::connect(proxy.address())) == other
    });
    assert_eq!(name(&mut held), owner, "what runs goes on");
}

#[test]
fn the_time_of_the_group_holds_for_a_drain_by_the_file_and_ctl_gives_another() {
    let upstreams = two();
    let sticky = COOKIE.replace(" }", ", drain_timeout = \"0s\" }");
    let plain = Settings::http_to(&[]);
    let mut proxy = settings(plain.clone(), &sticky, &upstreams).start();
    let cookie = stuck_to_a(&proxy);
    let drained = plain
        .group_with("sticky", &sticky)
        .member(&upstreams[0], "id = \"a\"\nstate = \"drain\"")
        .member(&upstreams[1], "id = \"b\"");
    proxy.reload(drained);
    eventually("the client goes elsewhere", || {
        ask(&proxy, &cookie).text() == "b"
    });
    proxy.ctl().run("backend drain app a --timeout none --wait");
    assert_eq!(ask(&proxy, &cookie).text(), "a");
    let refused = proxy.ctl().refused("backend drain app a --timeout 25h");
    assert!(refused.contains("at most 24h"), "{refused}");
}
