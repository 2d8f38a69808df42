//! Shard rules: where each kind of key is found, where it leads, and what happens without one.

use std::time::Duration;

use crate::support::{Proxy, Settings, Upstream};

/// A proxy whose listener has one rule over the groups `a`, `b` and `rest`.
struct Sharded {
    proxy: Proxy,
    upstreams: [Upstream; 3],
}

impl Sharded {
    /// `rule` is the TOML of the rule, but for its name.
    fn by(rule: &str) -> Sharded {
        Sharded::with(rule, |settings| settings)
    }

    fn with(rule: &str, change: impl Fn(Settings) -> Settings) -> Sharded {
        let upstreams = ["a", "b", "rest"].map(Upstream::named);
        let settings = Settings::new()
            .listener("web", "http")
            .with("shard", "\"s\"")
            .shard(&format!("name = \"s\"\n{rule}"))
            .group("a", &[&upstreams[0]])
            .group("b", &[&upstreams[1]])
            .group("rest", &[&upstreams[2]]);
        Sharded {
            proxy: change(settings).start(),
            upstreams,
        }
    }

    /// Which group answers, or with which status weir does.
    #[track_caller]
    fn ask(&self, request: &str) -> String {
        let answer = self.proxy.client().ask(request);
        match answer.status() {
            200 => answer.text(),
            status => status.to_string(),
        }
    }

    /// The same for a GET with these lines.
    #[track_caller]
    fn get(&self, target: &str, lines: &str) -> String {
        self.ask(&format!(
            "GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"
        ))
    }

    /// The same for a body with a length.
    #[track_caller]
    fn post(&self, lines: &str, body: &str) -> String {
        let length = body.len();
        self.ask(&format!(
            "POST / HTTP/1.1\r\nHost: test\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
        ))
    }
}

const MAP: &str = "map = [{ key = \"1\", group = \"a\" }, { key = [\"2\", \"3\"], group = \"b\" }]";

#[test]
fn a_header_chooses_and_two_headers_do_not() {
    let sharded = Sharded::by(&format!("key = {{ header = \"X-Tenant\" }}\n{MAP}"));
    for (lines, expected) in [
        ("X-Tenant: 1\r\n", "a"),
        ("x-tenant:  3 \r\n", "b"),
        ("X-Tenant: 9\r\n", "404"),
        ("", "400"),
        ("X-Tenant:\r\n", "400"),
        ("X-Tenant: 1\r\nX-Tenant: 1\r\n", "a"),
        ("X-Tenant: 1\r\nX-Tenant: 2\r\n", "400"),
        ("X-Tenant: 2\r\nx-tenant: 1\r\n", "400"),
        ("X-Tenant: 1, 2\r\n", "404"),
        // The backend will not see it, so neither do we.
        ("X-Tenant: 1\r\nConnection: x-tenant\r\n", "400"),
    ] {
        assert_eq!(sharded.get("/", lines), expected, "{lines}");
    }
    let long = format!("X-Tenant: {}\r\n", "1".repeat(257));
    assert_eq!(sharded.get("/", &long), "400");
}

#[test]
fn a_refusal_names_the_rule_and_keeps_the_connection() {
    let sharded = Sharded::by(&format!("key = {{ header = \"x-tenant\" }}\n{MAP}"));
    let mut client = sharded.proxy.client();
    let answer = client.get("/");
    assert_eq!(answer.status(), 400);
    assert!(
        answer.text().contains("shard rule s: the key is missing"),
        "{}",
        answer.text()
    );
    // Sent ahead in one piece: the second is not lost with the first.
    client
        .send("GET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\nX-Tenant: 1\r\n\r\n");
    assert_eq!(client.response().status(), 400);
    assert_eq!(client.response().text(), "a");
}

