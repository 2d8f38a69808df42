//! Several objects at once: all operations or none, one epoch.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Sources;
use super::super::problem::invalid;
use super::asked::{Asked, Body};
use super::objects::tagged;
use crate::control::document::{Mistake, ObjectPath, Op, Place, Section};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transaction {
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase", tag = "op")]
enum Operation {
    Delete {
        path: String,
    },
    Patch {
        path: String,
        value: Section,
    },
    Put {
        path: String,
        value: Section,
        before: Option<String>,
        after: Option<String>,
    },
}

pub(super) async fn run(
    State(sources): State<Arc<Sources>>,
    asked: Asked,
    Body(body): Body,
) -> Response {
    let ops = match read(body) {
        Ok(ops) => ops,
        Err(mistake) => return invalid(StatusCode::UNPROCESSABLE_ENTITY, &[mistake]),
    };
    let paths = paths(&ops);
    let conditions = asked.conditions(&paths);
    match asked.change(&sources, ops, conditions).await {
        Ok(done) => {
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            tagged(StatusCode::OK, done.after.epoch, json!({"paths": paths}))
        }
        Err(refusal) => refusal,
    }
}

/// The objects that operations are about.
pub(super) fn paths(ops: &[Op]) -> Vec<ObjectPath> {
    let paths = ops.iter().map(|op| match op {
        Op::Delete { path }
        | Op::Patch { path, .. }
        | Op::Put { path, .. }
        | Op::TakeBack { path } => path.clone(),
    });
    paths.collect()
}

pub(super) fn read(body: Section) -> Result<Vec<Op>, Mistake> {
    let wrong = |field: String, problem: String| Mistake {
        object: None,
        field,
        problem,
        fix:
            "write {\"operations\": [{\"op\": \"put\", \"path\": \"groups/app\", \"value\": {}}]} \
              with op put, patch or delete"
                .to_owned(),
    };
    let transaction: Transaction = serde_json::from_value(Value::Object(body))
        .map_err(|error| wrong("operations".into(), error.to_string()))?;
    if transaction.operations.is_empty() {
        return Err(wrong("operations".into(), "is empty".into()));
    }
    let operations = transaction.operations.into_iter().enumerate();
    let ops = operations.map(|(index, operation)| {
        let at = |key: &str| format!("operations[#{}].{key}", index + 1);
        let read = |path: String| {
            let found = path.parse::<ObjectPath>();
            found.map_err(|error| wrong(at("path"), format!("{path:?} is {error}")))
        };
        Ok(match operation {
            Operation::Delete { path } => Op::Delete { path: read(path)? },
            Operation::Patch { path, value } => Op::Patch {
                path: read(path)?,
                value,
            },
            Operation::Put {
                path,
                value,
                before,
                after,
            } => Op::Put {
                path: read(path)?,
                value,
                place: match (before, after) {
                    (Some(_), Some(_)) => {
                        return Err(wrong(at("before"), "goes not with after".into()));
                    }
                    (Some(name), None) => Some(Place::Before(name.into())),
                    (None, Some(name)) => Some(Place::After(name.into())),
                    (None, None) => None,
                },
            },
        })
    });
    ops.collect()
}
