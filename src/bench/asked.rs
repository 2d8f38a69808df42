//! What the command line asks of the generator, judged.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crate::base::limits::BUFFER_BYTES;
use crate::bench::answers::Expected;
use crate::bench::load::{Orders, Target};
use crate::cli::{BenchHttp, BenchLoad, BenchTcp};
use crate::http::Method;
use crate::routing::sources::Sources;

/// A run, ready to begin.
pub(super) struct Asked {
    /// `http` or `tcp`.
    pub(super) kind: &'static str,
    /// As it was written.
    pub(super) load: BenchLoad,
    /// What each thread is to do.
    pub(super) orders: Vec<Orders>,
}

impl Asked {
    /// HTTP requests.
    ///
    /// # Errors
    /// What is wrong with the command line.
    pub(super) fn http(http: &BenchHttp) -> Result<Asked, String> {
        let targets = http.url.iter().map(|url| {
            let (host, path) = split(url)?;
            let mut request = format!("{} {path} HTTP/1.1\r\nHost: {host}\r\n", http.method);
            for field in &http.fields {
                if !field.contains(':') || field.contains(['\r', '\n']) {
                    return Err(format!("{field:?} is no header field; write NAME: VALUE"));
                }
                request.push_str(field);
                request.push_str("\r\n");
            }
            if http.close {
                request.push_str("Connection: close\r\n");
            }
            if http.body > 0 {
                request.push_str(&format!("Content-Length: {}\r\n", http.body));
            }
            request.push_str("\r\n");
            let mut request = request.into_bytes();
            request.resize(request.len() + http.body, b'x');
            target(host, request)
        });
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        let method = match http.method.as_str() {
            "HEAD" => Method::Head,
            "CONNECT" => return Err("CONNECT has no answer that ends".to_owned()),
            _ => Method::Get,
        };
        let expected = Expected::Response(method);
        Asked::new("http", &http.load, targets, expected, http.close)
    }

    /// Bytes there and back.
    ///
    /// # Errors
    /// What is wrong with the command line.
    pub(super) fn tcp(tcp: &BenchTcp) -> Result<Asked, String> {
        if tcp.bytes == 0 {
            return Err("a message has at least one byte; --duration 0 only connects".to_owned());
        }
        let targets = tcp.address.iter();
        let targets = targets.map(|address| target(address, vec![b'x'; tcp.bytes]));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        let expected = Expected::Bytes(tcp.bytes);
        Asked::new("tcp", &tcp.load, targets, expected, tcp.close)
    }

    fn new(
        kind: &'static str,
        load: &BenchLoad,
        targets: Vec<Target>,
        expected: Expected,
        close: bool,
    ) -> Result<Asked, String> {
        judge(load)?;
        let sources = sources(&load.source)?;
        let threads = load.threads;
        let active = (load.connections as f64 * load.active / 100.0).ceil() as usize;
        let nanos = |seconds: f64| (seconds * 1e9) as u64;
        let targets: Arc<[Target]> = targets.into();
        let orders = (0..threads).map(|index| Orders {
            targets: Arc::clone(&targets),
            expected,
            close,
            connections: part(load.connections, index, threads),
            active: part(active, index, threads).min(part(load.connections, index, threads)),
            place: (index, threads),
            rate: load.rate.map(|rate| rate / threads as f64),
            duration: nanos(load.duration),
            warmup: nanos(load.warmup),
            connect_rate: load.connect_rate.map(|rate| rate / threads as f64),
            connect_burst: load.connect_burst.max(1),
            sources: sources.clone(),
            timeout: nanos(load.timeout),
        });
        Ok(Asked {
            kind,
            load: load.clone(),
            orders: orders.collect(),
        })
    }
}

fn judge(load: &BenchLoad) -> Result<(), String> {
    let positive = |rate: Option<f64>| rate.is_none_or(|rate| rate > 0.0 && rate.is_finite());
    let problem = if load.connections == 0 {
        "--connections is at least 1"
    } else if !(1..=load.connections).contains(&load.threads) {
        "--threads is at least 1 and not more than --connections"
    } else if !positive(load.rate) || !positive(load.connect_rate) {
        "a rate is more than 0"
    } else if !(load.active > 0.0 && load.active <= 100.0) {
        "--active is percent: more than 0, 100 at most"
    } else if !(0.0..=86_400.0).contains(&load.duration) {
        "--duration is at most a day"
    } else if !(0.0..=load.duration).contains(&load.warmup) {
        "--warmup is not longer than --duration"
    } else if !(0.001..=3600.0).contains(&load.timeout) {
        "--timeout is at least a millisecond and at most an hour"
    } else {
        return Ok(());
    };
    Err(problem.to_owned())
}

