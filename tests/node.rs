//! The process as an operator meets it: exit codes, refusals that say what to change, the
//! demonstration from its first line to its end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
#![allow(
    unsafe_code,
    reason = "a child gets a seccomp filter or a limit before it becomes weir"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

const VALID: &str = r#"
workers = 1
[[listener]]
name = "web"
address = "127.0.0.1:PORT"
protocol = "http"
group = "app"
[[group]]
name = "app"
policy = "round_robin"
backends = ["127.0.0.1:9"]
"#;

fn weir() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.stdin(Stdio::null()).env_remove("WEIR_LOG");
    command
}

/// A file of its own with this configuration.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weir.toml");
    fs::write(&path, text).unwrap();
    (directory, path)
}

/// The sample with a port nobody listens on.
fn valid() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    VALID.replace("PORT", &port.to_string())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    let stderr = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
}

#[test]
fn a_valid_configuration_passes_every_spelling_of_the_check() {
    let (_directory, path) = file(&valid());
    for words in [&["check"][..], &["-t"], &["run", "-t"], &["--check"]] {
        let output = weir().args(words).arg("-c").arg(&path).output().unwrap();
        assert_exit(&output, 0);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_effective_configuration_is_itself_valid() {
    let (_directory, path) = file(&valid());
    let output = weir().arg("-T").arg("-c").arg(&path).output().unwrap();
    assert_exit(&output, 0);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("connections_max"), "{printed}");
    let (_directory, path) = file(&printed);
    let again = weir().arg("-T").arg("-c").arg(&path).output().unwrap();
    assert_exit(&again, 0);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), printed);
}

#[test]
fn every_mistake_is_told_in_one_run() {
    let wrong = valid()
        .replace("round_robin", "round_robbin")
        .replace("\"app\"\n", "\"ap\"\n");
    let wrong = format!("wrokers = 3\n{wrong}");
    let (_directory, path) = file(&wrong);
    for words in [&["check"][..], &["run"]] {
        let output = weir().args(words).arg("-c").arg(&path).output().unwrap();
        assert_exit(&output, 1);
        let stderr = stderr(&output);
        for word in ["wrokers", "round_robbin", "errors"] {
            assert!(stderr.contains(word), "{word} is not in:\n{stderr}");
        }
    }
}

#[test]
fn the_check_reads_files_of_backends_too() {
    let directory = tempfile::tempdir().unwrap();
    let members = directory.path().join("members.json");
    let (_directory, path) = file(&format!("{}backends_file = {members:?}\n", valid()));
    let check = || weir().args(["check", "-c"]).arg(&path).output().unwrap();
    fs::write(&members, "[{\"id\": \"b1\", \"address\": \"127.0.0.1:8\"}]").unwrap();
    assert_exit(&check(), 0);
    for (text, told) in [
        ("[{\"adress\": \"a:1\"}]", ":1:3: backend[#1].adress"),
        (
            "[{\"id\": \"b\", \"address\": \"127.0.0.1:9\"}]",
            "same address",
        ),
    ] {
        fs::write(&members, text).unwrap();
        let output = check();
        assert_exit(&output, 1);
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    fs::remove_file(&members).unwrap();
    let output = check();
    assert_exit(&output, 1);
    assert!(stderr(&output).contains("members.json"));
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_of_configuration() {
    let output = weir()
        .args(["check", "-c", "/nonexistent/weir.toml"])
        .output()
        .unwrap();
    assert_exit(&output, 1);
    assert!(stderr(&output).contains("/nonexistent/weir.toml"));
}

#[test]
fn a_wrong_command_line_says_how_it_is_used() {
    let output = weir().args(["run", "--nonsense"]).output().unwrap();
    assert_exit(&output, 2);
    assert!(stderr(&output).contains("Usage"));
    let output = weir().output().unwrap();
    assert_exit(&output, 2);
    let output = weir().arg("--version").output().unwrap();
    assert_exit(&output, 0);
    assert!(output.stdout.starts_with(b"weir "));
}

#[test]
fn a_cpu_that_is_not_there_is_the_machines_lack() {
    let (_directory, path) = file(&valid().replace("workers = 1", "workers = [1000]"));
    let output = weir().arg("run").arg("-c").arg(&path).output().unwrap();
    assert_exit(&output, 3);
    assert!(stderr(&output).contains("CPU 1000 does not exist"));
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_directory, path) = file(&VALID.replace("PORT", &address.port().to_string()));
    let output = weir().arg("run").arg("-c").arg(&path).output().unwrap();
    assert_exit(&output, 4);
    assert!(
        stderr(&output).contains(&address.to_string()),
        "{}",
        stderr(&output)
    );
}

/// Answers `errno` to io_uring_setup and lets everything else pass.
fn forbid_io_uring(errno: u32) -> std::io::Result<()> {
    let code = |bits: u32| u16::try_from(bits).expect("a BPF code has 16 bits");
    let step = |bits: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: code(bits),
        jt,
        jf,
        k,
    };
    let setup = u32::try_from(libc::SYS_io_uring_setup).expect("a system call's number");
    let mut program = [
        // The number of the system call is the first field of what a filter sees.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, setup, 0, 1),
        step(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | errno,
            0,
            0,
        ),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: both calls only read their arguments, which live until they return.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const filter,
            ) != 0
    };
    match refused {
        true => Err(std::io::Error::last_os_error()),
        false => Ok(()),
    }
}

