//! One process of weir: what is started in which order, and what is said when it cannot be.
//!
//! Configuration, machine, limits, cores, links, access log, workers; then this thread becomes
//! the control thread until the end. Whatever can be refused is refused before the first socket
//! is opened, with everything that is wrong said at once. The end is ordered by the control
//! plane: workers drain, then the access log is written out, then the process leaves; a worker
//! that hangs cannot keep it, because nothing here waits for a thread without a bound.

mod logs;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::cli::{Exit, Export, Start, output};
use crate::config::checked::{LogFormat, LogLevel, Workers};
use crate::config::{self, Config};
use crate::control::core::{ControlSetup, Outcome, Ready};
use crate::control::export;
use crate::control::files;
use crate::control::listen;
use crate::control::orders::Order;
use crate::control::takeover::{self, Claim, NotTaken};
use crate::control::truth::{self, NoTruth, Truth};
use crate::data::{self, IoKind, WorkerSetup};
use crate::link::control_side::ControlEnd;
use crate::link::link;
use crate::link::survey::{Surveyor, survey};
use crate::runtime::cores::{self, Topology, Wanted};
use crate::runtime::kick::Kick;
use crate::runtime::{limits, probe};
use crate::telemetry::access_log::AccessLogSender;
use crate::telemetry::stats::CoreStats;

mod several;

pub use several::show_several;

/// Overrides the level of `[log]`: a filter as `tracing` understands it.
const LOG_VARIABLE: &str = "WEIR_LOG";

/// `epoll` selects the data plane that exists to measure what the ring is worth.
const IO_VARIABLE: &str = "WEIR_IO";

/// Called once when every core serves.
pub type OnReady = Box<dyn FnOnce(Ready)>;

/// Reads and checks a file, says all that is wrong with it, and prints what it means when asked.
#[must_use]
pub fn check(file: &Path, print: bool) -> Exit {
    let Some((_, config)) = load(file) else {
        return Exit::Config;
    };
    let mistakes = files_mistakes(&config);
    for mistake in &mistakes {
        eprintln!("error: {mistake}");
    }
    if !mistakes.is_empty() {
        return Exit::Config;
    }
    if print && let Err(error) = output::show(&config.to_toml()) {
        eprintln!("cannot write: {error}");
        return Exit::Start;
    }
    eprintln!("{}: valid", file.display());
    Exit::Ok
}

/// Prints what is in effect as a configuration file.
#[must_use]
pub fn export(export: &Export) -> Exit {
    let source = &export.source;
    let text = match (&source.config, &source.store, &source.admin) {
        (Some(file), _, _) => match load(file) {
            Some((text, config)) => export::of_file(&text, &config),
            None => return Exit::Config,
        },
        (None, Some(store), _) => export::of_store(store),
        (None, None, Some(admin)) => export::of_node(admin, export.token_file.as_deref()),
        (None, None, None) => return Exit::Usage,
    };
    match text.and_then(|text| output::show(&text)) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("weir cannot export: {error}");
            Exit::Start
        }
    }
}

/// Every mistake in the files of backends.
fn files_mistakes(config: &Config) -> Vec<String> {
    let mut mistakes = Vec::new();
    for path in config.backends_files() {
        match files::read(&path).result {
            Ok(members) => {
                let clashes = config.clashes(&path, &members);
                mistakes.extend(clashes.iter().map(ToString::to_string));
            }
            Err(found) => mistakes.extend(found),
        }
    }
    mistakes
}

/// Serves by a file until told to end, in place of another process if that is wanted.
#[must_use]
pub fn run(start: &Start) -> Exit {
    begin(&start.config, start.takeover, None)
}

/// Serves by a file until told to end, and says when it does; no other process takes over from it.
#[must_use]
pub fn show(file: &Path, on_ready: OnReady) -> Exit {
    begin(file, false, Some(on_ready))
}