/// The part of the one at `index` of so many that share `whole`.
fn part(whole: usize, index: usize, of: usize) -> usize {
    whole / of + usize::from(index < whole % of)
}

/// Host (with its port) and path of a URL.
fn split(url: &str) -> Result<(&str, &str), String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("{url:?} is no URL; write http://HOST:PORT/PATH"))?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let path = if path.is_empty() { "/" } else { path };
    if path.bytes().any(|byte| byte <= b' ' || byte == 127) {
        return Err(format!("{url:?} has a blank in its path"));
    }
    Ok((host, path))
}

fn target(host: &str, request: Vec<u8>) -> Result<Target, String> {
    if request.len() > BUFFER_BYTES {
        let bytes = request.len();
        return Err(format!(
            "a request of {bytes} bytes; {BUFFER_BYTES} at most"
        ));
    }
    let with_port = match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, 80).to_string(),
        Err(_) if !host.rsplit(']').next().unwrap_or(host).contains(':') => format!("{host}:80"),
        Err(_) => host.to_owned(),
    };
    let addresses = with_port.to_socket_addrs();
    let found = addresses
        .map_err(|error| format!("{host:?}: {error}"))?
        .next();
    let address = found.ok_or_else(|| format!("{host:?} has no address"))?;
    Ok(Target { address, request })
}

fn sources(written: &[String]) -> Result<Sources, String> {
    let prefixes = written.iter().map(|text| {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, bits.parse::<u8>().ok()),
            None => (&**text, Some(128)),
        };
        let address = address.parse::<IpAddr>().ok();
        address
            .zip(bits)
            .map(|(address, bits)| {
                (
                    address,
                    if address.is_ipv4() {
                        bits.min(32)
                    } else {
                        bits
                    },
                )
            })
            .ok_or_else(|| format!("{text:?} is neither an address nor a prefix"))
    });
    let prefixes: Vec<(IpAddr, u8)> = prefixes.collect::<Result<_, String>>()?;
    Ok(Sources::of(prefixes.into_iter()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{BenchKind, Cli, Task};

    fn asked(line: &str) -> Result<Asked, String> {
        let cli = Cli::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        let Some(Task::Bench(bench)) = cli.task() else {
            return Err("no bench".to_owned());
        };
        match bench.kind {
            BenchKind::Http(http) => Asked::http(&http),
            BenchKind::Tcp(tcp) => Asked::tcp(&tcp),
            BenchKind::Serve(_) => Err("serve".to_owned()),
        }
    }

    #[test]
    fn threads_share_connections_and_rates() {
        let line = "weir bench http http://127.0.0.1:81/a -c 10 -t 4 --rate 100 --active 50";
        let asked = asked(line).unwrap();
        let each: Vec<_> = asked
            .orders
            .iter()
            .map(|it| (it.connections, it.active))
            .collect();
        assert_eq!(each, [(3, 2), (3, 1), (2, 1), (2, 1)]);
        assert!(asked.orders.iter().all(|it| it.rate == Some(25.0)));
        let target = &asked.orders[0].targets[0];
        assert_eq!(target.address, "127.0.0.1:81".parse().unwrap());
        let request = "GET /a HTTP/1.1\r\nHost: 127.0.0.1:81\r\n\r\n";
        assert_eq!(target.request, request.as_bytes());
    }

    #[test]
    fn a_port_may_be_left_out_and_a_prefix_is_all_its_addresses() {
        let asked = asked("weir bench http http://[::1] --source 127.0.1.0/24").unwrap();
        let orders = &asked.orders[0];
        assert_eq!(orders.targets[0].address, "[::1]:80".parse().unwrap());
        assert_eq!(orders.sources.count(true), 254);
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (line, words) in [
            ("weir bench http 127.0.0.1:80", "no URL"),
            ("weir bench http http://127.0.0.1:1/ -c 0", "--connections"),
            ("weir bench http http://127.0.0.1:1/ -c 1 -t 2", "--threads"),
            ("weir bench http http://127.0.0.1:1/ --rate 0", "rate"),
            ("weir bench http http://127.0.0.1:1/ --active 0", "--active"),
            (
                "weir bench http http://127.0.0.1:1/ -H nonsense",
                "header field",
            ),
            (
                "weir bench http http://127.0.0.1:1/ --body 99999",
                "at most",
            ),
            ("weir bench tcp 127.0.0.1:1 --bytes 0", "at least one byte"),
            ("weir bench tcp 127.0.0.1:1 --source nowhere", "neither"),
            ("weir bench tcp 127.0.0.1:1 -d 1 --warmup 2", "--warmup"),
        ] {
            let problem = asked(line).err().unwrap_or_default();
            assert!(problem.contains(words), "{line}: {problem:?}");
        }
    }
}
