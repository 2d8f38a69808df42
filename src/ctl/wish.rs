//! From a command to what is asked of a node. Pure: files are read before.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::client::Wish;
use super::show::Shape;
use crate::cli::{
    Backend, BackendName, Ctl, Group, KeyText, KeyValue, Listener, Node, Noun, Route, Shard, Wait,
};

/// What a command asks, and what the answer is shown as; `None` for a command that asks no node.
/// `file` is what was read of the file the command names.
pub(super) fn of(ctl: &Ctl, file: Option<Value>) -> Result<Option<(Wish, Shape)>, String> {
    let (method, target, body, shape) = match &ctl.noun {
        Noun::Completion { .. } => return Ok(None),
        Noun::Apply { .. } => {
            let target = "/v1/transaction".to_owned();
            (Method::POST, target, file, Shape::Change("applied"))
        }
        Noun::Backend(verb) => backend(verb),
        Noun::Epoch => read("/v1/epoch", Shape::Epoch),
        Noun::Group(verb) => group(verb),
        Noun::Listener(Listener::List) => read("/v1/listeners", Shape::Listeners),
        Noun::Listener(Listener::Show(named)) => {
            read(&path(&["listeners", &named.name]), Shape::Object)
        }
        Noun::Node(Node::List) => read("/v1/nodes", Shape::Nodes),
        Noun::Route(verb) => route(verb),
        Noun::Rpc { name, keys } => {
            let body = call(keys)?;
            let target = format!("/v1/rpc/{name}");
            (Method::POST, target, Some(body), Shape::Call)
        }
        Noun::Shard(Shard::Abort(named)) => remove(&path(&["shards", &named.name, "handover"])),
        Noun::Shard(Shard::Handover(named)) => {
            let target = path(&["shards", &named.name, "handover"]);
            read(&target, Shape::Handover)
        }
        Noun::Shard(Shard::List) => read("/v1/shards", Shape::Shards),
        Noun::Shard(Shard::Remove(named)) => remove(&path(&["shards", &named.name])),
        Noun::Shard(Shard::Show(named)) => read(&path(&["shards", &named.name]), Shape::Object),
        Noun::Status => read("/v1/status", Shape::Status),
    };
    let changes = method != Method::GET;
    let wish = Wish {
        target: match ctl.wait.filter(|_| changes) {
            Some(Wait::Cluster) => waiting(target, "cluster"),
            Some(Wait::Node) => waiting(target, "node"),
            None => target,
        },
        method,
        body,
        if_epoch: ctl.if_epoch.filter(|_| changes),
    };
    Ok(Some((wish, shape)))
}

type Asked = (Method, String, Option<Value>, Shape);

fn backend(verb: &Backend) -> Asked {
    let at = |BackendName { group, id }: &BackendName, then: &[&str]| {
        let words = [&["groups", group, "backends", id], then].concat();
        path(&words)
    };
    match verb {
        Backend::Add {
            group,
            address,
            id,
            weight,
            keys,
        } => {
            let mut value = section(keys);
            value.insert("address".into(), address.as_str().into());
            if let Some(weight) = weight {
                value.insert("weight".into(), (*weight).into());
            }
            let id = id.as_deref().unwrap_or(address);
            write(&path(&["groups", group, "backends", id]), value, "added")
        }
        Backend::Drain { backend, timeout } => {
            let (method, target, _, shape) = post(&at(backend, &["drain"]), "drains");
            let body = timeout.as_ref().map(|timeout| json!({"timeout": timeout}));
            (method, target, body, shape)
        }
        Backend::List { group: None } => read("/v1/backends", Shape::Backends),
        Backend::List { group: Some(group) } => {
            let target = format!("/v1/backends?group={}", encoded(group));
            read(&target, Shape::Backends)
        }
        Backend::Maint(name) => post(&at(name, &["maint"]), "is in maintenance"),
        Backend::Ready(name) => post(&at(name, &["ready"]), "is ready"),
        Backend::Remove(name) => remove(&at(name, &[])),
        Backend::Show(name) => read(&at(name, &[]), Shape::Object),
        Backend::Weight { backend, weight } => {
            let value = Map::from_iter([("weight".to_owned(), Value::from(*weight))]);
            write(&at(backend, &["weight"]), value, "has its weight")
        }
    }
}

