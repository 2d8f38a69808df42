//! `weir sim`: reads scenarios, runs the simulator on as many threads as there are cores, and
//! writes what came of it.
//!
//! Runs share nothing, so the order in which threads take them changes no result.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::cli::{Exit, Sim, output};
use crate::config::Config;
use crate::sim::replay::{self, Replay};
use crate::sim::scenario::{self, Scenario};
use crate::sim::summary::{self, Row};
use crate::sim::{Entrant, Outcome, Run, plot};

/// Runs what the command line asks for.
#[must_use]
pub fn run(sim: &Sim) -> Exit {
    match run_all(sim) {
        Ok(()) => Exit::Ok,
        Err((exit, problem)) => {
            eprintln!("{problem}");
            exit
        }
    }
}

type Problem = (Exit, String);

fn run_all(sim: &Sim) -> Result<(), Problem> {
    let mut csv = match &sim.csv {
        Some(path) => {
            let file = File::create(path).map_err(|error| cannot("write", path, &error))?;
            let mut file = BufWriter::new(file);
            file.write_all(summary::CSV_HEAD.as_bytes())
                .map_err(|error| cannot("write", path, &error))?;
            Some(file)
        }
        None => None,
    };
    for path in &sim.scenario {
        let mut scenario = prepared(sim, path)?;
        let replay = replayed(sim, &mut scenario)?;
        let rows = compare(&scenario, replay.as_ref(), sim.jobs, csv.as_mut())?;
        if let Some(replay) = &replay {
            tell(replay);
        }
        report(sim, &scenario, &rows)?;
    }
    if let (Some(csv), Some(path)) = (&mut csv, &sim.csv) {
        csv.flush().map_err(|error| cannot("write", path, &error))?;
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Problem {
    let text = format!("cannot {what} {}: {error}", path.display());
    (Exit::Start, text)
}

/// The scenario of a file, with what the command line changes.
fn prepared(sim: &Sim, path: &Path) -> Result<Scenario, Problem> {
    let text = fs::read_to_string(path).map_err(|error| {
        let text = format!("cannot read {}: {error}", path.display());
        (Exit::Config, text)
    })?;
    let loaded = scenario::load(&text, &path.display().to_string());
    let mut scenario = loaded.map_err(|errors| (Exit::Config, errors.to_string()))?;
    if scenario.name.is_empty() {
        let stem = path.file_stem().unwrap_or_default();
        scenario.name = stem.to_string_lossy().into_owned();
    }
    scenario.seed = sim.seed.unwrap_or(scenario.seed);
    scenario.seeds = sim.seeds.unwrap_or(scenario.seeds).max(1);
    scenario.duration = sim.duration.unwrap_or(scenario.duration);
    if !sim.policy.is_empty() {
        let chosen = sim.policy.iter().map(|name| entrant(&scenario, name));
        scenario.entrants = chosen.collect::<Result<_, _>>()?;
    }
    if scenario.entrants.is_empty() {
        let fix = "add an [[entrant]], or name policies with --policy";
        return Err((
            Exit::Config,
            format!("{}: nobody to compare: {fix}", path.display()),
        ));
    }
    Ok(scenario)
}

/// One of the scenario by this name, or a policy or model by its word.
fn entrant(scenario: &Scenario, name: &str) -> Result<Entrant, Problem> {
    let nodes = scenario.nodes;
    let known = scenario.entrants.iter().find(|one| one.name == name);
    let found = known.cloned().or_else(|| Entrant::of_rival(name, nodes));
    let found = found.unwrap_or_else(|| Entrant::of_weir(name, name, nodes));
    match scenario.config_for(&found) {
        Ok(_) => Ok(found),
        Err(errors) => {
            let models: Vec<&str> = Entrant::rivals().collect();
            let models = models.join(", ");
            Err((Exit::Config, format!("{errors}\nmodels: {models}")))
        }
    }
}

/// Reads the log that is replayed, if there is one, and puts its backends into the scenario.
fn replayed(sim: &Sim, scenario: &mut Scenario) -> Result<Option<Replay>, Problem> {
    let Some(path) = &sim.replay else {
        return Ok(None);
    };
    let bytes = fs::read(path).map_err(|error| cannot("read", path, &error))?;
    let replay = replay::read(&bytes, sim.group.as_deref());
    let replay = replay.map_err(|what| (Exit::Config, format!("{}: {what}", path.display())))?;
    scenario.backends.clone_from(&replay.backends);
    scenario.failures.clear();
    scenario.warmup = 0.0;
    // All that are told come before the end.
    scenario.duration = replay.told.last().map_or(1.0, |last| last.at + 0.001);
    Ok(Some(replay))
}

/// What a log was taken for.
fn tell(replay: &Replay) {
    let at = |share: f64| {
        let at = (replay.took.len() as f64 * share) as usize;
        replay.took[at.min(replay.took.len() - 1)] * 1000.0
    };
    eprintln!(
        "group {}: {} requests of the log, {} lines passed over; logged p50 {:.3} ms, p99 {:.3} \
         ms, p99.9 {:.3} ms",
        replay.group,
        replay.told.len(),
        replay.skipped,
        at(0.5),
        at(0.99),
        at(0.999)
    );
    for (id, like) in replay.ids.iter().zip(&replay.backends) {
        let (capacity, speed) = (like.capacity / like.speed, like.speed);
        eprintln!("  {id}: speed {speed:.2}, {capacity:.1} requests at one time");
    }
}

/// Runs everybody with every seed.
fn compare(
    scenario: &Scenario,
    replay: Option<&Replay>,
    jobs: Option<usize>,
    csv: Option<&mut BufWriter<File>>,
) -> Result<Vec<Row>, Problem> {
    let configs = scenario.entrants.iter().map(|one| scenario.config_for(one));
    let configs = configs.collect::<Result<Vec<Config>, _>>();
    let configs = configs.map_err(|errors| (Exit::Config, errors.to_string()))?;
    let seeds: Vec<u64> = (0..scenario.seeds).map(|at| scenario.seed + at).collect();
    let task = |number: usize| {
        let (who, seed) = (number / seeds.len(), seeds[number % seeds.len()]);
        Run {
            scenario,
            entrant: &scenario.entrants[who],
            config: &configs[who],
            seed,
            told: replay.map(|replay| &replay.told[..]),
        }
    };
    let count = scenario.entrants.len() * seeds.len();
    let outcomes = match csv {
        Some(csv) => one_by_one(count, task, csv)?,
        None => side_by_side(count, task, jobs),
    };
    let mut outcomes = outcomes.into_iter();
    let row = |entrant: &Entrant| Row {
        name: entrant.name.clone(),
        outcomes: outcomes.by_ref().take(seeds.len()).collect(),
    };
    Ok(scenario.entrants.iter().map(row).collect())
}

/// In order, each request written down.
fn one_by_one<'s>(
    count: usize,
    task: impl Fn(usize) -> Run<'s>,
    csv: &mut BufWriter<File>,
) -> Result<Vec<Outcome>, Problem> {
    let mut outcomes = Vec::with_capacity(count);
    for number in 0..count {
        let run = task(number);
        let mut written = Ok(());
        let mut watch = |seen: &crate::sim::Seen| {
            let line = summary::csv_line(&run.entrant.name, run.seed, seen);
            if written.is_ok() {
                written = csv.write_all(line.as_bytes());
            }
        };
        outcomes.push(run.run(Some(&mut watch)));
        written.map_err(|error| (Exit::Start, format!("cannot write requests: {error}")))?;
    }
    Ok(outcomes)
}

fn side_by_side<'s>(
    count: usize,
    task: impl Fn(usize) -> Run<'s> + Sync,
    jobs: Option<usize>,
) -> Vec<Outcome> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = jobs.unwrap_or_else(cores).clamp(1, count.max(1));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let outcome = task(number).run(None);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((number, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn report(sim: &Sim, scenario: &Scenario, rows: &[Row]) -> Result<(), Problem> {
    let text = if sim.jsonl {
        summary::json_lines(&scenario.name, rows)
    } else {
        let (name, about) = (&scenario.name, &scenario.about);
        let first = rows.first().and_then(|row| row.outcomes.first());
        let requests = first.map_or(0, |outcome| outcome.requests);
        let used = first.map_or(0.0, Outcome::utilisation_mean) * 100.0;
        format!(
            "{name}: {about}\n{} backends, {} nodes, {} seeds from {}, {requests} requests a seed \
             in {} s, used {used:.1} %\n{}\n",
            scenario.backend_count(),
            scenario.nodes.count,
            scenario.seeds,
            scenario.seed,
            scenario.duration,
            summary::table(rows)
        )
    };
    let told = output::show(&text);
    told.map_err(|error| (Exit::Start, format!("cannot write: {error}")))?;
    if let Some(path) = &sim.svg {
        let text = plot::svg(&scenario.name, rows).map_err(|what| (Exit::Start, what))?;
        fs::write(path, text).map_err(|error| cannot("write", path, &error))?;
    }
    Ok(())
}