#[test]
fn cookies_and_parameters_choose_and_cannot_be_smuggled() {
    let sharded = Sharded::by(&format!(
        "key = {{ cookie = \"sid\" }}\n{MAP}\ndefault = \"rest\"\nmissing = \"default\""
    ));
    for (lines, expected) in [
        ("Cookie: sid=1\r\n", "a"),
        ("Cookie: x=1; sid=2\r\n", "b"),
        ("Cookie: x=1\r\nCookie: sid=2\r\n", "b"),
        ("Cookie: sid=7\r\n", "rest"),
        ("Cookie: x=1\r\n", "rest"),
        ("Cookie: sid=1; sid=2\r\n", "400"),
        ("Cookie: sid=1\r\nCookie: sid=2\r\n", "400"),
    ] {
        assert_eq!(sharded.get("/", lines), expected, "{lines}");
    }
    let sharded = Sharded::by(&format!("key = {{ query = \"id\" }}\n{MAP}"));
    for (target, expected) in [
        ("/?id=1", "a"),
        ("/x?y=1&id=%32", "b"),
        ("/?%69d=3", "b"),
        ("/?id=1&id=1", "a"),
        ("/?id=1&id=2", "400"),
        ("/?id=1&%69d=2", "400"),
        ("/?id=%3", "400"),
        ("/", "400"),
    ] {
        assert_eq!(sharded.get(target, ""), expected, "{target}");
    }
}

#[test]
fn segments_hosts_methods_and_addresses_choose() {
    let sharded = Sharded::by(&format!("key = {{ path_segment = 2 }}\n{MAP}"));
    for (target, expected) in [
        ("/x/1/y", "a"),
        ("/x/../y/2", "b"),
        ("/x//%33?q", "b"),
        ("/x/%zz", "400"),
        ("/x", "400"),
    ] {
        assert_eq!(sharded.get(target, ""), expected, "{target}");
    }
    let sharded = Sharded::by(
        "key = { host = true }\nprefix = [{ prefix = \"a\", group = \"a\" }, \
         { prefix = \"a.b.\", group = \"b\" }]",
    );
    for (host, expected) in [("A.org:80", "a"), ("a.B.org", "b"), ("b.org", "404")] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(sharded.ask(&request), expected, "{host}");
    }
    let sharded = Sharded::by(
        "key = { method = true }\nmap = [{ key = \"PUT\", group = \"b\" }]\ndefault = \"a\"",
    );
    assert_eq!(sharded.get("/", ""), "a");
    let put = "PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(sharded.ask(put), "b");
    let sharded = Sharded::by(
        "key = { client_address = true }\n\
         ranges = [{ from = \"127.\", to = \"128\", group = \"b\" }]",
    );
    assert_eq!(sharded.get("/", ""), "b");
}

#[test]
fn ranges_and_remainders_place_numbers() {
    let sharded = Sharded::by(
        "key = { header = \"id\" }\nranges = [{ from = 100, group = \"b\" }, \
         { from = 0, to = 99, group = \"a\" }]\nmalformed = { group = \"rest\" }",
    );
    for (id, expected) in [
        ("0", "a"),
        ("99", "a"),
        ("100", "b"),
        ("007", "a"),
        ("-1", "404"),
        ("seven", "rest"),
    ] {
        assert_eq!(sharded.get("/", &format!("Id: {id}\r\n")), expected, "{id}");
    }
    let sharded = Sharded::by("key = { header = \"id\" }\nmodulo = [\"a\", \"b\"]");
    for (id, expected) in [
        ("4", "a"),
        ("5", "b"),
        ("-1", "b"),
        ("99999999999999999999", "b"),
    ] {
        assert_eq!(sharded.get("/", &format!("Id: {id}\r\n")), expected, "{id}");
    }
    let first = sharded.get("/", "Id: carol\r\n");
    assert!(["a", "b"].contains(&&*first));
    assert_eq!(sharded.get("/", "Id: carol\r\n"), first);
}

