//! The command line of what asks a node what would be: a change that is not made, a request that
//! is not sent; and of what asks it again and again what is.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::{Asking, CTL_EXIT_CODES};

/// What a change would do.
#[derive(Args, Clone, Debug)]
#[command(after_help = CTL_EXIT_CODES)]
pub struct Plan {
    /// Which node.
    #[command(flatten)]
    pub asking: Asking,
    /// JSON or TOML with a list of operations, as for ctl apply; - is stdin
    pub file: PathBuf,
    /// Keys that are tried where shares are sampled
    #[arg(long, value_name = "NUMBER", default_value_t = crate::engine::compare::KEYS_DEFAULT)]
    pub keys: u32,
    /// Answer only if the node is at this epoch
    #[arg(long, value_name = "EPOCH")]
    pub if_epoch: Option<u64>,
}

/// What a node does now.
#[derive(Args, Clone, Debug)]
#[command(after_help = CTL_EXIT_CODES)]
pub struct Top {
    /// Which node.
    #[command(flatten)]
    pub asking: Asking,
    /// Milliseconds from one look to the next
    #[arg(short, long = "interval", value_name = "MS", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(100..=60_000))]
    pub interval_ms: u32,
}

/// What becomes of a request.
#[derive(Args, Clone, Debug)]
#[command(after_help = CTL_EXIT_CODES)]
pub struct Explain {
    /// Which node.
    #[command(flatten)]
    pub asking: Asking,
    /// http://HOST/PATH, or only /PATH
    #[arg(default_value = "/", value_name = "URL")]
    pub url: Url,
    /// On which listener; may be left out where there is only one
    #[arg(short, long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Its method
    #[arg(short = 'X', long, default_value = "GET", value_name = "METHOD")]
    pub method: String,
    /// A header field; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<Field>,
    /// A cookie; may be given several times
    #[arg(short = 'b', long = "cookie", value_name = "NAME=VALUE")]
    pub cookies: Vec<super::KeyText>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    pub client: Option<IpAddr>,
    /// Its body; @FILE takes it from a file
    #[arg(short = 'd', long = "body", value_name = "TEXT")]
    pub body: Option<String>,
    /// The name in a TLS hello, on a tcp listener
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
}

/// Host and path of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The host; empty where none is named.
    pub host: String,
    /// Path and query.
    pub path: String,
}

impl FromStr for Url {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix("http://") else {
            let url = Url {
                host: String::new(),
                path: text.to_owned(),
            };
            return match text.starts_with('/') {
                true => Ok(url),
                false => Err("write http://HOST/PATH or /PATH"),
            };
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Url {
            host: host.to_owned(),
            path: format!("{slash}{path}"),
        })
    }
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Field {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() => Ok(Field {
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
            }),
            _ => Err("write NAME: VALUE"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_host_or_none() {
        for (text, host, path) in [
            ("/", "", "/"),
            ("/a?b=c", "", "/a?b=c"),
            ("http://h", "h", "/"),
            ("http://h:8080/a/b?c#d", "h:8080", "/a/b?c#d"),
            ("http://h?x=1", "h", "/?x=1"),
        ] {
            let url = Url {
                host: host.to_owned(),
                path: path.to_owned(),
            };
            assert_eq!(text.parse(), Ok(url), "{text}");
        }
        assert!("h/a".parse::<Url>().is_err());
    }

    #[test]
    fn a_field_is_split_at_its_first_colon() {
        let field: Field = "X-Tenant: a:b ".parse().unwrap();
        assert_eq!((&*field.name, &*field.value), ("X-Tenant", "a:b"));
        assert!("x-tenant".parse::<Field>().is_err());
    }
}
