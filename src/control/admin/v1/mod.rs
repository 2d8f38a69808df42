//! Version 1 of the API: what is in effect, and how it is changed.
//!
//! Every object of the configuration has a path (`listeners/web/routes/api`); the same few
//! handlers serve them all. A change answers when it is stored and published, with its epoch (in
//! the body, and as `ETag`); `?wait=node` waits until every core serves by it, `?wait=cluster`
//! until every core of every node does. `If-Match` with an epoch makes a change only where nothing
//! else has changed since. The document that describes all of this (`/v1/openapi.json`) is held to
//! the table of endpoints by a test.

mod asked;
mod backends;
mod connections;
mod explain;
mod health;
mod monitor;
mod nodes;
mod objects;
mod overview;
mod pages;
mod plan;
mod rpc;
mod table;
#[cfg(test)]
mod tests;
mod transaction;
mod waiting;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, patch, post, put};

use super::Sources;
pub(super) use overview::Shares;

macro_rules! endpoints {
    ($($method:ident $path:literal => $handler:path,)*) => {
        /// Every endpoint: method and path.
        #[cfg(test)]
        pub(super) const ENDPOINTS: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        /// All of them.
        pub(super) fn router() -> Router<Arc<Sources>> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

endpoints! {
    get "/v1/epoch" => pages::epoch,
    get "/v1/nodes" => nodes::list,
    get "/v1/monitor" => monitor::show,
    get "/v1/status" => pages::status,
    get "/v1/overview" => overview::show,
    get "/v1/debug/connections" => connections::show,
    get "/v1/debug/profile" => pages::profile,
    get "/v1/debug/table" => table::show,
    get "/v1/export" => pages::export,
    get "/v1/openapi.json" => pages::openapi,
    get "/v1/settings" => objects::read,
    put "/v1/settings" => objects::write,
    patch "/v1/settings" => objects::merge,
    get "/v1/listeners" => objects::list,
    get "/v1/listeners/{listener}" => objects::read,
    put "/v1/listeners/{listener}" => objects::write,
    patch "/v1/listeners/{listener}" => objects::merge,
    delete "/v1/listeners/{listener}" => objects::remove,
    get "/v1/listeners/{listener}/routes" => objects::list,
    get "/v1/listeners/{listener}/routes/{route}" => objects::read,
    put "/v1/listeners/{listener}/routes/{route}" => objects::write,
    patch "/v1/listeners/{listener}/routes/{route}" => objects::merge,
    delete "/v1/listeners/{listener}/routes/{route}" => objects::remove,
    get "/v1/shards" => objects::list,
    get "/v1/shards/{shard}" => objects::read,
    put "/v1/shards/{shard}" => objects::write,
    patch "/v1/shards/{shard}" => objects::merge,
    delete "/v1/shards/{shard}" => objects::remove,
    get "/v1/groups" => objects::list,
    get "/v1/groups/{group}" => objects::read,
    put "/v1/groups/{group}" => objects::write,
    patch "/v1/groups/{group}" => objects::merge,
    delete "/v1/groups/{group}" => objects::remove,
    put "/v1/groups/{group}/policy" => backends::policy,
    get "/v1/groups/{group}/backends" => objects::list,
    get "/v1/groups/{group}/backends/{backend}" => objects::read,
    put "/v1/groups/{group}/backends/{backend}" => objects::write,
    patch "/v1/groups/{group}/backends/{backend}" => objects::merge,
    delete "/v1/groups/{group}/backends/{backend}" => objects::remove,
    put "/v1/groups/{group}/backends/{backend}/weight" => backends::weight,
    post "/v1/groups/{group}/backends/{backend}/drain" => backends::drain,
    post "/v1/groups/{group}/backends/{backend}/maint" => backends::maint,
    post "/v1/groups/{group}/backends/{backend}/ready" => backends::ready,
    get "/v1/backends" => health::list,
    get "/v1/backends/{backend}" => health::show,
    post "/v1/heartbeat" => health::heartbeat,
    post "/v1/transaction" => transaction::run,
    post "/v1/plan" => plan::run,
    post "/v1/explain" => explain::run,
    post "/v1/rpc/add_server" => rpc::add_server,
    post "/v1/rpc/remove_server" => rpc::remove_server,
    post "/v1/rpc/health_check_passed" => rpc::health_check_passed,
    post "/v1/rpc/health_check_failed" => rpc::health_check_failed,
    post "/v1/rpc/get_next_server" => rpc::next_server,
}
