//! Reads the sources and fails on what the compiler does not see: who imports whom, sizes of
//! files and functions, heads, words that must not stay, samples that must load.
//!
//! What was there when a rule came is named below with its present size; a size may fall and an
//! entry may go, neither may rise. A rule that is wrong is changed here, with its reason, and not
//! worked around in the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod source;

use source::{Source, declared, functions, has_word, imports, module_line, parts};

/// Each module at the root of the crate, its layer, and what else it may import. A module imports
/// from lower layers only; on the same layer only what is named here.
const LAYERS: [(&str, u32, &[&str]); 20] = [
    ("base", 0, &[]),
    ("config", 1, &[]),
    ("gossip", 1, &[]),
    ("health", 1, &[]),
    ("http", 1, &[]),
    // A table carries the handles of its counters, so that a pick needs no second lookup.
    ("routing", 1, &["telemetry"]),
    ("telemetry", 1, &[]),
    ("engine", 2, &[]),
    ("runtime", 3, &[]),
    // That it compiles without what lies above is the proof that the logic is pure.
    ("sim", 3, &[]),
    // The messages between the planes: tables of layer 1, wake-ups of layer 3.
    ("link", 4, &[]),
    ("control", 5, &[]),
    ("data", 5, &[]),
    ("node", 6, &["cli"]),
    ("bench", 6, &["cli"]),
    ("demo", 6, &["cli", "node"]),
    ("cli", 6, &[]),
    ("ctl", 6, &["cli"]),
    ("simulate", 6, &["cli"]),
    ("main", 7, &[]),
];

/// The door to the kernel knows the vocabulary but none of the logic.
const NEVER: [(&str, &[&str], &str); 1] = [(
    "runtime",
    &[
        "config",
        "engine",
        "gossip",
        "health",
        "http",
        "routing",
        "telemetry",
    ],
    "the door to the kernel carries bytes; what they mean is decided above it",
)];

/// Words that only some modules may use, with the reason.
const WORDS: [(&[&str], &[&str], &str); 3] = [
    (
        &["glommio::", "io_uring::", "libc::"],
        &["runtime"],
        "one door to the kernel: everything else stays testable without it",
    ),
    (
        &[
            "Instant::now",
            "SystemTime::now",
            "thread_rng",
            "thread::sleep",
        ],
        &["runtime", "control", "data", "node", "demo", "bench"],
        "below the planes time and chance are parameters, so that tests decide them",
    ),
    (
        &[
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "std::fs",
            "tokio::",
            "socket2::",
        ],
        &[
            "runtime", "control", "ctl", "data", "node", "demo", "link", "simulate", "bench",
        ],
        "logic takes bytes in and gives bytes out; it opens nothing",
    ),
];

const COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Files over the limit, at their present size.
const LONG_FILES: [(&str, usize); 0] = [];

/// Functions over the limit (`file::function`), at their present size.
const LONG_FUNCTIONS: [(&str, usize); 0] = [];

/// Where `unsafe` may be outside `src/runtime`.
const UNSAFE_FILES: [&str; 1] = [
    // Puts a seccomp filter on a child, to see that weir explains it.
    "tests/node.rs",
];

/// Parts of names that say nothing.
const BANNED_PARTS: [&str; 7] = [
    "manager", "helper", "util", "utils", "common", "misc", "data2",
];

/// Names that others have given: they stay, whatever we would call it.
const GIVEN_NAMES: [&str; 1] = [
    // One of the five calls of the specification.
    "get_next_server",
];

