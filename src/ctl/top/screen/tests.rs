//! The screen as its user sees it: answers in, keys pressed, the letters read back.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::super::draw;
use super::*;

/// The columns of a backend, with one that this version does not know.
const COLUMNS: [&str; 19] = [
    "slot",
    "group",
    "name",
    "address",
    "state",
    "weight",
    "status",
    "reason",
    "since_ms",
    "suspended",
    "in_flight",
    "connections",
    "connect_failures",
    "requests",
    "errors",
    "faults",
    "latency_count",
    "latency_sum_us",
    "of_a_later_version",
];

fn row(slot: u64, name: &str, status: &str, served: u64) -> Value {
    json!([
        slot,
        0,
        name,
        "127.0.0.1:1",
        "ready",
        slot + 1,
        status,
        "refused",
        1_000_000 - 90_000,
        false,
        slot,
        4,
        0,
        served,
        0,
        0,
        served,
        served * 1500,
        true,
    ])
}

/// An answer so many seconds after the first: each backend has served `per_second` a second.
fn answer(second: u64, per_second: [u64; 3]) -> Overview {
    let whole: u64 = per_second.iter().sum::<u64>() * second;
    let core = |core: u64, requests: u64| {
        json!({
            "core": core, "state": "running", "epoch": 7, "connections": 5, "requests": requests,
            "turns": 10 * second, "completions": 25 * second, "buffer_starved": 0,
        })
    };
    let body: Value = json!({
        "at_ms": 1_000_000 + 1000 * second,
        "policies": [],
        "nodes": [{
            "name": "edge-1", "version": "0.1.0", "uptime_ms": 60_000 + 1000 * second,
            "phase": "serving", "epoch": 7, "cpu_seconds": 0.25 * second as f64,
            "resident_bytes": 50 << 20, "open_fds": 9,
            "cores": [core(0, whole), core(1, 0)],
        }],
        "cluster": [
            {"node": "edge-1", "standing": "alive", "epoch": 7, "adopted": 7, "this": true},
            {"node": "edge-2", "standing": "alive", "epoch": 7, "adopted": 6, "this": false},
            {"node": "edge-3", "standing": "suspect", "this": false},
        ],
        "listeners": [{
            "name": "web", "address": "127.0.0.1:80", "connections": 12, "bytes_received": 0,
            "bytes_sent": 2048 * second, "requests": {"200": whole, "503": 2 * second},
            "faults": {"queue_full": 3 * second}, "latency": [1500, 1500, whole],
        }],
        "shards": [{"name": "by-tenant", "function": "map", "groups": [
            {"name": "app", "share": 0.75}, {"name": null, "share": 0.25},
        ]}],
        "groups": [{"name": "app", "policy": "round_robin", "panics": false}],
        "columns": COLUMNS,
        "backends": [
            row(0, "one", "up", per_second[0] * second),
            row(1, "two", "down", per_second[1] * second),
            row(2, "three", "up", per_second[2] * second),
        ],
        "latencies": {},
        "events": [{
            "at_ms": 940_000, "group": "app", "name": "two", "from": "up", "to": "down",
            "source": "check", "reason": "refused",
        }],
    });
    Overview::read(body).unwrap()
}

fn screen() -> Screen {
    let mut screen = Screen::new();
    screen.take(Ok(answer(1, [10, 0, 30])));
    screen.take(Ok(answer(2, [10, 0, 30])));
    screen
}

fn seen(screen: &mut Screen) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(140, 24)).unwrap();
    terminal.draw(|frame| draw::all(frame, screen)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines = buffer.content.chunks(usize::from(buffer.area.width));
    let text = lines.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
    text.map(|line| line.trim_end().to_owned()).collect()
}

fn press(screen: &mut Screen, keys: &str) {
    for letter in keys.chars() {
        let code = match letter {
            '\t' => KeyCode::Tab,
            '\n' => KeyCode::Enter,
            letter => KeyCode::Char(letter),
        };
        assert_eq!(screen.press(KeyEvent::from(code)), After::Stay);
    }
}

/// The first words of the lines below the heads of the panel.
fn names(screen: &mut Screen) -> Vec<String> {
    let lines = seen(screen);
    let rows = lines[9..23].iter().filter(|line| !line.is_empty());
    rows.map(|line| line.split_whitespace().nth(1).unwrap_or("").to_owned())
        .collect()
}

