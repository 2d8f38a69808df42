//! The five calls of the specification in the library: servers come and go, are judged from
//! outside, and one is asked for without traffic being sent.
//!
//! They are changes of backends like any other, with their epochs. The group may be left out where
//! there is only one. A verdict is kept apart from what the operator says (`state`), so that a
//! server that passes again is what it was before. Asking for a server uses the running table and
//! a cursor of its own: the cores pick as if nobody had asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::base::epoch::Epoch;
use crate::base::id::{BackendIndex, CoreId, GroupSlot};
use crate::control::change::{Conditions, Done, Refusal};
use crate::control::document::{Family, HEALTH_KEY, Mistake, ObjectPath, Op, Section, is_name};
use crate::control::handle::Handle;
use crate::routing::policy::{Ask, PickState, Tried, pick};
use crate::routing::table::Group;

/// Weight of a server that is given none.
const WEIGHT_DEFAULT: u64 = 1;

/// What remembers between two questions for a server.
pub(super) type Picks = Arc<Mutex<BTreeMap<GroupSlot, PickState>>>;

/// A server that would be sent the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub server_id: Arc<str>,
    /// Where it is.
    pub address: SocketAddr,
    /// Its group.
    pub group: Arc<str>,
    /// Of the table that was asked.
    pub epoch: Epoch,
}

/// Why there is no next server.
#[derive(Clone, Debug, PartialEq)]
pub enum NoServer {
    /// No server of this group takes traffic.
    Nobody(Arc<str>),
    /// There is no such group.
    Refused(Refusal),
}

impl Handle {
    /// Adds a server to a group. Adding one that is there already with this address and weight
    /// changes nothing.
    ///
    /// # Errors
    /// Why it was not added; [`Refusal::Exists`] when it is there with another address or weight.
    pub async fn add_server(
        &self,
        group: Option<&str>,
        server_id: &str,
        address: &str,
        weight: u16,
    ) -> Result<Done, Refusal> {
        let path = self.server_path(group, server_id)?;
        self.add_server_at(&path, address, weight, Conditions::default())
            .await
    }

    /// Removes a server from a group; what runs on it goes on.
    ///
    /// # Errors
    /// Why it was not removed.
    pub async fn remove_server(
        &self,
        group: Option<&str>,
        server_id: &str,
    ) -> Result<Done, Refusal> {
        let path = self.server_path(group, server_id)?;
        self.remove_server_at(&path, Conditions::default()).await
    }

    /// Somebody outside found a server well: it is what its operator says it is.
    ///
    /// # Errors
    /// Why that was not noted.
    pub async fn health_check_passed(
        &self,
        group: Option<&str>,
        server_id: &str,
    ) -> Result<Done, Refusal> {
        let path = self.server_path(group, server_id)?;
        self.judge_server_at(&path, true, Conditions::default())
            .await
    }

    /// Somebody outside found a server ill: it gets nothing until it passes.
    ///
    /// # Errors
    /// Why that was not noted.
    pub async fn health_check_failed(
        &self,
        group: Option<&str>,
        server_id: &str,
    ) -> Result<Done, Refusal> {
        let path = self.server_path(group, server_id)?;
        self.judge_server_at(&path, false, Conditions::default())
            .await
    }

    /// The server the running table would choose next.
    ///
    /// # Errors
    /// When there is no such group, or none of its servers takes traffic.
    pub fn get_next_server(
        &self,
        group: Option<&str>,
        key: Option<&[u8]>,
    ) -> Result<Server, NoServer> {
        let name = self.group_name(group).map_err(NoServer::Refused)?;
        let view = self.view.load_full();
        let table = view.as_ref().map(|view| &view.table);
        let group = table.and_then(|table| Some((table.epoch, table.group_named(&name)?)));
        let Some((epoch, group)) = group else {
            return Err(NoServer::Refused(Refusal::Absent(ObjectPath::Group(name))));
        };
        let mut picks = self.picks.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || PickState::new(0, CoreId(0), group.slot);
        let state = picks.entry(group.slot).or_insert_with(fresh);
        let Some(index) = next_of(group, state, key) else {
            return Err(NoServer::Nobody(name));
        };
        let backend = &group.backends[index.index()];
        Ok(Server {
            server_id: Arc::clone(&backend.id),
            address: backend.address,
            group: name,
            epoch,
        })
    }

