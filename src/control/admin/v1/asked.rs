//! What a request asks for beside its body: which object, under which conditions, and whether to
//! wait. And its body, if it is one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{HttpBody as _, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::super::Sources;
use super::super::problem::{problem, refused};
use super::waiting;
use crate::base::epoch::Epoch;
use crate::base::limits::ADMIN_BODY_BYTES_MAX;
use crate::control::change::{Conditions, Done, Refusal};
use crate::control::document::{Family, ObjectPath, Op, Place, Section, is_name};

/// How long `?wait=node` waits unless it says otherwise.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// The longest it may ask for.
const WAIT_SECONDS_MAX: u64 = 300;

/// The object a path names.
pub(super) struct At(pub(super) ObjectPath);

/// The members a path names.
pub(super) struct Members(pub(super) Family);

/// Conditions and waiting.
pub(super) struct Asked {
    matching: Matching,
    /// For whom to wait, and how long.
    wait: Option<(Whom, Duration)>,
    /// Where among its siblings.
    pub(super) place: Option<Place>,
}

/// Who is to serve by a change before it is answered.
#[derive(Clone, Copy, PartialEq)]
enum Whom {
    /// Every core of every node.
    Cluster,
    /// Every core of this node.
    Node,
}

enum Matching {
    Any,
    Anything,
    Epochs(Vec<Epoch>),
    Nothing,
}

/// A body that is a JSON object.
pub(super) struct Body(pub(super) Section);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    wait: Option<String>,
    timeout: Option<u64>,
    before: Option<String>,
    after: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for At {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let params = names(parts, state).await?;
        let part = |key: &str| {
            params
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| &**value)
        };
        let family = match (part("group"), part("listener"), part("shard")) {
            (Some(group), _, _) if part("backend").is_some() => Family::Backends(group.into()),
            (Some(_), _, _) => Family::Groups,
            (_, Some(listener), _) if part("route").is_some() => Family::Routes(listener.into()),
            (_, Some(_), _) => Family::Listeners,
            (_, _, Some(_)) => Family::Shards,
            (None, None, None) => Family::Settings,
        };
        let last = params.last().map_or("", |(_, value)| value);
        Ok(At(family.member(last)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Members {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let params = names(parts, state).await?;
        let of = params.first().map_or("", |(_, value)| value);
        Ok(Members(match parts.uri.path().rsplit('/').next() {
            Some("backends") => Family::Backends(of.into()),
            Some("groups") => Family::Groups,
            Some("routes") => Family::Routes(of.into()),
            Some("shards") => Family::Shards,
            _ => Family::Listeners,
        }))
    }
}

/// The names in a path, percent-decoded.
async fn names<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<Vec<(String, String)>, Response> {
    let absent = |_| problem(StatusCode::NOT_FOUND, "a name in the path is not one");
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(absent)?;
    let params = params
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let params: Vec<_> = params.collect();
    match params.iter().all(|(_, value)| is_name(value)) {
        true => Ok(params),
        false => Err(problem(
            StatusCode::NOT_FOUND,
            "a name in the path is not one",
        )),
    }
}

impl FromRequestParts<Arc<Sources>> for Asked {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        sources: &Arc<Sources>,
    ) -> Result<Self, Response> {
        let bad = |detail: &str| problem(StatusCode::BAD_REQUEST, detail);
        let Query(parameters) = Query::<Parameters>::try_from_uri(&parts.uri)
            .map_err(|error| bad(&format!("query: {}", error.body_text())))?;
        let seconds = parameters.timeout;
        if seconds.is_some_and(|seconds| !(1..=WAIT_SECONDS_MAX).contains(&seconds)) {
            return Err(bad(&format!(
                "query: timeout: 1 to {WAIT_SECONDS_MAX} seconds"
            )));
        }
        let whom = match parameters.wait.as_deref() {
            None => None,
            Some("cluster") if sources.cluster.is_some() => Some(Whom::Cluster),
            Some("cluster") => {
                return Err(bad(
                    "query: wait: this node has no [cluster] and knows no others",
                ));
            }
            Some("node") => Some(Whom::Node),
            Some(_) => return Err(bad("query: wait: write \"node\" or \"cluster\"")),
        };
        let time = seconds.map_or(WAIT_DEFAULT, Duration::from_secs);
        let place = match (parameters.before, parameters.after) {
            (Some(_), Some(_)) => return Err(bad("query: before or after, not both")),
            (Some(name), None) => Some(Place::Before(name.into())),
            (None, Some(name)) => Some(Place::After(name.into())),
            (None, None) => None,
        };
        let matching = matching(&parts.headers).map_err(|detail| bad(&detail))?;
        Ok(Asked {
            matching,
            wait: whom.map(|whom| (whom, time)),
            place,
        })
    }
}

