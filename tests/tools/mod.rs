//! Programs that millions trust, in front of the proxy and behind it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::port::Port;
use crate::support::tool::run;
use crate::support::{Client, Proxy, Settings, Upstream, eventually, port};

/// nginx as a backend: small pages, a large file, and an upload that is thrown away.
struct Nginx {
    child: Child,
    port: Port,
    directory: tempfile::TempDir,
}

impl Nginx {
    fn start() -> Nginx {
        let directory = tempfile::tempdir().unwrap();
        // nginx's worker gives up root; it still has to read the files.
        make_readable(directory.path());
        std::fs::write(directory.path().join("index.html"), "served by nginx\n").unwrap();
        std::fs::write(directory.path().join("large.bin"), large()).unwrap();
        let port = Port::fresh();
        let configuration = format!(
            "daemon off; worker_processes 1; error_log stderr; pid {0}/pid;
            events {{ worker_connections 4096; }}
            http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;
              fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
              keepalive_requests 1000000;
              server {{ listen {1}; root {0}; client_max_body_size 0;
                location /small {{ return 200 'small answer\\n'; }} }} }}",
            directory.path().display(),
            port.address()
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("nginx is needed for this test");
        eventually("nginx listens", || port::listens(port.address()));
        Nginx {
            child,
            port,
            directory,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn make_readable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn large() -> Vec<u8> {
    crate::support::bulk::Pattern::new(77).bytes(20_000_000)
}

fn url(proxy: &Proxy, path: &str) -> String {
    format!("http://{}{path}", proxy.address())
}

#[test]
fn curl_gets_puts_and_resumes() {
    let nginx = Nginx::start();
    let proxy = Settings::http_to(&[&nginx.port]).start();
    let page = run("curl", &["-sS", "--fail", &url(&proxy, "/")]);
    assert_eq!(page, "served by nginx\n");
    let got = nginx.directory.path().join("got");
    let target = got.to_str().unwrap();
    run(
        "curl",
        &["-sS", "--fail", "-o", target, &url(&proxy, "/large.bin")],
    );
    assert!(std::fs::read(&got).unwrap() == large(), "the file differs");
    let part = run(
        "curl",
        &["-sS", "--fail", "-r", "0-5", &url(&proxy, "/index.html")],
    );
    assert_eq!(part, "served");
    let head = run("curl", &["-sSI", &url(&proxy, "/large.bin")]);
    assert!(head.contains("20000000"), "{head}");
    let old = run(
        "curl",
        &["-sS", "--http1.0", "--fail", &url(&proxy, "/small")],
    );
    assert_eq!(old, "small answer\n");
    let twice = [&*url(&proxy, "/small"), &*url(&proxy, "/small")];
    let twice = run("curl", &["-sS", "--fail", twice[0], twice[1]]);
    assert_eq!(twice, "small answer\nsmall answer\n");
}

#[test]
fn curl_uploads_with_expect_and_in_chunks() {
    let upstream =
        Upstream::http(|request| crate::support::Answer::text(request.body.len().to_string()));
    let proxy = Settings::http_to(&[&upstream]).start();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), large()).unwrap();
    let body = format!("@{}", file.path().display());
    let with_length = ["-sS", "-H", "Expect: 100-continue", "--data-binary", &body];
    let chunked = [
        "-sS",
        "-H",
        "Transfer-Encoding: chunked",
        "--data-binary",
        &body,
    ];
    for options in [with_length, chunked] {
        let mut arguments = options.to_vec();
        let address = url(&proxy, "/");
        arguments.push(&address);
        assert_eq!(run("curl", &arguments), "20000000");
    }
}

#[test]
fn load_generators_see_no_error() {
    let nginx = Nginx::start();
    let proxy = Settings::http_to(&[&nginx.port]).workers("2").start();
    let small = url(&proxy, "/small");
    let said = run(
        "h2load",
        &["--h1", "-n", "20000", "-c", "32", "-t", "1", &small],
    );
    assert!(
        said.contains("20000 succeeded, 0 failed, 0 errored, 0 timeout"),
        "{said}"
    );
    assert!(said.contains("20000 2xx"), "{said}");
    let said = run("ab", &["-q", "-k", "-n", "10000", "-c", "32", &small]);
    assert!(said.contains("Complete requests:      10000"), "{said}");
    assert!(said.contains("Failed requests:        0"), "{said}");
    assert!(!said.contains("Non-2xx"), "{said}");
    // Without -k every request is a connection of HTTP/1.0.
    let said = run("ab", &["-q", "-n", "3000", "-c", "16", &small]);
    assert!(said.contains("Failed requests:        0"), "{said}");
    let said = run("wrk", &["-t1", "-c32", "-d2s", &small]);
    assert!(
        !said.contains("Socket errors") && !said.contains("Non-2xx"),
        "{said}"
    );
    assert!(said.contains("requests in"), "{said}");
}

#[test]
fn load_generators_see_no_error_through_the_relay() {
    let nginx = Nginx::start();
    let proxy = Settings::tcp_to(&[&nginx.port]).start();
    let small = url(&proxy, "/small");
    let said = run(
        "h2load",
        &["--h1", "-n", "20000", "-c", "32", "-t", "1", &small],
    );
    assert!(
        said.contains("20000 succeeded, 0 failed, 0 errored, 0 timeout"),
        "{said}"
    );
    let said = run("ab", &["-q", "-n", "3000", "-c", "16", &small]);
    assert!(said.contains("Failed requests:        0"), "{said}");
}

#[test]
fn nginx_answers_hostile_ranges_and_pipelines() {
    let nginx = Nginx::start();
    let proxy = Settings::http_to(&[&nginx.port]).start();
    let mut client = proxy.client();
    let mut packet = String::new();
    for number in 0..30 {
        packet.push_str(&format!(
            "GET /small?{number} HTTP/1.1\r\nHost: test\r\n\r\n"
        ));
        packet.push_str("HEAD /index.html HTTP/1.1\r\nHost: test\r\n\r\n");
        packet.push_str("GET /missing HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    client.send(packet);
    for _ in 0..30 {
        assert_eq!(client.response().text(), "small answer\n");
        assert_eq!(client.response_to("HEAD").status(), 200);
        assert_eq!(client.response().status(), 404);
    }
    let mut other = Client::connect(proxy.address());
    let answer = other.ask("GET /index.html HTTP/1.1\r\nHost: a\r\nRange: bytes=99-1\r\n\r\n");
    assert!([200, 416].contains(&answer.status()), "{answer:?}");
}
