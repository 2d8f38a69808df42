//! One line for each request, whatever the request contains.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Answer, PATIENCE, Settings, Upstream, closed_port};

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn json_lines_say_what_happened() {
    let upstream = Upstream::http(|_| Answer::new(201, "", &[b'b'; 500]));
    let proxy = Settings::http_to(&[&upstream]).access_log("json").start();
    let mut client = proxy.client();
    let request = "POST /things?q=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: probe/1\r\n\
                   Referer: http://a/\r\nContent-Length: 4\r\n\r\nbody";
    let answer = client.ask(request);
    let line = json(&proxy.wait_for_log_lines(1)[0]);
    assert_eq!(line["method"], "POST");
    assert_eq!(line["target"], "/things?q=1");
    assert_eq!(line["host"], "shop.example");
    assert_eq!(line["status"], 201);
    assert_eq!(line["listener"], "web");
    assert_eq!(line["group"], "app");
    assert_eq!(line["backend"], upstream.address().to_string());
    assert_eq!(line["user_agent"], "probe/1");
    assert_eq!(line["referer"], "http://a/");
    assert_eq!(line["bytes_received"], request.len());
    assert_eq!(line["bytes_sent"], answer.head.raw.len() + 500);
    assert_eq!(line["retries"], 0);
    let me = client.stream().local_addr().unwrap().to_string();
    assert_eq!(line["client"], me);
    assert_eq!(line["request_id"], answer.field("x-request-id").unwrap());
    assert!(line["duration_ms"].as_f64().unwrap() >= line["upstream_ms"].as_f64().unwrap());
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_line_names_the_route_and_the_rule_that_decided() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[])
        .member(&upstream, "id = \"first\"")
        .access_log("json")
        .route("name = \"plain\"\npath = \"/plain\"\ngroup = \"app\"")
        .route("path = \"/rule\"\nshard = \"s\"")
        .route("name = \"json\"\npath = \"/json\"\nshard = \"body\"")
        .shard("name = \"s\"\nkey = { header = \"x-t\" }\nmap = [{ key = \"a\", group = \"app\" }]")
        .shard("name = \"body\"\nkey = { json = \"/t\" }\nmap = [{ key = \"a\", group = \"app\" }]")
        .start();
    let mut client = proxy.client();
    client.get("/plain");
    client.get("/");
    client.ask("GET /rule HTTP/1.1\r\nHost: h\r\nX-T: a\r\n\r\n");
    client.ask("GET /rule HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut client = proxy.client();
    client.send("POST /json HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
    std::thread::sleep(std::time::Duration::from_millis(50));
    client.send("{\"t\":\"a\"}");
    client.response();
    let lines: Vec<Value> = proxy
        .wait_for_log_lines(5)
        .iter()
        .map(|line| json(line))
        .collect();
    let named = |line: &Value| ["route", "shard"].map(|key| line[key].as_str().map(str::to_owned));
    let expected = [
        (200, [Some("plain"), None]),
        (200, [None, None]),
        (200, [Some("route-2"), Some("s")]),
        (400, [Some("route-2"), Some("s")]),
        (200, [Some("json"), Some("body")]),
    ];
    for (line, (status, names)) in lines.iter().zip(expected) {
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(
            named(line),
            names.map(|name| name.map(str::to_owned)),
            "{line}"
        );
        assert_eq!(line["epoch"], 1);
        let backend = (status == 200).then_some("first");
        assert_eq!(line["backend"].as_str(), backend, "{line}");
    }
}

#[test]
fn every_request_has_exactly_one_line() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream])
        .workers("2")
        .access_log("json")
        .start();
    std::thread::scope(|scope| {
        for client_number in 0..4 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut client = proxy.client();
                for number in 0..250 {
                    client.get(&format!("/{client_number}/{number}"));
                }
            });
        }
    });
    let lines = proxy.wait_for_log_lines(1000);
    let mut targets: Vec<_> = lines
        .iter()
        .map(|line| json(line)["target"].as_str().unwrap().to_owned())
        .collect();
    targets.sort_unstable();
    targets.dedup();
    assert_eq!(targets.len(), 1000);
    let metrics = proxy.metrics();
    assert_eq!(
        metrics.sum("weir_access_log_lines_total", &[]),
        Some(1000.0)
    );
    assert_eq!(metrics.count("weir_access_log_lost_total", &[]), 0.0);
}