fn matching(headers: &HeaderMap) -> Result<Matching, String> {
    let of = |name: HeaderName| {
        let values: Vec<&[u8]> = headers
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        (!values.is_empty()).then(|| values.join(&b","[..]))
    };
    match (of(header::IF_MATCH), of(header::IF_NONE_MATCH)) {
        (Some(_), Some(_)) => Err("If-Match or If-None-Match, not both".into()),
        (None, None) => Ok(Matching::Any),
        (None, Some(value)) if value == b"*" => Ok(Matching::Nothing),
        (None, Some(_)) => Err("If-None-Match takes only *".into()),
        (Some(value), None) if value == b"*" => Ok(Matching::Anything),
        (Some(value), None) => {
            let text = String::from_utf8_lossy(&value);
            let epochs: Option<Vec<Epoch>> = text.split(',').map(read_epoch).collect();
            let told = || format!("If-Match: {text:?} is no list of epochs such as \"12\"");
            epochs.map(Matching::Epochs).ok_or_else(told)
        }
    }
}

/// `"12"`, or 12 as people write it.
fn read_epoch(text: &str) -> Option<Epoch> {
    let text = text.trim();
    let inside = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let digits = inside.unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(Epoch::of)).flatten()
}

impl Asked {
    /// The conditions, as they are for these objects.
    pub(super) fn conditions(&self, paths: &[ObjectPath]) -> Conditions {
        let mut conditions = Conditions::default();
        match &self.matching {
            Matching::Any => {}
            Matching::Anything => conditions.present = paths.to_vec(),
            Matching::Epochs(epochs) => conditions.epochs = Some(epochs.clone()),
            Matching::Nothing => conditions.absent = paths.to_vec(),
        }
        conditions
    }

    /// Makes a change and waits if that was asked for.
    pub(super) async fn change(
        &self,
        sources: &Arc<Sources>,
        ops: Vec<Op>,
        conditions: Conditions,
    ) -> Result<Done, Response> {
        let removes = ops.iter().all(|op| matches!(op, Op::Delete { .. }));
        let done = sources.handle.change(ops, conditions).await;
        self.made(sources, done, removes).await
    }

    /// What became of a change; waits if that was asked for.
    pub(super) async fn made(
        &self,
        sources: &Arc<Sources>,
        done: Result<Done, Refusal>,
        removes: bool,
    ) -> Result<Done, Response> {
        // Where something had to be there (`If-Match: *`) and is not, the condition failed.
        let done = done.map_err(|refusal| match (&refusal, &self.matching) {
            (Refusal::Absent(path), Matching::Anything) => problem(
                StatusCode::PRECONDITION_FAILED,
                &format!("{path} does not exist"),
            ),
            _ => refused(&refusal, removes),
        })?;
        if let Some((whom, within)) = self.wait {
            waiting::adopted(sources, &done.after, whom == Whom::Cluster, within).await?;
        }
        Ok(done)
    }
}

/// A body that is a JSON object, or none at all.
pub(super) struct MaybeBody(pub(super) Section);

impl<S: Send + Sync> FromRequest<S> for MaybeBody {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if request.body().is_end_stream() {
            return Ok(MaybeBody(Section::new()));
        }
        let Body(section) = Body::from_request(request, state).await?;
        Ok(MaybeBody(section))
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let kind = kind
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase();
        if !matches!(&*kind, "application/json" | "application/merge-patch+json") {
            let detail = "send Content-Type: application/json";
            return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let Ok(bytes) = to_bytes(request.into_body(), ADMIN_BODY_BYTES_MAX).await else {
            let detail = format!("the body is incomplete or over {ADMIN_BODY_BYTES_MAX} bytes");
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, &detail));
        };
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(section)) => Ok(Body(section)),
            Ok(_) => Err(problem(
                StatusCode::BAD_REQUEST,
                "the body is not a JSON object",
            )),
            Err(error) => {
                let detail = format!("the body is not JSON: {error}");
                Err(problem(StatusCode::BAD_REQUEST, &detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_read_quoted_and_plain() {
        for (text, epoch) in [
            ("\"12\"", Some(12)),
            (" 7 ", Some(7)),
            ("W/\"12\"", None),
            ("\"\"", None),
            ("+1", None),
            ("\"12", None),
        ] {
            assert_eq!(read_epoch(text), epoch.map(Epoch::of), "{text}");
        }
    }
}
