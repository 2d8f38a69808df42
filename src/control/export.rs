//! What is in effect as a configuration file: of a file with its store, of a store, of a node
//! that runs.
//!
//! A store that a node has open cannot be read beside it; the node is asked instead.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::control::document::{Document, Section, Split, split, to_toml};
use crate::control::store::{Embedded, StoreError};

/// The longest a node may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What a file that was found valid, and the store it names, say together.
///
/// # Errors
/// When the store cannot be read.
pub fn of_file(text: &str, config: &Config) -> io::Result<String> {
    let Split { process, document } = split(text).map_err(io::Error::other)?;
    let stored = match &config.store {
        Some(store) if store.path.exists() => Some(stored(&store.path)?),
        _ => None,
    };
    let document = stored
        .filter(|stored| !stored.is_empty())
        .unwrap_or(document);
    Ok(to_toml(&process, &document))
}

/// What a store holds.
///
/// # Errors
/// When it cannot be read.
pub fn of_store(path: &Path) -> io::Result<String> {
    // Opening would make it.
    fs::metadata(path).map_err(|error| told(path, &error))?;
    Ok(to_toml(&Section::new(), &stored(path)?))
}

fn stored(path: &Path) -> io::Result<Document> {
    let store = Embedded::open(path).map_err(|error| match error {
        StoreError::Busy => told(path, &"a weir that runs has it open; ask it with --admin"),
        other => told(path, &other),
    })?;
    let content = store.read_all().map_err(|error| told(path, &error))?;
    let records = content
        .records
        .iter()
        .map(|(key, record)| (&**key, &**record));
    Document::from_records(records).map_err(|error| told(path, &error))
}

fn told(path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

/// What a node has in effect, by its admin interface: an address and port, or the path of its
/// socket.
///
/// # Errors
/// When it cannot be reached or refuses.
pub fn of_node(admin: &str, token_file: Option<&Path>) -> io::Result<String> {
    let token = match token_file {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| told(path, &error))?;
            let line = text.lines().next().unwrap_or("").trim();
            format!("Authorization: Bearer {line}\r\n")
        }
        None => String::new(),
    };
    let request = format!("GET /v1/export HTTP/1.0\r\nHost: weir\r\n{token}\r\n");
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{admin}: {error}"));
    let answer = match admin.contains('/') {
        true => UnixStream::connect(admin).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            ask(stream, &request)
        }),
        false => connect(admin).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            ask(stream, &request)
        }),
    };
    let answer = answer.map_err(named)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or("");
    match status {
        "200" => Ok(body.to_owned()),
        "401" => Err(io::Error::other(format!(
            "{admin}: it asks for a token: --token-file"
        ))),
        _ => Err(io::Error::other(format!("{admin}: answered {status:?}"))),
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let addresses = address.to_socket_addrs()?;
    let mut last = io::Error::other("no such address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask(mut stream: impl Read + Write, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