#[test]
fn routes_ask_for_methods_headers_and_expressions() {
    let sharded = Sharded::with(
        &format!("key = {{ header = \"x-tenant\" }}\n{MAP}\nmissing = {{ group = \"rest\" }}"),
        |settings| {
            settings
                .route("method = [\"PUT\", \"POST\"]\npath = \"/x\"\ngroup = \"b\"")
                .route(
                    "path = \"/x\"\nheader = [{ name = \"X-Beta\", value = \"1\" }]\ngroup = \"b\"",
                )
                .route("path = \"/x\"\ngroup = \"a\"")
                .route("path_regex = \"/v[0-9]+/.*\"\nshard = \"s\"")
                .route("header = [{ name = \"x-a\", present = false }]\ngroup = \"b\"")
        },
    );
    for (request, expected) in [
        (
            "PUT /x HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
            "b",
        ),
        ("GET /x HTTP/1.1\r\nHost: t\r\n\r\n", "a"),
        ("GET /x HTTP/1.1\r\nHost: t\r\nx-beta: 1\r\n\r\n", "b"),
        ("GET /x HTTP/1.1\r\nHost: t\r\nx-beta: 2\r\n\r\n", "a"),
        ("GET /v2/y HTTP/1.1\r\nHost: t\r\nX-Tenant: 1\r\n\r\n", "a"),
        ("GET /v2/y HTTP/1.1\r\nHost: t\r\n\r\n", "rest"),
        ("GET /y HTTP/1.1\r\nHost: t\r\n\r\n", "b"),
        ("GET /y HTTP/1.1\r\nHost: t\r\nX-A: 1\r\n\r\n", "rest"),
    ] {
        assert_eq!(sharded.ask(request), expected, "{request}");
    }
}

const BY_BODY: &str = "key = { json = \"/user/id\", body_bytes = \"1KiB\" }\n\
                       map = [{ key = \"1\", group = \"a\" }, \
                       { key = [\"2\", \"3\"], group = \"b\" }]";
const USER_2: &str = "{\"x\":[1,{\"id\":1}],\"user\":{\"id\":\"2\"},\"more\":true}";

fn chunked(body: &str, size: usize) -> String {
    let chunks = body.as_bytes().chunks(size).map(|chunk| {
        let text = String::from_utf8_lossy(chunk);
        format!("{:x}\r\n{text}\r\n", chunk.len())
    });
    chunks.collect::<String>() + "0\r\n\r\n"
}

#[test]
fn a_key_in_the_body_chooses() {
    let sharded = Sharded::by(BY_BODY);
    assert_eq!(sharded.post("", "{\"user\":{\"id\":1}}"), "a");
    assert_eq!(sharded.post("", USER_2), "b");
    for size in [1, 7, 1000] {
        let body = chunked(USER_2, size);
        let head = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(sharded.ask(&format!("{head}{body}")), "b");
    }
    let requests = sharded.upstreams[1].requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests
            .iter()
            .all(|request| request.body == USER_2.as_bytes())
    );
    for (body, expected) in [
        ("{}", "400"),
        ("", "400"),
        ("{\"user\":{\"id\":null}}", "400"),
        ("user=1", "400"),
        ("{\"user\":{},\"user\":{\"id\":1}}", "400"),
        ("{\"user\":{\"id\":\"9\"}}", "404"),
    ] {
        assert_eq!(sharded.post("", body), expected, "{body}");
    }
    assert_eq!(sharded.get("/", ""), "400");
    let gzip = "Content-Encoding: gzip\r\n";
    assert_eq!(sharded.post(gzip, "{\"user\":{\"id\":1}}"), "415");
    let identity = "Content-Encoding: identity\r\n";
    assert_eq!(sharded.post(identity, "{\"user\":{\"id\":1}}"), "a");
}