/// Words of work that is not finished. Spelled apart, because this file is read as well.
const MARKERS: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("HA", "CK"),
    concat!("unimple", "mented!"),
    concat!("to", "do!"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() {
                // What a build leaves (of tests/fuzz) is no source.
                if !path.ends_with("target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("below the package");
    path.to_string_lossy().into_owned()
}

fn sources() -> Vec<Source> {
    let folders = ["src", "tests", "benches"];
    let files = folders.iter().flat_map(|folder| files_below(folder, "rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source is UTF-8");
        Source::new(relative(&path), text)
    };
    let sources: Vec<Source> = files.map(read).collect();
    assert!(sources.len() > 20, "the sources are where we look for them");
    sources
}

/// Fails with all breaches and the reason of the rule.
#[track_caller]
fn report(breaches: &[String], reason: &str) {
    let list = breaches.join("\n  ");
    assert!(breaches.is_empty(), "{reason}:\n  {list}\n");
}

#[test]
fn modules_import_only_from_below() {
    let mut breaches = Vec::new();
    for source in sources() {
        let module = source.module().to_owned();
        if module.is_empty() || module == "lib" {
            continue;
        }
        let Some((_, layer, beside)) = LAYERS.iter().find(|(name, ..)| *name == module) else {
            breaches.push(format!("{}: no layer in tests/tidy.rs", source.path));
            continue;
        };
        let never = NEVER.iter().find(|(name, ..)| *name == module);
        for (at, imported) in imports(&source) {
            let Some((name, other, _)) = LAYERS.iter().find(|(name, ..)| *name == imported) else {
                continue;
            };
            let place = source.place(at);
            let forbidden = never.filter(|(_, names, _)| names.contains(name));
            if let Some((.., reason)) = forbidden {
                breaches.push(format!("{place}: {name}: {reason}"));
            } else if imported != module && other >= layer && !beside.contains(name) {
                breaches.push(format!(
                    "{place}: `{module}` (layer {layer}) imports `{name}` (layer {other})"
                ));
            }
        }
    }
    report(
        &breaches,
        "a module imports from layers below its own (STYLE section 1)",
    );
}

#[test]
fn the_kernel_the_clock_and_sockets_stay_where_they_belong() {
    let mut breaches = Vec::new();
    for source in sources() {
        let module = source.module();
        let rules = WORDS
            .iter()
            .filter(|(_, allowed, _)| !allowed.contains(&module));
        for (words, _, reason) in rules.filter(|_| !module.is_empty()) {
            for (line, text) in source.body().filter(|_| !source.is_tests()) {
                if let Some(word) = words.iter().find(|word| text.contains(**word)) {
                    breaches.push(format!("{}:{}: {word}: {reason}", source.path, line + 1));
                }
            }
        }
    }
    report(&breaches, "some doors are in one place only");
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    let sources = sources();
    let headless = sources.iter().filter(|source| {
        let mut lines = source.text.lines();
        let first = lines.find(|line| !line.starts_with("#![") && !line.is_empty());
        !first.is_some_and(|line| line.starts_with("//! "))
    });
    let paths: Vec<String> = headless.map(|source| source.path.clone()).collect();
    report(&paths, "a file begins with a `//!` comment");
}

#[test]
fn lines_are_short_and_ascii() {
    let mut breaches = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            let place = format!("{}:{}", source.path, index + 1);
            if !line.is_ascii() {
                breaches.push(format!("{place}: not ASCII (write \\u{{...}} in strings)"));
            } else if line.len() > COLUMNS_MAX {
                breaches.push(format!("{place}: {} columns", line.len()));
            }
        }
    }
    report(&breaches, "100 columns, ASCII");
}

#[test]
fn files_stay_small() {
    let sources = sources();
    let sizes = sources
        .iter()
        .map(|source| (source.path.clone(), source.body().count()));
    let breaches = ratchet(sizes, &LONG_FILES, FILE_LINES_MAX);
    report(&breaches, "400 code lines a file");
}

#[test]
fn functions_stay_small() {
    let sources = sources();
    let sizes = sources.iter().flat_map(functions);
    let breaches = ratchet(sizes, &LONG_FUNCTIONS, FUNCTION_LINES_MAX);
    report(&breaches, "70 lines a function");
}

/// What is over `max` and not allowed, or has left its allowance behind.
fn ratchet(
    sizes: impl Iterator<Item = (String, usize)>,
    allowed: &[(&str, usize)],
    max: usize,
) -> Vec<String> {
    let sizes: BTreeMap<String, usize> = sizes.collect();
    let mut breaches = Vec::new();
    for (name, &size) in &sizes {
        let was = allowed.iter().find(|(allowed, _)| allowed == name);
        match was.map(|(_, was)| *was) {
            None if size > max => breaches.push(format!("{name}: {size} > {max}")),
            Some(was) if size > was => breaches.push(format!("{name}: grew from {was} to {size}")),
            Some(was) if size < was => {
                breaches.push(format!("{name}: {size} now; lower its entry from {was}"));
            }
            _ => {}
        }
    }
    let gone = allowed
        .iter()
        .filter(|(name, _)| !sizes.contains_key(*name));
    breaches.extend(gone.map(|(name, _)| format!("{name}: gone; remove its entry")));
    breaches
}