#[test]
fn refused_and_failed_requests_are_logged_with_their_fault() {
    let closed = closed_port();
    let proxy = Settings::http_to(&[&closed]).access_log("json").start();
    let mut client = proxy.client();
    client.get("/");
    client.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let lines = proxy.wait_for_log_lines(2);
    assert_eq!(json(&lines[0])["fault"], "connect_failed");
    assert_eq!(json(&lines[0])["status"], 502);
    assert_eq!(json(&lines[1])["fault"], "client_bad_request");
    assert_eq!(json(&lines[1])["status"], 400);
}

#[test]
fn a_relayed_connection_is_one_line() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.read_exactly(4);
        connection.send("pong");
    });
    let proxy = Settings::tcp_to(&[&upstream]).access_log("json").start();
    let mut client = proxy.connect();
    client.send("ping");
    client.read_exactly(4);
    client.expect_closed();
    drop(client);
    let line = json(&proxy.wait_for_log_lines(1)[0]);
    assert_eq!(line["listener"], "relay");
    assert_eq!(line["bytes_received"], 4);
    assert_eq!(line["bytes_sent"], 4);
    assert!(line.get("status").is_none(), "{line}");
}

#[test]
fn combined_lines_have_the_form_every_tool_reads() {
    let upstream = Upstream::http(|_| Answer::new(200, "", &[b'b'; 123]));
    let proxy = Settings::http_to(&[&upstream])
        .access_log("combined")
        .start();
    let mut client = proxy.client();
    client.ask("GET /a?b HTTP/1.1\r\nHost: test\r\nUser-Agent: probe \"x\"\r\n\r\n");
    client.ask("GET /old HTTP/1.0\r\nReferer: http://r/\r\n\r\n");
    let lines = proxy.wait_for_log_lines(2);
    let one = combined(&lines[0]);
    assert_eq!(
        one,
        [
            "127.0.0.1",
            "GET /a?b HTTP/1.1",
            "200",
            "123",
            "-",
            r#"probe \"x\""#
        ]
    );
    let two = combined(&lines[1]);
    assert_eq!(
        two,
        [
            "127.0.0.1",
            "GET /old HTTP/1.0",
            "200",
            "123",
            "http://r/",
            "-"
        ]
    );
}

#[test]
fn no_request_can_forge_a_line() {
    let upstream = Upstream::named("ok");
    for format in ["json", "combined", "httplog"] {
        let proxy = Settings::http_to(&[&upstream]).access_log(format).start();
        let attacks = [
            r#"GET /"},{"forged":1 HTTP/1.1"#,
            r"GET /\n127.0.0.1 HTTP/1.1",
            "GET /%0a%0d HTTP/1.1",
            "GET /a\x1b[2J HTTP/1.1",
            "GET /a\u{85}b HTTP/1.1",
            "GET /a\nforged HTTP/1.1",
            "GET /\" HTTP/1.1",
        ];
        for attack in attacks {
            let mut client = proxy.client();
            client.send(format!(
                "{attack}\r\nHost: test\r\nUser-Agent: \"\\}}\u{1b}[31m\u{e9}\r\n\
                 Referer: a\"b\r\nConnection: close\r\n\r\n"
            ));
            let _ = client.read_to_end();
        }
        // Whether an attack was refused or served, it is one line, and one request each.
        let lines = proxy.wait_for_log_lines(attacks.len());
        for line in &lines {
            assert!(
                line.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
                "{line:?}"
            );
            match format {
                "json" => assert!(json(line).get("forged").is_none(), "{line}"),
                "combined" => assert_eq!(combined(line)[0], "127.0.0.1"),
                _ => assert!(line.starts_with("127.0.0.1:"), "{line}"),
            }
        }
    }
}

/// `address - - [time] "request" status bytes "referer" "agent"`, as its six parts; fails on
/// anything else.
fn combined(line: &str) -> Vec<String> {
    let bad = || panic!("not a combined line: {line:?}");
    let (address, rest) = line.split_once(" - - [").unwrap_or_else(bad);
    let (time, rest) = rest.split_once("] \"").unwrap_or_else(bad);
    let shape = |c: char| if c.is_ascii_digit() { '9' } else { c };
    let digits: String = time.chars().map(shape).collect();
    assert_eq!(digits.split_at(2).0, "99", "{time}");
    assert!(digits.ends_with("/9999:99:99:99 +9999"), "{time}");
    let (request, rest) = quoted(rest);
    let mut words = rest.trim_start().splitn(3, ' ');
    let (status, bytes) = (words.next().unwrap(), words.next().unwrap());
    let (referer, rest) = quoted(words.next().unwrap().strip_prefix('"').unwrap());
    let (agent, rest) = quoted(rest.strip_prefix(" \"").unwrap());
    assert_eq!(rest, "");
    [address, &request, status, bytes, &referer, &agent]
        .map(str::to_owned)
        .to_vec()
}