fn group(verb: &Group) -> Asked {
    match verb {
        Group::Add {
            name,
            backends,
            keys,
        } => {
            let mut value = section(keys);
            if !backends.is_empty() {
                value.insert("backends".into(), json!(backends));
            }
            write(&path(&["groups", name]), value, "added")
        }
        Group::List => read("/v1/groups", Shape::Groups),
        Group::Policy { name, policy } => {
            let value = Map::from_iter([("policy".to_owned(), policy.as_str().into())]);
            let target = path(&["groups", name, "policy"]);
            write(&target, value, "has its policy")
        }
        Group::Remove(named) => remove(&path(&["groups", &named.name])),
        Group::Show(named) => read(&path(&["groups", &named.name]), Shape::Object),
    }
}

fn route(verb: &Route) -> Asked {
    match verb {
        Route::Add {
            listener,
            name,
            keys,
            before,
            after,
        } => {
            let mut target = path(&["listeners", listener, "routes", name]);
            let places = [("before", before), ("after", after)];
            let given = places
                .into_iter()
                .find_map(|(key, place)| Some((key, place.as_ref()?)));
            if let Some((key, sibling)) = given {
                target.push_str(&format!("?{key}={}", encoded(sibling)));
            }
            write(&target, section(keys), "added")
        }
        Route::List { listener } => read(&path(&["listeners", listener, "routes"]), Shape::Routes),
        Route::Remove { listener, name } => remove(&path(&["listeners", listener, "routes", name])),
    }
}

fn read(target: &str, shape: Shape) -> Asked {
    (Method::GET, target.to_owned(), None, shape)
}

fn write(target: &str, value: Map<String, Value>, what: &'static str) -> Asked {
    let body = Some(Value::Object(value));
    (Method::PUT, target.to_owned(), body, Shape::Change(what))
}

fn post(target: &str, what: &'static str) -> Asked {
    (Method::POST, target.to_owned(), None, Shape::Change(what))
}

fn remove(target: &str) -> Asked {
    let shape = Shape::Change("removed");
    (Method::DELETE, target.to_owned(), None, shape)
}

fn section(keys: &[KeyValue]) -> Map<String, Value> {
    let pairs = keys
        .iter()
        .map(|pair| (pair.key.clone(), pair.value.clone()));
    pairs.collect()
}