fn begin(file: &Path, takeover: bool, on_ready: Option<OnReady>) -> Exit {
    let Some((text, config)) = load(file) else {
        return Exit::Config;
    };
    start_log(&config.log);
    let io = io_kind();
    if let Err(lacks) = examine(io) {
        eprintln!("weir cannot run on this machine:\n{lacks}");
        return Exit::Machine;
    }
    let cpus = match cores::choose(&Topology::read(), &wanted(&config.workers)) {
        Ok(cpus) => cpus,
        Err(error) => {
            eprintln!("weir cannot run on this machine:\n{error}");
            return Exit::Machine;
        }
    };
    let claim = match claim(&config, takeover) {
        Ok(claim) => claim,
        Err(error) => {
            eprintln!("weir takes nothing over: {error}");
            return Exit::Takeover;
        }
    };
    let before = claim.as_ref().map(Claim::epoch).unwrap_or_default();
    let truth = match establish(&text, &config, before) {
        Ok(truth) => truth,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return match error {
                NoTruth::Unusable(..) => Exit::Start,
                NoTruth::File(_) | NoTruth::Mistakes(_) | NoTruth::Strange(..) => Exit::Config,
            };
        }
    };
    raise_descriptors(&truth.config);
    let setting = Setting {
        config_path: file.to_owned(),
        claim,
        on_ready,
        orders: None,
    };
    match serve(truth, setting, &cpus, io) {
        Ok(outcome) => ended(&outcome),
        Err(error) => {
            eprintln!("weir cannot start: {error}");
            Exit::Start
        }
    }
}

/// What another process hands over, if one is to. Where nobody answers this one just starts, so
/// that a supervisor can always start it with `--takeover`; but not beside somebody who listens on
/// the same addresses and cannot be asked.
fn claim(config: &Config, takeover: bool) -> Result<Option<Claim>, NotTaken> {
    let upgrade = &config.upgrade;
    let claimed = takeover::claim(upgrade.socket.as_deref(), takeover, upgrade.timeout);
    match claimed {
        Err(NotTaken::Nobody(path, error)) => {
            let mut addresses = config.listeners.iter().map(|listener| listener.address);
            match addresses.find(|address| listen::is_shared(*address)) {
                Some(address) => Err(NotTaken::Unreachable(path, address)),
                None => {
                    tracing::info!(path = %path.display(), %error, "nobody to take over from");
                    Ok(None)
                }
            }
        }
        other => other,
    }
}

/// What the file and the store say together.
fn establish(text: &str, config: &Config, before: Epoch) -> Result<Truth, NoTruth> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| NoTruth::File(error.to_string()))?;
    runtime.block_on(truth::establish(text, config, before))
}

fn load(file: &Path) -> Option<(String, Config)> {
    let name = file.display().to_string();
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{name}: {error}");
            return None;
        }
    };
    match config::load(&text, &name) {
        Ok(config) => {
            for warning in &config.warnings {
                eprintln!("warning: {warning}");
            }
            Some((text, config))
        }
        Err(errors) => {
            for error in &errors.errors {
                eprintln!("error: {error}");
            }
            for warning in &errors.warnings {
                eprintln!("warning: {warning}");
            }
            let count = errors.errors.len();
            eprintln!("{name}: {count} error{}", if count == 1 { "" } else { "s" });
            None
        }
    }
}

