//! Asks one question: /etc/hosts first, then DNS servers, or the system's resolver for all of it.
//!
//! The addresses of a host come by two questions, A and AAAA. That there are none is an answer;
//! that a server fails is not, and then the addresses of that family known before stay, so that
//! half an answer never takes the other half away. The same holds for the targets of a service.
//! Both are asked for one candidate of the search list before the next, as `getaddrinfo` does:
//! apart, they could find two different hosts.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::system::{self, Stamp, System};
use super::{Answer, Found, LOOKUP_TIMEOUT, LOOKUPS_MAX, Question};
use crate::config::checked::{Dns, DnsResolver};
use crate::engine::facts::{Resolved, Target};
use crate::engine::planner::ADDRESSES_MAX;

/// Who answers questions; clones are the same one.
#[derive(Clone)]
pub struct Asker(Arc<Inner>);

struct Inner {
    dns: Dns,
    system: Mutex<Option<(Stamp, Arc<System>)>>,
}

/// How long one family or one list of records may take; less than a lookup, so that a server that
/// never answers for AAAA does not make the A it answered late.
const QUERY_TIMEOUT: Duration = Duration::from_secs(4);

/// Addresses, or none, with how long that holds.
type Addresses = (Vec<IpAddr>, Option<Duration>);

impl Asker {
    /// Asks in this way.
    #[must_use]
    pub fn new(dns: &Dns) -> Self {
        Asker(Arc::new(Inner {
            dns: dns.clone(),
            system: Mutex::default(),
        }))
    }

    /// Asks `question`, of which `known` may know something already.
    pub fn ask(
        &self,
        question: &Question,
        known: &Resolved,
    ) -> impl Future<Output = Result<Answer, String>> + Send + use<> {
        let (inner, question) = (Arc::clone(&self.0), question.clone());
        let before = match &question {
            Question::Host(host, port) => Found::Addresses(known.addresses(host, *port).to_vec()),
            Question::Service(name) => Found::Targets(known.service(name).to_vec()),
        };
        async move {
            let asking = async {
                match (&question, before) {
                    (Question::Host(host, port), Found::Addresses(before)) => {
                        inner.host(host, *port, before).await
                    }
                    (Question::Service(name), Found::Targets(before)) => {
                        inner.service(name, &before).await
                    }
                    _ => Err("not what was asked for".to_owned()),
                }
            };
            match timeout(LOOKUP_TIMEOUT, asking).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())),
            }
        }
    }
}

impl Inner {
    async fn host(&self, host: &str, port: u16, before: Vec<SocketAddr>) -> Result<Answer, String> {
        let (mut addresses, ttl) = match self.dns.resolver {
            DnsResolver::Dns => {
                let (found, ttl) = self.addresses(host, &before).await?;
                let found = found.into_iter().map(|ip| SocketAddr::new(ip, port));
                (found.collect::<Vec<_>>(), ttl)
            }
            DnsResolver::System => {
                let found = lookup_host((host, port)).await;
                (found.map_err(|error| error.to_string())?.collect(), None)
            }
        };
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err("no address".into());
        }
        Ok(Answer {
            found: Found::Addresses(addresses),
            ttl,
        })
    }

    /// The addresses of a host; none when nobody knows of any.
    async fn addresses(&self, host: &str, before: &[SocketAddr]) -> Result<Addresses, String> {
        let system = self.system()?;
        let name = Name::from_str_relaxed(host).map_err(|error| error.to_string())?;
        if let Some(addresses) = by_hosts(&system, &name) {
            return Ok((addresses, None));
        }
        let mut failed = None;
        for candidate in system.candidates(&name) {
            match families(&system, candidate, before).await {
                Ok((found, _)) if found.is_empty() => {}
                Ok(found) => return Ok(found),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or_else(|| Ok((Vec::new(), None)), Err)
    }

    async fn service(&self, name: &str, before: &[Target]) -> Result<Answer, String> {
        let system = self.system()?;
        let asked = Name::from_str_relaxed(name).map_err(|error| error.to_string())?;
        let lookup = records_of(&system, &asked).await?;
        let mut ttl = Some(holds(&lookup));
        let mut targets = targets_of(&lookup);
        if targets.is_empty() {
            return Err("no SRV record with a target".into());
        }
        for target in &mut targets {
            let same = |old: &&Target| (&old.host, old.port) == (&target.host, target.port);
            let old = before.iter().find(same);
            target.addresses = old.map(|old| old.addresses.clone()).unwrap_or_default();
        }
        for (index, found) in self.hosts_of(&targets).await {
            match found {
                Ok(Answer {
                    found: Found::Addresses(addresses),
                    ttl: of_target,
                }) => {
                    targets[index].addresses = addresses;
                    ttl = shorter(ttl, of_target);
                }
                Ok(_) => {}
                Err(error) => {
                    let target = &*targets[index].host;
                    tracing::warn!(service = name, target, error, "target not resolved");
                }
            }
        }
        Ok(Answer {
            found: Found::Targets(targets),
            ttl,
        })
    }

    /// The addresses of every target, asked for beside each other.
    async fn hosts_of(&self, targets: &[Target]) -> Vec<(usize, Result<Answer, String>)> {
        let mut answers = Vec::new();
        let mut waiting = targets.iter().enumerate();
        let mut running = JoinSet::new();
        loop {
            while running.len() < LOOKUPS_MAX
                && let Some((index, target)) = waiting.next()
            {
                let inner = self.beside();
                let target = target.clone();
                running.spawn(async move {
                    let host = format!("{}.", target.host);
                    let asking = inner.host(&host, target.port, target.addresses);
                    (index, asking.await)
                });
            }
            match running.join_next().await {
                Some(Ok(answer)) => answers.push(answer),
                Some(Err(error)) => tracing::error!(%error, "lookup ended early"),
                None => return answers,
            }
        }
    }

    /// The same, for a task of its own.
    fn beside(&self) -> Inner {
        let system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        Inner {
            dns: self.dns.clone(),
            system: Mutex::new(system.clone()),
        }
    }

    /// What resolving goes by now.
    fn system(&self) -> Result<Arc<System>, String> {
        let mut present = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = system::stamp();
        if let Some((then, system)) = &*present
            && *then == stamp
        {
            return Ok(Arc::clone(system));
        }
        let system = system::read(&self.dns.servers).map_err(|error| error.to_string())?;
        let system = Arc::new(system);
        *present = Some((stamp, Arc::clone(&system)));
        Ok(system)
    }
}

/// The addresses in /etc/hosts, if the name is there: then nobody else is asked.
fn by_hosts(system: &System, name: &Name) -> Option<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        let query = Query::query(name.clone(), kind);
        if let Some(lookup) = system.hosts.lookup_static_host(&query) {
            addresses.extend(ips(&lookup));
        }
    }
    (!addresses.is_empty()).then_some(addresses)
}

