//! The store against kill -9: a child commits numbered transactions and says each one that was
//! acknowledged, the parent kills it at random moments and looks at what is left.
//!
//! Every transaction writes its number under several keys, adds a key of its own and removes an
//! older one, so that half of one would show. The file is made anew now and then, so that kills
//! also meet a store that is just being made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use weir::control::store::{Content, Embedded, Revision, Store, Write};

/// Where the child finds its store.
const PATH_VARIABLE: &str = "WEIR_TEST_STORE";

/// Kills in one run; `WEIR_TEST_KILLS` asks for more.
const KILLS: u64 = 200;

/// A new file after so many kills.
const KILLS_PER_FILE: u64 = 25;

/// Keys that every transaction writes.
const SHARED_KEYS: u64 = 5;

/// Keys of older transactions that stay.
const HISTORY: u64 = 20;

fn writes(number: u64) -> Vec<Write> {
    let record = |number: u64| Some(format!("{number} {}", "x".repeat(300)).into_bytes());
    let shared = (0..SHARED_KEYS).map(|key| (format!("shared/{key}"), record(number)));
    let own = (format!("own/{number}"), record(number));
    let old = number
        .checked_sub(HISTORY)
        .map(|old| (format!("own/{old}"), None));
    shared.chain([own]).chain(old).collect()
}

/// What the store must hold after so many transactions.
fn expected(count: u64) -> Content {
    let mut records = BTreeMap::new();
    for number in 1..=count {
        for (key, record) in writes(number) {
            match record {
                Some(record) => records.insert(key, record),
                None => records.remove(&key),
            };
        }
    }
    Content {
        revision: Revision(count),
        records,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(future)
}

#[test]
#[ignore = "it is the child of the test below and writes until it is killed"]
fn a_writer() {
    let path = std::env::var_os(PATH_VARIABLE).expect("the parent says where");
    let store = Embedded::open(Path::new(&path)).unwrap();
    block_on(async {
        let mut revision = store.load().await.unwrap().revision;
        loop {
            revision = store
                .commit(revision, writes(revision.0 + 1))
                .await
                .unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nacknowledged {revision}").unwrap();
            out.flush().unwrap();
        }
    });
}

/// Lets a writer run for a while, kills it, and answers the last transaction it acknowledged.
fn run_and_kill(path: &Path, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_writer", "--ignored", "--nocapture"])
        .env(PATH_VARIABLE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        let numbers = lines.filter_map(|line| {
            let number = line.strip_prefix("acknowledged ")?.parse::<u64>();
            Some(number.expect("lines are written whole"))
        });
        numbers.last().unwrap_or(0)
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(
        status.code().is_none(),
        "the writer ended by itself: {status}"
    );
    reader.join().unwrap()
}

#[test]
fn kills_at_any_instant_lose_nothing_and_tear_nothing() {
    let kills = std::env::var("WEIR_TEST_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let (mut acknowledged, mut files) = (0_u64, 0_u64);
    let mut unlucky = 0_u64;
    // An odd step through a prime: every delay from 0 to 120 ms once before any comes again.
    let delays = (0..kills).map(|kill| Duration::from_micros(kill * 7919 % 12_007 * 10));
    let mut path = folder.path().to_owned();
    for (kill, delay) in (0_u64..).zip(delays) {
        if kill % KILLS_PER_FILE == 0 {
            files += 1;
            acknowledged = 0;
            path = folder.path().join(format!("store-{files}.redb"));
        }
        let last = run_and_kill(&path, delay);
        acknowledged = acknowledged.max(last);
        if !path.exists() {
            assert_eq!(last, 0, "acknowledged without a file");
            continue;
        }
        let store = Embedded::open(&path).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        let content = block_on(store.load()).unwrap();
        let count = content.revision.0;
        assert!(
            count == acknowledged || count == acknowledged + 1,
            "kill {kill}: {acknowledged} acknowledged, {count} found"
        );
        unlucky += count - acknowledged;
        assert!(
            content == expected(count),
            "kill {kill}: transaction {count} is torn"
        );
        acknowledged = count;
    }
    println!(
        "{kills} kills in {:?}, {unlucky} commits found that were not acknowledged yet",
        start.elapsed()
    );
    assert!(acknowledged > 0, "the writers wrote");
}