    pub(super) async fn add_server_at(
        &self,
        path: &ObjectPath,
        address: &str,
        weight: u16,
        mut conditions: Conditions,
    ) -> Result<Done, Refusal> {
        let weight = u64::from(weight);
        let mut value = Section::from_iter([("address".to_owned(), Value::from(address))]);
        if weight != WEIGHT_DEFAULT {
            value.insert("weight".into(), weight.into());
        }
        conditions.absent.push(path.clone());
        let op = Op::Put {
            path: path.clone(),
            value,
            place: None,
        };
        let added = self.change(vec![op], conditions).await;
        if !matches!(added, Err(Refusal::Exists(_))) {
            return added;
        }
        let now = self.snapshot();
        let same = now.document.value(path).is_some_and(|value| {
            let has = value
                .get("weight")
                .map_or(Some(WEIGHT_DEFAULT), Value::as_u64);
            value.get("address").and_then(Value::as_str) == Some(address) && has == Some(weight)
        });
        match same {
            true => Ok(Done {
                before: Arc::clone(&now),
                after: now,
            }),
            false => added,
        }
    }

    pub(super) async fn remove_server_at(
        &self,
        path: &ObjectPath,
        conditions: Conditions,
    ) -> Result<Done, Refusal> {
        let op = Op::Delete { path: path.clone() };
        self.change(vec![op], conditions).await
    }

    pub(super) async fn judge_server_at(
        &self,
        path: &ObjectPath,
        passed: bool,
        conditions: Conditions,
    ) -> Result<Done, Refusal> {
        let verdict = if passed { Value::Null } else { "failed".into() };
        let op = Op::Patch {
            path: path.clone(),
            value: Section::from_iter([(HEALTH_KEY.to_owned(), verdict)]),
        };
        let judged = match conditions == Conditions::default() {
            true => self.verdicts.add(op).await,
            false => self.change(vec![op], conditions).await,
        };
        // What traffic showed before is forgiven, also where there was no verdict to take back.
        if let (Ok(_), true, ObjectPath::Backend { group, id }) = (&judged, passed, path) {
            self.health.passed(group, id);
        }
        judged
    }

    /// Where a server is found.
    pub(super) fn server_path(
        &self,
        group: Option<&str>,
        server_id: &str,
    ) -> Result<ObjectPath, Refusal> {
        if !is_name(server_id) {
            let fix = "write 1 to 64 letters, digits, '-', '_' or '.'";
            return Err(mistake("server_id", "is not an id".into(), fix));
        }
        let family = Family::Backends(self.group_name(group)?);
        Ok(family.member(server_id))
    }

    /// The group that is meant, if it is there.
    fn group_name(&self, group: Option<&str>) -> Result<Arc<str>, Refusal> {
        let snapshot = self.snapshot();
        let Some(name) = group else {
            let groups = snapshot.document.members(&Family::Groups);
            return match &*groups {
                [ObjectPath::Group(only)] => Ok(Arc::clone(only)),
                _ => {
                    let problem = format!("there are {} groups", groups.len());
                    Err(mistake("group", problem, "say which"))
                }
            };
        };
        let path = ObjectPath::Group(name.into());
        match (snapshot.document.contains(&path), path) {
            (true, ObjectPath::Group(name)) => Ok(name),
            (_, path) => Err(Refusal::Absent(path)),
        }
    }
}

/// The choice of a group's policy, made now.
fn next_of(group: &Group, state: &mut PickState, key: Option<&[u8]>) -> Option<BackendIndex> {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now_micros = u64::try_from(unix.as_micros()).unwrap_or(0);
    let ask = Ask {
        key: key.map(|key| group.place_of(key)),
        ..Ask::new(&Tried::NONE, now_micros)
    };
    pick(group, state, &ask).ok()
}

fn mistake(field: &str, problem: String, fix: &str) -> Refusal {
    Refusal::Invalid(vec![Mistake {
        object: None,
        field: field.to_owned(),
        problem,
        fix: fix.to_owned(),
    }])
}
