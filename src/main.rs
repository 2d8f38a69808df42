//! The program: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use weir::cli::{Cli, Exit, Task};
use weir::{bench, ctl, demo, node, simulate};

fn main() -> ExitCode {
    let exit = match Cli::parse().task() {
        Some(Task::Bench(bench)) => bench::run(&bench),
        Some(Task::Check(check)) => node::check(&check.config, check.print),
        Some(Task::Ctl(ctl)) => return ctl::run(&ctl).into(),
        Some(Task::Demo(demo)) => demo::run(&demo),
        Some(Task::Explain(explain)) => return ctl::explain(&explain).into(),
        Some(Task::Export(export)) => node::export(&export),
        Some(Task::Man(man)) => return ctl::man(&man).into(),
        Some(Task::Plan(plan)) => return ctl::plan(&plan).into(),
        Some(Task::Run(start)) => node::run(&start),
        Some(Task::Top(top)) => return ctl::top(&top).into(),
        Some(Task::Sim(sim)) => simulate::run(&sim),
        None => Exit::Usage,
    };
    exit.into()
}
