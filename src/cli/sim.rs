//! The words of `weir sim`.

use std::path::PathBuf;

use clap::Args;

const AFTER: &str = "\
Examples:
  weir sim config/sim/contended.toml
  weir sim config/sim/half-slow.toml --policy least_request --policy haproxy_leastconn --seeds 10
  weir sim config/sim/contended.toml --jsonl | head -1
  weir sim config/sim/small.toml --policy peak_ewma --seeds 1 --csv requests.csv
  weir sim config/sim/replay.toml --replay access.log --policy round_robin --policy peak_ewma";

/// Simulating.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER)]
pub struct Sim {
    /// Scenario files
    #[arg(required = true, value_name = "FILE")]
    pub scenario: Vec<PathBuf>,
    /// Who is compared, instead of those of the file: one of them, a policy of weir, or a model of
    /// another balancer
    #[arg(long, value_name = "NAME")]
    pub policy: Vec<String>,
    /// The first seed
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// How many seeds
    #[arg(long, value_name = "COUNT")]
    pub seeds: Option<u64>,
    /// Seconds that count
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<f64>,
    /// Runs at one time; as many as there are cores if not given
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<usize>,
    /// Write the backend of each request there
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Take arrivals, work and backends from this access log in JSON, or from this decision log,
    /// instead of imagining them
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// With --replay: which group of the log; the one with most requests if not given
    #[arg(long, value_name = "NAME", requires = "replay")]
    pub group: Option<String>,
    /// Draw the tails there, as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print lines of JSON, one a run and one a policy, instead of a table
    #[arg(long)]
    pub jsonl: bool,
}