fn start_log(log: &config::checked::Log) {
    let level = match log.level {
        LogLevel::Debug => "debug",
        LogLevel::Error => "error",
        LogLevel::Info => "info",
        LogLevel::Trace => "trace",
        LogLevel::Warn => "warn",
    };
    let asked = std::env::var(LOG_VARIABLE).ok();
    let parsed = asked.as_deref().map(EnvFilter::try_new);
    let refused = matches!(parsed, Some(Err(_)));
    let filter = match parsed {
        Some(Ok(filter)) => filter,
        Some(Err(_)) | None => EnvFilter::new(level),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    // A second node in one process (a test) keeps the first one's log.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    };
    if refused {
        tracing::warn!(variable = LOG_VARIABLE, "log filter not understood");
    }
}

fn io_kind() -> IoKind {
    match std::env::var(IO_VARIABLE).as_deref() {
        Ok("epoll") => {
            tracing::warn!(variable = IO_VARIABLE, "epoll is for measurements only");
            IoKind::Epoll
        }
        Ok(other) if other != "ring" => {
            tracing::warn!(variable = IO_VARIABLE, value = other, "not understood");
            IoKind::Ring
        }
        _ => IoKind::Ring,
    }
}

/// Everything the machine lacks, ready to be printed.
fn examine(io: IoKind) -> Result<(), String> {
    let facts = probe::facts();
    let lacks = probe::diagnose(&facts);
    if lacks.is_empty() {
        tracing::debug!(kernel = facts.release, memlock = facts.memlock, "machine");
        return Ok(());
    }
    let texts: Vec<String> = lacks.iter().map(|lack| format!("- {lack}")).collect();
    match io {
        IoKind::Epoll => {
            tracing::warn!(lacks = texts.join("; "), "machine");
            Ok(())
        }
        IoKind::Ring => Err(texts.join("\n")),
    }
}

fn wanted(workers: &Workers) -> Wanted {
    match workers {
        Workers::Auto => Wanted::Auto,
        Workers::Cores(cpus) => Wanted::List(cpus.clone()),
        Workers::Count(count) => Wanted::Count(*count),
    }
}

fn raise_descriptors(config: &Config) {
    let have = limits::raise_descriptors();
    let connections = config.listeners.iter();
    let connections: u64 = connections
        .map(|listener| u64::from(listener.connections_max))
        .sum();
    let need = limits::descriptors_needed(connections);
    if have < need {
        tracing::warn!(
            have,
            need,
            "fewer descriptors than connections_max may use; raise LimitNOFILE= (systemd) or \
             ulimit -n, or lower connections_max"
        );
    } else {
        tracing::info!(have, need, "descriptors");
    }
}

/// Around what is true: where it is written, and who is to know.
struct Setting {
    config_path: PathBuf,
    claim: Option<Claim>,
    on_ready: Option<OnReady>,
    /// Where orders come from, if not from signals.
    orders: Option<mpsc::Receiver<Order>>,
}

/// Starts the threads and becomes the control thread.
fn serve(truth: Truth, setting: Setting, cpus: &[usize], io: IoKind) -> io::Result<Outcome> {
    let kick = Kick::new()?;
    let logs = logs::start(&truth.config, cpus.len())?;
    let mut started = Started::default();
    let how = (io, truth.config.busy_poll);
    for ((core, cpu), sender) in (0_u16..).map(CoreId).zip(cpus).zip(logs.senders) {
        started.spawn((core, *cpu), how, (sender, logs.traces), &kick)?;
    }
    tracing::info!(workers = cpus.len(), ?cpus, "started");
    let outcome = crate::control::core::run(ControlSetup {
        truth,
        config_path: setting.config_path,
        ends: started.ends,
        kick,
        core_stats: started.stats,
        surveyors: started.surveyors,
        access_log: logs.handle,
        collecting: logs.collecting,
        claim: setting.claim,
        // A demonstration started anew would be another one.
        upgrades: setting.on_ready.is_none(),
        on_ready: setting.on_ready,
        signals: setting.orders.is_none(),
        orders: setting.orders,
    })?;
    if matches!(outcome, Outcome::Ended { .. } | Outcome::Kept(_)) {
        for worker in started.workers {
            // Each has said that it ends; joining lets it close what it holds.
            let _ = worker.join();
        }
    }
    Ok(outcome)
}

/// The workers so far, and what the control plane needs to know of them.
#[derive(Default)]
struct Started {
    workers: Vec<JoinHandle<()>>,
    ends: Vec<ControlEnd>,
    surveyors: Vec<Surveyor>,
    stats: Vec<Arc<CoreStats>>,
}

impl Started {
    fn spawn(
        &mut self,
        (core, cpu): (CoreId, usize),
        (io, busy_poll): (IoKind, Option<Duration>),
        (access_log, traces): (Option<AccessLogSender>, Option<u32>),
        kick: &Kick,
    ) -> io::Result<()> {
        let (control_end, worker_end) = link(kick)?;
        let stats = Arc::new(CoreStats::default());
        let (surveyor, survey) = survey();
        let worker = data::spawn(WorkerSetup {
            core,
            cpu: Some(cpu),
            link: worker_end,
            survey,
            access_log,
            traces,
            io,
            busy_poll,
            stats: Arc::clone(&stats),
            seed: RandomState::new().hash_one(core.0),
        })?;
        self.workers.push(worker);
        self.ends.push(control_end);
        self.surveyors.push(surveyor);
        self.stats.push(stats);
        Ok(())
    }
}

fn ended(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Ended { .. } => Exit::Ok,
        Outcome::Kept(_) => Exit::Takeover,
        Outcome::Died(_) | Outcome::Stuck(_) => Exit::Worker,
    }
}