#[test]
fn a_body_is_looked_at_up_to_its_bound() {
    let sharded = Sharded::by(BY_BODY);
    let padded = |length: usize, id: &str| {
        format!(
            "{{\"pad\":\"{}\",\"user\":{{\"id\":\"{id}\"}}}}",
            "x".repeat(length)
        )
    };
    // The value ends within the bound, the body long after it.
    let tail = format!(
        "{{\"user\":{{\"id\":\"1\"}},\"pad\":\"{}\"}}",
        "x".repeat(300_000)
    );
    assert_eq!(sharded.post("", &tail), "a");
    assert_eq!(sharded.upstreams[0].only_request().body, tail.as_bytes());
    assert_eq!(sharded.post("", &padded(950, "2")), "b");
    assert_eq!(sharded.post("", &padded(1100, "2")), "413");
    let head = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = chunked(&padded(5000, "2"), 100);
    assert_eq!(sharded.ask(&format!("{head}{long}")), "413");
    let broken = format!("{head}5\r\n{{\"usexx\r\n");
    assert_eq!(sharded.ask(&broken), "400");
}

#[test]
fn a_body_in_single_bytes_is_one_body() {
    let sharded = Sharded::by(BY_BODY);
    let length = USER_2.len();
    let plain = format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{USER_2}");
    let head = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let coded = format!("{head}{}", chunked(USER_2, 5));
    for request in [plain, coded] {
        let mut client = sharded.proxy.client();
        for byte in request.as_bytes() {
            client.send([*byte]);
        }
        assert_eq!(client.response().text(), "b");
    }
    let requests = sharded.upstreams[1].requests();
    assert!(
        requests
            .iter()
            .all(|request| request.body == USER_2.as_bytes())
    );
}

#[test]
fn requests_sent_ahead_are_each_placed_by_their_own_body() {
    let sharded = Sharded::by(BY_BODY);
    let one = |id: &str| {
        let body = format!("{{\"user\":{{\"id\":\"{id}\"}}}}");
        let length = body.len();
        format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let mut client = sharded.proxy.client();
    let all = [one("1"), one("2"), one("3"), one("1")].concat();
    // Once in one piece, once cut inside the second body.
    client.send(&all);
    for expected in ["a", "b", "b", "a"] {
        assert_eq!(client.response().text(), expected);
    }
    let (early, late) = all.split_at(one("1").len() + one("2").len() - 5);
    client.send(early);
    assert_eq!(client.response().text(), "a");
    client.stays_silent(Duration::from_millis(50));
    client.send(late);
    for expected in ["b", "b", "a"] {
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn a_client_that_waits_for_100_gets_ours_and_the_backend_no_expectation() {
    let sharded = Sharded::by(BY_BODY);
    let mut client = sharded.proxy.client();
    let length = USER_2.len();
    for _ in 0..2 {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        ));
        assert_eq!(client.read_head().unwrap().status(), 100);
        client.send(USER_2);
        let answer = client.response();
        assert_eq!(answer.text(), "b");
        assert!(answer.interim.is_empty());
    }
    let requests = sharded.upstreams[1].requests();
    assert!(requests.iter().all(|request| !request.head.has("expect")));
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let sharded = Sharded::with(BY_BODY, |settings| settings.timeout("body", "300ms"));
    let mut client = sharded.proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{\"user\"");
    assert_eq!(client.response().status(), 408);
    client.expect_closed();
    // Who leaves in the middle leaves nothing behind.
    let mut client = sharded.proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{\"user\"");
    client.finish();
    client.expect_closed();
    let client = sharded.proxy.client();
    drop(client);
    let labels = [("listener", "web")];
    sharded
        .proxy
        .wait_for_metric("weir_listener_connections", &labels, 0.0);
    assert!(
        sharded
            .upstreams
            .iter()
            .all(|upstream| upstream.accepted() == 0)
    );
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_its_body() {
    let sharded = Sharded::with(BY_BODY, |settings| settings.limit("body_bytes", "50"));
    let mut client = sharded.proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 51\r\n\r\n");
    assert_eq!(client.response().status(), 413);
}
