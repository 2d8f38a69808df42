//! Addresses: where weir listens (an IP address and port) and where backends are (that, or a
//! host name and port).

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use super::super::checked::BackendAddress;
use super::super::problem::{At, Problems};
use super::super::reader::Written;
use super::names::host_name;

/// The address of a listener or of the admin interface.
pub(super) fn listen(written: &Written<String>, problems: &mut Problems<'_>) -> Option<SocketAddr> {
    let text = &written.value;
    let Ok(address) = SocketAddr::from_str(text) else {
        let what = format!("{text:?} is not an IP address and port");
        problems.error(&written.at, what, listen_fix(text));
        return None;
    };
    if address.port() == 0 {
        problems.error(
            &written.at,
            "port 0 cannot be listened on",
            "write a port from 1 to 65535",
        );
        return None;
    }
    Some(address)
}

/// Where a backend is.
pub(super) fn backend(
    written: &Written<String>,
    problems: &mut Problems<'_>,
) -> Option<BackendAddress> {
    backend_address(&written.value)
        .map_err(|(what, fix)| {
            problems.error(&written.at, format!("{:?} {what}", written.value), fix);
        })
        .ok()
}

/// The name of the SRV records a backend is found by. They need not begin with underscores: Consul
/// answers for plain names.
pub(super) fn service(
    written: &Written<String>,
    problems: &mut Problems<'_>,
) -> Option<BackendAddress> {
    match host_name(&written.value) {
        Ok(name) => {
            let dot = if written.value.ends_with('.') {
                "."
            } else {
                ""
            };
            Some(BackendAddress::Service(Arc::from(format!("{name}{dot}"))))
        }
        Err(what) => {
            let fix = "write a name without a port, such as \"_http._tcp.example.org\"";
            problems.error(&written.at, format!("{:?} {what}", written.value), fix);
            None
        }
    }
}

/// Addresses in use so far, to find two that want the same packets.
#[derive(Default)]
pub(super) struct Listening {
    seen: Vec<(SocketAddr, At)>,
}

impl Listening {
    pub(super) fn add(&mut self, address: SocketAddr, at: &At, problems: &mut Problems<'_>) {
        if let Some((other, first)) = self.seen.iter().find(|(other, _)| overlap(*other, address)) {
            let line = problems.line(first);
            let what = if *other == address {
                format!("{address} is already listened on, by line {line}")
            } else {
                format!("{address} overlaps with {other} of line {line}")
            };
            problems.error(at, what, "use another port, or one listener for both");
        }
        self.seen.push((address, at.clone()));
    }
}

/// Whether a packet could belong to both. IPv6 sockets are IPv6 only, so `[::]` and `0.0.0.0`
/// are two.
fn overlap(left: SocketAddr, right: SocketAddr) -> bool {
    let (a, b) = (left.ip().to_canonical(), right.ip().to_canonical());
    let any = a.is_unspecified() || b.is_unspecified();
    left.port() == right.port() && (a == b || (any && a.is_ipv4() == b.is_ipv4()))
}

fn listen_fix(text: &str) -> String {
    let port = text.rsplit(':').next().unwrap_or(text);
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    if let (Ok(ip), true) = (IpAddr::from_str(text), text.contains(['.', ':'])) {
        return format!("add the port: \"{}\"", SocketAddr::new(ip, 80));
    }
    match (port, text.strip_suffix(':').is_none()) {
        (Some(port), true) if text.starts_with("localhost") => {
            format!("write \"127.0.0.1:{port}\" or \"[::1]:{port}\"")
        }
        (Some(port), true) => format!("write \"0.0.0.0:{port}\" or \"[::]:{port}\""),
        _ => "write it like \"0.0.0.0:80\" or \"[::]:80\"".to_owned(),
    }
}

fn backend_address(text: &str) -> Result<BackendAddress, (String, String)> {
    const EXAMPLES: &str =
        "write it like \"127.0.0.1:9001\", \"[::1]:9001\" or \"app.internal:80\"";
    let refuse = |what: &str, fix: String| Err((what.to_owned(), fix));
    if let Ok(address) = SocketAddr::from_str(text) {
        if address.port() == 0 {
            return refuse("has port 0", "write a port from 1 to 65535".to_owned());
        }
        if address.ip().is_unspecified() {
            let fix = format!(
                "write \"127.0.0.1:{}\" if it is this machine",
                address.port()
            );
            return refuse("is no address one can connect to", fix);
        }
        return Ok(BackendAddress::Socket(address));
    }
    if let Ok(ip) = IpAddr::from_str(text) {
        let fix = format!("add the port: \"{}\"", SocketAddr::new(ip, 80));
        return refuse("has no port", fix);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let authority = rest.split('/').next().unwrap_or(rest);
        let port = match (authority.contains(':'), scheme) {
            (true, _) => "",
            (false, "https") => ":443",
            (false, _) => ":80",
        };
        return refuse("is a URL", format!("write \"{authority}{port}\""));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return refuse(
            "has no port",
            match host_name(text) {
                Ok(_) => format!("add the port: \"{text}:80\""),
                Err(_) => EXAMPLES.to_owned(),
            },
        );
    };
    if host.contains([':', '[', ']']) {
        return refuse("is not an address", EXAMPLES.to_owned());
    }
    let all_digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 && all_digits => port,
        _ => {
            return refuse(
                "has no valid port",
                "write a port from 1 to 65535".to_owned(),
            );
        }
    };
    match host_name(host) {
        Ok(name) => {
            // A final dot keeps the resolver from trying search domains, so it stays.
            let dot = if host.ends_with('.') { "." } else { "" };
            Ok(BackendAddress::Name {
                host: Arc::from(format!("{name}{dot}")),
                port,
            })
        }
        Err(what) => Err((what, EXAMPLES.to_owned())),
    }
}