/// The addresses of a host by its two questions.
async fn families(system: &System, name: Name, before: &[SocketAddr]) -> Result<Addresses, String> {
    let (v4, v6) = tokio::join!(
        by_dns(system, name.clone(), RecordType::A),
        by_dns(system, name, RecordType::AAAA)
    );
    let (v4, v6) = match (v4, v6) {
        (Err(error), Err(_)) => return Err(error),
        (Ok((found, _)), Err(error)) | (Err(error), Ok((found, _))) if found.is_empty() => {
            return Err(error);
        }
        answers => answers,
    };
    let kept = |v4: bool| {
        let before = before.iter().map(SocketAddr::ip);
        let kept = before.filter(|ip| ip.is_ipv4() == v4).collect::<Vec<_>>();
        (kept, None)
    };
    let (mut found, ttl) = v4.unwrap_or_else(|_| kept(true));
    let (more, more_ttl) = v6.unwrap_or_else(|_| kept(false));
    found.extend(more);
    Ok((found, shorter(ttl, more_ttl)))
}

/// The addresses of one family; none when the servers say that there are none.
async fn by_dns(system: &System, name: Name, kind: RecordType) -> Result<Addresses, String> {
    match query(system, name, kind).await {
        Ok(lookup) => Ok((ips(&lookup).collect(), Some(holds(&lookup)))),
        Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NoError | ResponseCode::NXDomain,
            ..
        }))) => Ok((Vec::new(), None)),
        Err(error) => Err(error.to_string()),
    }
}

/// The SRV records of the first candidate that has some, or what the last one without said.
async fn records_of(system: &System, name: &Name) -> Result<Lookup, String> {
    let mut failed = String::new();
    for candidate in system.candidates(name) {
        match query(system, candidate, RecordType::SRV).await {
            Ok(lookup) => return Ok(lookup),
            Err(error) => failed = error.to_string(),
        }
    }
    Err(failed)
}

async fn query(system: &System, name: Name, kind: RecordType) -> Result<Lookup, NetError> {
    let asking = timeout(QUERY_TIMEOUT, system.resolver.lookup(name, kind));
    asking.await.unwrap_or(Err(NetError::Timeout))
}

fn ips(lookup: &Lookup) -> impl Iterator<Item = IpAddr> {
    let records = lookup.answers().iter();
    records.filter_map(|record| record.data.ip_addr())
}

fn targets_of(lookup: &Lookup) -> Vec<Target> {
    let mut targets = Vec::new();
    for record in lookup.answers() {
        // A target that is the root says that there is no such service.
        if let RData::SRV(srv) = &record.data
            && !srv.target.is_root()
            && srv.port != 0
        {
            let host = srv.target.to_ascii().to_ascii_lowercase();
            targets.push(Target {
                host: host.trim_end_matches('.').into(),
                port: srv.port,
                priority: srv.priority,
                weight: srv.weight,
                addresses: Vec::new(),
            });
        }
    }
    let order = |target: &Target| {
        let Target {
            host,
            port,
            priority,
            weight,
            ..
        } = target;
        (*priority, Arc::clone(host), *port, *weight)
    };
    targets.sort_by_key(order);
    targets.dedup_by_key(|target| (target.priority, Arc::clone(&target.host), target.port));
    targets.truncate(ADDRESSES_MAX);
    targets
}

/// How long an answer holds from now on.
fn holds(lookup: &Lookup) -> Duration {
    lookup
        .valid_until()
        .saturating_duration_since(Instant::now())
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
