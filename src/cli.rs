//! The command line, and what the exit code says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod bench;
mod ctl;
pub mod output;
mod questions;
mod sim;

pub use bench::{Bench, BenchHttp, BenchKind, BenchLoad, BenchServe, BenchTcp};
pub use ctl::{
    Asking, Backend, BackendName, CTL_EXIT_CODES, Ctl, Door, Group, KeyText, KeyValue, Listener,
    Name, Node, Noun, Route, Shard, Wait,
};
pub use questions::{Explain, Field, Plan, Top, Url};
pub use sim::Sim;

/// How a process of weir ends. Scripts and service managers rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done; the configuration is valid; running exchanges were finished.
    Ok = 0,
    /// The configuration cannot be read or has mistakes; all of them are on stderr.
    Config = 1,
    /// The command line is wrong (`clap` uses this number).
    Usage = 2,
    /// The machine lacks something; what to change is on stderr.
    Machine = 3,
    /// It could not start: an address is taken, a file cannot be opened.
    Start = 4,
    /// A worker died while serving: a defect of weir.
    Worker = 5,
    /// Nothing was taken over; the weir that runs goes on.
    Takeover = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done; with -t or check: the configuration is valid
  1  the configuration cannot be read or has mistakes
  2  the command line is wrong
  3  the machine lacks something (io_uring, locked memory, CPUs)
  4  could not start (an address is in use, a file cannot be opened)
  5  a worker died
  6  nothing was taken over; the weir that runs goes on

Signals:
  HUP   read the configuration again and reopen the logs; USR1  reopen the logs
  USR2  start the program anew, which takes over without a connection lost
  TERM  finish what runs, then end (at once if told twice); INT  end at once

Environment:
  WEIR_LOG    log filter, stronger than [log] level, e.g. WEIR_LOG=weir=debug
  WEIR_ADMIN  the admin interface weir ctl asks; WEIR_TOKEN its token

weir ctl has exit codes of its own: weir ctl --help";

/// A load balancer: thread per core, io_uring, TCP and HTTP/1.1.
#[derive(Debug, Parser)]
#[command(name = "weir", version, after_help = EXIT_CODES)]
#[command(arg_required_else_help = true, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Without a command: `weir -c FILE` is `weir run -c FILE`.
    #[command(flatten)]
    pub run: Option<Run>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate load and measure what becomes of it, or answer it
    Bench(Bench),
    /// Check a configuration: prints every mistake and exits with 0 or 1
    Check(Check),
    /// Ask a node that runs, and change what it is configured by
    Ctl(Ctl),
    /// Start a few backends and a proxy before them, to look around
    Demo(Demo),
    /// What would become of a request, and why; none is sent
    Explain(Explain),
    /// Print what is in effect as a configuration file
    Export(Export),
    /// Print the manual page, or write the pages of all commands to a directory
    Man(Man),
    /// What a transaction would do; nothing is changed
    Plan(Plan),
    /// Serve traffic
    Run(Run),
    /// Watch what a node does now
    Top(Top),
    /// Try policies on an imagined fleet, in virtual time
    Sim(Sim),
}

/// Serving, or checking in the way other balancers spell it (`-t`).
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only check the configuration
    #[arg(short = 't', long = "check")]
    pub check: bool,
    /// Check the configuration and print it with every default filled in
    #[arg(short = 'T', long = "print")]
    pub print: bool,
    /// Take over from the weir that runs at [upgrade] socket: its listening sockets, its store and
    /// what it knows of backends; it then finishes what runs and ends. Where none runs this one
    /// just starts
    #[arg(long, conflicts_with_all = ["check", "print"])]
    pub takeover: bool,
}

/// Checking.
#[derive(Args, Clone, Debug)]
pub struct Check {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Print it with every default filled in
    #[arg(short = 'T', long = "print")]
    pub print: bool,
}

/// The demonstration.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Where the proxy listens; a free port of 127.0.0.1 if not given
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where its admin interface listens; a free port of 127.0.0.1 if not given
    #[arg(long, value_name = "ADDRESS", conflicts_with = "nodes")]
    pub admin: Option<SocketAddr>,
    /// Nodes that share a store and know each other, all in this process
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: Option<u8>,
}

/// Exporting: from where.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// From where
    #[command(flatten)]
    pub source: ExportSource,
    /// With --admin: a file with the token
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "store"])]
    pub token_file: Option<PathBuf>,
}