/// Text up to the quote that is not escaped, and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !escaped => return (text[..at].to_owned(), &text[at + 1..]),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    panic!("no closing quote in {text:?}");
}

#[test]
fn a_sample_keeps_one_of_so_many_and_all_that_failed() {
    let upstream = Upstream::http(|request| match request.target() {
        "/broken" => Answer::new(500, "", b""),
        _ => Answer::text("fine"),
    });
    let log = "[access_log]\npath = \"DIRECTORY/access.log\"\nsample = 10";
    let proxy = Settings::http_to(&[&upstream]).section(log).start();
    let mut client = proxy.client();
    for _ in 0..40 {
        client.get("/");
    }
    for _ in 0..3 {
        client.get("/broken");
    }
    let lines = proxy.wait_for_log_lines(7);
    let broken = lines.iter().filter(|line| json(line)["status"] == 500);
    assert_eq!(broken.count(), 3);
    proxy.wait_for_metric("weir_listener_requests_total", &[], 43.0);
}

#[test]
fn httplog_lines_tell_times_end_and_counters() {
    let upstream = Upstream::named("ok");
    let closed = closed_port();
    let proxy = Settings::new()
        .listener("web", "http")
        .to("app")
        .route("path_prefix = \"/closed\"\ngroup = \"closed\"")
        .group("app", &[])
        .member(&upstream, "id = \"first\"")
        .group("closed", &[])
        .member(&closed, "id = \"none\"")
        .access_log("httplog")
        .start();
    let mut client = proxy.client();
    client.get("/fine");
    client.get("/closed");
    // Counters are read when a line is written, while the client is still there.
    proxy.wait_for_log_lines(2);
    client.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let lines = proxy.wait_for_log_lines(3);
    let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let me = client.stream().local_addr().unwrap().to_string();
    for words in &words {
        assert_eq!((words[0], words[2]), (&*me, "web"));
    }
    let pick = |words: &[&str]| [words[3], words[5], words[9]].map(str::to_owned);
    assert_eq!(pick(&words[0]), ["app/first", "200", "----"]);
    assert_eq!(pick(&words[1]), ["closed/none", "502", "SC--"]);
    assert_eq!(pick(&words[2]), ["web/<NOSRV>", "400", "PR--"]);
    let times = |words: &[&str]| -> Vec<i64> {
        words[4]
            .split('/')
            .map(|time| time.parse().unwrap())
            .collect()
    };
    assert!(
        times(&words[0]).iter().all(|time| *time >= 0),
        "{}",
        lines[0]
    );
    assert_eq!(times(&words[1])[2..4], [-1, -1], "{}", lines[1]);
    assert_eq!(times(&words[2])[..4], [-1; 4], "{}", lines[2]);
    assert!(lines[0].ends_with("\"GET /fine HTTP/1.1\""), "{}", lines[0]);
    assert!(words[0][10].starts_with("1/1/"), "{}", lines[0]);
}

#[test]
fn a_head_that_comes_slowly_is_time_of_the_client() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream])
        .access_log("httplog")
        .start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\n");
    std::thread::sleep(std::time::Duration::from_millis(100));
    client.send("Host: test\r\n\r\n");
    client.response();
    let line = &proxy.wait_for_log_lines(1)[0];
    let times: Vec<u64> = line
        .split(' ')
        .nth(4)
        .unwrap()
        .split('/')
        .map(|t| t.parse().unwrap())
        .collect();
    assert!(times[0] >= 50 && times[4] >= times[0], "{line}");
}

#[test]
fn syslog_gets_every_line_and_a_reopened_socket_the_next() {
    let daemon = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    let upstream = Upstream::named("ok");
    let address = daemon.local_addr().unwrap();
    let log = format!("[access_log]\nsyslog = \"{address}\"\nformat = \"httplog\"");
    let proxy = Settings::http_to(&[&upstream]).section(&log).start();
    let mut client = proxy.client();
    let mut room = [0; 4096];
    let mut next = || {
        let length = daemon.recv(&mut room).expect("a message in time");
        String::from_utf8(room[..length].to_vec()).unwrap()
    };
    for number in 0..20 {
        client.get(&format!("/{number}"));
        let message = next();
        assert!(message.starts_with("<134>1 "), "{message}");
        assert!(
            message.ends_with(&format!("\"GET /{number} HTTP/1.1\"")),
            "{message}"
        );
        if number == 10 {
            proxy.signal(Signal::USR1);
        }
    }
    proxy.wait_for_metric("weir_access_log_lines_total", &[], 20.0);
    assert_eq!(
        proxy.metrics().count("weir_access_log_lost_total", &[]),
        0.0
    );
}