#[test]
fn a_seccomp_filter_is_recognised_and_explained() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let (_directory, path) = file(&valid());
        let errno = u32::try_from(errno).expect("error numbers are positive");
        let path = path.to_str().unwrap();
        for words in [&["run", "-c", path][..], &["bench", "serve", "127.0.0.1:0"]] {
            let mut command = weir();
            command.args(words);
            // SAFETY: between fork and exec only two system calls are made, nothing is allocated.
            unsafe { command.pre_exec(move || forbid_io_uring(errno)) };
            let output = command.output().unwrap();
            assert_exit(&output, 3);
            let stderr = stderr(&output);
            assert!(stderr.contains("forbidden by a seccomp filter"), "{stderr}");
            assert!(stderr.contains("--security-opt seccomp="), "{stderr}");
        }
    }
}

/// Lowers the locked memory for good: without CAP_SYS_RESOURCE root cannot raise it again.
fn lower_memlock() -> std::io::Result<()> {
    const CAP_SYS_RESOURCE: libc::c_ulong = 24;
    let limit = libc::rlimit {
        rlim_cur: 64 * 1024,
        rlim_max: 64 * 1024,
    };
    // SAFETY: the calls only read their arguments. Who is not root cannot drop the capability
    // and does not have it either.
    unsafe {
        libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0);
        match libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

#[test]
fn too_little_locked_memory_is_explained() {
    let (_directory, path) = file(&valid());
    let mut command = weir();
    command.arg("run").arg("-c").arg(&path);
    // SAFETY: between fork and exec only two system calls are made, nothing is allocated.
    unsafe { command.pre_exec(lower_memlock) };
    let output = command.output().unwrap();
    assert_exit(&output, 3);
    let stderr = stderr(&output);
    assert!(stderr.contains("64 KiB, needed are 512 KiB"), "{stderr}");
    assert!(stderr.contains("LimitMEMLOCK="), "{stderr}");
}

/// A running demonstration; killed when a test fails.
struct Demo {
    child: Child,
    /// What it printed when it was ready.
    banner: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    fn start() -> Demo {
        Demo::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Demo {
        let mut command = weir();
        command.arg("demo").args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            let line = lines.next().expect("the banner is complete").unwrap();
            banner.push_str(&line);
            banner.push('\n');
        }
        Demo { child, banner }
    }

    /// The word of the banner after `before`.
    fn word_after(&self, before: &str) -> &str {
        let at = self
            .banner
            .find(before)
            .unwrap_or_else(|| panic!("{}", self.banner));
        let words = self.banner[at + before.len()..].split_whitespace().next();
        words.expect("a word follows")
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

fn ask(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_demonstration_shows_what_it_promises() {
    let mut demo = Demo::start();
    let proxy = demo.word_after("one proxy at ").to_owned();
    let answers: Vec<String> = (0..30).map(|_| ask(&format!("{proxy}/"))).collect();
    for backend in ["alpha", "beta", "gamma"] {
        let by = answers
            .iter()
            .filter(|answer| answer.contains(backend))
            .count();
        assert!(by >= 5, "{backend} answered {by} of 30");
    }
    let headers = ask(&format!("{proxy}/headers"));
    assert!(headers.contains("x-forwarded-for: 127.0.0.1"), "{headers}");
    let routed = ask(&format!("{proxy}/api/"));
    assert!(
        routed.contains("quick") || routed.contains("slow"),
        "{routed}"
    );

    let epoch = demo
        .banner
        .split_whitespace()
        .find(|word| word.ends_with("/v1/epoch"));
    let epoch = epoch.expect("the banner names the epoch").to_owned();
    let page = ask(&epoch.replace("/v1/epoch", "/metrics"));
    assert!(page.contains("weir_"), "{page}");

    let file = demo.word_after("  edit ").to_owned();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("connections_max = 1000", "connections_max = 900"),
    )
    .unwrap();
    let before = ask(&epoch);
    demo.signal(rustix::process::Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    while ask(&epoch) == before {
        assert!(
            Instant::now() < deadline,
            "the epoch did not rise: {before}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ask(&format!("{proxy}/")).contains("200 OK"));

    demo.signal(rustix::process::Signal::TERM);
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
    assert!(!PathBuf::from(file).exists(), "the demonstration cleans up");
}

#[test]
fn three_nodes_of_the_demonstration_know_each_other_and_serve_alike() {
    let mut demo = Demo::start_with(&["--nodes", "3"]);
    let proxy = demo.word_after("one store at ").to_owned();
    assert!(ask(&format!("{proxy}/")).contains("200 OK"));
    let words: Vec<String> = demo.banner.split_whitespace().map(str::to_owned).collect();
    let ends = |end: &str| {
        words
            .iter()
            .find(|word| word.ends_with(end))
            .unwrap()
            .clone()
    };
    let nodes = ends("/v1/nodes");
    let deadline = Instant::now() + PATIENCE;
    while ask(&nodes).matches("\"standing\": \"alive\"").count() < 3 {
        assert!(Instant::now() < deadline, "{}", ask(&nodes));
        std::thread::sleep(Duration::from_millis(20));
    }
    // What the last one is told, as the banner has it.
    let target = ends("/v1/epoch").replace("/v1/epoch", "/v1/groups/web?wait=cluster");
    let address = target.strip_prefix("http://").unwrap();
    let (address, path) = address.split_at(address.find('/').unwrap());
    let body = "{\"retries\": 2}";
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "PATCH {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    // The node that is asked here hears of the others at its own time.
    while ask(&nodes).matches("\"adopted\": 2").count() < 3 {
        assert!(Instant::now() < deadline, "{}", ask(&nodes));
        std::thread::sleep(Duration::from_millis(20));
    }
    demo.signal(rustix::process::Signal::TERM);
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
}
