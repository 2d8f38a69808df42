//! The words of `weir bench`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

const AFTER: &str = "\
Examples:
  weir bench serve 127.0.0.1:9000 &                       an answer to every request
  weir bench http http://127.0.0.1:9000/ -c 64 -d 10      as many requests as it takes
  weir bench http http://127.0.0.1:9000/ -c 64 --rate 20000
                                                          so many, whatever becomes of them
  weir bench tcp 127.0.0.1:9001 -c 15000 --active 1 --rate 500 --source 127.0.1.0/24

With --rate each request has its time, and its latency counts from then on, also where it could not
be sent in time (coordinated omission). Without, each connection asks again once it was answered.";

/// Generating load, or answering it.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER)]
pub struct Bench {
    /// Which
    #[command(subcommand)]
    pub kind: BenchKind,
}

/// Generating load, or answering it.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchKind {
    /// Send HTTP/1.1 requests
    Http(BenchHttp),
    /// Send bytes and wait for as many
    Tcp(BenchTcp),
    /// Answer every request, or send all bytes back, and count them
    Serve(BenchServe),
}

/// HTTP requests.
#[derive(Args, Clone, Debug)]
pub struct BenchHttp {
    /// Where to: http://HOST[:PORT]/PATH; connections go to several in turn
    #[arg(required = true, value_name = "URL")]
    pub url: Vec<String>,
    /// The method
    #[arg(short = 'X', long, default_value = "GET", value_name = "METHOD")]
    pub method: String,
    /// A further header field
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub fields: Vec<String>,
    /// So many bytes of body
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    pub body: usize,
    /// A connection for each request
    #[arg(long)]
    pub close: bool,
    /// How
    #[command(flatten)]
    pub load: BenchLoad,
}

/// Bytes there and back.
#[derive(Args, Clone, Debug)]
pub struct BenchTcp {
    /// Where to: ADDRESS:PORT; connections go to several in turn
    #[arg(required = true, value_name = "ADDRESS")]
    pub address: Vec<String>,
    /// Bytes of a message
    #[arg(long, default_value_t = 64, value_name = "BYTES")]
    pub bytes: usize,
    /// A connection for each message
    #[arg(long)]
    pub close: bool,
    /// How
    #[command(flatten)]
    pub load: BenchLoad,
}

/// How load is generated.
#[derive(Args, Clone, Debug)]
pub struct BenchLoad {
    /// Connections, all threads together
    #[arg(short, long, default_value_t = 100, value_name = "NUMBER")]
    pub connections: usize,
    /// Threads
    #[arg(short, long, default_value_t = 1, value_name = "NUMBER")]
    pub threads: usize,
    /// CPUs the threads are pinned to, in turn; not pinned if there are none
    #[arg(long, value_delimiter = ',', value_name = "CPU")]
    pub cpus: Vec<usize>,
    /// Seconds, from when the connections are there; 0 only connects
    #[arg(short, long, default_value_t = 10.0, value_name = "SECONDS")]
    pub duration: f64,
    /// Seconds at its beginning that do not count
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    pub warmup: f64,
    /// Requests a second, all threads together: open loop
    #[arg(short, long, value_name = "NUMBER")]
    pub rate: Option<f64>,
    /// Percent of the connections that are asked on; the others are only held
    #[arg(long, default_value_t = 100.0, value_name = "PERCENT")]
    pub active: f64,
    /// Connections a second at the beginning; as fast as they come if not given
    #[arg(long, value_name = "NUMBER")]
    pub connect_rate: Option<f64>,
    /// Connections being established at one time, for each thread
    #[arg(long, default_value_t = 512, value_name = "NUMBER")]
    pub connect_burst: usize,
    /// Addresses connections come from, in turn: one or a prefix such as 127.0.1.0/24
    #[arg(long, value_name = "ADDRESS")]
    pub source: Vec<String>,
    /// Seconds after which an answer, or a connection, is not waited for any more
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub timeout: f64,
    /// Once connected say "ready" and wait for a line; once done say "done", hold all connections
    /// and wait for another
    #[arg(long)]
    pub steps: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write the JSON there, too
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Answering.
#[derive(Args, Clone, Debug)]
pub struct BenchServe {
    /// Where
    #[arg(value_name = "ADDRESS")]
    pub address: SocketAddr,
    /// Send all bytes back instead of answering requests
    #[arg(long)]
    pub echo: bool,
    /// Bytes of an answer's body
    #[arg(long, default_value_t = 2, value_name = "BYTES")]
    pub body: usize,
    /// Threads
    #[arg(short, long, default_value_t = 1, value_name = "NUMBER")]
    pub threads: usize,
    /// CPUs the threads are pinned to, in turn; not pinned if there are none
    #[arg(long, value_delimiter = ',', value_name = "CPU")]
    pub cpus: Vec<usize>,
}