#[test]
fn unsafe_stays_at_the_door_to_the_kernel() {
    let mut breaches = Vec::new();
    for source in sources() {
        if source.module() == "runtime" || UNSAFE_FILES.contains(&&*source.path) {
            continue;
        }
        for (index, line) in source.code.lines().enumerate() {
            if has_word(line, "unsafe") || has_word(line, "unsafe_code") {
                breaches.push(format!("{}:{}", source.path, index + 1));
            }
        }
    }
    report(
        &breaches,
        "`unsafe` is for src/runtime, each block with its SAFETY comment",
    );
}

#[test]
fn nothing_is_left_for_later() {
    let mut breaches = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            if let Some(marker) = MARKERS.iter().find(|marker| has_word(line, marker)) {
                breaches.push(format!("{}:{}: {marker}", source.path, index + 1));
            }
        }
    }
    report(
        &breaches,
        "work is finished, or planned elsewhere than in the source",
    );
}

#[test]
fn names_say_something() {
    let mut breaches = Vec::new();
    for source in sources() {
        let path = source.path.trim_end_matches(".rs");
        let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
        names.extend(declared(&source.code));
        for name in names {
            let parts = parts(&name);
            let empty = parts.iter().find(|part| BANNED_PARTS.contains(&&***part));
            if let Some(part) = empty {
                breaches.push(format!("{}: `{name}`: `{part}` says nothing", source.path));
            }
            if name.starts_with("get_") && !GIVEN_NAMES.contains(&&*name) {
                breaches.push(format!("{}: `{name}`: name what it gives", source.path));
            }
        }
    }
    report(&breaches, "one noun per concept, and no noun for none");
}

#[test]
fn every_file_is_compiled() {
    let sources = sources();
    let by_path = |path: &str| sources.iter().find(|source| source.path == path);
    let roots = sources.iter().filter(|source| is_root(&source.path));
    let mut open: Vec<String> = roots.map(|source| source.path.clone()).collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = open.pop() {
        let Some(source) = by_path(&path) else {
            continue;
        };
        let folder = folder_of_children(&path);
        for name in source.code.lines().filter_map(module_line) {
            open.push(format!("{folder}{name}.rs"));
            open.push(format!("{folder}{name}/mod.rs"));
        }
        assert!(reached.insert(path), "a file is one module");
    }
    let lost = sources
        .iter()
        .filter(|source| !reached.contains(&source.path));
    let lost: Vec<String> = lost.map(|source| source.path.clone()).collect();
    report(&lost, "a file that no `mod` names is not compiled");
}

/// Whether cargo compiles a file as a crate of its own.
fn is_root(path: &str) -> bool {
    if matches!(path, "src/lib.rs" | "src/main.rs") {
        return true;
    }
    let inside = path
        .strip_prefix("tests/")
        .or(path.strip_prefix("benches/"));
    inside.is_some_and(|inside| {
        let folders = inside.matches('/').count();
        // The fuzz targets are a package of their own.
        folders == 0 || folders == 1 && inside.ends_with("/main.rs") || inside.contains("/fuzz_")
    })
}

fn folder_of_children(path: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match is_root(path) || path.ends_with("/mod.rs") {
        true => format!("{folder}/"),
        false => format!("{}/", path.trim_end_matches(".rs")),
    }
}

#[test]
fn every_sample_configuration_loads() {
    let samples = [files_below("config", "toml"), files_below("tuning", "toml")].concat();
    assert!(!samples.is_empty(), "there are samples");
    let mut breaches = Vec::new();
    for path in samples {
        let text = fs::read_to_string(&path).expect("a sample is UTF-8");
        if relative(&path).starts_with("config/sim/") {
            // Scenarios are no configurations, and have a reader of their own.
            let scenario = weir::sim::scenario::load(&text, &relative(&path));
            breaches.extend(scenario.err().map(|errors| errors.to_string()));
            continue;
        }
        match weir::config::load(&text, &relative(&path)) {
            Err(errors) => breaches.push(errors.to_string()),
            Ok(config) => breaches.extend(config.warnings.iter().map(ToString::to_string)),
        }
    }
    report(&breaches, "samples load without a mistake or a doubt");
}