/// The body of a call: everything is a text but a weight.
fn call(keys: &[KeyText]) -> Result<Value, String> {
    let pairs = keys.iter().map(|KeyText { key, text }| {
        let value = match &**key {
            "weight" => {
                let number = text.parse::<u16>();
                number
                    .map_err(|_| format!("weight={text}: write a number"))?
                    .into()
            }
            _ => Value::from(text.as_str()),
        };
        Ok((key.clone(), value))
    });
    pairs.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

fn waiting(target: String, whom: &str) -> String {
    let mark = if target.contains('?') { '&' } else { '?' };
    format!("{target}{mark}wait={whom}")
}

/// The path of an object in a URL.
fn path(words: &[&str]) -> String {
    let words = words.iter().map(|word| encoded(word));
    words.fold("/v1".to_owned(), |path, word| path + "/" + &word)
}

/// Percent-encoded but for what RFC 3986 leaves unreserved.
fn encoded(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    for byte in word.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Task};

    fn asked(line: &str) -> (String, Value, Option<u64>) {
        let line = format!("weir ctl {line}");
        let task = Cli::try_parse_from(line.split(' ')).unwrap().task();
        let Some(Task::Ctl(ctl)) = task else {
            panic!("{line}: {task:?}");
        };
        let (wish, _) = of(&ctl, Some(json!({"operations": []}))).unwrap().unwrap();
        let head = format!("{} {}", wish.method, wish.target);
        (head, wish.body.unwrap_or_default(), wish.if_epoch)
    }

    #[test]
    fn commands_become_requests() {
        let none = Value::Null;
        for (line, head, body) in [
            ("status", "GET /v1/status", none.clone()),
            ("backend list", "GET /v1/backends", none.clone()),
            (
                "backend list app",
                "GET /v1/backends?group=app",
                none.clone(),
            ),
            (
                "backend add app [::1]:9001 --weight 3 state=drain",
                "PUT /v1/groups/app/backends/%5B%3A%3A1%5D%3A9001",
                json!({"address": "[::1]:9001", "weight": 3, "state": "drain"}),
            ),
            (
                "backend add app 127.0.0.1:1 --id b1 labels=[\"x\"]",
                "PUT /v1/groups/app/backends/b1",
                json!({"address": "127.0.0.1:1", "labels": ["x"]}),
            ),
            (
                "backend drain app b1",
                "POST /v1/groups/app/backends/b1/drain",
                none.clone(),
            ),
            (
                "backend drain app b1 --timeout 10m",
                "POST /v1/groups/app/backends/b1/drain",
                json!({"timeout": "10m"}),
            ),
            (
                "backend weight app b1 0",
                "PUT /v1/groups/app/backends/b1/weight",
                json!({"weight": 0}),
            ),
            (
                "group add app --backend 127.0.0.1:1 --backend 127.0.0.1:2 retries=1",
                "PUT /v1/groups/app",
                json!({"backends": ["127.0.0.1:1", "127.0.0.1:2"], "retries": 1}),
            ),
            (
                "group policy app least_connections",
                "PUT /v1/groups/app/policy",
                json!({"policy": "least_connections"}),
            ),
            (
                "route add web api path_prefix=/api/ group=app --before rest --wait",
                "PUT /v1/listeners/web/routes/api?before=rest&wait=node",
                json!({"path_prefix": "/api/", "group": "app"}),
            ),
        ] {
            let (asked, sent, _) = asked(line);
            assert_eq!((&*asked, sent), (head, body), "{line}");
        }
    }

    #[test]
    fn so_do_those_that_are_of_no_group_or_wait() {
        let none = Value::Null;
        for (line, head, body) in [
            ("shard remove s?1", "DELETE /v1/shards/s%3F1", none.clone()),
            (
                "shard abort s",
                "DELETE /v1/shards/s/handover",
                none.clone(),
            ),
            (
                "shard handover s",
                "GET /v1/shards/s/handover",
                none.clone(),
            ),
            ("--wait shard list", "GET /v1/shards", none.clone()),
            (
                "rpc add_server server_id=7 address=127.0.0.1:1 weight=2",
                "POST /v1/rpc/add_server",
                json!({"server_id": "7", "address": "127.0.0.1:1", "weight": 2}),
            ),
            ("node list", "GET /v1/nodes", none.clone()),
            (
                "group remove a --wait=cluster",
                "DELETE /v1/groups/a?wait=cluster",
                none.clone(),
            ),
            (
                "apply f --wait",
                "POST /v1/transaction?wait=node",
                json!({"operations": []}),
            ),
        ] {
            let (asked, sent, _) = asked(line);
            assert_eq!((&*asked, sent), (head, body), "{line}");
        }
    }

    #[test]
    fn an_epoch_is_a_condition_of_changes_only() {
        assert_eq!(asked("backend ready a b --if-epoch 7").2, Some(7));
        assert_eq!(asked("--if-epoch 7 group remove a").2, Some(7));
        assert_eq!(asked("--if-epoch 7 group show a").2, None);
    }

    #[test]
    fn a_weight_of_a_call_is_a_number() {
        let keys = ["weight=heavy".parse().unwrap()];
        assert!(call(&keys).unwrap_err().contains("weight=heavy"));
    }
}
