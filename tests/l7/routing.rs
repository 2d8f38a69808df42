//! Which group a request goes to.

use crate::support::{Proxy, Settings, Upstream};

fn ask(proxy: &Proxy, host: &str, target: &str) -> String {
    let answer = proxy
        .client()
        .ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    match answer.status() {
        200 => answer.text(),
        status => status.to_string(),
    }
}

#[test]
fn host_and_path_choose_the_group() {
    let (app, api, exact) = (
        Upstream::named("app"),
        Upstream::named("api"),
        Upstream::named("exact"),
    );
    let proxy = Settings::new()
        .listener("web", "http")
        .to("app")
        .route("path = \"/exact\"\ngroup = \"exact\"")
        .route("host = \"api.example.org\"\npath_prefix = \"/api\"\ngroup = \"api\"")
        .group("app", &[&app])
        .group("api", &[&api])
        .group("exact", &[&exact])
        .start();
    for (host, target, expected) in [
        ("test", "/", "app"),
        ("test", "/exact", "exact"),
        ("test", "/exact?q=1", "exact"),
        ("test", "/exact/more", "app"),
        ("test", "/api", "app"),
        ("api.example.org", "/api", "api"),
        ("api.example.org", "/api/v1", "api"),
        ("API.Example.Org", "/api/v1", "api"),
        ("api.example.org:8443", "/api/v1", "api"),
        ("api.example.org.evil", "/api/v1", "app"),
        ("api.example.org", "/other", "app"),
    ] {
        assert_eq!(ask(&proxy, host, target), expected, "{host} {target}");
    }
}

/// What matches goes to `api`, all else to `app`.
fn app_and(matches: &str, app: &Upstream, api: &Upstream) -> Proxy {
    Settings::new()
        .listener("web", "http")
        .to("app")
        .route(&format!("{matches}\ngroup = \"api\""))
        .group("app", &[app])
        .group("api", &[api])
        .start()
}

#[test]
fn a_prefix_is_one_of_bytes() {
    // As in nginx, Envoy and HAProxy; routing/matcher.rs says how to mean a segment.
    let (app, api) = (Upstream::named("app"), Upstream::named("api"));
    let proxy = app_and("path_prefix = \"/api\"", &app, &api);
    for (target, expected) in [
        ("/api", "api"),
        ("/api/", "api"),
        ("/api?x", "api"),
        ("/apix", "api"),
        ("/ap", "app"),
    ] {
        assert_eq!(ask(&proxy, "test", target), expected, "{target}");
    }
}

#[test]
fn two_requests_of_one_connection_may_go_to_two_groups() {
    let (app, api) = (Upstream::named("app"), Upstream::named("api"));
    let proxy = app_and("path_prefix = \"/api\"", &app, &api);
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "app");
        assert_eq!(client.get("/api").text(), "api");
    }
}

#[test]
fn an_absolute_target_is_routed_by_its_own_host() {
    let (app, api) = (Upstream::named("app"), Upstream::named("api"));
    let route = "host = \"api.example.org\"\npath_prefix = \"/\"";
    let proxy = app_and(route, &app, &api);
    let target = "http://api.example.org/x";
    assert_eq!(ask(&proxy, "api.example.org", target), "api");
    // Two names for one request: only the target's counts, or it is refused.
    let mixed = ask(&proxy, "test", target);
    assert!(["api", "400"].contains(&&*mixed), "{mixed}");
}

#[test]
fn two_listeners_are_two_doors() {
    let (app, relay) = (Upstream::named("app"), Upstream::named("relay"));
    let proxy = Settings::new()
        .listener("web", "http")
        .to("app")
        .listener("raw", "tcp")
        .to("relay")
        .group("app", &[&app])
        .group("relay", &[&relay])
        .start();
    let mut web = crate::support::Client::connect(proxy.address_of("web"));
    let mut raw = crate::support::Client::connect(proxy.address_of("raw"));
    assert_eq!(web.get("/").text(), "app");
    assert_eq!(raw.get("/").text(), "relay");
}
