//! The command line of what asks a node that runs: where it is, and the nouns and verbs of
//! `weir ctl`.
//!
//! A word that is part of no option and no name is a key of the configuration file, `KEY=VALUE`:
//! the command line needs no word of its own for each of them.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde_json::Value;

/// How a command that asks a node ends.
pub const CTL_EXIT_CODES: &str = "\
Exit codes:
  0  done; what was asked for is printed
  1  the node cannot be reached or refused it; why is on stderr
  2  the command line is wrong";

/// Which node is asked, and how the answer is printed.
#[derive(Args, Clone, Debug)]
pub struct Asking {
    /// The node's admin interface: an address and port, or unix:PATH of its socket
    #[arg(long, global = true, env = "WEIR_ADMIN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:9901", help_heading = "Node")]
    pub admin: Door,
    /// Its token, where it asks for one
    #[arg(long, global = true, env = "WEIR_TOKEN", hide_env_values = true)]
    #[arg(value_name = "TOKEN", help_heading = "Node")]
    pub token: Option<String>,
    /// A file with its token in the first line; stronger than --token
    #[arg(long, global = true, value_name = "FILE", help_heading = "Node")]
    pub token_file: Option<PathBuf>,
    /// Print the answer as JSON, a refusal included
    #[arg(long, global = true, help_heading = "Node")]
    pub json: bool,
}

/// Where an admin interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// An address and port, or a name and port.
    Address(String),
    /// A unix socket.
    Socket(PathBuf),
}

impl FromStr for Door {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let address = text.strip_prefix("http://").map(|rest| {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            Door::Address(rest.to_owned())
        });
        Ok(match (address, text.strip_prefix("unix:")) {
            (Some(address), _) => address,
            (None, Some(path)) => Door::Socket(path.into()),
            (None, None) if text.contains('/') => Door::Socket(text.into()),
            (None, None) => Door::Address(text.to_owned()),
        })
    }
}

/// Asking a node and changing what it is configured by.
#[derive(Args, Clone, Debug)]
#[command(after_help = CTL_EXIT_CODES, arg_required_else_help = true)]
pub struct Ctl {
    /// Which node.
    #[command(flatten)]
    pub asking: Asking,
    /// Of a change: answer only when every core of the node serves by it, or with =cluster every
    /// core of every node
    #[arg(
        long,
        global = true,
        help_heading = "Changes",
        value_name = "WHOM",
        value_enum
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "node")]
    pub wait: Option<Wait>,
    /// Change only if the node is at this epoch
    #[arg(long, global = true, value_name = "EPOCH", help_heading = "Changes")]
    pub if_epoch: Option<u64>,
    /// What it is about.
    #[command(subcommand)]
    pub noun: Noun,
}

/// Whom a change waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Every node of the cluster
    Cluster,
    /// The node that is asked
    Node,
}

/// What a command of `weir ctl` is about.
#[derive(Clone, Debug, Subcommand)]
pub enum Noun {
    /// Make several changes at once: a transaction, all of it or nothing
    Apply {
        /// JSON or TOML with a list of operations, each with op, path and value; - is stdin
        file: PathBuf,
    },
    /// Servers of a group
    #[command(subcommand)]
    Backend(Backend),
    /// Print a completion script
    Completion {
        /// For which shell
        shell: Shell,
    },
    /// The published epoch, and which core serves by which
    Epoch,
    /// Named sets of interchangeable backends
    #[command(subcommand)]
    Group(Group),
    /// Addresses the node accepts on
    #[command(subcommand)]
    Listener(Listener),
    /// Nodes of the cluster
    #[command(subcommand)]
    Node(Node),
    /// Rules from requests to groups
    #[command(subcommand)]
    Route(Route),
    /// One of the five calls: add_server, remove_server, health_check_passed,
    /// health_check_failed, get_next_server
    #[command(verbatim_doc_comment)]
    Rpc {
        /// Its name
        #[arg(value_parser = CALLS)]
        name: String,
        /// What it is about, such as server_id=a
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<KeyText>,
    },
    /// Rules from keys of requests to groups
    #[command(subcommand)]
    Shard(Shard),
    /// What the node does now
    Status,
}

/// The five calls of the specification.
const CALLS: [&str; 5] = [
    "add_server",
    "get_next_server",
    "health_check_failed",
    "health_check_passed",
    "remove_server",
];

/// What may be done with backends.
#[derive(Clone, Debug, Subcommand)]
pub enum Backend {
    /// Add one; its id is its address unless the command line gives another
    Add {
        /// Its group
        group: String,
        /// Where it is: an address or a name, and the port
        address: String,
        /// What it is known by
        #[arg(long)]
        id: Option<String>,
        /// Its share
        #[arg(long)]
        weight: Option<u16>,
        /// Further keys as in the file
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<KeyValue>,
    },
    /// Nothing new for it; what runs goes on, and clients that stick to it stay for a while
    Drain {
        /// Which
        #[command(flatten)]
        backend: BackendName,
        /// How long clients that stick to it stay, such as 10m, or none for no end; as long as
        /// its group has it when not given
        #[arg(long)]
        timeout: Option<String>,
    },
    /// All of a group, or of every group
    List {
        /// Its name
        group: Option<String>,
    },
    /// Nothing at all for it; what runs may finish
    Maint(BackendName),
    /// Everything for it again
    Ready(BackendName),
    /// Remove it; what runs on it goes on
    Remove(BackendName),
    /// One of them as its section in a file
    Show(BackendName),
    /// Change its share
    Weight {
        /// Which
        #[command(flatten)]
        backend: BackendName,
        /// Its share; 0 gets no new traffic
        weight: u16,
    },
}