#[test]
fn figures_are_the_difference_of_two_answers() {
    let lines = seen(&mut screen());
    assert!(lines[0].contains("edge-1  weir 0.1.0  serving  up 1min  epoch 7 on every core  live"));
    assert!(
        lines[1].contains("requests 42/s   p50 1.50ms"),
        "{}",
        lines[1]
    );
    assert!(lines[1].contains("connections 12"), "{}", lines[1]);
    assert!(
        lines[2].contains("2xx 40/s") && lines[2].contains("5xx 2/s"),
        "{}",
        lines[2]
    );
    assert!(lines[2].contains("queue_full 3/s"), "{}", lines[2]);
    let third = "out 2.00 KiB/s   0.25 CPUs  50.0 MiB   imbalance 2.00   nodes 2 of 3, 1 behind";
    assert!(lines[3].contains(third), "{}", lines[3]);
    assert!(lines[23].contains("q quit") && lines[23].contains("/ find"));
}

#[test]
fn backends_are_sorted_by_what_is_chosen_and_either_way() {
    let mut screen = screen();
    assert_eq!(
        names(&mut screen),
        ["three", "one", "two"],
        "requests first"
    );
    press(&mut screen, "r");
    assert_eq!(names(&mut screen), ["two", "one", "three"]);
    press(&mut screen, "r<<");
    assert_eq!(screen.sort, Sort::State);
    assert_eq!(
        names(&mut screen),
        ["two", "one", "three"],
        "what is down first"
    );
    press(&mut screen, "<");
    assert_eq!(names(&mut screen), ["one", "three", "two"]);
    let lines = seen(&mut screen);
    assert!(lines[8].contains("backendv"), "{}", lines[8]);
    let row = lines.iter().find(|line| line.contains("two")).unwrap();
    for word in ["down", "1min", "refused"] {
        assert!(row.contains(word), "{row}");
    }
}

#[test]
fn finding_keeps_what_fits_and_escape_forgets_it() {
    let mut screen = screen();
    press(&mut screen, "/TWO\n");
    assert_eq!(names(&mut screen), ["two"]);
    assert!(seen(&mut screen)[7].contains("find: TWO"));
    press(&mut screen, "/q");
    assert_eq!(
        names(&mut screen),
        Vec::<String>::new(),
        "q is a letter while typing"
    );
    screen.press(KeyEvent::from(KeyCode::Esc));
    assert_eq!(names(&mut screen).len(), 3);
    assert_eq!(
        screen.press(KeyEvent::from(KeyCode::Char('q'))),
        After::Leave
    );
}

#[test]
fn every_panel_has_its_rows() {
    let mut screen = screen();
    for wanted in [
        vec!["app", "round_robin", "2 of 3", "40"],
        vec!["0", "running", "7", "40", "5", "2.50"],
        vec!["by-tenant", "map", "app", "75.00 %"],
        vec!["1min", "app", "two", "up -> down", "check", "refused"],
    ] {
        press(&mut screen, "\t");
        let line = &seen(&mut screen)[9];
        for word in wanted {
            assert!(line.contains(word), "{word}: {line}");
        }
    }
    press(&mut screen, "\t");
    assert_eq!(screen.panel, Panel::Backends);
}

#[test]
fn a_node_that_is_away_is_told_and_the_last_figures_stay() {
    let mut screen = screen();
    screen.take(Err("127.0.0.1:1: connection refused\n".into()));
    let lines = seen(&mut screen);
    assert!(
        lines[0].contains("NOT REACHED: 127.0.0.1:1: connection refused"),
        "{}",
        lines[0]
    );
    assert!(lines[1].contains("requests 42/s"));
    screen.take(Ok(answer(4, [10, 0, 30])));
    assert!(
        seen(&mut screen)[1].contains("requests 42/s"),
        "over two seconds"
    );
}

#[test]
fn paused_it_stands_still_and_a_node_that_began_anew_has_no_rates() {
    let mut screen = screen();
    press(&mut screen, " ");
    screen.take(Ok(answer(3, [500, 0, 0])));
    assert!(seen(&mut screen)[1].contains("requests 42/s"));
    press(&mut screen, " ");
    screen.take(Ok(answer(0, [1, 0, 0])));
    assert!(seen(&mut screen)[1].contains("figures come with the second answer"));
}

#[test]
fn scrolling_ends_with_the_rows() {
    let mut screen = screen();
    for _ in 0..9 {
        screen.press(KeyEvent::from(KeyCode::PageDown));
    }
    assert_eq!(names(&mut screen).len(), 3);
    assert_eq!(screen.top, 0);
}

#[test]
fn what_is_no_overview_is_told() {
    let error = Overview::read(json!({"at_ms": 1})).unwrap_err();
    assert!(error.contains("not an overview"), "{error}");
}
