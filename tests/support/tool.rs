//! Programs other people wrote, run against the proxy.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs `program` to its end and returns its output; fails if it fails, takes more than two
/// minutes or is not installed: nothing is skipped silently.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = run_any(program, arguments);
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{text}",
        output.status
    );
    text
}

/// As [`run`], whatever its exit code.
#[track_caller]
pub fn run_any(program: &str, arguments: &[&str]) -> Output {
    run_within(Duration::from_secs(120), program, arguments)
}

/// As [`run_any`], for programs that have much to do.
#[track_caller]
pub fn run_within(deadline: Duration, program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("{program} is needed for this test: {error}"),
    };
    let (start, id) = (Instant::now(), child.id());
    let watch = std::thread::spawn(move || child_output(&mut child));
    while !watch.is_finished() {
        assert!(start.elapsed() < deadline, "{program} (pid {id}) hangs");
        std::thread::sleep(Duration::from_millis(10));
    }
    watch.join().unwrap()
}

fn child_output(child: &mut std::process::Child) -> Output {
    use std::io::Read;
    let mut errors = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = errors.read_to_end(&mut bytes);
        bytes
    });
    let mut stdout = Vec::new();
    let _ = child.stdout.take().unwrap().read_to_end(&mut stdout);
    let status = child.wait().unwrap();
    Output {
        status,
        stdout,
        stderr: reader.join().unwrap(),
    }
}