/// One backend.
#[derive(Args, Clone, Debug)]
pub struct BackendName {
    /// Its group
    pub group: String,
    /// Its id
    pub id: String,
}

/// What may be done with groups.
#[derive(Clone, Debug, Subcommand)]
pub enum Group {
    /// Add one
    Add {
        /// Its name
        name: String,
        /// A backend's address; may be given several times
        #[arg(long = "backend", value_name = "ADDRESS")]
        backends: Vec<String>,
        /// Further keys as in the file
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<KeyValue>,
    },
    /// All of them
    List,
    /// Change how a backend is chosen
    Policy {
        /// Its name
        name: String,
        /// The policy
        policy: String,
    },
    /// Remove one that nothing leads to
    Remove(Name),
    /// One of them as its section in a file
    Show(Name),
}

/// What may be done with listeners.
#[derive(Clone, Debug, Subcommand)]
pub enum Listener {
    /// All of them
    List,
    /// One of them as its section in a file
    Show(Name),
}

/// What may be done with routes.
#[derive(Clone, Debug, Subcommand)]
pub enum Route {
    /// Add one; without a place it is the last
    Add {
        /// Its listener
        listener: String,
        /// Its name
        name: String,
        /// Keys as in the file, such as host=a.example.org path_prefix=/api/ group=app
        #[arg(value_name = "KEY=VALUE", required = true)]
        keys: Vec<KeyValue>,
        /// Right before this route
        #[arg(long, value_name = "ROUTE", conflicts_with = "after")]
        before: Option<String>,
        /// Right behind this route
        #[arg(long, value_name = "ROUTE")]
        after: Option<String>,
    },
    /// All of a listener in the order they are tried
    List {
        /// Its name
        listener: String,
    },
    /// Remove one
    Remove {
        /// Its listener
        listener: String,
        /// Its name
        name: String,
    },
}

/// What may be done with nodes.
#[derive(Clone, Debug, Subcommand)]
pub enum Node {
    /// All of them, as the node that is asked sees them
    List,
}

/// What may be done with shard rules.
#[derive(Clone, Debug, Subcommand)]
pub enum Shard {
    /// Give its keys back to whom they belonged before its window opened
    Abort(Name),
    /// How far it is with handing keys over
    Handover(Name),
    /// All of them
    List,
    /// Remove one that no route names
    Remove(Name),
    /// One of them as its section in a file
    Show(Name),
}

/// A name.
#[derive(Args, Clone, Debug)]
pub struct Name {
    /// Its name
    pub name: String,
}

/// A key and a value of the configuration: JSON where it is some, a text where it is not.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// A key and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyText {
    /// The key.
    pub key: String,
    /// The text.
    pub text: String,
}

impl FromStr for KeyText {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.split_once('=') {
            Some((key, text)) if !key.is_empty() => Ok(KeyText {
                key: key.to_owned(),
                text: text.to_owned(),
            }),
            _ => Err("write KEY=VALUE"),
        }
    }
}

impl FromStr for KeyValue {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let KeyText { key, text } = word.parse()?;
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(KeyValue { key, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_an_address_or_a_socket() {
        let socket = |path: &str| Door::Socket(path.into());
        let address = |text: &str| Door::Address(text.into());
        for (text, door) in [
            ("unix:/run/weir.sock", socket("/run/weir.sock")),
            ("unix:weir.sock", socket("weir.sock")),
            ("/run/weir.sock", socket("/run/weir.sock")),
            ("127.0.0.1:9901", address("127.0.0.1:9901")),
            ("[::1]:9901", address("[::1]:9901")),
            ("http://node-1:9901/", address("node-1:9901")),
        ] {
            assert_eq!(text.parse(), Ok(door), "{text}");
        }
    }

    #[test]
    fn a_value_is_json_where_it_is_some() {
        for (word, key, value) in [
            ("retries=3", "retries", Value::from(3)),
            ("host=a.example.org", "host", Value::from("a.example.org")),
            ("host=\"7\"", "host", Value::from("7")),
            ("path=/a=b", "path", Value::from("/a=b")),
            ("method=[\"GET\"]", "method", serde_json::json!(["GET"])),
            ("via=", "via", Value::from("")),
        ] {
            let key = key.to_owned();
            assert_eq!(word.parse(), Ok(KeyValue { key, value }), "{word}");
        }
        assert!("retries".parse::<KeyValue>().is_err());
        assert!("=3".parse::<KeyText>().is_err());
    }
}