/// From where to export; one of them.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct ExportSource {
    /// This configuration file, and the store it names
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// This store, without what belongs to a process
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// The weir whose admin interface is here: an address and port, or the path of a socket
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
}

/// The manual.
#[derive(Args, Clone, Debug)]
pub struct Man {
    /// Write a page for each command there
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
}

/// What the command line asks for, its spellings resolved.
#[derive(Debug)]
pub enum Task {
    /// Generate load.
    Bench(Box<Bench>),
    /// Check this file, and print what it means if the flag says so.
    Check(Check),
    /// Ask a node.
    Ctl(Box<Ctl>),
    /// Run the demonstration.
    Demo(Demo),
    /// Explain a request.
    Explain(Box<Explain>),
    /// Print what is in effect.
    Export(Export),
    /// Print the manual.
    Man(Man),
    /// Plan a transaction.
    Plan(Box<Plan>),
    /// Serve.
    Run(Start),
    /// Watch a node.
    Top(Top),
    /// Simulate.
    Sim(Sim),
}

/// Serving: by what, and in whose place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The configuration file.
    pub config: PathBuf,
    /// Take over from the weir that runs.
    pub takeover: bool,
}

impl Cli {
    /// The task, or `None` where the command line asks for nothing.
    #[must_use]
    pub fn task(self) -> Option<Task> {
        match (self.command, self.run) {
            (Some(Command::Bench(bench)), _) => Some(Task::Bench(Box::new(bench))),
            (Some(Command::Check(check)), _) => Some(Task::Check(check)),
            (Some(Command::Ctl(ctl)), _) => Some(Task::Ctl(Box::new(ctl))),
            (Some(Command::Explain(explain)), _) => Some(Task::Explain(Box::new(explain))),
            (Some(Command::Plan(plan)), _) => Some(Task::Plan(Box::new(plan))),
            (Some(Command::Man(man)), _) => Some(Task::Man(man)),
            (Some(Command::Demo(demo)), _) => Some(Task::Demo(demo)),
            (Some(Command::Export(export)), _) => Some(Task::Export(export)),
            (Some(Command::Top(top)), _) => Some(Task::Top(top)),
            (Some(Command::Sim(sim)), _) => Some(Task::Sim(sim)),
            (Some(Command::Run(run)), _) | (None, Some(run)) => Some(match run {
                Run {
                    config,
                    check: false,
                    print: false,
                    takeover,
                } => Task::Run(Start { config, takeover }),
                Run { config, print, .. } => Task::Check(Check { config, print }),
            }),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> Option<Task> {
        Cli::try_parse_from(line.split(' ')).unwrap().task()
    }

    #[test]
    fn every_spelling_of_a_check_is_a_check() {
        for line in [
            "weir check -c f",
            "weir -t -c f",
            "weir --check -c f",
            "weir run -t -c f",
            "weir run --check --config f",
        ] {
            let task = task(line);
            assert!(
                matches!(task, Some(Task::Check(Check { print: false, .. }))),
                "{line}: {task:?}"
            );
        }
        for line in ["weir -T -c f", "weir check -T -c f", "weir run -tT -c f"] {
            let task = task(line);
            assert!(
                matches!(task, Some(Task::Check(Check { print: true, .. }))),
                "{line}: {task:?}"
            );
        }
    }

    #[test]
    fn running_is_what_is_left() {
        for (line, takeover) in [
            ("weir run -c f", false),
            ("weir -c f", false),
            ("weir run -c f --takeover", true),
        ] {
            let config = "f".into();
            let start = Start { config, takeover };
            assert!(matches!(task(line), Some(Task::Run(found)) if found == start));
        }
        assert!(matches!(task("weir demo"), Some(Task::Demo(_))));
        for line in [
            "weir export -c f",
            "weir export --store f",
            "weir export --admin /run/weir.sock --token-file t",
        ] {
            assert!(matches!(task(line), Some(Task::Export(_))), "{line}");
        }
    }

    #[test]
    fn a_wrong_line_is_refused_with_the_documented_number() {
        for line in [
            "weir run",
            "weir run -c f --nonsense",
            "weir run -t -c f --takeover",
            "weir -t",
            "weir export",
            "weir export -c f --admin 127.0.0.1:1",
            "weir export -c f --token-file t",
            "weir walk",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), Exit::Usage as i32, "{line}");
        }
    }
}
