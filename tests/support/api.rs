//! A client of the admin API.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::message::Head;
use super::{PATIENCE, Proxy};

/// Where the API is, and what every request carries.
#[derive(Clone)]
pub struct Api {
    door: Door,
    fields: Vec<(String, String)>,
}

#[derive(Clone)]
enum Door {
    Address(SocketAddr),
    Socket(PathBuf),
}

/// One answer.
#[derive(Debug)]
pub struct Reply {
    /// Its head.
    pub head: Head,
    /// Its body as text.
    pub text: String,
}

impl Proxy {
    /// The API at its address.
    pub fn api(&self) -> Api {
        Api {
            door: Door::Address(self.admin_address()),
            fields: Vec::new(),
        }
    }
}

impl Api {
    /// The API at a unix socket.
    pub fn at_socket(path: &Path) -> Api {
        Api {
            door: Door::Socket(path.to_owned()),
            fields: Vec::new(),
        }
    }

    /// The same with a further header field.
    pub fn with(&self, name: &str, value: impl ToString) -> Api {
        let mut with = self.clone();
        with.fields.push((name.to_owned(), value.to_string()));
        with
    }

    /// Asks for a page.
    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, None)
    }

    /// Sends JSON.
    #[track_caller]
    pub fn put(&self, target: &str, body: Value) -> Reply {
        self.ask("PUT", target, Some(body.to_string()))
    }

    /// Sends JSON.
    #[track_caller]
    pub fn patch(&self, target: &str, body: Value) -> Reply {
        self.ask("PATCH", target, Some(body.to_string()))
    }

    /// Sends JSON.
    #[track_caller]
    pub fn post(&self, target: &str, body: Value) -> Reply {
        self.ask("POST", target, Some(body.to_string()))
    }

    /// Asks for something to be gone.
    #[track_caller]
    pub fn delete(&self, target: &str) -> Reply {
        self.ask("DELETE", target, None)
    }

    /// Any request.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, body: Option<String>) -> Reply {
        let asked = self.try_ask(method, target, body, PATIENCE);
        asked.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Any request of a node that may not be there, or not answer within this time.
    pub fn try_ask(
        &self,
        method: &str,
        target: &str,
        body: Option<String>,
        within: Duration,
    ) -> io::Result<Reply> {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        let has_type = self.fields.iter().any(|(name, _)| name == "Content-Type");
        if let Some(body) = &body {
            if !has_type {
                text.push_str("Content-Type: application/json\r\n");
            }
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(body.as_deref().unwrap_or(""));
        let answer = match &self.door {
            Door::Address(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(within))?;
                exchange(stream, &text)
            }
            Door::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(within))?;
                exchange(stream, &text)
            }
        };
        Reply::parse(&answer).map_err(io::Error::other)
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> Vec<u8> {
    // A refusal may come before all of a large body was taken.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

impl Reply {
    /// Reads a whole answer; one that was cut off is none.
    fn parse(answer: &[u8]) -> Result<Reply, String> {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.ok_or("no answer")? + 4);
        let head = Head::parse(head.to_vec())?;
        let told = head
            .field("content-length")
            .and_then(|text| text.parse().ok());
        if told.is_some_and(|told: usize| told != body.len()) {
            return Err(format!("{} of {told:?} bytes of an answer", body.len()));
        }
        let text = String::from_utf8(body.to_vec()).map_err(|error| error.to_string())?;
        Ok(Reply { head, text })
    }

    /// Its status.
    #[track_caller]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// Its body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts a status and gives the body.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status(), status, "{}", self.text);
        match self.text.is_empty() {
            true => Value::Null,
            false => self.json(),
        }
    }

    /// The epoch it names, in the body and as a tag.
    #[track_caller]
    pub fn epoch(&self) -> u64 {
        let epoch = self.json()["epoch"]
            .as_u64()
            .unwrap_or_else(|| panic!("{self:?}"));
        assert_eq!(self.head.field("etag"), Some(&*format!("\"{epoch}\"")));
        epoch
    }

    /// Asserts a refusal as RFC 9457 has it, and gives `object field` of each mistake.
    #[track_caller]
    pub fn refused(&self, status: u16) -> Vec<String> {
        let body = self.expect(status);
        assert_eq!(
            self.head.field("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(body["status"], status);
        assert!(
            body["detail"].is_string() && body["title"].is_string(),
            "{body}"
        );
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        let told = errors.iter().map(|error| {
            let text = |key: &str| error[key].as_str().unwrap_or("-").to_owned();
            assert!(
                !text("problem").is_empty() && !text("fix").is_empty(),
                "{error}"
            );
            format!("{} {}", text("object"), text("field"))
        });
        told.collect()
    }
}
