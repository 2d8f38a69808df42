//! Clients that stay with the backend that served them first.

use crate::support::{Message, Proxy, Settings, Upstream};

const COOKIE: &str = "{ cookie = \"weir\", secret = \"0123456789abcdef\" }";

fn three() -> [Upstream; 3] {
    ["a", "b", "c"].map(Upstream::named)
}

fn ask(proxy: &Proxy, cookie: &str) -> Message {
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nCookie: x=1; {cookie}\r\n\r\n");
    proxy.client().ask(request)
}

/// The pair of a `Set-Cookie`.
fn given(answer: &Message) -> String {
    let all = answer.all("set-cookie");
    assert_eq!(all.len(), 1, "{answer:?}");
    all[0].split(';').next().unwrap().to_owned()
}

/// Two cores and the cookie, without backends yet.
fn plain() -> Settings {
    Settings::http_to(&[])
        .workers("2")
        .group_with("sticky", COOKIE)
}

fn settings(plain: &Settings, upstreams: &[Upstream; 3], states: [&str; 3]) -> Settings {
    let mut settings = plain.clone();
    for ((upstream, id), state) in upstreams.iter().zip(["a", "b", "c"]).zip(states) {
        settings = settings.member(upstream, &format!("id = \"{id}\"\nstate = \"{state}\""));
    }
    settings
}

#[test]
fn a_client_with_the_cookie_stays_and_is_not_given_another() {
    let (plain, upstreams) = (plain(), three());
    let proxy = settings(&plain, &upstreams, ["ready"; 3]).start();
    for _ in 0..6 {
        let first = ask(&proxy, "y=2");
        let cookie = given(&first);
        for _ in 0..10 {
            let answer = ask(&proxy, &cookie);
            assert_eq!(answer.text(), first.text());
            assert!(!answer.has("set-cookie"));
        }
    }
}

#[test]
fn the_cookie_survives_a_restart_a_reload_and_another_order() {
    let (plain, upstreams) = (plain(), three());
    let mut proxy = settings(&plain, &upstreams, ["ready"; 3]).start();
    let first = ask(&proxy, "y=2");
    let cookie = given(&first);
    let mut turned = Settings::http_to(&[]).group_with("sticky", COOKIE);
    for (upstream, id) in upstreams.iter().zip(["a", "b", "c"]).rev() {
        turned = turned.member(upstream, &format!("id = \"{id}\""));
    }
    let second = turned.start();
    assert_eq!(ask(&second, &cookie).text(), first.text());
    let other = settings(&plain, &upstreams, ["ready"; 3]);
    proxy.reload(other.group_with("retries", "1"));
    assert_eq!(ask(&proxy, &cookie).text(), first.text());
}

#[test]
fn a_draining_backend_keeps_its_clients_and_gets_no_others() {
    let (plain, upstreams) = (plain(), three());
    let mut proxy = settings(&plain, &upstreams, ["ready"; 3]).start();
    let cookies: Vec<(String, String)> = (0..9)
        .map(|_| ask(&proxy, "y=2"))
        .map(|answer| (given(&answer), answer.text()))
        .collect();
    proxy.reload(settings(&plain, &upstreams, ["drain", "ready", "ready"]));
    for (cookie, name) in &cookies {
        assert_eq!(&ask(&proxy, cookie).text(), name);
    }
    assert!((0..9).all(|_| ask(&proxy, "y=2").text() != "a"));
    proxy.reload(settings(&plain, &upstreams, ["maint", "ready", "ready"]));
    for (cookie, name) in &cookies {
        let answer = ask(&proxy, cookie);
        assert_eq!(&answer.text() == name, name != "a");
        assert_eq!(answer.has("set-cookie"), name == "a", "who moved is told");
    }
}

#[test]
fn a_forged_cookie_is_as_good_as_none() {
    let (plain, upstreams) = (plain(), three());
    let proxy = settings(&plain, &upstreams, ["ready"; 3]).start();
    let cookie = given(&ask(&proxy, "y=2"));
    let last = if cookie.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{last}", &cookie[..cookie.len() - 1]);
    for cookie in [&*forged, "weir=", "weir=a", "weir=\"\""] {
        assert!(ask(&proxy, cookie).has("set-cookie"), "{cookie}");
    }
}

#[test]
fn a_client_stays_by_its_address() {
    let upstreams = three();
    let mut settings = Settings::http_to(&[]).workers("2");
    settings = settings.group_with("sticky", "{ source = true }");
    for upstream in &upstreams {
        settings = settings.member(upstream, "");
    }
    let proxy = settings.start();
    let first = ask(&proxy, "y=2");
    assert!(!first.has("set-cookie"));
    assert!((0..20).all(|_| ask(&proxy, "y=2").text() == first.text()));
}
